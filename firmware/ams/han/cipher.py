"""Encryption of the lists: general-glo-ciphering, suite 0 (IEC 62056-5-3, 5.5).

    DB | 08 system title | 82 length | 30 counter | ciphertext | tag

encrypted and authenticated; the additional data are the security control and
the authentication key. The invocation counter only grows; whoever makes the
cipher gives a first value that no run before has used with these keys.
"""

import binascii
import struct

from ams.crypto.gcm import TAG_SIZE, Gcm
from ams.crypto.octets import crc16

_CONTROL = b"\x30"  # suite 0, authenticated and encrypted
_LAST_COUNTER = 0xFFFFFFFF


class Cipher:
    """`keys` are pairs (encryption key, authentication key) in the order of their use.

    `count`: how many counters there are from `counter` on, None: all.
    """

    def __init__(self, system_title, keys, counter, count=None):
        if len(system_title) != 8:
            raise ValueError("system title must have 8 octets")
        if not keys:
            raise ValueError("HAN encryption needs a key")
        self._title = system_title
        self._keys = keys
        self.counter = counter
        self._limit = _LAST_COUNTER + 1 if count is None else counter + count
        self.key_number = 0
        self._load()

    def _load(self):
        encryption, authentication = self._keys[self.key_number % len(self._keys)]
        self._gcm = Gcm(encryption)
        self._aad = _CONTROL + authentication

    def used_up(self):
        """Whether every invocation counter has served."""
        return self.counter >= self._limit

    def next_key(self):
        """The following pair comes into force, after the last the first again."""
        self.key_number += 1
        self._load()

    def seal(self, apdu, control=0x30, long=False):
        """An APDU in general-glo-ciphering; with control 0x20 or 0x21 it has no tag.

        `long`: its length takes three octets, however short it is.
        """
        counter = struct.pack(">I", self.counter)
        self.counter += 1
        aad = bytes((control,)) + self._aad[1:]
        ciphertext, tag = self._gcm.encrypt(self._title + counter, aad, bytes(apdu))
        if not control & 0x10:
            tag = b""
        size = 5 + len(ciphertext) + len(tag)
        out = bytearray(b"\xdb\x08" + self._title)
        if long or size > 255:
            out += b"\x82" + struct.pack(">H", size)
        else:
            out += b"\x81" + bytes((size,)) if size > 127 else bytes((size,))
        return out + bytes((control,)) + counter + ciphertext + tag

    def wrap(self, frame):
        """An HDLC frame with its notification encrypted; P1 text is not ciphered here."""
        if frame[0] != 0x7E:
            raise ValueError("encryption is for HDLC lists")
        if self.used_up():
            raise ValueError("HAN invocation counter is used up: change the keys")
        counter = struct.pack(">I", self.counter)
        self.counter += 1
        at = 3
        while not frame[at] & 1:  # destination
            at += 1
        at += 1
        while not frame[at] & 1:  # source
            at += 1
        head_end = at + 2  # after the control octet
        apdu = frame[head_end + 5 : len(frame) - 3]
        ciphertext, tag = self._gcm.encrypt(self._title + counter, self._aad, apdu)
        body = len(ciphertext) + 5 + TAG_SIZE
        out = bytearray(frame[: head_end + 5])
        out += b"\xdb\x08" + self._title + b"\x82" + struct.pack(">H", body)
        out += _CONTROL + counter + ciphertext + tag
        length = len(out) + 1
        out[1] = 0xA0 | length >> 8
        out[2] = length & 0xFF
        out[head_end : head_end + 2] = struct.pack("<H", crc16(out, 1, head_end))
        out += struct.pack("<H", crc16(out, 1, len(out))) + b"\x7e"
        return memoryview(out)


class KeptCipher(Cipher):
    """Its counters outlive a power cut: `reserve(counter)` keeps ahead how far they may go.

    It gives the first that may be used and the end of them.
    """

    def __init__(self, system_title, keys, counter, reserve):
        super().__init__(system_title, keys, counter, 0)
        self._reserve = reserve

    def used_up(self):
        if self.counter >= self._limit:
            self.counter, self._limit = self._reserve(self.counter)
        return self.counter >= self._limit


def cipher_of(han):
    """The cipher that the configuration of the port asks for."""
    pairs = [
        (binascii.unhexlify(pair["encryption"]), binascii.unhexlify(pair["authentication"]))
        for pair in han["keys"]
    ]
    title = binascii.unhexlify(han["system_title"])
    return Cipher(title, pairs, han["counter"], han.get("counters"))
