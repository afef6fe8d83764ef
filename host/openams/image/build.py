"""The form of an image, from its files (firmware: ams.update.image)."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HEAD_SIZE = 120
WINDOW_BITS = 12


def _text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode("ascii")


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS)
    return packer.compress(data) + packer.flush()


def build(
    files: dict[str, bytes], board: str, version: str, security: int, minimum: str = "0.0.0",
    state_format: int = 1, product: str = "openams",
) -> tuple[bytes, bytes]:  # fmt: skip
    """(manifest, package)"""
    packed = {name: deflated(data) for name, data in sorted(files.items())}
    package = b"".join(packed.values())
    manifest = b"OAM1" + _text(product) + _text(board) + _text(version) + _text(minimum)
    manifest += struct.pack(">IHHI", security, state_format, len(files), len(package))
    manifest += hashlib.sha256(package).digest()
    for name, data in packed.items():
        manifest += _text(name) + struct.pack(">II", len(files[name]), len(data))
        manifest += hashlib.sha256(files[name]).digest()
    return manifest, package


# Of the code of a whole firmware in its image (firmware: ams.update.image).
CODE_AT = 4096


def build_whole(
    code: bytes, origin: int, board: str, version: str, security: int, minimum: str = "0.0.0",
    state_format: int = 1, product: str = "openams",
) -> tuple[bytes, bytes]:  # fmt: skip
    """(manifest, package) of a firmware that was linked for `origin`."""
    texts = b"".join(_text(value) for value in (product, board, version, minimum))
    # The manifest is as long whatever its numbers are.
    size = 4 + len(texts) + struct.calcsize(">IHHI") + 32 + 4
    package = code.rjust(CODE_AT - HEAD_SIZE - size + len(code), b"\xff")
    manifest = b"OAM2" + texts
    manifest += struct.pack(">IHHI", security, state_format, 0, len(package))
    manifest += hashlib.sha256(package).digest() + struct.pack(">I", origin)
    return manifest, package


def sign(manifest: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    r, s = decode_dss_signature(key.sign(manifest, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def release(manifest: bytes, title: bytes, expiry_s: int, update_key: bytes) -> bytes:
    what = b"OAR1" + hashlib.sha256(manifest).digest() + title + struct.pack(">I", expiry_s)
    return hmac.new(update_key, what, hashlib.sha256).digest()


def whole(
    manifest: bytes, package: bytes, signature: bytes, title: bytes, expiry_s: int, mac: bytes
) -> bytes:
    head = struct.pack(">4sHHI8sI", b"OAI1", len(manifest), 0, len(package), title, expiry_s)
    return head + mac + signature + manifest + package
