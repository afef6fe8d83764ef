"""MicroPython's `cryptolib` for CPython, over `cryptography`: AES in ECB mode."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class aes:
    """`aes(key, 1)`: ECB; `encrypt` and `decrypt` take whole blocks."""

    def __init__(self, key: bytes, mode: int) -> None:
        if mode != 1:
            raise ValueError("mode")
        # ECB of single blocks is the building block of GCM here, not a mode of use.
        self._cipher = Cipher(algorithms.AES(bytes(key)), modes.ECB())

    def encrypt(self, data: bytes, out: bytearray | None = None) -> bytes | bytearray:
        encryptor = self._cipher.encryptor()
        result = encryptor.update(bytes(data)) + encryptor.finalize()
        if out is None:
            return result
        out[:] = result
        return out

    def decrypt(self, data: bytes, out: bytearray | None = None) -> bytes | bytearray:
        decryptor = self._cipher.decryptor()
        result = decryptor.update(bytes(data)) + decryptor.finalize()
        if out is None:
            return result
        out[:] = result
        return out
