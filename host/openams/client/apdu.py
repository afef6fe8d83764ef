"""Requests of a client and a meter's answers to them: get, set and action on logical names,
whole and in blocks (IEC 62056-5-3).

    C0, C1, C3 | kind | invoke id and priority | ...      requests
    C4, C5, C7 | kind | invoke id and priority | ...      answers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from openams.client import data as axdr
from openams.client.data import Reader
from openams.client.errors import ClientError, ServiceError
from openams.client.names import parse_obis

EXCEPTION, SERVICE_ERROR = 0xD8, 0x0E
_UNASKED = (0x0F, 0xC2)  # data and event notification
# The longest head of a block: descriptor, last, number and length.
HEAD = 24


class Service(IntEnum):
    """By the tag of its answers; that of its requests is four less."""

    GET = 0xC4
    SET = 0xC5
    ACTION = 0xC7


class Kind(IntEnum):
    """Of an answer."""

    WHOLE = 0
    BLOCK = 1  # a part of a long one
    TAKEN = 2  # go on with a long request
    LIST = 3  # of several attributes


def descriptor(class_id: int, obis: str, number: int) -> bytes:
    """Of an attribute or a method."""
    if not (0 <= class_id <= 0xFFFF and 0 <= number <= 0xFF):
        raise ClientError(f"class {class_id} or number {number} is none that there can be")
    return class_id.to_bytes(2, "big") + bytes(parse_obis(obis)) + bytes((number,))


def get(invoke: int, what: bytes, selection: bytes) -> bytes:
    return bytes((0xC0, 1, invoke)) + what + (b"\x01" + selection if selection else b"\x00")


# Octets of an attribute in a list of them.
LISTED = 10


def get_list(invoke: int, whats: Sequence[bytes]) -> bytes:
    head = bytes((0xC0, 3, invoke)) + axdr.length(len(whats))
    return head + b"".join(what + b"\x00" for what in whats)


def set_(invoke: int, what: bytes, value: bytes) -> bytes:
    return bytes((0xC1, 1, invoke)) + what + b"\x00" + value


def action(invoke: int, what: bytes, value: bytes) -> bytes:
    return bytes((0xC3, 1, invoke)) + what + (b"\x01" + value if value else b"\x00")


def next_block(service: Service, invoke: int, number: int) -> bytes:
    """Asks for the block after `number`."""
    return bytes((service - 4, 2, invoke)) + number.to_bytes(4, "big")


def set_block(invoke: int, what: bytes, number: int, last: bool, piece: bytes) -> bytes:
    head = bytes((0xC1, 2, invoke)) + what + b"\x00" if number == 1 else bytes((0xC1, 3, invoke))
    return head + _block(number, last, piece)


def action_block(invoke: int, what: bytes, number: int, last: bool, piece: bytes) -> bytes:
    head = bytes((0xC3, 4, invoke)) + what if number == 1 else bytes((0xC3, 6, invoke))
    return head + _block(number, last, piece)


def _block(number: int, last: bool, piece: bytes) -> bytes:
    return bytes((last,)) + number.to_bytes(4, "big") + axdr.length(len(piece)) + piece


# --- answers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Response:
    """`result` is that of the service, 0 when all is well; `data` a value or a part of it."""

    service: int
    invoke: int
    kind: Kind = Kind.WHOLE
    result: int = 0
    data: bytes = b""
    block: int = 0
    last: bool = True


def is_unasked(apdu: bytes) -> bool:
    """A message of the meter's own, which answers nothing."""
    return apdu[0] in _UNASKED


def response(apdu: bytes) -> Response:
    """Raises ClientError for what is no answer."""
    reader = Reader(apdu)
    service, form, invoke = reader.octet(), reader.octet(), reader.octet()
    match service, form:
        case Service.GET, 1:
            if not reader.octet():
                return Response(service, invoke, data=reader.rest)
            out = Response(service, invoke, result=_error(reader))
        case Service.GET, 3:
            return Response(service, invoke, Kind.LIST, data=reader.rest)
        case Service.ACTION, 1:
            result, data = returned(reader)
            return Response(service, invoke, result=result, data=data)
        case Service.SET, 1:
            out = Response(service, invoke, result=reader.octet())
        case Service.SET, 3:
            out = Response(service, invoke, result=reader.octet(), block=reader.number(4))
        case (Service.SET, 2) | (Service.ACTION, 4):
            out = Response(service, invoke, Kind.TAKEN, block=reader.number(4), last=False)
        case ((Service.GET | Service.ACTION), 2):
            out = _read_block(reader, service, invoke)
        case _:
            raise ClientError(f"the meter's answer is none that is known (0x{apdu[:2].hex()})")
    reader.end()
    return out


def _read_block(reader: Reader, service: int, invoke: int) -> Response:
    last, block = bool(reader.octet()), reader.number(4)
    if service == Service.GET and reader.octet():
        return Response(service, invoke, Kind.BLOCK, _error(reader), b"", block)
    piece = reader.take(reader.length())
    if not piece and not last:
        raise ClientError("the meter's answer has a block with nothing in it")
    return Response(service, invoke, Kind.BLOCK, 0, piece, block, last)


def listed(data: bytes) -> list[tuple[int, Any]]:
    """(result, value) of each attribute of a list: result 0 when all is well."""
    reader = Reader(data)
    out: list[tuple[int, Any]] = []
    for _ in range(reader.length()):
        out.append((_error(reader), None) if reader.octet() else (0, reader.value()))
    reader.end()
    return out


def _error(reader: Reader) -> int:
    result = reader.octet()
    if not result:
        raise ClientError("the meter's answer is an error that is none")
    return result


def returned(reader: Reader) -> tuple[int, bytes]:
    """Result of an action, and the value that it gives: all the rest."""
    result = reader.octet()
    if reader.octet():
        if not reader.octet():
            return result, reader.rest
        result = result or reader.octet()
    reader.end()
    return result, b""


def refusal(apdu: bytes) -> ClientError:
    """The error that an exception response or a confirmedServiceError is."""
    reader = Reader(apdu)
    if reader.octet() == SERVICE_ERROR:
        service, kind, error = reader.take(3)
        reader.end()
        return ClientError(f"the meter answers with a service error ({service}/{kind}/{error})")
    state, error = reader.take(2)
    counter = reader.number(4) if reader.rest else None
    reader.end()
    return ServiceError(state, error, counter)
