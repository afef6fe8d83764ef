"""dlms-cosem, mended where it does not follow the standard or stops half-way.

Each class here is the library's with one fault less; see docs/clients.md.
"""

from __future__ import annotations

import logging
from typing import Any

import attr
import structlog
from dlms_cosem import enumerations, exceptions, state
from dlms_cosem.connection import DlmsConnection, XDlmsApduFactory
from dlms_cosem.cosem import CosemAttribute, CosemMethod, Obis
from dlms_cosem.protocol import acse, xdlms
from dlms_cosem.protocol.xdlms.base import AbstractXDlmsApdu
from dlms_cosem.protocol.xdlms.general_global_cipher import GeneralGlobalCipher

from openams.client import data as axdr
from openams.client.errors import ClientError
from openams.client.names import parse_obis

# The library writes every message to the log, on stdout if nobody says otherwise.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

_READY_AGAIN = (
    state.AWAITING_GET_RESPONSE,
    state.AWAITING_GET_BLOCK_RESPONSE,
    state.AWAITING_SET_RESPONSE,
    state.AWAITING_ACTION_RESPONSE,
)


class Cipher(GeneralGlobalCipher):
    """Writes the length as A-XDR: the library's single octet is wrong from 128 on."""

    def to_bytes(self) -> bytes:
        content = self.security_control.to_bytes()
        content += self.invocation_counter.to_bytes(4, "big") + self.ciphered_text
        title = self.system_title or b""
        return (
            bytes((self.TAG, len(title)))
            + bytes(title)
            + axdr.length(len(content))
            + bytes(content)
        )


class State(state.DlmsConnectionState):
    """An error answer to any request ends that request, not the association."""

    current_state: Any

    def process_event(self, event: Any) -> None:
        errors = (xdlms.ExceptionResponse, xdlms.ConfirmedServiceError)
        if isinstance(event, errors) and self.current_state in _READY_AGAIN:
            self.current_state = state.READY
        elif isinstance(event, errors):
            self.current_state = state.NO_ASSOCIATION
        else:
            super().process_event(event)


# What may come in clear where everything else is ciphered: errors say nothing that is
# believed, the opening and the release are looked at in themselves.
_CLEAR = (
    acse.ApplicationAssociationResponse.TAG,
    acse.ReleaseResponse.TAG,
    xdlms.ExceptionResponse.TAG,
    xdlms.ConfirmedServiceError.TAG,
)


class Connection(DlmsConnection):
    """Answers leave nothing behind when they cannot be read, and AAREs may be long.

    With keys, nothing is an answer that was not ciphered with them by the meter whose
    system title is `expected_title`: the library takes what comes in clear, and skips the
    meter's proof when its AARE names no mechanism.
    """

    buffer: bytearray
    expected_title: bytes

    def update_meter_info(self, aare: Any) -> None:
        if self.use_protection and aare.result is enumerations.AssociationResult.ACCEPTED:
            info = aare.user_information.content if aare.user_information else None
            if not isinstance(info, xdlms.GlobalCipherInitiateResponse):
                raise ClientError("the meter opens the association in clear: it is not this meter")
            if aare.system_title != self.expected_title:
                raise ClientError("the meter has another system title: it is not this meter")
            if aare.authentication is not self.authentication.authentication_method:
                raise ClientError("the meter asks for no proof of the keys: it is not this meter")
        super().update_meter_info(aare)

    def protect(self, event: Any) -> Any:
        out = super().protect(event)
        if isinstance(out, GeneralGlobalCipher):
            return Cipher(
                out.system_title, out.security_control, out.invocation_counter, out.ciphered_text
            )
        return out

    def next_event(self) -> Any:
        try:
            tag = self.buffer[0]
            if self.use_protection and tag not in _CLEAR and tag != Cipher.TAG:
                raise ClientError("the meter's answer came in clear: it is none")
            self.buffer = bytearray(_short_lengths(bytes(self.buffer)))
            return super().next_event()
        except (exceptions.CryptographyError, exceptions.CipheringError):
            raise ClientError("the meter's answer is not sealed with its key") from None
        except exceptions.LocalDlmsProtocolError as error:
            raise ClientError(f"the meter's answer is out of order: {error}") from None
        except (ValueError, KeyError, IndexError, AssertionError, NotImplementedError) as error:
            raise ClientError(f"the meter's answer cannot be read: {error}") from None
        finally:
            self.clear_buffer()


def _short_lengths(apdu: bytes) -> bytes:
    """An AARE or RLRE whose lengths are in the long form of BER, in the short one where it fits."""
    if apdu[:1] not in (b"\x61", b"\x63"):
        return apdu
    _, content, _ = _tlv(apdu)
    out = bytearray()
    while content:
        tag, value, content = _tlv(content)
        if tag == 0xBE:
            inner, octets, _ = _tlv(value)
            value = bytes((inner, len(octets))) + octets
        out += bytes((tag, len(value))) + value
    if len(out) > 0xFF:
        raise ClientError("the meter's answer to the association is too long")
    return apdu[:1] + bytes((len(out),)) + bytes(out)


def _tlv(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, value and what follows."""
    tag, size, at = data[0], data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    if len(data) < at + size:
        raise ValueError("it is cut short")
    return tag, data[at : at + size], data[at + size :]


@attr.s(auto_attribs=True)
class GetRequest(AbstractXDlmsApdu):
    """A get-request-normal whose access selection is ready made: the library has but one."""

    attribute: CosemAttribute
    selection: bytes = b""

    @classmethod
    def from_bytes(cls, source_bytes: bytes) -> GetRequest:
        raise NotImplementedError("a client reads no requests")

    def to_bytes(self) -> bytes:
        selection = b"\x01" + self.selection if self.selection else b"\x00"
        return b"\xc0\x01\xc1" + bytes(self.attribute.to_bytes()) + selection


# The library's state machine knows requests by their class.
state.DLMS_STATE_TRANSITIONS[state.READY][GetRequest] = state.AWAITING_GET_RESPONSE


def attribute(class_id: int, obis: str, number: int) -> CosemAttribute:
    return CosemAttribute(_interface(class_id), _obis(obis), number)


def method(class_id: int, obis: str, number: int) -> CosemMethod:
    return CosemMethod(_interface(class_id), _obis(obis), number)


def _interface(class_id: int) -> Any:
    try:
        return enumerations.CosemInterface(class_id)
    except ValueError:
        return class_id  # one that the library does not know goes as it is


def _obis(text: str) -> Obis:
    return Obis(*parse_obis(text))


__all__ = [
    "Cipher",
    "Connection",
    "GetRequest",
    "State",
    "XDlmsApduFactory",
    "acse",
    "attribute",
    "method",
    "xdlms",
]
