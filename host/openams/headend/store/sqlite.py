"""SQLite: the store of one machine, one file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from openams.headend.store.errors import ClashError, GoneError, StoreError
from openams.headend.store.statements import for_updating, inserting, updating
from openams.private import check_folder, locked, make_folder

_HINT = "name a store elsewhere with --store or OPENAMS_STORE"
_WAIT_S = 60.0
# It takes 32 766 parameters in a statement.
_KEYS = 500


class SqliteDatabase:
    """One connection. Text of statements as it is: `?` is SQLite's own."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        with _failing(self.name):
            make_folder(path.parent, _HINT)
            check_folder(path.parent, _HINT)
            if not path.exists():
                # For its owner alone; what SQLite puts beside it has the same mode.
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self.connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
            self.connection.execute("PRAGMA journal_mode = WAL")
            # A transaction that is acknowledged is on the disk: power cuts take nothing back.
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA cache_size = -32768")

    def another(self) -> sqlite3.Connection:
        # Python's own transactions would commit before each CREATE.
        return sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)

    @contextlib.contextmanager
    def migrating(self) -> Iterator[None]:
        with locked(self.path.with_name(self.path.name + ".lock"), _HINT):
            yield

    def begin(self) -> None:
        with _failing(self.name):
            self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        with _failing(self.name):
            self.connection.execute("COMMIT")

    def rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def execute(self, sql: str, params: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """(rows, how many were touched)"""
        with _failing(self.name):
            cursor = self.connection.execute(sql, params)
            return cursor.fetchall(), cursor.rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with _failing(self.name):
            self.connection.executemany(sql, rows)

    def put_rows(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], fresh: bool = False
    ) -> None:
        self.upsert(table, columns, rows, "" if fresh else "DO NOTHING")

    def upsert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], clash: str
    ) -> None:
        self.many(inserting(table, columns, clash), rows)

    def update_rows(
        self,
        table: str,
        keys: Sequence[str],
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        more: str = "",
        where: str = "",
    ) -> None:
        self.many(updating(table, keys, columns, more, where), for_updating(rows, len(keys)))

    def keyed(self, sql: str) -> tuple[int, str, bool]:
        return _KEYS, sql, False

    def clock_ms(self) -> None:
        """A file has no clock."""

    def open_days(self, days: Iterable[int]) -> None:
        """Nothing to do: the tables have all days."""

    def lock(self, *names: str) -> None:
        """One writer has the file anyhow."""

    def close(self) -> None:
        self.connection.close()


@contextlib.contextmanager
def _failing(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ClashError(f"{name}: {error}") from None
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text:
            raise GoneError(f"{name}: the disk is full: make room, nothing is lost") from None
        if "locked" in text or "I/O" in text or "unable to open" in text:
            raise GoneError(f"{name}: {text}") from None
        raise StoreError(f"{name}: {text}") from None
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{name} is no store, or damaged: {error}") from None
    except (OverflowError, UnicodeError) as error:
        raise StoreError(f"{name} has no place for a value: {error}") from None
    except OSError as error:
        raise GoneError(f"{name}: {error.strerror or error}") from None
