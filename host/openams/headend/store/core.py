"""What every part of a store stands on: transactions, and statements of one text for both."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from openams.headend.store.errors import ClashError, StoreError

# Transactions that clash with others'.
_AGAIN = 5

T = TypeVar("T")


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
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], fresh: bool = False
    ) -> None:
        """What is there already by its key stays; `fresh`: nothing is, ClashError if it is."""

    def upsert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], clash: str
    ) -> None:
        """Rows of different keys; `clash`: what follows ON CONFLICT where one is there."""

    def update_rows(
        self,
        table: str,
        keys: Sequence[str],
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        more: str = "",
        where: str = "",
    ) -> None:
        """Sets `columns` of the rows with these `keys`; a row has its keys first."""

    def keyed(self, sql: str) -> tuple[int, str, bool]:
        """Of a statement with `IN (?*)`: how many keys at once, its text, and whether they are
        one parameter."""

    def clock_ms(self) -> int | None:
        """The database's own time; None where it has none."""

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

    def retried(self, work: Callable[[], T]) -> T:
        """A transaction that is done again where somebody else wrote the same meanwhile. Amid an
        outer one ClashError is the outer one's to see to."""
        for left in range(_AGAIN - 1, -1, -1):
            try:
                with self.transaction():
                    return work()
            except ClashError:
                if self._depth or not left:
                    raise
        raise AssertionError

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

    def put_rows(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], fresh: bool = False
    ) -> None:
        """In bulk; what is there already by its key stays as it is. `fresh`: nothing is there, or
        ClashError: somebody else wrote it meanwhile."""
        with self.transaction():
            self.database.put_rows(table, columns, rows, fresh)

    def upsert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], clash: str
    ) -> None:
        """In bulk, rows of different keys; `clash`: what follows ON CONFLICT."""
        with self.transaction():
            self.database.upsert(table, columns, rows, clash)

    def update_rows(
        self,
        table: str,
        keys: Sequence[str],
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        more: str = "",
        where: str = "",
    ) -> None:
        """In bulk: sets `columns`, and `more`, of the rows with these `keys` (first in each row)
        for which `where` holds."""
        with self.transaction():
            self.database.update_rows(table, keys, columns, rows, more, where)

    def by_key(self, sql: str, keys: Sequence[Any], *params: Any) -> Iterator[Any]:
        """Rows of a statement with `IN (?*)` for many keys; `params` come before them."""
        most, text, several = self.database.keyed(sql)
        for at in range(0, len(keys), most):
            some = keys[at : at + most]
            if several:
                yield from self.all(text, *params, list(some))
            else:
                yield from self.all(text.replace("?*", ", ".join("?" * len(some))), *params, *some)

    def need_transaction(self) -> None:
        if not self._depth:
            raise StoreError("this belongs into a transaction")
