"""What a concentrator keeps until a head-end has it: days, alarms, messages of meters, states.

One SQLite file. A change is whole or not there, and on the disk before anybody is told of it;
a day is there once, under a number that only grows, which a head-end asks on from. Everything
has an end: the oldest goes, what a head-end has first.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import threading
import urllib.parse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openams.client.meterday import MeterDay
from openams.errors import BenchError
from openams.private import open_private

_APPLICATION = 0x4F414D43
_VERSION = 1
_SCHEMA = f"""
BEGIN;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE day (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, meter_id TEXT NOT NULL, day TEXT NOT NULL,
    revision INTEGER NOT NULL, complete INTEGER NOT NULL, intervals INTEGER NOT NULL,
    read_ms INTEGER NOT NULL, box BLOB NOT NULL, UNIQUE (meter_id, day));
CREATE TABLE alarm (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
    meter_id TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE push (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, meter_id TEXT NOT NULL,
    octets BLOB NOT NULL);
CREATE TABLE state (meter_id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE found (meter_id TEXT PRIMARY KEY, url TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('store_id', '%s'), ('taken', 0);
COMMIT;
"""


class StoreFullError(BenchError):
    """There is no room on the disk: what was there is as it was."""


@dataclass(frozen=True)
class Limits:
    days_a_meter: int = 40
    octets: int = 64 << 20  # of days, as they are stored
    alarms: int = 5000
    pushes: int = 2000


@dataclass(frozen=True)
class Stored:
    """A day of a meter: `seq` grows with each that is stored, `revision` with each better one."""

    seq: int
    revision: int
    read_ms: int
    day: MeterDay

    def to_json(self) -> dict[str, Any]:
        return {"seq": self.seq, "revision": self.revision, **self.day.to_json()}


class Store:
    """Of one process at a time; its threads take turns. `lost`: why an earlier one is gone."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.path = path
        self.limits = limits or Limits()
        self.lost = ""
        self._lock = threading.RLock()
        self._database = self._opened()
        self.store_id = str(self.meta("store_id"))
        self._octets = self._weighed(self._database)
        # Days by meter: whether they are complete. Also those that have gone for want of room.
        self._has: dict[str, dict[str, bool]] = {}
        for meter_id, day, complete in self._all("SELECT meter_id, day, complete FROM day"):
            self._has.setdefault(meter_id, {})[day] = bool(complete)

    @staticmethod
    def _weighed(database: sqlite3.Connection) -> int:
        return int(database.execute("SELECT total(length(box)) FROM day").fetchone()[0])

    # --- opening -------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.OperationalError as error:
            raise _trouble(self.path, error) from None
        except sqlite3.DatabaseError as error:
            self.lost = f"the store was damaged ({error}); it begins anew"
        # What is left of it is kept for whoever looks into it: the last one only.
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                old = self.path.with_name(self.path.name + end)
                os.replace(old, self.path.with_name(self.path.name + ".damaged" + end))
        try:
            return self._connected()
        except sqlite3.Error as error:
            raise _trouble(self.path, error) from None

    def _connected(self) -> sqlite3.Connection:
        # 0600 whatever the umask, and believed: SQLite's own files beside it take after it.
        os.close(open_private(self.path, os.O_RDWR | os.O_CREAT))
        where = urllib.parse.quote(str(self.path.absolute()))
        database = sqlite3.connect(
            f"file:{where}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
        )
        # Bits that flip may make text of anything: what it is for then says so, not the decoder.
        database.text_factory = lambda octets: octets.decode("utf-8", "replace")
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages do not fit together")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            owner = database.execute("PRAGMA application_id").fetchone()[0]
            if (owner, version) == (0, 0):
                database.executescript(_SCHEMA % secrets.token_hex(8))
            elif owner != _APPLICATION or version != _VERSION:
                raise BenchError(f"{self.path} is no store of this version: name another folder")
            database.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()[0]
        except BaseException as error:
            database.close()
            if isinstance(error, TypeError):
                raise sqlite3.DatabaseError("it has no name") from None
            raise
        return database

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        self._database.execute("ROLLBACK")
                        self._octets = self._weighed(self._database)
                    raise
            except sqlite3.Error as error:
                raise _trouble(self.path, error) from None

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            try:
                return self._database.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _trouble(self.path, error) from None

    def _one(self, query: str, *values: Any) -> Any:
        rows = self._all(query, *values)
        return rows[0][0] if rows else None

    def meta(self, key: str) -> Any:
        return self._one("SELECT value FROM meta WHERE key = ?", key)

    def put_meta(self, key: str, value: Any) -> None:
        with self._changing() as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # --- days ----------------------------------------------------------------------------

    def put_day(self, day: MeterDay, read_ms: int) -> tuple[int | None, int]:
        """(its number, untaken days that had to go for it); no number: it has nothing that the
        day as it is stored has not."""
        box = zlib.compress(json.dumps(day.to_json(), separators=(",", ":")).encode(), 6)
        intervals = len({row["time"] for row in day.rows if row["time"]})
        with self._changing() as database:
            old = database.execute(
                "SELECT revision, complete, intervals, length(box) FROM day "
                "WHERE meter_id = ? AND day = ?",
                (day.meter_id, day.day),
            ).fetchone()
            if old and (old[1], old[2]) >= (int(day.complete), intervals):
                return None, 0
            if old:
                database.execute(
                    "DELETE FROM day WHERE meter_id = ? AND day = ?", (day.meter_id, day.day)
                )
                self._octets -= old[3]
            seq = database.execute(
                "INSERT INTO day (meter_id, day, revision, complete, intervals, read_ms, box) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (day.meter_id, day.day, old[0] + 1 if old else 1, day.complete, intervals)
                + (read_ms, box),
            ).lastrowid
            self._octets += len(box)
            old_days, lost = self._trim(database, day.meter_id, seq)
        has = self._has.setdefault(day.meter_id, {})
        has[day.day] = day.complete
        for gone in old_days:
            del has[gone]
        return seq, lost

    def _trim(
        self, database: sqlite3.Connection, meter_id: str, new: int | None
    ) -> tuple[list[str], int]:
        """Days of the meter that are too old to be known, and how many went that nobody had.

        What goes for want of room stays known: it is not read and given a second time.
        """
        taken = self.meta("taken")
        count = self._one("SELECT count(*) FROM day WHERE meter_id = ?", meter_id)
        old = self._all(
            "SELECT seq, length(box), day FROM day WHERE meter_id = ? AND seq != ? "
            "ORDER BY day LIMIT ?",
            meter_id,
            new,
            max(0, count - self.limits.days_a_meter),
        )
        database.executemany("DELETE FROM day WHERE seq = ?", [(row[0],) for row in old])
        lost = sum(seq > taken and size > 0 for seq, size, _ in old)
        self._octets -= sum(size for _, size, _ in old)
        if self._octets > self.limits.octets:
            # What a head-end has, oldest first; then what nobody has.
            rows = self._all(
                "SELECT seq, length(box) FROM day WHERE length(box) > 0 AND seq != ? "
                "ORDER BY seq > ?, day, seq LIMIT 1000",
                new,
                taken,
            )
            for seq, size in rows:
                if self._octets <= self.limits.octets:
                    break
                database.execute("UPDATE day SET box = x'' WHERE seq = ?", (seq,))
                self._octets -= size
                lost += seq > taken
        return [day for _, _, day in old], lost

    def days(
        self, after: int = 0, limit: int = 100, meter_id: str = "", day: str = ""
    ) -> list[Stored]:
        """Those with a number above `after`, in the order of their numbers."""
        rows = self._all(
            "SELECT seq, revision, read_ms, box FROM day WHERE seq > ? AND length(box) > 0 "
            "AND (? = '' OR meter_id = ?) AND (? = '' OR day = ?) ORDER BY seq LIMIT ?",
            *(after, meter_id, meter_id, day, day, limit),
        )
        out = []
        for seq, revision, read_ms, box in rows:
            try:
                record = json.loads(zlib.decompress(box))
                out.append(Stored(seq, revision, read_ms, MeterDay.from_json(record)))
            except (zlib.error, ValueError, TypeError):
                # Its meter still has it: it is read again, under another number.
                self._forget(seq)
        return out

    def _forget(self, seq: int) -> None:
        with self._changing() as database:
            row = database.execute("SELECT meter_id, day FROM day WHERE seq = ?", (seq,)).fetchone()
            database.execute("DELETE FROM day WHERE seq = ?", (seq,))
            self._octets = self._weighed(database)
        if row:
            self._has.get(row[0], {}).pop(row[1], None)

    def has_days(self, meter_id: str) -> dict[str, bool]:
        """Days of a meter that were stored: whether they are complete."""
        return self._has.get(meter_id, {})

    def taken(self, seq: int) -> None:
        """A head-end has all up to this number. It never goes back."""
        last = self.last_seq
        with self._changing() as database:
            database.execute(
                "UPDATE meta SET value = max(value, ?) WHERE key = 'taken'", (min(seq, last),)
            )

    @property
    def last_seq(self) -> int:
        """The highest number that was ever given."""
        return int(self._one("SELECT seq FROM sqlite_sequence WHERE name = 'day'") or 0)

    def figures(self) -> dict[str, Any]:
        count, first = self._all("SELECT count(*), min(seq) FROM day WHERE length(box) > 0")[0]
        return {
            "days": count,
            "octets": self._octets,
            "first_seq": first or 0,
            "last_seq": self.last_seq,
            "taken_seq": self.meta("taken"),
        }

    # --- alarms, messages, states ----------------------------------------------------------

    def alarm(self, at_ms: int, kind: str, meter_id: str = "", text: str = "") -> None:
        with self._changing() as database:
            database.execute(
                "INSERT INTO alarm (at_ms, kind, meter_id, text) VALUES (?, ?, ?, ?)",
                (at_ms, kind, meter_id, text),
            )
            _keep(database, "alarm", self.limits.alarms)

    def alarms(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        rows = self._all("SELECT * FROM alarm WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
        names = ("seq", "at_ms", "kind", "meter_id", "text")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def push(self, at_ms: int, meter_id: str, octets: bytes) -> None:
        with self._changing() as database:
            database.execute(
                "INSERT INTO push (at_ms, meter_id, octets) VALUES (?, ?, ?)",
                (at_ms, meter_id, octets),
            )
            _keep(database, "push", self.limits.pushes)

    def pushes(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        rows = self._all("SELECT * FROM push WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
        names = ("seq", "at_ms", "meter_id", "octets")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def states(self) -> dict[str, dict[str, Any]]:
        return {meter: json.loads(text) for meter, text in self._all("SELECT * FROM state")}

    def put_state(self, meter_id: str, state: dict[str, Any]) -> None:
        with self._changing() as database:
            database.execute(
                "INSERT OR REPLACE INTO state VALUES (?, ?)", (meter_id, json.dumps(state))
            )

    def found(self) -> dict[str, str]:
        return dict(self._all("SELECT * FROM found"))

    def put_found(self, meter_id: str, url: str) -> None:
        with self._changing() as database:
            database.execute("INSERT OR REPLACE INTO found VALUES (?, ?)", (meter_id, url))


def _keep(database: sqlite3.Connection, table: str, most: int) -> None:
    """The newest of a table whose numbers have no gaps but at its begin."""
    database.execute(
        f"DELETE FROM {table} WHERE seq <= (SELECT max(seq) FROM {table}) - ?", (most,)
    )


def _trouble(path: Path, error: sqlite3.Error) -> BenchError:
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return StoreFullError(f"{path}: {text}: make room; what was there is as it was")
    return BenchError(f"cannot use {path}: {text}")
