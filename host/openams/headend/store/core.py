"""What every part of a store stands on: transactions, and statements of one text for both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from openams.headend.store.errors import StoreError

# SQLite takes 32 766 parameters in a statement, PostgreSQL 65 535.
AT_ONCE = 500


class Database(Protocol):
    """One engine's connection."""

    dialect: str
    name: str

    def another(self) -> Any:
        """A connection of the engine's own module, for migrations."""

    def migrating(self) -> contextlib.AbstractContextManager[None]: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def execute(self, sql: str, params: Sequence[Any] = ()) -> tuple[list[Any], int]: ...
    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None: ...
    def put_rows(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None: ...
    def open_days(self, days: Iterable[int]) -> None: ...
    def lock(self, *names: str) -> None: ...
    def close(self) -> None: ...


class Core:
    """Of one thread. Statements outside a transaction stand for themselves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._depth = 0

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return self.database.name

    def close(self) -> None:
        self.database.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. One within another is part of it; if it fails, so does the outer one."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self.database.begin()
        self._depth = 1
        try:
            yield
            self._depth = 0
            self.database.commit()
        except BaseException:
            self._depth = 0
            self.database.rollback()
            raise

    def run(self, sql: str, *params: Any) -> int:
        """How many rows were touched."""
        return self.database.execute(sql, params)[1]

    def all(self, sql: str, *params: Any) -> list[Any]:
        return self.database.execute(sql, params)[0]

    def one(self, sql: str, *params: Any) -> Any:
        """The first row, or None."""
        rows = self.database.execute(sql, params)[0]
        return rows[0] if rows else None

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        if self._depth:
            self.database.many(sql, rows)
            return
        with self.transaction():
            self.database.many(sql, rows)

    def put_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """In bulk; what is there already by its key stays as it is."""
        if not self._depth:
            with self.transaction():
                self.database.put_rows(table, columns, rows)
            return
        self.database.put_rows(table, columns, rows)

    def by_key(self, sql: str, keys: Sequence[Any], *params: Any) -> Iterator[Any]:
        """Rows of a statement with `IN (?*)` for many keys; `params` come before them."""
        for at in range(0, len(keys), AT_ONCE):
            some = keys[at : at + AT_ONCE]
            yield from self.all(sql.replace("?*", ", ".join("?" * len(some))), *params, *some)

    def need_transaction(self) -> None:
        if not self._depth:
            raise StoreError("this belongs into a transaction")
