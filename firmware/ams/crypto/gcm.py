"""AES-128-GCM with a 96-bit tag, as DLMS suite 0 uses it (NIST SP 800-38D).

AES itself is the VM's `cryptolib`; counter mode and GHASH are here. IVs are
12 octets: system title and invocation counter. Work is done in place, in
buffers that are made once for each key.
"""

import struct
import sys
from array import array

import cryptolib
import micropython
from micropython import const

TAG_SIZE = const(12)
_ECB = const(1)
# So many blocks of keystream at a time: one call of AES for 128 octets.
_AHEAD = const(8)
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
def ghash(state, table, reduce, data, blocks: int):
    """Takes whole blocks of data into `state`: four words, the highest first, and four of scratch.

    `table` holds the multiples of H by nibble. Words are 32 bits on every
    machine: nothing is shifted beyond bit 31, so a 64-bit VM gives the same.
    """
    y = ptr32(state)  # noqa: F821
    t = ptr32(table)  # noqa: F821
    r = ptr16(reduce)  # noqa: F821
    d = ptr8(data)  # noqa: F821
    at = 0
    while blocks > 0:
        k = 0
        while k < 4:
            word = (int(d[at]) << 24) | (int(d[at + 1]) << 16) | (int(d[at + 2]) << 8)
            y[4 + k] = int(y[k]) ^ (word | int(d[at + 3]))
            at += 4
            k += 1
        a = uint(0)  # noqa: F821
        b = uint(0)  # noqa: F821
        c = uint(0)  # noqa: F821
        e = uint(0)  # noqa: F821
        k = 3
        while k >= 0:
            w = uint(y[4 + k])  # noqa: F821
            n = 0
            while n < 8:
                row = int(w & 15) << 2
                w = w >> 4
                carry = uint(r[int(e & 15)]) << 16  # noqa: F821
                e = ((e >> 4) | ((c & 15) << 28)) ^ uint(t[row + 3])  # noqa: F821
                c = ((c >> 4) | ((b & 15) << 28)) ^ uint(t[row + 2])  # noqa: F821
                b = ((b >> 4) | ((a & 15) << 28)) ^ uint(t[row + 1])  # noqa: F821
                a = (a >> 4) ^ carry ^ uint(t[row])  # noqa: F821
                n += 1
            k -= 1
        y[0] = a
        y[1] = b
        y[2] = c
        y[3] = e
        blocks -= 1


def ghash_plain(state, table, reduce, data, blocks):
    """The same on CPython, which has no viper: there one long number, and an octet at a time, is
    the faster way."""
    rows, reduced = _octet_table(table, reduce)
    y = _number(state, 0)
    for at in range(0, 16 * blocks, 16):
        x = y ^ int.from_bytes(bytes(data[at : at + 16]), "big")
        y = 0
        for octet in x.to_bytes(16, "little"):
            y = (y >> 8) ^ reduced[y & 255] ^ rows[octet]
    for k in range(4):
        state[k] = y >> 32 * (3 - k) & 0xFFFFFFFF


# The multiples of H by octet, of the keys that were used last, by those by nibble.
_TABLES_MOST = const(256)
_tables = {}


def _octet_table(table, reduce):
    key = bytes(table)
    found = _tables.get(key)
    if found is None:
        if len(_tables) >= _TABLES_MOST:
            _tables.clear()
        nibbles = [_number(table, 4 * k) for k in range(16)]
        rows = [_over(nibbles[k & 15], reduce) ^ nibbles[k >> 4] for k in range(256)]
        reduced = [_over(_over(k, reduce), reduce) for k in range(256)]
        found = _tables[key] = (rows, reduced)
    return found


def _over(value, reduce):
    """Four places on."""
    return (value >> 4) ^ (reduce[value & 15] << 112)


def _number(words, at):
    return words[at] << 96 | words[at + 1] << 64 | words[at + 2] << 32 | words[at + 3]


@micropython.viper
def xor(data, stream, count: int):
    """`count` octets of data, in place."""
    d = ptr8(data)  # noqa: F821
    s = ptr8(stream)  # noqa: F821
    k = 0
    while k < count:
        d[k] = int(d[k]) ^ int(s[k])
        k += 1


def xor_plain(data, stream, count):
    value = int.from_bytes(bytes(data[:count]), "big") ^ int.from_bytes(stream[:count], "big")
    data[:count] = value.to_bytes(count, "big")


_viper = sys.implementation.name == "micropython"
_ghash = ghash if _viper else ghash_plain
_xor = xor if _viper else xor_plain


class Gcm:
    """One key. Raises ValueError for a key or IV of a wrong length."""

    def __init__(self, key):
        if len(key) != 16:
            raise ValueError("AES-128 key must have 16 octets")
        self._aes = cryptolib.aes(key, _ECB)
        self._state = array("I", bytes(32))
        self._table = array("I", bytes(256))
        self._block = bytearray(16)
        self._stream = bytearray(16 * _AHEAD)
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
            for word in range(4):
                self._table[4 * k + word] = rows[k] >> 32 * (3 - word) & 0xFFFFFFFF

    # --- pieces ------------------------------------------------------------------

    def _absorb(self, data):
        """GHASH over data, filled up with zeros to whole blocks."""
        size = len(data)
        whole = size & ~15
        if whole:
            _ghash(self._state, self._table, _REDUCE, data, whole >> 4)
        if whole != size:
            block = self._block
            for k in range(16):
                block[k] = data[whole + k] if whole + k < size else 0
            _ghash(self._state, self._table, _REDUCE, block, 1)

    def _tag(self, iv, aad, more, ciphertext):
        """The tag stands in `_block` when this returns."""
        state = self._state
        for k in range(4):
            state[k] = 0
        if more:
            aad = bytes(aad) + bytes(more)
        self._absorb(aad)
        self._absorb(ciphertext)
        block = self._block
        struct.pack_into(">IIII", block, 0, 0, 8 * len(aad), 0, 8 * len(ciphertext))
        _ghash(state, self._table, _REDUCE, block, 1)
        struct.pack_into(">12sI", self._stream, 0, iv, 1)
        self._aes.encrypt(memoryview(self._stream)[:16], block)
        stream = self._stream
        struct.pack_into(">IIII", stream, 0, state[0], state[1], state[2], state[3])
        _xor(block, stream, 16)

    def counter(self, iv, data):
        """Counter mode over `data`, in place; twice is not at all."""
        stream = self._stream
        size = len(data)
        at = 0
        number = 2
        while at < size:
            count = min(16 * _AHEAD, size - at)
            blocks = (count + 15) >> 4
            for k in range(blocks):
                struct.pack_into(">12sI", stream, 16 * k, iv, number + k)
            view = memoryview(stream)[: 16 * blocks]
            self._aes.encrypt(view, view)
            _xor(data[at : at + count] if at or count < size else data, stream, count)
            at += count
            number += blocks

    # --- whole messages ------------------------------------------------------------

    def seal(self, iv, aad, data, tag):
        """Encrypts `data` (memoryview) in place and writes 12 octets into `tag`."""
        _check(iv)
        self.counter(iv, data)
        self._tag(iv, aad, None, data)
        tag[:TAG_SIZE] = memoryview(self._block)[:TAG_SIZE]

    def unseal(self, iv, aad, data, tag):
        """Deciphers `data` in place; False, and nothing done, when the tag is not right."""
        _check(iv)
        self._tag(iv, aad, None, data)
        if not equal(memoryview(self._block)[:TAG_SIZE], tag):
            return False
        self.counter(iv, data)
        return True

    def mac(self, iv, aad, more):
        """The tag over `aad` and `more` alone (GMAC)."""
        _check(iv)
        self._tag(iv, aad, more, b"")
        return bytes(memoryview(self._block)[:TAG_SIZE])

    def encrypt(self, iv, aad, plaintext):
        """(ciphertext, tag)."""
        ciphertext = bytearray(plaintext)
        tag = bytearray(TAG_SIZE)
        self.seal(iv, aad, memoryview(ciphertext), tag)
        return ciphertext, bytes(tag)

    def decrypt(self, iv, aad, ciphertext, tag):
        """The plaintext, or None when the tag is not right: nothing is deciphered then."""
        plaintext = bytearray(ciphertext)
        return plaintext if self.unseal(iv, aad, memoryview(plaintext), tag) else None


def _check(iv):
    if len(iv) != 12:
        raise ValueError("IV must have 12 octets")
