"""A client of one meter: associates in a role, gets, sets and does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlms_cosem import exceptions
from dlms_cosem.enumerations import AssociationResult
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    NoSecurityAuthentication,
)

from openams.client import data as axdr
from openams.client.dlms import Connection, GetRequest, State, attribute, method, xdlms
from openams.client.errors import ClientError, RefusedError, ResultError, ServiceError
from openams.client.links import Transport, Url, open_link
from openams.client.names import ASSOCIATION
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.keys.model import CLIENT_SAPS, PUBLIC_SAP, ClientKeys, MeterKeys, Pair

# Counters taken from the keystore at a time.
_RESERVE = 1024
# So far ahead a meter's word is taken: it comes in clear, and a lie uses numbers up for ever.
_JUMP = 1 << 24
_CHALLENGE = 32
# Octets of the longest value: many times all that a meter keeps.
_VALUE_MAX = 1 << 24


class Client:
    """One association. Use `session`, which opens and closes it."""

    def __init__(self, transport: Transport, sap: int) -> None:
        self._transport = transport
        self.sap = sap
        self.meter_id = ""  # of an association with keys
        self._connection: Any = None
        self._counters: _Counters | None = None

    # --- association -------------------------------------------------------------------

    def associate(
        self, client: ClientKeys | None, pair: Pair | None, counters: Any, title: bytes = b""
    ) -> None:
        """In the role of `client` with `pair`, at the meter of this system title; without
        keys on the public association."""
        self._counters = counters
        if client is None or pair is None:
            self._connection = Connection(
                client_system_title=b"OAC\0\0\0\0\0",
                authentication=NoSecurityAuthentication(),
                state=State(),
            )
        else:
            self._connection = Connection(
                client_system_title=bytes.fromhex(client.title),
                authentication=HighLevelSecurityGmacAuthentication(challenge_length=_CHALLENGE),
                global_encryption_key=bytes.fromhex(pair.encryption),
                global_authentication_key=bytes.fromhex(pair.authentication),
                client_invocation_counter=counters.first,
                state=State(),
            )
            self._connection.expected_title = title
        answer = self._exchange(self._connection.get_aarq())
        if getattr(answer, "result", None) is not AssociationResult.ACCEPTED:
            raise RefusedError(_why_refused(answer))
        if client is not None:
            self._prove()

    def _prove(self) -> None:
        """HLS: answers the meter's challenge and checks its answer to ours."""
        reply = self._connection.authentication.hls_generate_reply_data(self._connection)
        try:
            proof = self.action(15, ASSOCIATION, 1, axdr.octets(reply))
        except (ResultError, ServiceError) as error:
            raise RefusedError(f"the meter does not take the proof of the keys: {error}") from None
        # `next_event` has compared it with what the meter's key gives.
        if not proof or self._connection.state.current_state.__name__ != "READY":
            raise RefusedError("the meter could not prove that it has the keys")

    @property
    def meter_title(self) -> bytes:
        return bytes(self._connection.meter_system_title or b"")

    def outlived(self) -> None:
        """The meter has other keys now: nothing more is to be sealed, no good-bye either."""
        self._connection = None

    def close(self) -> None:
        """Releases the association and the link, whatever state they are in."""
        try:
            if self._connection is not None:
                self._exchange(self._connection.get_rlrq())
        except (BenchError, exceptions.LocalDlmsProtocolError):
            pass
        finally:
            self._connection = None
            self._transport.disconnect()

    # --- services ------------------------------------------------------------------------

    def _exchange(self, request: Any) -> Any:
        if self._counters:
            self._counters.keep_ahead(self._connection)
        try:
            octets = self._connection.send(request)
        except exceptions.LocalDlmsProtocolError as error:
            raise ClientError(f"not in this state: {error}") from None
        self._connection.receive_data(self._transport.send_request(octets))
        answer = self._connection.next_event()
        if isinstance(answer, xdlms.ExceptionResponse):
            raise ServiceError(
                int(answer.state_error), int(answer.service_error), answer.invocation_counter_data
            )
        if isinstance(answer, xdlms.ConfirmedServiceError):
            raise ClientError(f"the meter answers with a service error: {answer.error!r}")
        return answer

    def get_raw(self, class_id: int, obis: str, number: int, selection: bytes = b"") -> bytes:
        """An attribute as it came, block by block if it must."""
        what = f"{obis} attribute {number}"
        answer = self._exchange(GetRequest(attribute(class_id, obis, number), selection))
        out = bytearray()
        while True:
            if isinstance(answer, xdlms.GetResponseNormalWithError):
                raise ResultError(what, int(answer.error))
            if isinstance(answer, xdlms.GetResponseLastBlockWithError):
                raise ResultError(what, int(answer.error))
            out += answer.data
            if not isinstance(answer, xdlms.GetResponseWithBlock):
                return bytes(out)
            if len(out) > _VALUE_MAX:
                raise ClientError(f"{what} has no end")
            answer = self._exchange(
                xdlms.GetRequestNext(
                    invoke_id_and_priority=answer.invoke_id_and_priority,
                    block_number=answer.block_number,
                )
            )

    def get(self, class_id: int, obis: str, number: int, selection: bytes = b"") -> Any:
        return axdr.decode(self.get_raw(class_id, obis, number, selection))

    def set(self, class_id: int, obis: str, number: int, value: bytes) -> None:
        answer = self._exchange(
            xdlms.SetRequestNormal(cosem_attribute=attribute(class_id, obis, number), data=value)
        )
        if int(answer.result):
            raise ResultError(f"{obis} attribute {number}", int(answer.result))

    def action(self, class_id: int, obis: str, number: int, value: bytes) -> Any:
        """Calls a method; gives what it returns, or None."""
        answer = self._exchange(
            xdlms.ActionRequestNormal(cosem_method=method(class_id, obis, number), data=value)
        )
        what = f"{obis} method {number}"
        if int(answer.status):
            raise ResultError(what, int(answer.status))
        if isinstance(answer, xdlms.ActionResponseNormalWithError):
            raise ResultError(what, int(answer.error))
        raw = getattr(answer, "data", None)
        return axdr.decode(bytes(raw)) if raw else None


def _why_refused(answer: Any) -> str:
    diagnostics = getattr(answer, "result_source_diagnostics", None)
    name = getattr(diagnostics, "name", str(diagnostics)).lower().replace("_", " ")
    return f"the meter refuses the association: {name}"


class _Counters:
    """Counters of a client's keys, taken from the keystore before they are used."""

    def __init__(self, store: Keystore, meter_id: str, sap: int, pending: bool) -> None:
        self._store = store
        self._key = (meter_id, sap)
        self._pending = pending
        self.first = store.reserve(meter_id, sap, _RESERVE, pending)
        self._end = self.first + _RESERVE

    def keep_ahead(self, connection: Any) -> None:
        # A request uses two at the most: its own, and that of a proof.
        if connection.use_protection and connection.client_invocation_counter + 2 > self._end:
            first = self._store.reserve(*self._key, _RESERVE, self._pending)
            if first != self._end:
                connection.client_invocation_counter = first
            self._end = first + _RESERVE


# --- sessions ----------------------------------------------------------------------------


@contextmanager
def public_session(url: Url, timeout_s: float) -> Iterator[Client]:
    client = Client(open_link(url, PUBLIC_SAP, timeout_s), PUBLIC_SAP)
    try:
        client.associate(None, None, None)
        yield client
    finally:
        client.close()


@contextmanager
def session(
    url: Url,
    role: str,
    store: Keystore | None,
    meter_id: str | None,
    timeout_s: float = 10.0,
    renewed: bool = False,
) -> Iterator[Client]:
    """An association in a role: one of model.CLIENT_SAPS.

    `renewed`: the meter has just been given the keys of a rotation, they are tried first.
    """
    if role == "public":
        with public_session(url, timeout_s) as client:
            yield client
        return
    assert store is not None
    keys = store.get(meter_id) if meter_id else identify(url, store, timeout_s)
    client = _associated(url, keys, CLIENT_SAPS[role], store, timeout_s, renewed)
    try:
        yield client
    finally:
        client.close()


def _associated(
    url: Url, keys: MeterKeys, sap: int, store: Keystore, timeout_s: float, renewed: bool
) -> Client:
    """Tries the keys, the counter that the meter names, and the keys of a rotation under way."""
    entry = keys.client(sap)
    refusal: ClientError | None = None
    for pending in (renewed, not renewed) if entry.pending else (False,):
        pair = entry.pending if pending else entry.current
        for attempt in range(2):
            client = Client(open_link(url, sap, timeout_s), sap)
            client.meter_id = keys.meter_id
            try:
                counters = _Counters(store, keys.meter_id, sap, pending)
                client.associate(entry, pair, counters, bytes.fromhex(keys.system_title))
            except (RefusedError, ServiceError) as error:
                client.close()
                refusal = refusal or error
                if attempt or not _caught_up(url, error, keys, sap, store, pending, timeout_s):
                    break
            except BaseException:
                client.close()
                raise
            else:
                if pending:
                    store.commit_rotation(keys.meter_id, sap)
                return client
    assert refusal is not None
    raise refusal


def _caught_up(
    url: Url,
    error: ClientError,
    keys: MeterKeys,
    sap: int,
    store: Keystore,
    pending: bool,
    timeout_s: float,
) -> bool:
    """Whether the meter expects a higher counter than ours; the keystore then has it."""
    expected = error.counter if isinstance(error, ServiceError) else None
    if expected is None:
        expected = read_counter(url, sap, timeout_s)
    entry = store.get(keys.meter_id).client(sap)
    pair = entry.pending if pending else entry.current
    # The refused attempt has used the counters just below `next_counter`.
    if expected is None or pair is None or expected <= pair.next_counter - _RESERVE:
        return False
    if expected > pair.next_counter + _JUMP:
        raise ClientError(
            f"the meter asks for counter {expected} where the next is {pair.next_counter}: "
            "it says so in clear, and is not believed"
        )
    store.raise_counter(keys.meter_id, sap, expected, pending)
    return True


def read_counter(url: Url, sap: int, timeout_s: float) -> int | None:
    """The lowest counter that the meter takes from a client, as it tells the public one."""
    try:
        with public_session(url, timeout_s) as client:
            value = client.get(1, f"0.0.43.1.{sap}.255", 2)
    except ClientError:
        return None
    return value if isinstance(value, int) else None


def identify(url: Url, store: Keystore, timeout_s: float) -> MeterKeys:
    """The keys of the meter at the URL: the only ones there are, or those of its name."""
    meters = store.meters()
    if not meters:
        raise BenchError(f"{store.path} has no keys: make some with ams keys new METER_ID")
    if len(meters) == 1:
        return next(iter(meters.values()))
    with public_session(url, timeout_s) as client:
        name = client.get(1, "0.0.42.0.0.255", 2)
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
    digits = "".join(character for character in text if character.isdigit())
    for meter_id, keys in meters.items():
        if len(digits) >= 8 and meter_id.endswith(digits[-12:]):
            return keys
    raise BenchError(f"no keys of the meter at {url.text} ({text}): name it with --meter-id")
