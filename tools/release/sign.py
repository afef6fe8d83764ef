"""Signs the sums of a release, and checks them: ECDSA on P-256 over SHA-256, as openssl does it.

    sign.py new KEY.pem              a new key, for its owner alone; prints its public half
    sign.py sign DIST --key KEY.pem  SHA256SUMS.sig beside SHA256SUMS
    sign.py verify DIST --key PUBLIC.pem

The key is given when it is used: --key, or its text in OPENAMS_RELEASE_KEY.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from openams.errors import BenchError
from openams.private import read_private, write_private

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
_VARIABLE = "OPENAMS_RELEASE_KEY"
_ECDSA = ec.ECDSA(hashes.SHA256())


def main() -> int:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="sign", description=__doc__, formatter_class=plain)
    parser.add_argument("action", choices=("new", "sign", "verify"))
    parser.add_argument("path", type=Path, metavar="KEY.pem|DIST")
    parser.add_argument("--key", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.action == "new":
            print(new(arguments.path), end="")
        elif arguments.action == "sign":
            sign(arguments.path, _private(arguments.key))
            print(f"{arguments.path / SIGNATURE}: signed")
        else:
            count = verify(arguments.path, _public(arguments.key))
            print(f"{arguments.path}: {count} files are as they were signed")
    except BenchError as error:
        print(f"sign: {error}", file=sys.stderr)
        return 1
    return 0


def new(path: Path) -> str:
    """Makes a key; its public half, to be published where a release is not."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        write_private(path, pem, new=True)
    except FileExistsError:
        raise BenchError(f"{path} is there already: a key is not written over") from None
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


def sign(folder: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """What is signed is what lies there: every sum is looked at first."""
    sums = _checked(folder)
    (folder / SIGNATURE).write_bytes(key.sign(sums, _ECDSA))


def verify(folder: Path, key: ec.EllipticCurvePublicKey) -> int:
    """How many files are as they were signed; BenchError for any that is not."""
    try:
        key.verify((folder / SIGNATURE).read_bytes(), (folder / SUMS).read_bytes(), _ECDSA)
    except OSError as error:
        raise BenchError(f"cannot read {error.filename}: {error.strerror}") from None
    except InvalidSignature:
        raise BenchError(f"{folder / SUMS} is not what that key has signed") from None
    return _checked(folder).count(b"\n")


def _checked(folder: Path) -> bytes:
    """The sums, once every file has its own and no file has none."""
    try:
        sums = (folder / SUMS).read_bytes()
        listed = dict(reversed(line.split("  ", 1)) for line in sums.decode().splitlines())
        for name, wanted in listed.items():
            if Path(name).name != name:
                raise BenchError(f"{folder / SUMS} names a file elsewhere: {name!r}")
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != wanted:
                raise BenchError(f"{folder / name} is not the file of {SUMS}")
    except OSError as error:
        raise BenchError(f"cannot read {error.filename}: {error.strerror}") from None
    except ValueError:
        raise BenchError(f"{folder / SUMS} is no list of sums") from None
    more = {path.name for path in folder.iterdir()} - set(listed) - {SUMS, SIGNATURE}
    if more:
        raise BenchError(f"{SUMS} has no sum of {', '.join(sorted(more))}")
    return sums


def _pem(path: Path | None, secret: bool) -> bytes:
    if path is None:
        text = os.environ.get(_VARIABLE)
        if not text:
            raise BenchError(f"name the key with --key, or give it in {_VARIABLE}")
        return text.encode()
    try:
        return read_private(path, secret=True) if secret else path.read_bytes()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from None


def _private(path: Path | None) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_pem(path, secret=True), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BenchError("that is no private key on P-256 in PEM: make one with sign.py new")
    return key


def _public(path: Path | None) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(_pem(path, secret=False))
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BenchError("that is no public key on P-256 in PEM")
    return key


if __name__ == "__main__":
    sys.exit(main())
