"""AES-128-GCM with a 96-bit tag, as DLMS suite 0 uses it (NIST SP 800-38D).

AES itself is the VM's `cryptolib`; counter mode and GHASH are here. IVs are
12 octets: system title and invocation counter.
"""

import cryptolib
from micropython import const

TAG_SIZE = const(12)
_ECB = const(1)
# Reduction of the four bits that leave the low end, for the nibble-wise GHASH.
_REDUCE = (
    0x0000, 0x1C20, 0x3840, 0x2460, 0x7080, 0x6CA0, 0x48C0, 0x54E0,
    0xE100, 0xFD20, 0xD940, 0xC560, 0x9180, 0x8DA0, 0xA9C0, 0xB5E0,
)  # fmt: skip


def equal(a, b):
    """Whether two octet strings are equal, in a time that does not tell where they differ."""
    if len(a) != len(b):
        return False
    difference = 0
    for x, y in zip(a, b):
        difference |= x ^ y
    return difference == 0


class Gcm:
    """One key. Raises ValueError for a key or IV of a wrong length."""

    def __init__(self, key):
        if len(key) != 16:
            raise ValueError("AES-128 key must have 16 octets")
        self._aes = cryptolib.aes(key, _ECB)
        # Multiples of H by every nibble.
        h = int.from_bytes(self._aes.encrypt(bytes(16)), "big")
        table = [0] * 16
        table[8] = h
        for k in (4, 2, 1):
            h = (h >> 1) ^ (0xE1 << 120) if h & 1 else h >> 1
            table[k] = h
        for k in (2, 4, 8):
            for j in range(1, k):
                table[k + j] = table[k] ^ table[j]
        self._table = table

    def _ghash(self, y, data):
        """Takes data, filled up with zeros to whole blocks, into y."""
        table = self._table
        for at in range(0, len(data), 16):
            block = bytes(data[at : at + 16])
            block += bytes(16 - len(block))
            x = y ^ int.from_bytes(block, "big")
            y = 0
            for _ in range(32):
                y = (y >> 4) ^ (_REDUCE[y & 15] << 112)
                y ^= table[x & 15]
                x >>= 4
        return y

    def _tag(self, iv, aad, ciphertext):
        y = self._ghash(self._ghash(0, aad), ciphertext)
        lengths = (8 * len(aad)) << 64 | 8 * len(ciphertext)
        y = self._ghash(y, lengths.to_bytes(16, "big"))
        pad = int.from_bytes(self._aes.encrypt(iv + b"\x00\x00\x00\x01"), "big")
        return (y ^ pad).to_bytes(16, "big")[:TAG_SIZE]

    def _counter(self, iv, data):
        if len(iv) != 12:
            raise ValueError("IV must have 12 octets")
        out = bytearray(len(data))
        for number in range((len(data) + 15) // 16):
            stream = self._aes.encrypt(iv + (number + 2).to_bytes(4, "big"))
            at = 16 * number
            for k in range(min(16, len(data) - at)):
                out[at + k] = data[at + k] ^ stream[k]
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
