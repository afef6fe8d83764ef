"""Opening and releasing an association: AARQ, AARE, RLRQ, RLRE (IEC 62056-5-3, ISO 8650).

The application service elements are BER; what they carry for xDLMS, the
InitiateRequest and its answer, is A-XDR. Both are read in place. Fields that
are not known are passed over, lengths of more than one octet are taken.
"""

import struct

from micropython import const

AARQ = const(0x60)
AARE = const(0x61)
RLRQ = const(0x62)
RLRE = const(0x63)

# Application contexts: logical names, without and with ciphering.
CONTEXT_LN = const(1)
CONTEXT_LN_CIPHERED = const(3)
MECHANISM_NONE = const(0)
MECHANISM_LOW = const(1)
MECHANISM_GMAC = const(5)

ACCEPTED = const(0)
REJECTED = const(1)
REJECTED_TRANSIENT = const(2)

# ACSE service user diagnostics.
NULL = const(0)
NO_REASON = const(1)
CONTEXT_NOT_SUPPORTED = const(2)
TITLE_NOT_RECOGNISED = const(3)
MECHANISM_NOT_RECOGNISED = const(11)
MECHANISM_REQUIRED = const(12)
AUTHENTICATION_FAILURE = const(13)
AUTHENTICATION_REQUIRED = const(14)

# Why an InitiateRequest is refused: confirmedServiceError, initiateError.
VERSION_TOO_LOW = const(1)
INCOMPATIBLE_CONFORMANCE = const(2)
PDU_TOO_SHORT = const(3)
REFUSED_BY_VDE = const(4)

# Conformance: bit 0 is the highest of 24.
BLOCK_TRANSFER = const(1 << 21)  # general
PROTECTION = const(1 << 22)  # general
BLOCK_GET = const(1 << 12)
BLOCK_SET = const(1 << 11)
BLOCK_ACTION = const(1 << 10)
MULTIPLE = const(1 << 9)
DATA_NOTIFICATION = const(1 << 7)
GET = const(1 << 4)
SET = const(1 << 3)
SELECTIVE = const(1 << 2)
ACTION = const(1 << 0)
SUPPORTED = const(
    PROTECTION | BLOCK_TRANSFER | BLOCK_GET | BLOCK_SET | BLOCK_ACTION | MULTIPLE
    | DATA_NOTIFICATION | GET | SET | SELECTIVE | ACTION
)  # fmt: skip

_OID = b"\x60\x85\x74\x05\x08"
_OID_CONTEXT = const(1)
_OID_MECHANISM = const(2)
_VERSION = const(6)
_VAA = const(7)  # of logical names
CHALLENGE_MIN = const(8)
CHALLENGE_MAX = const(64)


class Malformed(Exception):
    """What came is no AARQ, or its lengths lie."""


class _Ber:
    """Walks over tag, length, value."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def more(self):
        return self.at < len(self.data)

    def octet(self):
        if self.at >= len(self.data):
            raise Malformed()
        self.at += 1
        return self.data[self.at - 1]

    def value(self):
        """The octets of the element whose tag was just read."""
        length = self.octet()
        if length >= 0x80:
            size = length & 0x7F
            if not 1 <= size <= 3:
                raise Malformed()
            length = 0
            for _ in range(size):
                length = length << 8 | self.octet()
        at = self.at
        if length > len(self.data) - at:
            raise Malformed()
        self.at = at + length
        return self.data[at : at + length]

    def inner(self, tag):
        """The value of the element that must come next."""
        if self.octet() != tag:
            raise Malformed()
        return self.value()


def _named(oid, branch):
    """The last arc of an object identifier of DLMS, 0 when it is another's."""
    if len(oid) == 7 and bytes(oid[:5]) == _OID and oid[5] == branch:
        return oid[6]
    return 0


class Aarq:
    """What an AARQ says; views are of the request. Raises Malformed."""

    def __init__(self, apdu):
        self.context = 0
        self.title = None
        self.mechanism = None  # None: not named
        self.secret = None  # password or challenge
        self.user_info = None
        ber = _Ber(apdu)
        body = _Ber(ber.inner(AARQ))
        while body.more():
            tag = body.octet()
            value = body.value()
            if tag == 0xA1:
                self.context = _named(_Ber(value).inner(0x06), _OID_CONTEXT)
            elif tag == 0xA6:
                self.title = _Ber(value).inner(0x04)
            elif tag == 0x8B:
                # 255: a mechanism of somebody else's.
                self.mechanism = _named(value, _OID_MECHANISM) if len(value) == 7 else 255
            elif tag == 0xAC:
                self.secret = _Ber(value).inner(0x80)
            elif tag == 0xBE:
                self.user_info = _Ber(value).inner(0x04)


def release_info(apdu):
    """What an RLRQ carries for xDLMS, or None. Raises Malformed."""
    body = _Ber(_Ber(apdu).inner(RLRQ))
    info = None
    while body.more():
        tag = body.octet()
        value = body.value()
        if tag == 0xBE:
            info = _Ber(value).inner(0x04)
    return info


class Initiate:
    """An InitiateRequest. Raises Malformed."""

    def __init__(self, data):
        ber = _Ber(data)
        if ber.octet() != 0x01:
            raise Malformed()
        self.dedicated_key = None
        if ber.octet():
            self.dedicated_key = bytes(ber.value())
        self.response_allowed = not ber.octet() or ber.octet() != 0
        if ber.octet():  # quality of service
            ber.octet()
        self.version = ber.octet()
        if ber.octet() != 0x5F or ber.octet() != 0x1F:
            raise Malformed()
        bits = ber.value()
        if len(bits) != 4 or bits[0] != 0:
            raise Malformed()
        self.conformance = bits[1] << 16 | bits[2] << 8 | bits[3]
        self.pdu_size = ber.octet() << 8 | ber.octet()
        if ber.more():
            raise Malformed()

    def error(self, pdu_min):
        """Why it cannot be, or 0."""
        if self.version < _VERSION:
            return VERSION_TOO_LOW
        if not self.conformance & SUPPORTED & (GET | SET | ACTION):
            return INCOMPATIBLE_CONFORMANCE
        # 0: the client sets no limit.
        if 0 < self.pdu_size < pdu_min:
            return PDU_TOO_SHORT
        return 0


def write_initiate_response(out, conformance, pdu_size):
    out.raw(b"\x08\x00\x06\x5f\x1f\x04\x00")
    out.raw(struct.pack(">I", conformance)[1:])
    out.raw(struct.pack(">HH", pdu_size, _VAA))


def write_initiate_error(out, error):
    """confirmedServiceError of the initiate service."""
    out.raw(b"\x0e\x01\x06")
    out.octet(error)


def write_aare(out, context, result, diagnostic, title, mechanism, challenge, user_info):
    """`title`, `challenge` and `user_info` may be None; `mechanism` 0: none is named."""
    at = out.length
    out.raw(b"\x61\x81\x00\xa1\x09\x06\x07")
    out.raw(_OID)
    out.octet(_OID_CONTEXT)
    out.octet(context)
    out.raw(b"\xa2\x03\x02\x01")
    out.octet(result)
    out.raw(b"\xa3\x05\xa1\x03\x02\x01")
    out.octet(diagnostic)
    if title is not None:
        out.raw(b"\xa4\x0a\x04\x08")
        out.raw(title)
    if challenge is not None:
        out.raw(b"\x88\x02\x07\x80\x89\x07")
        out.raw(_OID)
        out.octet(_OID_MECHANISM)
        out.octet(mechanism)
        _nested(out, 0xAA, 0x80, challenge)
    if user_info is not None:
        _nested(out, 0xBE, 0x04, user_info)
    length = out.length - at - 3
    if length < 0x80:
        # One octet of length: there are clients that read no other.
        out.buffer[at + 1] = length
        for k in range(at + 2, out.length - 1):
            out.buffer[k] = out.buffer[k + 1]
        out.length -= 1
    else:
        out.buffer[at + 2] = length


def _nested(out, outer, inner, value):
    out.octet(outer)
    out.octet(len(value) + 2)
    out.octet(inner)
    out.octet(len(value))
    out.raw(value)


def write_rlre(out):
    out.raw(b"\x63\x03\x80\x01\x00")
