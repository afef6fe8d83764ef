"""Where the keystore is, and the passphrase that opens it."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openams.errors import BenchError
from openams.places import KEYSTORE_HINT as WHERE
from openams.private import make_folder, read_private, write_private
from openams.terminal import one_line

if TYPE_CHECKING:
    # Every command names a keystore, and few open one: it takes a tenth of a second to load.
    from openams.keys.keystore import Keystore


def default_path() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    try:
        return Path(base or Path.home() / ".local" / "share") / "openams" / "keystore"
    except RuntimeError:
        raise BenchError(f"this user has no home: {WHERE}, or set HOME") from None


def open_keystore(path: Path | None, passphrase_file: Path | None) -> Keystore:
    """The keystore that was named, or the bench's own with a passphrase of its own."""
    from openams.keys import handover
    from openams.keys.keystore import Keystore
    from openams.keys.sealed import SCRYPT_N_PERSON, SCRYPT_N_RANDOM

    chosen = path or default_path()
    passphrase, random = passphrase_of(chosen, passphrase_file)
    if random and handover.is_former(chosen):
        # Nobody but the bench has to do with it: it takes over what it left itself.
        handover.takeover(chosen, passphrase, SCRYPT_N_RANDOM)
    return Keystore(chosen, passphrase, SCRYPT_N_RANDOM if random else SCRYPT_N_PERSON)


def passphrase_of(chosen: Path, passphrase_file: Path | None) -> tuple[bytes, bool]:
    """The passphrase of a keystore, and whether it is the random one of the bench's own."""
    given = os.environ.get("OPENAMS_KEYSTORE_PASSPHRASE")
    if given:
        return given.encode(), False
    if passphrase_file:
        return read_passphrase(passphrase_file), False
    beside = chosen.with_name(chosen.name + ".passphrase")
    if chosen == default_path() and (beside.exists() or not chosen.exists()):
        return _bench_passphrase(beside), True
    return ask(chosen), False


def read_passphrase(path: Path) -> bytes:
    try:
        text = read_private(path, secret=True).strip()
    except FileNotFoundError:
        raise BenchError(f"cannot read {path}: there is no such file") from None
    if not text:
        raise BenchError(f"{path} is empty: it shall hold the keystore's passphrase")
    return text


def _bench_passphrase(beside: Path) -> bytes:
    if not beside.exists():
        make_folder(beside.parent, WHERE)
        # Two that start at once must end up with the same one: the first stands.
        with contextlib.suppress(FileExistsError):
            write_private(beside, secrets.token_hex(32).encode() + b"\n", new=True, hint=WHERE)
    return read_passphrase(beside)


def ask(path: Path) -> bytes:
    if not sys.stdin.isatty():
        raise BenchError(
            f"{path} needs its passphrase: set OPENAMS_KEYSTORE_PASSPHRASE or --passphrase-file"
        )
    first = getpass.getpass(one_line(f"passphrase of {path}: "))
    if not path.exists() and getpass.getpass("once more: ") != first:
        raise BenchError("the two passphrases differ: try again")
    if not first:
        raise BenchError("an empty passphrase protects nothing: give one")
    return first.encode()
