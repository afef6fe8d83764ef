"""AES key wrap of one 128-bit key (RFC 3394): how a new key travels under the KEK."""

import cryptolib
from micropython import const

from ams.crypto.gcm import equal

WRAPPED_SIZE = const(24)
_ECB = const(1)
_CHECK = b"\xa6" * 8


def unwrap(kek, wrapped):
    """The 16 octets of the key, or None when it was not wrapped by `kek`."""
    if len(kek) != 16 or len(wrapped) != WRAPPED_SIZE:
        return None
    aes = cryptolib.aes(kek, _ECB)
    check = bytearray(wrapped[:8])
    parts = [bytes(wrapped[8:16]), bytes(wrapped[16:24])]
    for step in range(12, 0, -1):
        check[7] ^= step
        half = step - 1 & 1
        block = aes.decrypt(bytes(check) + parts[half])
        check[:] = block[:8]
        parts[half] = bytes(block[8:])
    return parts[0] + parts[1] if equal(check, _CHECK) else None


def wrap(kek, key):
    """The 24 octets in which `key` travels."""
    if len(kek) != 16 or len(key) != 16:
        raise ValueError("AES-128 keys have 16 octets")
    aes = cryptolib.aes(kek, _ECB)
    check = bytearray(_CHECK)
    parts = [bytes(key[:8]), bytes(key[8:])]
    for step in range(1, 13):
        half = step - 1 & 1
        block = aes.encrypt(bytes(check) + parts[half])
        check[:] = block[:8]
        check[7] ^= step
        parts[half] = bytes(block[8:])
    return bytes(check) + parts[0] + parts[1]
