"""AES-128-GCM with a 96-bit tag, as DLMS suite 0 uses it (NIST SP 800-38D).

AES itself is the VM's `cryptolib`; counter mode and GHASH are here. IVs are
12 octets: system title and invocation counter.
"""

import struct
import sys
from array import array

import cryptolib
import micropython
from micropython import const

TAG_SIZE = const(12)
_ECB = const(1)
# Reduction of the four bits that leave the low end, for the nibble-wise GHASH.
_REDUCE = array(
    "H",
    (
        0x0000, 0x1C20, 0x3840, 0x2460, 0x7080, 0x6CA0, 0x48C0, 0x54E0,
        0xE100, 0xFD20, 0xD940, 0xC560, 0x9180, 0x8DA0, 0xA9C0, 0xB5E0,
    ),
)  # fmt: skip


def equal(a, b):
    """Whether two octet strings are equal, in a time that does not tell where they differ."""
    if len(a) != len(b):
        return False
    difference = 0
    for x, y in zip(a, b):
        difference |= x ^ y
    return difference == 0


@micropython.viper
def ghash(state, table, reduce, data, size: int):
    """Takes `size` octets of data, filled up with zeros to whole blocks, into `state`.

    A 128-bit number is eight 16-bit limbs, the highest first: no step needs more
    than 32 bits, and none allocates. `table` holds the multiples of H by nibble.
    """
    y = ptr16(state)  # noqa: F821
    t = ptr16(table)  # noqa: F821
    r = ptr16(reduce)  # noqa: F821
    d = ptr8(data)  # noqa: F821
    at = 0
    while at < size:
        # The block into limbs 8 to 15; the product grows in limbs 0 to 7.
        k = 0
        while k < 8:
            value = 0
            if at < size:
                value = int(d[at]) << 8
            if at + 1 < size:
                value |= int(d[at + 1])
            y[8 + k] = int(y[k]) ^ value
            y[k] = 0
            at += 2
            k += 1
        limb = 15
        while limb >= 8:
            x = int(y[limb])
            n = 0
            while n < 4:
                row = (x & 15) << 3
                x >>= 4
                carry = int(r[int(y[7]) & 15])
                k = 7
                while k > 0:
                    shifted = (int(y[k]) >> 4) | ((int(y[k - 1]) & 15) << 12)
                    y[k] = shifted ^ int(t[row + k])
                    k -= 1
                y[0] = (int(y[0]) >> 4) ^ carry ^ int(t[row])
                n += 1
            limb -= 1


def ghash_plain(state, table, reduce, data, size):
    """The same on CPython, which has no viper: there one long number is the faster way."""
    rows = [_number(table, 8 * k) for k in range(16)]
    y = _number(state, 0)
    for at in range(0, size, 16):
        x = y ^ int.from_bytes(
            bytes(data[at : min(at + 16, size)]) + bytes(max(0, at + 16 - size)), "big"
        )
        y = 0
        for _ in range(32):
            y = (y >> 4) ^ (reduce[y & 15] << 112) ^ rows[x & 15]
            x >>= 4
    for k in range(8):
        state[k] = y >> 16 * (7 - k) & 0xFFFF


def _number(limbs, at):
    value = 0
    for k in range(8):
        value = value << 16 | limbs[at + k]
    return value


_ghash = ghash if sys.implementation.name == "micropython" else ghash_plain


class Gcm:
    """One key. Raises ValueError for a key or IV of a wrong length."""

    def __init__(self, key):
        if len(key) != 16:
            raise ValueError("AES-128 key must have 16 octets")
        self._aes = cryptolib.aes(key, _ECB)
        self._state = array("H", bytes(32))
        self._table = array("H", bytes(256))
        self._block = bytearray(16)
        self._stream = bytearray(16)
        self._multiples(int.from_bytes(self._aes.encrypt(bytes(16)), "big"))

    def _multiples(self, h):
        """Fills the table with H times every nibble."""
        rows = [0] * 16
        rows[8] = h
        for k in (4, 2, 1):
            h = (h >> 1) ^ (0xE1 << 120) if h & 1 else h >> 1
            rows[k] = h
        for k in (2, 4, 8):
            for j in range(1, k):
                rows[k + j] = rows[k] ^ rows[j]
        for k in range(16):
            for limb in range(8):
                self._table[8 * k + limb] = rows[k] >> 16 * (7 - limb) & 0xFFFF

    def _tag(self, iv, aad, ciphertext):
        state = self._state
        for k in range(8):
            state[k] = 0
        _ghash(state, self._table, _REDUCE, aad, len(aad))
        _ghash(state, self._table, _REDUCE, ciphertext, len(ciphertext))
        lengths = struct.pack(">IIII", 0, 8 * len(aad), 0, 8 * len(ciphertext))
        _ghash(state, self._table, _REDUCE, lengths, 16)
        self._keystream(iv, 1)
        tag = bytearray(TAG_SIZE)
        for k in range(TAG_SIZE):
            tag[k] = (state[k // 2] >> (0 if k & 1 else 8)) & 0xFF ^ self._stream[k]
        return bytes(tag)

    def _keystream(self, iv, number):
        """Block `number` of the counter mode into `_stream`."""
        struct.pack_into(">12sI", self._block, 0, iv, number)
        self._aes.encrypt(self._block, self._stream)

    def _counter(self, iv, data):
        if len(iv) != 12:
            raise ValueError("IV must have 12 octets")
        out = bytearray(len(data))
        stream = self._stream
        for at in range(len(data)):
            if at & 15 == 0:
                self._keystream(iv, 2 + at // 16)
            out[at] = data[at] ^ stream[at & 15]
        return out

    def encrypt(self, iv, aad, plaintext):
        """(ciphertext, tag)."""
        ciphertext = self._counter(iv, plaintext)
        return ciphertext, self._tag(iv, aad, ciphertext)

    def decrypt(self, iv, aad, ciphertext, tag):
        """The plaintext, or None when the tag is not right: nothing is deciphered then."""
        if not equal(self._tag(iv, aad, ciphertext), tag):
            return None
        return self._counter(iv, ciphertext)
