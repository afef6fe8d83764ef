"""MicroPython's `cryptolib` for CPython, over `cryptography`: AES in ECB mode."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class aes:
    """`aes(key, 1)`: ECB; `encrypt` and `decrypt` take whole blocks."""

    def __init__(self, key: bytes, mode: int) -> None:
        if mode != 1:
            raise ValueError("mode")
        # ECB of single blocks is the building block of GCM here, not a mode of use.
        self._cipher = Cipher(algorithms.AES(bytes(key)), modes.ECB())
        self._encryptor: Any = None
        self._decryptor: Any = None

    def __getstate__(self) -> dict[str, Any]:
        # What the library made of the key is made anew.
        return {"_cipher": self._cipher, "_encryptor": None, "_decryptor": None}

    def encrypt(self, data: bytes, out: bytearray | None = None) -> bytes | bytearray:
        if self._encryptor is None:
            self._encryptor = self._cipher.encryptor()
        return _whole(self._encryptor, data, out)

    def decrypt(self, data: bytes, out: bytearray | None = None) -> bytes | bytearray:
        if self._decryptor is None:
            self._decryptor = self._cipher.decryptor()
        return _whole(self._decryptor, data, out)


def _whole(context: Any, data: bytes, out: bytearray | None) -> bytes | bytearray:
    # Blocks of ECB know nothing of one another: one context does for all.
    if len(data) % 16:
        raise ValueError("not whole blocks")
    result: bytes = context.update(bytes(data))
    if out is None:
        return result
    out[:] = result
    return out
