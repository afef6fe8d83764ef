"""Sealed records in one file: a small database whose rows are encrypted one by one.

What is read or changed is the record alone, whatever else there is: a meter's keys among those
of a hundred thousand, a counter without the keys beside it. The passphrase is stretched once in
a process. The file is SQLite's, which keeps a change whole or not at all over a cut; a change is
on the disk when it returns.

A row is named by an HMAC of its name, so that the file does not tell which meters it has. Each
record is sealed with AES-256-GCM by a key of its own (HKDF of the stretched passphrase and the
row's name), with the row's place and the file's head authenticated: nobody moves, mixes or makes
a record unseen. Who can write the file can put an older copy back, of the whole or of a row:
keep it where only its owner writes, as `private` demands.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openams.errors import BenchError
from openams.keys.sealed import N_MAX, stretched
from openams.places import KEYSTORE_HINT as WHERE
from openams.private import make_folder, open_private, write_private

_FORMAT = "openams-keystore"
_VERSION = 2
_MAGIC = b"SQLite format 3\0"
_APPLICATION = 0x4F414D32
_NONCE = 12
_WAIT_S = 60.0
# Beside the records: what proves that the passphrase is right, and the head unchanged.
_PROOF = ("head", "proof")
# A meter's keys take 2.3 kB: three of them in a page.
_SCHEMA = f"""
PRAGMA page_size = 8192;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL, proof BLOB NOT NULL);
CREATE TABLE record (kind TEXT NOT NULL, tag BLOB NOT NULL, box BLOB NOT NULL);
CREATE UNIQUE INDEX record_place ON record (kind, tag);
"""


class Sealer:
    """Seals records of one file, of which `head` is the head and `master` the stretched key."""

    def __init__(self, head: str, master: bytes) -> None:
        self._head = hashlib.sha256(head.encode()).digest()
        self._master = master

    def _derived(self, use: str, name: str) -> bytes:
        # HKDF-Expand of one block: the stretched key is uniform already (RFC 5869, 3.3).
        return hmac.digest(self._master, f"{use}\0{name}\x01".encode(), "sha256")

    def tag(self, kind: str, name: str) -> bytes:
        """What the row is called."""
        return self._derived(f"row {kind}", name)[:16]

    def seal(self, kind: str, name: str, value: Any) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        text = json.dumps([name, value], separators=(",", ":")).encode()
        tag = self.tag(kind, name)
        return nonce + AESGCM(self._row_key(kind, tag)).encrypt(nonce, text, self._aad(kind, tag))

    def open(self, kind: str, tag: bytes, box: bytes) -> tuple[str, Any]:
        """(name, value). Raises InvalidTag."""
        cipher = AESGCM(self._row_key(kind, tag))
        name, value = json.loads(cipher.decrypt(box[:_NONCE], box[_NONCE:], self._aad(kind, tag)))
        return name, value

    def _row_key(self, kind: str, tag: bytes) -> bytes:
        return self._derived(f"box {kind}", tag.hex())

    def _aad(self, kind: str, tag: bytes) -> bytes:
        return self._head + kind.encode() + b"\0" + tag


def _new_head(n: int) -> str:
    salt = base64.b64encode(secrets.token_bytes(16)).decode()
    kdf = {"name": "scrypt", "n": n, "r": 8, "p": 1, "salt": salt}
    head = {"format": _FORMAT, "version": _VERSION, "kdf": kdf, "cipher": "aes-256-gcm"}
    return json.dumps(head, sort_keys=True, separators=(",", ":"))


def _sealer(head: str, passphrase: bytes) -> Sealer:
    """Raises ValueError, KeyError or TypeError for what is no head."""
    found = json.loads(head)
    kdf = found["kdf"]
    n, salt = kdf["n"], base64.b64decode(kdf["salt"])
    if found["format"] != _FORMAT or found["version"] != _VERSION:
        raise ValueError
    if not isinstance(n, int) or not 2 <= n <= N_MAX or n & (n - 1):
        raise ValueError
    return Sealer(head, stretched(passphrase, salt, n))


class Transaction:
    """Records as they are now, and what shall become of them."""

    def __init__(self, database: sqlite3.Connection, sealer: Sealer, path: Path) -> None:
        self._database = database
        self._sealer = sealer
        self._path = path

    def get(self, kind: str, name: str) -> Any:
        """The value, or None where there is none."""
        tag = self._sealer.tag(kind, name)
        row = self._database.execute(
            "SELECT box FROM record WHERE kind = ? AND tag = ?", (kind, tag)
        ).fetchone()
        return None if row is None else self._opened(kind, tag, row[0])[1]

    def all(self, kind: str) -> Iterator[tuple[str, Any]]:
        """(name, value) of each record of a kind, in no order."""
        rows = self._database.execute("SELECT tag, box FROM record WHERE kind = ?", (kind,))
        for tag, box in rows:
            yield self._opened(kind, tag, box)

    def count(self, kind: str) -> int:
        row = self._database.execute("SELECT count(*) FROM record WHERE kind = ?", (kind,))
        return int(row.fetchone()[0])

    def put(self, kind: str, name: str, value: Any) -> None:
        self.put_all(kind, ((name, value),))

    def put_all(self, kind: str, values: Iterable[tuple[str, Any]]) -> None:
        seal, tag = self._sealer.seal, self._sealer.tag
        self._database.executemany(
            "INSERT INTO record VALUES (?, ?, ?) "
            "ON CONFLICT (kind, tag) DO UPDATE SET box = excluded.box",
            ((kind, tag(kind, name), seal(kind, name, value)) for name, value in values),
        )

    def remove(self, kind: str, name: str) -> None:
        self._database.execute(
            "DELETE FROM record WHERE kind = ? AND tag = ?", (kind, self._sealer.tag(kind, name))
        )

    def _opened(self, kind: str, tag: bytes, box: bytes) -> tuple[str, Any]:
        try:
            return self._sealer.open(kind, tag, box)
        except (InvalidTag, ValueError, TypeError):
            raise BenchError(f"{self._path}: a record was changed or is damaged") from None


class SealedRecords:
    """The records of a file, made when something is first put there."""

    def __init__(self, path: Path, passphrase: bytes, scrypt_n: int) -> None:
        self.path = path
        self._passphrase = passphrase
        self._scrypt_n = scrypt_n
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._sealer: Sealer | None = None
        self._opened: tuple[int, int, int] | None = None  # process, device, inode

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction | None]:
        """The records as they are at one moment; None while there is no file."""
        with self._lock:
            if not self.path.exists():
                yield None
                return
            with self._doing("DEFERRED") as transaction:
                yield transaction

    @contextlib.contextmanager
    def changing(self) -> Iterator[Transaction]:
        """All that is put is there when this ends, or nothing of it. Others wait."""
        with self._lock:
            if not self.path.exists():
                make_folder(self.path.parent, WHERE)
                with contextlib.suppress(FileExistsError):
                    data = made({}, self._passphrase, self._scrypt_n)
                    write_private(self.path, data, new=True, hint=WHERE)
            with self._doing("IMMEDIATE") as transaction:
                yield transaction

    @contextlib.contextmanager
    def _doing(self, kind: str) -> Iterator[Transaction]:
        with self._errors():
            database, sealer = self._connected()
            database.execute(f"BEGIN {kind}")
            try:
                yield Transaction(database, sealer, self.path)
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise BenchError(f"cannot use {self.path}: {_help(error)}") from None
        except sqlite3.DatabaseError as error:
            raise BenchError(f"{self.path} is no keystore, or is damaged: {error}") from None

    def _connected(self) -> tuple[sqlite3.Connection, Sealer]:
        found = os.stat(self.path)
        # A fork may not go on with its parent's; a file that was replaced is another.
        now = (os.getpid(), found.st_dev, found.st_ino)
        if self._database is not None and self._sealer is not None and self._opened == now:
            return self._database, self._sealer
        self._check()
        where = urllib.parse.quote(str(self.path.absolute()))
        database = sqlite3.connect(
            f"file:{where}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=_WAIT_S,
            check_same_thread=False,
        )
        # What is no text may stand where text should: the proofs say so, not the decoder.
        database.text_factory = bytes
        # Every commit is on the disk: a counter may be used as soon as it is taken.
        database.execute("PRAGMA synchronous = FULL")
        self._sealer = self._proven(database)
        self._database, self._opened = database, now
        return database, self._sealer

    def _check(self) -> None:
        """BenchError for a file that others may have written, or that is none of ours."""
        # What a cut left undone is undone by what lies beside the file: believed likewise.
        with contextlib.suppress(FileNotFoundError):
            os.close(open_private(self.path.with_name(self.path.name + "-journal"), hint=WHERE))
        descriptor = open_private(self.path, hint=WHERE)
        with os.fdopen(descriptor, "rb") as stream:
            start = stream.read(len(_MAGIC))
        if start.startswith(b'{"head"'):
            raise BenchError(
                f"{self.path} is a keystore of the former form: "
                f"take it over with ams keys takeover --keystore {self.path}"
            )
        if start != _MAGIC:
            raise BenchError(f"{self.path} is no keystore of this version")

    def _proven(self, database: sqlite3.Connection) -> Sealer:
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise BenchError(f"{self.path} is of a later version: update OpenAMS")
            head, proof = database.execute("SELECT json, proof FROM head").fetchone()
            sealer = _sealer(head.decode(), self._passphrase)
            sealer.open(_PROOF[0], sealer.tag(*_PROOF), proof)
        except (sqlite3.Error, AttributeError, ValueError, KeyError, TypeError):
            raise BenchError(f"{self.path} is no keystore of this version") from None
        except InvalidTag:
            raise BenchError(
                f"{self.path}: wrong passphrase, or the file was changed; "
                "give the passphrase with OPENAMS_KEYSTORE_PASSPHRASE or --passphrase-file"
            ) from None
        return sealer


def made(records: dict[str, Iterable[tuple[str, Any]]], passphrase: bytes, scrypt_n: int) -> bytes:
    """The octets of a file with these records, by kind."""
    head = _new_head(scrypt_n)
    sealer = _sealer(head, passphrase)
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.executescript(_SCHEMA)
        database.execute("INSERT INTO head VALUES (1, ?, ?)", (head, sealer.seal(*_PROOF, 0)))
        database.execute("BEGIN")
        transaction = Transaction(database, sealer, Path())
        for kind, values in records.items():
            transaction.put_all(kind, values)
        database.execute("COMMIT")
        return bytes(database.serialize())


def _help(error: sqlite3.OperationalError) -> str:
    text = str(error)
    if "full" in text:
        return f"{text}: make room and call again: what was there is as it was"
    if "locked" in text:
        return f"{text}: another process holds it; call again when it has ended"
    if "readonly" in text or "unable to open" in text:
        return f"{text}: {WHERE}"
    return text
