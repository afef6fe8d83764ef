"""A client of one meter: associates in a role, gets, sets and does."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from openams.client import apdu
from openams.client import data as axdr
from openams.client.association import Association, Steps
from openams.client.ciphering import Cipher
from openams.client.errors import ClientError, RefusedError, ServiceError
from openams.client.links import Transport, Url, open_link
from openams.errors import BenchError
from openams.han.cipher import Keys
from openams.keys.keystore import Keystore
from openams.keys.model import CLIENT_SAPS, PUBLIC_SAP, ClientKeys, MeterKeys, Pair

# Counters taken from the keystore at a time.
_RESERVE = 1024
# So far ahead a meter's word is taken: it comes in clear, and a lie uses numbers up for ever.
_JUMP = 1 << 24

T = TypeVar("T")


class Client:
    """One association. Use `session`, which opens and closes it."""

    def __init__(self, transport: Transport, sap: int) -> None:
        self._transport = transport
        self.sap = sap
        self.meter_id = ""  # of an association with keys
        self._association: Association | None = None

    def associate(self, cipher: Cipher | None = None) -> None:
        """Without a cipher as the public client."""
        self._association = Association(cipher)
        self._go(self._association.open())

    @property
    def meter_title(self) -> bytes:
        return self._open_one().meter_title

    def outlived(self) -> None:
        """The meter has other keys now: nothing more is to be sealed, no good-bye either."""
        self._association = None

    def close(self) -> None:
        """Releases the association and the link, whatever state they are in."""
        try:
            if self._association is not None:
                self._go(self._association.release())
        except BenchError:
            pass
        finally:
            self._association = None
            self._transport.disconnect()

    def _open_one(self) -> Association:
        if self._association is None:
            raise ClientError("the association has ended: open it anew")
        return self._association

    def _go(self, steps: Steps[T]) -> T:
        """Carries messages to the meter and back until the steps are done."""
        try:
            message = next(steps)
            while True:
                answer = (
                    self._transport.send_request(message) if message else self._transport.receive()
                )
                message = steps.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value

    # --- services ------------------------------------------------------------------------

    def get_raw(self, class_id: int, obis: str, number: int, selection: bytes = b"") -> bytes:
        """An attribute as it came, block by block if it must."""
        what = apdu.descriptor(class_id, obis, number)
        return self._go(self._open_one().get(what, selection, f"{obis} attribute {number}"))

    def get(self, class_id: int, obis: str, number: int, selection: bytes = b"") -> Any:
        return axdr.decode(self.get_raw(class_id, obis, number, selection))

    def get_all(self, attributes: Sequence[tuple[int, str, int]]) -> list[Any]:
        """Of several attributes (class, logical name, number), at once where the meter can."""
        return self._go(self._open_one().get_all(attributes))

    def set(self, class_id: int, obis: str, number: int, value: bytes) -> None:
        what = apdu.descriptor(class_id, obis, number)
        self._go(self._open_one().set(what, value, f"{obis} attribute {number}"))

    def action(self, class_id: int, obis: str, number: int, value: bytes) -> Any:
        """Calls a method; gives what it returns, or None."""
        what = apdu.descriptor(class_id, obis, number)
        raw = self._go(self._open_one().action(what, value, f"{obis} method {number}"))
        return axdr.decode(raw) if raw else None


class _Counters:
    """Counters of a client's keys, taken from the keystore before they are used."""

    def __init__(self, store: Keystore, meter_id: str, sap: int, pending: bool) -> None:
        self._reserve = functools.partial(store.reserve, meter_id, sap, _RESERVE, pending)
        self._next = self._end = 0

    def take(self) -> int:
        if self._next == self._end:
            self._next = self._reserve()
            self._end = self._next + _RESERVE
        self._next += 1
        return self._next - 1


# --- sessions ----------------------------------------------------------------------------


@contextmanager
def public_session(url: Url, timeout_s: float) -> Iterator[Client]:
    client = Client(open_link(url, PUBLIC_SAP, timeout_s), PUBLIC_SAP)
    try:
        client.associate()
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
        pair = (entry.pending if pending else None) or entry.current
        for attempt in range(2):
            client = Client(open_link(url, sap, timeout_s), sap)
            client.meter_id = keys.meter_id
            try:
                counters = _Counters(store, keys.meter_id, sap, pending)
                client.associate(_cipher(keys, entry, pair, counters))
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


def _cipher(keys: MeterKeys, entry: ClientKeys, pair: Pair, counters: _Counters) -> Cipher:
    sealing = Keys(bytes.fromhex(pair.encryption), bytes.fromhex(pair.authentication))
    title, meter = bytes.fromhex(entry.title), bytes.fromhex(keys.system_title)
    return Cipher(title, sealing, meter, counters.take)


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
