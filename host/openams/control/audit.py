"""Signed audit files: Ed25519 over the record, by a key that stays with the keystore."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from openams.errors import BenchError
from openams.places import KEYSTORE_HINT as WHERE
from openams.private import make_folder, read_private, write_private


def signing_key(keystore: Path) -> Ed25519PrivateKey:
    """The key beside the keystore, made when it is first needed; only its owner reads it."""
    path = _beside(keystore)
    if not path.exists():
        fresh = Ed25519PrivateKey.generate()
        raw = fresh.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        make_folder(path.parent, WHERE)
        # Of two that start at once, the first one's key stands.
        with contextlib.suppress(FileExistsError):
            write_private(path, raw.hex().encode() + b"\n", new=True, hint=WHERE)
    try:
        text = read_private(path, secret=True).decode()
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text.strip()))
    except (OSError, ValueError):
        raise BenchError(f"{path} is no audit key: move it away to get a new one") from None


def public_key(text: str) -> Ed25519PublicKey:
    """Of 64 hex digits, as `ams ration --verify` prints them."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError:
        raise BenchError(f"--audit-key {text!r} is no key: give its 64 hex digits") from None


def own_key(keystore: Path) -> str | None:
    """The public half of the key beside the keystore, None where none was made yet."""
    return _public(signing_key(keystore)) if _beside(keystore).exists() else None


def _beside(keystore: Path) -> Path:
    return keystore.with_name(keystore.name + ".audit")


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def _octets(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def write(path: Path, record: dict[str, Any], key: Ed25519PrivateKey) -> None:
    signed = {
        "record": record,
        "public_key": _public(key),
        "signature": key.sign(_octets(record)).hex(),
    }
    hint = "name another file with --audit"
    write_private(path, json.dumps(signed, indent=1).encode() + b"\n", hint=hint)


def verify(path: Path, public_key: str | None = None) -> dict[str, Any]:
    """The record of an audit file whose signature is right, and of the key that was named."""
    try:
        signed = json.loads(path.read_text())
        record: dict[str, Any] = signed["record"]
        named = signed["public_key"]
        signature = bytes.fromhex(signed["signature"])
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(named))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise BenchError(f"{path} is no audit file, and no result file") from None
    if public_key is not None and public_key != named:
        raise BenchError(f"{path} was signed with another key ({named})")
    try:
        key.verify(signature, _octets(record))
    except InvalidSignature:
        raise BenchError(f"{path} was changed after it was signed") from None
    return {**record, "public_key": named}
