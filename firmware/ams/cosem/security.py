"""Ciphering of APDUs: suite 0, authenticated and encrypted, in place.

    service-specific   C8..CF (dedicated key: D0..D7) | length | 30 counter | ciphertext | tag
    general            DB (dedicated key: DC) | 08 title | length | 30 counter | ciphertext | tag

The answer goes out in the wrapping in which its request came: there are
clients that read no other. What is not both authenticated and encrypted is
refused, whatever its tag says.
"""

import struct

from micropython import const

from ams.cosem.axdr import Writer
from ams.crypto.gcm import TAG_SIZE

CONTROL = const(0x30)
HEAD_SIZE = const(5)  # security control and counter
OVERHEAD = const(30)  # the most that ciphering adds: 1 + 9 + 3 + 5 + 12
# Where octets are few: 1 + 1 + 5 + 12, in the general one 9 more.
_FEW = const(64)
_LEAST = const(19)
_TITLE = const(9)
GLO_INITIATE_REQUEST = const(0x21)
GLO_INITIATE_RESPONSE = const(0x28)
GENERAL_GLO = const(0xDB)
GENERAL_DED = const(0xDC)

# How a request came.
PLAIN = const(0)
GLO = const(1)
GENERAL = const(2)
DED = const(3)
GENERAL_DEDICATED = const(4)

# Room before the answer for what ciphering puts there.
_ROOM = const(24)

# Tag of what stands inside each service-specific one.
_INSIDE = {
    0x21: 0x01,
    0xC8: 0xC0, 0xC9: 0xC1, 0xCB: 0xC3,
    0xD0: 0xC0, 0xD1: 0xC1, 0xD3: 0xC3,
}  # fmt: skip

# Why nothing came out.
BAD_TAG = const(5)  # as the exception response has it: deciphering error
BAD_COUNTER = const(6)
BAD_FORM = const(1)


class Refused(Exception):
    """A ciphered APDU is not taken: `code` is one of BAD_*, `expected` the counter wanted."""

    def __init__(self, code, expected=0):
        super().__init__(code)
        self.code = code
        self.expected = expected


def is_ciphered(tag):
    return tag in _INSIDE or tag == GENERAL_GLO or tag == GENERAL_DED


def room(size, how):
    """Octets that a plain APDU may have for the ciphered one to have `size` at the most."""
    if size >= _FEW:
        return size - OVERHEAD
    return size - _LEAST - (_TITLE if how in (GENERAL, GENERAL_DEDICATED) else 0)


def wrapping(tag):
    if tag == GENERAL_GLO:
        return GENERAL
    if tag == GENERAL_DED:
        return GENERAL_DEDICATED
    return DED if 0xD0 <= tag <= 0xD7 else GLO


class Sealed:
    """A ciphered APDU taken apart; nothing of it is believed yet. Raises Refused."""

    def __init__(self, apdu):
        self.tag = apdu[0]
        self.title = None
        size = len(apdu)
        at = 1
        if self.tag in (GENERAL_GLO, GENERAL_DED):
            length = apdu[1] if size > 1 else 255
            if length not in (0, 8) or size < 2 + length + 1:
                raise Refused(BAD_FORM)
            if length:
                self.title = apdu[2:10]
            at = 2 + length
        elif self.tag not in _INSIDE:
            raise Refused(BAD_FORM)
        length = apdu[at] if size > at else 255
        at += 1
        if length >= 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 3 or size < at + octets:
                raise Refused(BAD_FORM)
            length = 0
            for k in range(octets):
                length = length << 8 | apdu[at + k]
            at += octets
        if length != size - at or length <= HEAD_SIZE + TAG_SIZE:
            raise Refused(BAD_FORM)
        self.control = apdu[at]
        self.number = struct.unpack(">I", apdu[at + 1 : at + 5])[0]
        self.data = apdu[at + HEAD_SIZE : size - TAG_SIZE]
        self._auth = apdu[size - TAG_SIZE :]

    def open(self, keys, title):
        """The plain APDU, deciphered in place; the counter is the caller's to look at.

        `title`: of the client as it opened the association.
        """
        if self.control != CONTROL:
            raise Refused(BAD_FORM)
        if self.title is not None and bytes(self.title) != title:
            raise Refused(BAD_TAG)
        iv = bytes(title) + struct.pack(">I", self.number)
        if not keys.gcm().unseal(iv, keys.aad, self.data, self._auth):
            raise Refused(BAD_TAG)
        inside = _INSIDE.get(self.tag)
        if inside is not None and inside != self.data[0]:
            raise Refused(BAD_FORM)
        return self.data


class Answer(Writer):
    """The one buffer in which every answer is made, and ciphered around what was made.

    The APDU is what stands from `start` on: its head is often known last.
    """

    def __init__(self, size):
        self._all = memoryview(bytearray(_ROOM + size + TAG_SIZE))
        super().__init__(size, self._all[_ROOM : _ROOM + size])
        self.start = 0

    def begin(self, start=0):
        self.start = self.length = start

    def plain(self):
        return self.buffer[self.start : self.length]

    def put_head(self, head):
        """Writes `head` just before what is there."""
        at = self.start - len(head)
        self.buffer[at : self.start] = head
        self.start = at

    def seal(self, keys, number, title, how):
        """The APDU ciphered: a view of all of it."""
        buffer = self._all
        first = _ROOM + self.start
        end = _ROOM + self.length
        tag = buffer[first]
        count = end - first + HEAD_SIZE + TAG_SIZE
        at = first - HEAD_SIZE
        buffer[at] = CONTROL
        struct.pack_into(">I", buffer, at + 1, number)
        if count < 0x80:
            at -= 1
            buffer[at] = count
        else:
            at -= 3
            buffer[at] = 0x82
            struct.pack_into(">H", buffer, at + 1, count)
        if how == GENERAL or how == GENERAL_DEDICATED:
            at -= 10
            buffer[at] = GENERAL_GLO if how == GENERAL else GENERAL_DED
            buffer[at + 1] = 8
            buffer[at + 2 : at + 10] = title
        else:
            at -= 1
            buffer[at] = tag + 0x08 if how == GLO else tag + 0x10
        iv = bytes(title) + struct.pack(">I", number)
        keys.gcm().seal(iv, keys.aad, buffer[first:end], buffer[end : end + TAG_SIZE])
        return buffer[at : end + TAG_SIZE]


def challenge_proof(keys, title, number, challenge):
    """f(challenge) of mechanism 5: control, counter and the GMAC of the challenge."""
    head = b"\x10" + struct.pack(">I", number)
    iv = bytes(title) + head[1:]
    return head + keys.gcm().mac(iv, b"\x10" + keys.authentication, challenge)
