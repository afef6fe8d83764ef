"""Opening and releasing an association: AARQ, AARE and RLRQ in BER, the InitiateRequest that
they carry in A-XDR (IEC 62056-5-3, ISO 8650). Fields that are not known are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

from openams.client import data as axdr
from openams.client.data import Reader
from openams.client.errors import ClientError, RefusedError

AARE, RLRE = 0x61, 0x63
_AARQ, _RLRQ = 0x60, 0x62
GMAC = 5
ACCEPTED = 0
_NAME = bytes.fromhex("0607608574050801")  # of a context, without its last arc
_MECHANISM = bytes.fromhex("60857405080205")  # GMAC
_CIPHERED, _CLEAR = b"\x03", b"\x01"
_DIAGNOSTICS = (
    "no diagnostics", "no reason given", "application context name not supported",
    "calling AP title not recognized", "calling AP invocation identifier not recognized",
    "calling AE qualifier not recognized", "calling AE invocation identifier not recognized",
    "called AP title not recognized", "called AP invocation identifier not recognized",
    "called AE qualifier not recognized", "called AE invocation identifier not recognized",
    "authentication mechanism name not recognized", "authentication mechanism name required",
    "authentication failed", "authentication required",
)  # fmt: skip


def _element(tag: int, content: bytes) -> bytes:
    # BER writes a length as A-XDR does.
    return bytes((tag,)) + axdr.length(len(content)) + content


def _information(content: bytes) -> bytes:
    return _element(0xBE, _element(0x04, content))


def aarq(information: bytes) -> bytes:
    """Of a client without keys."""
    return _element(_AARQ, _element(0xA1, _NAME + _CLEAR) + _information(information))


def keyed_aarq(title: bytes, challenge: bytes, information: bytes) -> bytes:
    """With mechanism 5; `information` is ciphered."""
    return _element(
        _AARQ,
        _element(0xA1, _NAME + _CIPHERED)
        + _element(0xA6, _element(0x04, title))
        + _element(0x8A, b"\x07\x80")
        + _element(0x8B, _MECHANISM)
        + _element(0xAC, _element(0x80, challenge))
        + _information(information),
    )


def rlrq(information: bytes = b"") -> bytes:
    return _element(_RLRQ, b"\x80\x01\x00" + (_information(information) if information else b""))


def initiate_request(conformance: int, pdu_max: int) -> bytes:
    bits = conformance.to_bytes(3, "big")
    return b"\x01\x00\x00\x00\x06\x5f\x1f\x04\x00" + bits + pdu_max.to_bytes(2, "big")


# --- answers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aare:
    """An accepted one: the meter's system title and challenge, and its InitiateResponse."""

    mechanism: int
    title: bytes
    challenge: bytes
    information: bytes


def read_aare(apdu: bytes) -> Aare:
    """Raises RefusedError, or ClientError for what is none."""
    reader = Reader(apdu)
    body = Reader(_inner(reader, AARE))
    reader.end()
    found = {}
    while body.rest:
        tag = body.octet()
        found[tag] = Reader(body.take(body.length()))
    if not {0xA1, 0xA2, 0xA3} <= found.keys():
        raise ClientError("the meter's answer to the association is not whole")
    result = _integer(found[0xA2])
    source = found[0xA3]
    user = source.octet() == 0xA1
    source.length()
    diagnostic = _integer(source)
    if result != ACCEPTED:
        raise RefusedError(f"the meter refuses the association: {_why(diagnostic, user)}")
    mechanism = found[0x89].rest if 0x89 in found else b""
    return Aare(
        mechanism[6] if mechanism[:6] == _MECHANISM[:6] and len(mechanism) == 7 else 0,
        _inner(found[0xA4], 0x04) if 0xA4 in found else b"",
        _inner(found[0xAA], 0x80) if 0xAA in found else b"",
        _inner(found[0xBE], 0x04) if 0xBE in found else b"",
    )


def _why(diagnostic: int, user: bool) -> str:
    if user and diagnostic < len(_DIAGNOSTICS):
        return _DIAGNOSTICS[diagnostic]
    return f"diagnostic {diagnostic} of the service {'user' if user else 'provider'}"


def _inner(reader: Reader, tag: int) -> bytes:
    if reader.octet() != tag:
        raise ClientError("the meter's answer to the association is none")
    return reader.take(reader.length())


def _integer(reader: Reader) -> int:
    value = Reader(_inner(reader, 0x02))
    number = value.octet()
    value.end()
    return number


def read_initiate(response: bytes) -> tuple[int, int]:
    """Conformance, and the longest APDU that the meter takes."""
    reader = Reader(response)
    if reader.octet() != 0x08:
        raise ClientError("the meter's answer to the association has no InitiateResponse")
    if reader.octet():
        reader.octet()  # quality of service
    reader.octet()  # version
    if reader.take(4) != b"\x5f\x1f\x04\x00":
        raise ClientError("the meter's answer to the association has no conformance")
    conformance, pdu_max = reader.number(3), reader.number(2)
    reader.take(2)  # logical names
    reader.end()
    return conformance, pdu_max
