"""An association of a client, as it goes from message to message; it touches no line.

Each step is a generator: it yields an APDU to send, is given the answer, and returns what came
of it. It yields nothing (b"") to be given the next message without sending one.

With keys, nothing is an answer but what the meter of the expected system title has ciphered with
them, behind a number that grows, to the request that was asked. Errors do come in clear: they end
a request and say nothing else that is believed. What cannot be read, or does not come, ends the
association: nobody knows what a later answer would be to.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from openams.client import acse, apdu
from openams.client import data as axdr
from openams.client.apdu import Kind, Response, Service
from openams.client.ciphering import OVERHEAD, Cipher
from openams.client.errors import ClientError, RefusedError, ResultError, ServiceError
from openams.client.names import ASSOCIATION

T = TypeVar("T")
Steps = Generator[bytes, bytes, T]

# Conformance, bit 0 is the highest of 24: general protection, priority, blocks with get, set and
# action, lists, get, set, selective access, action.
_PROTECTION = 1 << 22
_BLOCKS = {Service.GET: 1 << 12, Service.SET: 1 << 11, Service.ACTION: 1 << 10}
_LISTS = 1 << 9
_CONFORMANCE = 1 << 14 | sum(_BLOCKS.values()) | _LISTS | 1 << 4 | 1 << 3 | 1 << 2 | 1 << 0
_PDU_MAX = 0xFFFF
_CHALLENGE = 32
_CHALLENGE_MIN = 8
# Octets of the longest value: many times all that a meter keeps.
_VALUE_MAX = 1 << 24
# So many attributes are asked for at once.
_LISTED_MAX = 32
# So many messages of its own may the meter send before it answers.
_UNASKED_MAX = 16


class Association:
    """Without a cipher that of the public client."""

    def __init__(self, cipher: Cipher | None = None) -> None:
        self._cipher = cipher
        self._conformance = _CONFORMANCE | (_PROTECTION if cipher else 0)
        self._pdu_max = _PDU_MAX
        self._invoke = 0
        self._ready = False
        self.meter_title = b""

    # --- opening and releasing -------------------------------------------------------------

    def open(self) -> Steps[None]:
        """Raises RefusedError when the meter does not want us, or cannot show who it is."""
        request = acse.initiate_request(self._conformance, _PDU_MAX)
        if self._cipher is None:
            aare = acse.read_aare(_not_refused((yield acse.aarq(request))))
            if aare.mechanism or aare.challenge:
                raise RefusedError("the meter asks for a password: there is none")
            self._agree(aare, aare.information)
            self._ready = True
            return
        challenge = secrets.token_bytes(_CHALLENGE)
        sealed = self._cipher.seal_initiate(request)
        aarq = acse.keyed_aarq(self._cipher.title, challenge, sealed)
        aare = acse.read_aare(_not_refused((yield aarq)))
        response = self._cipher.open_initiate(aare.information)
        if aare.title != self._cipher.meter:
            raise ClientError("the meter has another system title: it is not this meter")
        if aare.mechanism != acse.GMAC or len(aare.challenge) < _CHALLENGE_MIN:
            raise ClientError("the meter asks for no proof of the keys: it is not this meter")
        if aare.challenge == challenge:
            raise ClientError("the meter's challenge is ours: it is not this meter")
        self._agree(aare, response)
        yield from self._prove(self._cipher, aare.challenge, challenge)

    def _agree(self, aare: acse.Aare, response: bytes) -> None:
        conformance, pdu_max = acse.read_initiate(response)
        self._conformance &= conformance
        self._pdu_max = pdu_max or _PDU_MAX
        self.meter_title = aare.title

    def _prove(self, cipher: Cipher, theirs: bytes, ours: bytes) -> Steps[None]:
        """HLS: answers the meter's challenge and checks its answer to ours."""
        value = axdr.octets(cipher.proof(theirs))
        self._ready = True
        try:
            raw = yield from self.action(apdu.descriptor(15, ASSOCIATION, 1), value, "the proof")
            proof = axdr.decode(raw) if raw else None
        except (ResultError, ServiceError) as error:
            reason = f"the meter does not take the proof of the keys: {error}"
            raise RefusedError(reason) from None
        finally:
            self._ready = False
        if not isinstance(proof, bytes) or not cipher.is_proof(proof, ours):
            raise RefusedError("the meter could not prove that it has the keys")
        self._ready = True

    def release(self) -> Steps[None]:
        """Says good-bye, if the association still stands."""
        if not self._ready:
            return
        self._ready = False
        information = b""
        if self._cipher is not None:
            request = acse.initiate_request(self._conformance, _PDU_MAX)
            information = self._cipher.seal_initiate(request)
        yield acse.rlrq(information)

    # --- services --------------------------------------------------------------------------

    def get(self, what: bytes, selection: bytes, name: str) -> Steps[bytes]:
        """An attribute as it came. Raises ResultError, with `name` for what is asked for."""
        invoke = self._begin()
        answer = yield from self._ask(apdu.get(invoke, what, selection), Service.GET)
        if answer.kind == Kind.BLOCK:
            return (yield from self._long_answer(Service.GET, answer, name))
        self._ended(answer, name)
        return answer.data

    def get_all(self, attributes: Sequence[tuple[int, str, int]]) -> Steps[list[Any]]:
        """Values of several attributes (class, logical name, number), in as few requests as the
        meter takes. Raises ResultError for the first of them that it does not give."""
        out: list[Any] = []
        most = min(_LISTED_MAX, (self._room(0) - 4) // apdu.LISTED)
        if most < 2 or not self._conformance & _LISTS:
            most = 1
        for at in range(0, len(attributes), most):
            some = attributes[at : at + most]
            whats = [apdu.descriptor(*one) for one in some]
            names = [f"{obis} attribute {number}" for _, obis, number in some]
            if len(some) == 1:
                out.append(axdr.decode((yield from self.get(whats[0], b"", names[0]))))
            else:
                out += yield from self._get_list(whats, names)
        return out

    def _get_list(self, whats: Sequence[bytes], names: Sequence[str]) -> Steps[list[Any]]:
        answer = yield from self._ask(apdu.get_list(self._begin(), whats), Service.GET)
        name = f"{names[0]} and {len(names) - 1} more"
        if answer.kind == Kind.BLOCK:
            raw = yield from self._long_answer(Service.GET, answer, name)
        elif answer.kind == Kind.LIST:
            raw = answer.data
        else:
            self._ended(answer, name)
            self._ready = False
            raise ClientError("the meter's answer is out of order")
        found = apdu.listed(raw)
        if len(found) != len(names):
            self._ready = False
            raise ClientError(f"the meter's answer has {len(found)} values for {len(names)}")
        for one, (result, _) in zip(names, found, strict=True):
            if result:
                raise ResultError(one, result)
        return [value for _, value in found]

    def set(self, what: bytes, value: bytes, name: str) -> Steps[None]:
        invoke = self._begin()
        request = apdu.set_(invoke, what, value)
        if len(request) <= self._room(0):
            answer = yield from self._ask(request, Service.SET)
        else:
            answer = yield from self._long_request(Service.SET, apdu.set_block, what, value)
        self._ended(answer, name)

    def action(self, what: bytes, value: bytes, name: str) -> Steps[bytes]:
        """Calls a method; gives what it returns."""
        invoke = self._begin()
        request = apdu.action(invoke, what, value)
        if len(request) <= self._room(0):
            answer = yield from self._ask(request, Service.ACTION)
        else:
            answer = yield from self._long_request(Service.ACTION, apdu.action_block, what, value)
        if answer.kind == Kind.BLOCK:
            whole = axdr.Reader((yield from self._long_answer(Service.ACTION, answer, name)))
            result, data = apdu.returned(whole)
            answer = Response(Service.ACTION, invoke, result=result, data=data)
        self._ended(answer, name)
        return answer.data

    def _begin(self) -> int:
        """The mark by which an answer is known as that to the request: 1 to 15, in turn."""
        if not self._ready:
            raise ClientError("the association has ended: open it anew")
        self._invoke = self._invoke % 15 + 1
        return 0xC0 | self._invoke  # confirmed, of high priority

    def _ended(self, answer: Response, name: str) -> None:
        if answer.kind != Kind.WHOLE:
            self._ready = False
            raise ClientError("the meter's answer is out of order")
        if answer.result:
            raise ResultError(name, answer.result)

    def _room(self, head: int) -> int:
        """Octets of the longest request, less its head."""
        return self._pdu_max - head - (OVERHEAD if self._cipher else 0)

    def _ask(self, request: bytes, service: Service) -> Steps[Response]:
        """One request and its answer; until that is read the association has no other."""
        self._ready = False
        message = self._cipher.seal(request) if self._cipher else request
        for _ in range(_UNASKED_MAX):
            plain = self._opened((yield message))
            if not apdu.is_unasked(plain):
                break
            message = b""
        if plain[0] in (apdu.EXCEPTION, apdu.SERVICE_ERROR):
            error = apdu.refusal(plain)
            self._ready = True
            raise error
        answer = apdu.response(plain)
        if (answer.service, answer.invoke) != (service, request[2]):
            raise ClientError("the meter's answer is to something else")
        self._ready = True
        return answer

    def _opened(self, message: bytes) -> bytes:
        plain = _not_empty(message)
        if self._cipher and plain[0] not in (apdu.EXCEPTION, apdu.SERVICE_ERROR):
            plain = _not_empty(self._cipher.open(plain))
        return plain

    # --- in blocks -------------------------------------------------------------------------

    def _long_answer(self, service: Service, answer: Response, name: str) -> Steps[bytes]:
        out = bytearray()
        number = 1
        while answer.kind == Kind.BLOCK and not answer.result:
            if answer.block != number:
                self._ready = False
                raise ClientError(f"the meter's answer has block {answer.block} for {number}")
            out += answer.data
            if answer.last:
                return bytes(out)
            if len(out) > _VALUE_MAX:
                self._ready = False
                raise ClientError(f"{name} has no end")
            request = apdu.next_block(service, answer.invoke, number)
            answer = yield from self._ask(request, service)
            number += 1
        if answer.result:
            raise ResultError(name, answer.result)
        self._ready = False
        raise ClientError("the meter's answer is out of order")

    def _long_request(
        self,
        service: Service,
        block: Callable[[int, bytes, int, bool, bytes], bytes],
        what: bytes,
        value: bytes,
    ) -> Steps[Response]:
        """What ends it: the answer to the last block, or an error before."""
        room = self._room(apdu.HEAD)
        if room < 1 or not self._conformance & _BLOCKS[service]:
            raise ClientError(f"{len(value)} octets are more than the meter takes at once")
        invoke = 0xC0 | self._invoke
        for at in range(0, len(value), room):
            number, last = at // room + 1, at + room >= len(value)
            piece = value[at : at + room]
            answer = yield from self._ask(block(invoke, what, number, last, piece), service)
            if last or answer.result:
                break
            if (answer.kind, answer.block) != (Kind.TAKEN, number):
                self._ready = False
                raise ClientError(f"the meter's answer does not take block {number}")
        return answer


def _not_empty(message: bytes) -> bytes:
    if not message:
        raise ClientError("the meter's answer is empty")
    return message


def _not_refused(message: bytes) -> bytes:
    """The answer to an AARQ, which may be an exception."""
    if _not_empty(message)[0] in (apdu.EXCEPTION, apdu.SERVICE_ERROR):
        raise apdu.refusal(message)
    return message
