"""PostgreSQL: the store of any number of processes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openams.errors import BenchError
from openams.headend.store.errors import ClashError, GoneError, StoreError
from openams.headend.store.statements import for_updating, inserting, updating
from openams.meter_time import to_utc_ms

if TYPE_CHECKING:
    import psycopg

# Their rows have a day, and each day is a table of its own.
DAY_TABLES = ("collected", "value_day", "revision")
# Keys of advisory locks: 'openams' and what for.
_LOCKS = 0x6F70656E
_WAIT_MS = 60_000
_BULK = 64
_KEYS = 5000


class PostgresDatabase:
    """One connection, made anew when it has gone. Statements are written with `?`."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise BenchError(
                "PostgreSQL needs psycopg: install it with pip install 'openams-meter[headend]'"
            ) from None
        self._psycopg = psycopg
        self.url = url
        parts = urlsplit(url)
        # Without the password, for what is printed.
        self.name = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        self._connection: psycopg.Connection[Any] | None = None
        self._days: set[int] = set()
        # Tables of this connection's own, by (table, columns).
        self._temporary: dict[tuple[str, ...], str] = {}
        self._types: dict[str, dict[str, str]] = {}
        self.connection  # noqa: B018 - whoever opens a store wants to know whether it is there

    @property
    def connection(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            self._temporary = {}
        return self._connection

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = self._psycopg.connect(self.url, autocommit=True, connect_timeout=10)
            connection.execute(f"SET lock_timeout = {_WAIT_MS}")
            connection.execute("SET client_min_messages = warning")
        except self._psycopg.Error as error:
            raise GoneError(f"no database at {self.name}: {_words(error)}") from None
        return connection

    def another(self) -> psycopg.Connection[Any]:
        return self._psycopg.connect(self.url, connect_timeout=10)

    @contextlib.contextmanager
    def migrating(self) -> Iterator[None]:
        connection = self._connect()
        try:
            with self._failing():
                connection.execute("SELECT pg_advisory_lock(%s, 0)", (_LOCKS,))
            yield
        finally:
            connection.close()

    def begin(self) -> None:
        with self._failing():
            self.connection.execute("BEGIN")

    def commit(self) -> None:
        with self._failing():
            self.connection.execute("COMMIT")

    def rollback(self) -> None:
        # What was made in it is gone too.
        self._temporary = {}
        with contextlib.suppress(self._psycopg.Error):
            if self._connection is not None and not self._connection.closed:
                self._connection.execute("ROLLBACK")

    def execute(self, sql: str, params: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """(rows, how many were touched)"""
        with self._failing():
            cursor = self.connection.execute(_translated(sql), params, binary=True)
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._failing(), self.connection.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)

    def put_rows(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], fresh: bool = False
    ) -> None:
        """By COPY: straight into the table what is fresh, or by way of a table of this
        connection's own."""
        rows = list(rows)
        if not rows:
            return
        if fresh:
            with self._failing():
                self._copy(table, table, columns, rows)
            return
        self.upsert(table, columns, rows, "DO NOTHING")

    def upsert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], clash: str
    ) -> None:
        rows = list(rows)
        if not rows:
            return
        if len(rows) < _BULK:
            self.many(inserting(table, columns, clash), rows)
            return
        names = ", ".join(columns)
        with self._failing():
            staged = self._stage(table, columns, rows)
            self.connection.execute(
                f"INSERT INTO {table} ({names}) SELECT {names} FROM {staged} ON CONFLICT {clash}"
            )

    def update_rows(
        self,
        table: str,
        keys: Sequence[str],
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        more: str = "",
        where: str = "",
    ) -> None:
        rows = list(rows)
        if not rows:
            return
        if len(rows) < _BULK:
            turned = list(for_updating(rows, len(keys)))
            self.many(updating(table, keys, columns, more, where), turned)
            return
        with self._failing():
            staged = self._stage(table, (*keys, *columns), rows)
            sets = ", ".join([*(f"{name} = s.{name}" for name in columns), *filter(None, [more])])
            same = (f"{table}.{name} = s.{name}" for name in keys)
            held = " AND ".join([*same, *filter(None, [where])])
            self.connection.execute(f"UPDATE {table} SET {sets} FROM {staged} AS s WHERE {held}")

    def _stage(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
        """A table of this connection's own with these rows; its name."""
        which = (table, *columns)
        if which not in self._temporary:
            name = f"new_{table}_{len(self._temporary)}"
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")
            self.connection.execute(
                f"CREATE TEMPORARY TABLE {name} AS SELECT {', '.join(columns)} FROM {table} "
                "WITH NO DATA"
            )
            self._temporary[which] = name
        name = self._temporary[which]
        self.connection.execute(f"TRUNCATE {name}")
        self._copy(name, table, columns, rows)
        return name

    def _copy(
        self, to: str, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        types = self._types_of(table)
        names = ", ".join(columns)
        with self.connection.cursor().copy(
            f"COPY {to} ({names}) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types([types[name] for name in columns])
            for row in rows:
                copy.write_row(row)

    def _types_of(self, table: str) -> dict[str, str]:
        if table not in self._types:
            found = self.connection.execute(
                "SELECT a.attname, t.typname FROM pg_attribute AS a JOIN pg_type AS t "
                "ON t.oid = a.atttypid WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0",
                (table,),
            ).fetchall()
            self._types[table] = {name: kind for name, kind in found}
        return self._types[table]

    def keyed(self, sql: str) -> tuple[int, str, bool]:
        """An array: the statement's text is always the same, and so is its plan."""
        return _KEYS, sql.replace("IN (?*)", "= ANY(?)"), True

    def clock_ms(self) -> int:
        ((now,),), _ = self.execute("SELECT clock_timestamp()")
        return to_utc_ms(now)

    def open_days(self, days: Iterable[int]) -> None:
        """Makes the tables of days that have none.

        On a connection of its own, by ATTACH: it waits for nobody who writes to other days.
        """
        missing = sorted(set(days) - self._days)
        if not missing:
            return
        connection = self._connect()
        try:
            with self._failing():
                for day in missing:
                    self._open_day(connection, day)
        finally:
            connection.close()
        self._days.update(missing)

    def _open_day(self, connection: psycopg.Connection[Any], day: int) -> None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s, 1)", (_LOCKS,))
            for table in DAY_TABLES:
                name = f"{table}_{day:d}"
                there = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
                if there and there[0] is None:
                    connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
                    connection.execute(
                        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES IN ({day:d})"
                    )

    def lock(self, *names: str) -> None:
        """Until the transaction ends nobody else has these names; all take them in one order."""
        self.execute(
            "SELECT pg_advisory_xact_lock(?, key) FROM (SELECT DISTINCT hashtext(name) AS key "
            "FROM unnest(?::text[]) AS name ORDER BY 1) AS names",
            (_LOCKS + 1, list(names)),
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        errors = self._psycopg.errors
        try:
            yield
        except (errors.DiskFull, errors.OutOfMemory) as error:
            raise GoneError(f"{self.name}: {_words(error)}: make room, nothing is lost") from None
        except errors.UniqueViolation as error:
            raise ClashError(f"{self.name}: {_words(error)}") from None
        except (errors.DeadlockDetected, errors.LockNotAvailable) as error:
            raise GoneError(f"{self.name}: {_words(error)}") from None
        except (self._psycopg.OperationalError, self._psycopg.InterfaceError) as error:
            if self._connection is not None:
                self._connection.close()
            raise GoneError(f"the database {self.name} has gone: {_words(error)}") from None
        except self._psycopg.Error as error:
            raise StoreError(f"{self.name}: {_words(error)}") from None
        except (OverflowError, UnicodeError) as error:
            raise StoreError(f"{self.name} has no place for a value: {error}") from None


@functools.lru_cache(maxsize=512)
def _translated(sql: str) -> str:
    return sql.replace("?", "%s")


def _words(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
