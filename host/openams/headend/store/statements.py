"""Statements on rows that are written one by one, of one text for both engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def inserting(table: str, columns: Sequence[str], clash: str = "") -> str:
    """`clash`: what follows ON CONFLICT where a row is there already; "": that is an error."""
    marks = ", ".join("?" * len(columns))
    more = f" ON CONFLICT {clash}" if clash else ""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}){more}"


def updating(
    table: str, keys: Sequence[str], columns: Sequence[str], more: str = "", where: str = ""
) -> str:
    """Sets `columns`, and `more`, of the row with these `keys`, if `where` holds."""
    sets = ", ".join([*(f"{name} = ?" for name in columns), *filter(None, [more])])
    held = " AND ".join([*(f"{name} = ?" for name in keys), *filter(None, [where])])
    return f"UPDATE {table} SET {sets} WHERE {held}"


def for_updating(rows: Iterable[Sequence[Any]], keys: int) -> Iterator[tuple[Any, ...]]:
    """Rows that have their keys first, in the order of `updating`."""
    return ((*row[keys:], *row[:keys]) for row in rows)
