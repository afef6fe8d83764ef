"""Signed boot of an RP2350: the key, what is burnt into its OTP, and signed images.

    rp2350_boot.py key KEY.pem                  a new key of the boot (secp256k1); never overwritten
    rp2350_boot.py otp KEY.pem [SPARE.pem] DIR  1-keys.json, 2-valid.json, 3-lock.json for picotool
    rp2350_boot.py sign KEY.pem IN OUT          an .elf, .uf2 or .bin, by `picotool seal`

Nothing here touches a chip. OTP cannot be unburnt: docs/boards/rp2350.md says in which order, and
what to look at in between.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

_SLOTS = 4  # for hashes of keys, in OTP
_GLITCH_SENSE_MOST = 3


class Problem(Exception):
    """What is wrong, in one line."""


def make_key(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    octets = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Problem(f"{path} is there already: a key is never overwritten") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)


def load(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError):
        raise Problem(f"{path} is no key in PEM without a passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256k1":
        raise Problem(f"{path} is no key on secp256k1: make one with  rp2350_boot.py key")
    return key


def fingerprint(key: ec.EllipticCurvePrivateKey) -> bytes:
    """What the boot ROM holds the public key of an image against: SHA-256 of x and y."""
    numbers = key.public_key().public_numbers()
    return hashlib.sha256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")).digest()


def otp(prints: list[bytes]) -> dict[str, dict[str, object]]:
    """What is loaded, one file after the other, by its name. Fields as the SDK's otp_data.h has
    them; picotool writes the redundant copies of each."""
    used = (1 << len(prints)) - 1
    return {
        "1-keys.json": {f"bootkey{slot}": list(octets) for slot, octets in enumerate(prints)},
        "2-valid.json": {"boot_flags1": {"key_valid": used}},
        "3-lock.json": {
            # A slot that is left open takes a stranger's key.
            "boot_flags1": {"key_invalid": (1 << _SLOTS) - 1 & ~used},
            "crit1": {
                "secure_boot_enable": 1,
                "debug_disable": 1,
                "secure_debug_disable": 1,
                "glitch_detector_enable": 1,
                "glitch_detector_sens": _GLITCH_SENSE_MOST,
            },
        },
    }


def write_otp(keys: list[Path], folder: Path) -> None:
    prints = [fingerprint(load(path)) for path in keys]
    if len(set(prints)) != len(prints):
        raise Problem("the spare key is the same as the first")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in otp(prints).items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def sign(key: Path, source: Path, out: Path) -> None:
    """Raises Problem unless picotool has signed it under this very key."""
    wanted = list(fingerprint(load(key)))
    program = os.environ.get("PICOTOOL") or shutil.which("picotool")
    if program is None:
        raise Problem("no picotool: install it (Debian 13: apt install picotool), or set PICOTOOL")
    with tempfile.TemporaryDirectory() as work:
        said = Path(work) / "otp.json"
        command = [program, "seal", "--sign", "--hash", source, out, key, said]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode or not said.exists():
            lines = (done.stderr + done.stdout).strip().splitlines()
            raise Problem(f"picotool: {lines[-1] if lines else 'it said nothing'}")
        # Ours goes into the OTP: it must be what the signature is held against.
        if json.loads(said.read_text()).get("bootkey0") != wanted:
            out.unlink(missing_ok=True)
            raise Problem("picotool has another fingerprint of this key: nothing was signed")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="rp2350_boot.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("key").add_argument("key", type=Path)
    burnt = verbs.add_parser("otp")
    burnt.add_argument("keys", type=Path, nargs="+", metavar="KEY.pem")
    burnt.add_argument("folder", type=Path, metavar="DIR")
    signed = verbs.add_parser("sign")
    for name in ("key", "source", "out"):
        signed.add_argument(name, type=Path)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.verb == "key":
            make_key(chosen.key)
        elif chosen.verb == "otp":
            if len(chosen.keys) > _SLOTS:
                raise Problem(f"{len(chosen.keys)} keys are too many: the OTP has {_SLOTS} places")
            write_otp(chosen.keys, chosen.folder)
        else:
            sign(chosen.key, chosen.source, chosen.out)
    except (Problem, OSError) as problem:
        print(f"rp2350_boot: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
