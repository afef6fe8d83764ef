"""A JSON value in an encrypted file: scrypt for the passphrase, AES-256-GCM for the rest.

The head is authenticated with the content, so that the cost of the key
derivation cannot be lowered unseen. The file is replaced whole or not at all.
"""

from __future__ import annotations

import base64
import functools
import json
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from openams.errors import BenchError
from openams.places import KEYSTORE_HINT as WHERE
from openams.private import read_private, write_private

_FORMAT = "openams-keystore"
_VERSION = 1
# A person's passphrase is short: guessing it shall cost. A random one needs no help.
SCRYPT_N_PERSON = 1 << 17
SCRYPT_N_RANDOM = 1 << 10
N_MAX = 1 << 20


@functools.lru_cache(maxsize=64)
def stretched(passphrase: bytes, salt: bytes, n: int) -> bytes:
    """The key of a passphrase: made once in a process, since it shall cost."""
    return Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(passphrase)


class SealedFile:
    def __init__(self, path: Path, passphrase: bytes, scrypt_n: int = SCRYPT_N_PERSON) -> None:
        self.path = path
        self._passphrase = passphrase
        self._scrypt_n = scrypt_n
        self._derived: tuple[bytes, int, bytes] | None = None

    def _key(self, salt: bytes, n: int) -> bytes:
        if self._derived is None or self._derived[:2] != (salt, n):
            self._derived = (salt, n, stretched(self._passphrase, salt, n))
        return self._derived[2]

    def read(self) -> Any:
        """The value; BenchError when the passphrase is wrong or the file is none of ours."""
        try:
            record = json.loads(read_private(self.path, hint=WHERE))
            head = record["head"]
            n = head["kdf"]["n"]
            salt = base64.b64decode(head["kdf"]["salt"])
            nonce = base64.b64decode(record["nonce"])
            sealed = base64.b64decode(record["sealed"])
            if head["format"] != _FORMAT or head["version"] != _VERSION:
                raise ValueError
            if not isinstance(n, int) or not 2 <= n <= N_MAX or n & (n - 1):
                raise ValueError
        except OSError as error:
            raise BenchError(f"cannot read {self.path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise BenchError(f"{self.path} is no keystore of this version") from None
        try:
            plain = AESGCM(self._key(salt, n)).decrypt(nonce, sealed, _aad(head))
        except InvalidTag:
            raise BenchError(
                f"{self.path}: wrong passphrase, or the file was changed; "
                "give the passphrase with OPENAMS_KEYSTORE_PASSPHRASE or --passphrase-file"
            ) from None
        # One salt for the life of the file: a nonce is never used twice, 96 random bits each.
        self._scrypt_n = n
        return json.loads(plain)

    def write(self, value: Any) -> None:
        salt, n = self._derived[:2] if self._derived else (secrets.token_bytes(16), self._scrypt_n)
        head = {
            "format": _FORMAT,
            "version": _VERSION,
            "kdf": {
                "name": "scrypt",
                "n": n,
                "r": 8,
                "p": 1,
                "salt": base64.b64encode(salt).decode(),
            },
            "cipher": "aes-256-gcm",
        }
        nonce = secrets.token_bytes(12)
        sealed = AESGCM(self._key(salt, n)).encrypt(nonce, json.dumps(value).encode(), _aad(head))
        record = {
            "head": head,
            "nonce": base64.b64encode(nonce).decode(),
            "sealed": base64.b64encode(sealed).decode(),
        }
        write_private(self.path, json.dumps(record).encode() + b"\n", hint=WHERE)


def _aad(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
