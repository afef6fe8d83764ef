"""Where the head-end keeps what it knows: one interface, SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from openams.errors import BenchError
from openams.headend.store.core import Database
from openams.headend.store.errors import ClashError, GoneError, StoreError
from openams.headend.store.raw import Event, IntervalRow, RegisterReading
from openams.headend.store.schema import migrate
from openams.headend.store.values import DayValues, StoredRevision
from openams.headend.store.whole import Store

__all__ = [
    "ClashError",
    "DayValues",
    "Event",
    "GoneError",
    "IntervalRow",
    "RegisterReading",
    "Store",
    "StoreError",
    "StoredRevision",
    "open_store",
    "store_at",
    "store_url",
]

_HELP = "write it like sqlite:////home/me/store.db, postgresql://host/name, or the file alone"


def database_at(url: str | Path) -> Database:
    """A connection to what a URL names; an engine is imported where it is used."""
    text = str(url)
    if "://" not in text:
        text = f"sqlite:///{text}"
    scheme = text.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        from openams.headend.store.postgres import PostgresDatabase

        return PostgresDatabase(f"postgresql://{text.partition('://')[2]}")
    parts = urlsplit(text)
    path = unquote(parts.path)[1:] if parts.path.startswith("/") else parts.path
    if scheme != "sqlite" or parts.netloc or parts.query or not path:
        raise BenchError(f"{text!r} is no URL of a store: {_HELP}")
    from openams.headend.store.sqlite import SqliteDatabase

    return SqliteDatabase(Path(path))


def store_at(url: str | Path) -> Store:
    """Open, with its tables as this version has them; somebody has to close it."""
    database = database_at(url)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return Store(database)


@contextlib.contextmanager
def open_store(url: str | Path) -> Iterator[Store]:
    store = store_at(url)
    try:
        yield store
    finally:
        store.close()


def store_url(chosen: str | None) -> str:
    """By default a file among the user's data."""
    if chosen:
        return chosen
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(data) / "openams" / "headend.db")
