"""An image in a file: built, then signed, then released to a meter (docs/update.md)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from openams.errors import BenchError
from openams.image import build
from openams.keys.releasekey import PrivateKey, public_key
from openams.meter_time import from_utc_ms
from openams.private import write_private

_HEAD = struct.Struct(">4sHHI8sI32s64s")
_NUMBERS = struct.Struct(">IHHI32s")
_FILE = struct.Struct(">II32s")
_UNSIGNED, _NO_TITLE, _UNRELEASED = bytes(64), bytes(8), bytes(32)


@dataclass(frozen=True)
class Image:
    """What is not done yet is zeros: signature, title and expiry, release."""

    manifest: bytes
    package: bytes
    signature: bytes = _UNSIGNED
    title: bytes = _NO_TITLE
    expiry_s: int = 0
    release: bytes = _UNRELEASED

    @classmethod
    def parse(cls, data: bytes) -> Image:
        """Raises ValueError for what is no image."""
        if len(data) < _HEAD.size:
            raise ValueError("too short")
        magic, manifest, _, package, title, expiry, release, signature = _HEAD.unpack_from(data)
        if magic != b"OAI1" or len(data) != _HEAD.size + manifest + package:
            raise ValueError("not of this form")
        body = data[_HEAD.size :]
        image = cls(body[:manifest], body[manifest:], signature, title, expiry, release)
        image.contents()
        return image

    @classmethod
    def load(cls, path: Path) -> Image:
        """The only one of a file."""
        images = load_all(path)
        if len(images) > 1:
            raise BenchError(f"{path} has an image for each half")
        return images[0]

    def save(self, path: Path) -> None:
        save_all(path, [self])

    def octets(self) -> bytes:
        return build.whole(
            self.manifest, self.package, self.signature, self.title, self.expiry_s, self.release
        )

    @property
    def manifest_hash(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def identifier(self) -> bytes:
        """Names these very octets, so that only they go on where a transfer was cut off."""
        digest = hashlib.sha256(self.octets()).hexdigest()
        return f"{self.contents()['version']}-{digest[:12]}".encode()

    # --- what it says ------------------------------------------------------------------

    def contents(self) -> dict[str, Any]:
        """The manifest; raises ValueError, IndexError or struct.error for what is none."""
        data = self.manifest
        at = 4

        def text() -> str:
            nonlocal at
            size = data[at]
            at += 1 + size
            return data[at - size : at].decode("ascii")

        if data[:4] not in (b"OAM1", b"OAM2"):
            raise ValueError("no manifest")
        out: dict[str, Any] = {name: text() for name in ("product", "board", "version", "minimum")}
        security, state_format, count, size, _ = _NUMBERS.unpack_from(data, at)
        at += _NUMBERS.size
        out |= {"security": security, "state_format": state_format, "octets": len(self.octets())}
        files = []
        if data[:4] == b"OAM2":
            (out["origin"],) = struct.unpack_from(">I", data, at)
            at += 4
        for _ in range(count):
            name = text()
            length, packed, digest = _FILE.unpack_from(data, at)
            at += _FILE.size
            files.append({"name": name, "size": length, "packed": packed, "sha256": digest.hex()})
        if at != len(data) or size != len(self.package):
            raise ValueError("sizes differ")
        return out | {"files": files}

    @property
    def expires(self) -> str | None:
        return from_utc_ms(self.expiry_s * 1000).isoformat() if self.expiry_s else None

    # --- the two locks -----------------------------------------------------------------

    @property
    def is_signed(self) -> bool:
        return self.signature != _UNSIGNED

    @property
    def is_released(self) -> bool:
        return self.release != _UNRELEASED

    def signed(self, key: PrivateKey) -> Image:
        return replace(self, signature=build.sign(self.manifest, key))

    def is_signed_by(self, public: str) -> bool:
        key = public_key(bytes.fromhex(public))
        r, s = (int.from_bytes(half, "big") for half in (self.signature[:32], self.signature[32:]))
        try:
            key.verify(encode_dss_signature(r, s), self.manifest, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def released(self, title: bytes, expiry_s: int, update_key: bytes) -> Image:
        mac = build.release(self.manifest, title, expiry_s, update_key)
        return replace(self, title=title, expiry_s=expiry_s, release=mac)


def load_all(path: Path) -> list[Image]:
    """The image of a file, or the two of a whole firmware, by the half that each is linked for."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from None
    images: list[Image] = []
    try:
        while data or not images:
            manifest, _, package = struct.unpack_from(">HHI", data, 4)
            end = _HEAD.size + manifest + package
            images.append(Image.parse(data[:end]))
            data = data[end:]
        if len(images) > 1:
            origins = [image.contents()["origin"] for image in images]
            if len(images) != 2 or origins[0] >= origins[1]:
                raise ValueError("not two halves")
    except (ValueError, KeyError, IndexError, struct.error, UnicodeDecodeError):
        raise BenchError(f"{path} is no image: make one with ams image build") from None
    return images


def save_all(path: Path, images: list[Image]) -> None:
    write_private(path, b"".join(image.octets() for image in images))
