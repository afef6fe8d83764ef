"""Tables in CSV that persons and other programs hand in, and those that are handed to spreadsheets.

A row has what the head names, no more and no less: a comma or a quote too many must not move a mark
into another column, or swallow the rows that follow.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.private import reason

# What a cell begins with that spreadsheets take for a formula; and how they are told that it is
# none. It is taken off again where a table is read.
_FORMULA, _MARK = ("=", "+", "-", "@"), "'"


class TableError(BenchError):
    """What is no table; `line` is where."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}")
        self.line, self.text = line, text


def text_of(path: Path) -> str:
    """Of a file, without the mark that some editors begin with."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BenchError(f"cannot read {path}: it is no text in UTF-8") from None
    except OSError as error:
        raise BenchError(f"cannot read {path}: {reason(error)}") from None


def read(text: str, needed: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by the names in the head) of each row that has any; `needed`: names that the
    head has to have. Raises TableError."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [cell.strip().lower() for cell in next(reader, [])]
        if len(set(head)) < len(head):
            raise TableError(1, "the head names a column twice")
        if missing := [name for name in needed if name not in head]:
            raise TableError(1, f"no column {missing[0]}: the first line names the columns")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(head):
                text = f"{len(cells)} values for {len(head)} columns"
                raise TableError(reader.line_num, text)
            yield reader.line_num, dict(zip(head, map(given, cells), strict=True))
    except csv.Error as error:
        raise TableError(reader.line_num, str(error)) from None


def rows_of(path: Path) -> list[tuple[int, dict[str, str]]]:
    """All of a file as `read` gives them; what is wrong is said with its name."""
    try:
        return list(read(text_of(path)))
    except TableError as error:
        raise BenchError(f"{path}: {error}") from None


def given(cell: str) -> str:
    """What a cell says, without what keeps a spreadsheet from calculating it."""
    cell = cell.strip()
    marked = cell.startswith(_MARK) and cell.lstrip(_MARK).startswith(_FORMULA)
    return cell[1:] if marked else cell


def shown(value: Any) -> Any:
    """A value as a cell: texts of others are never formulas; numbers are numbers."""
    if not isinstance(value, str):
        return value
    text = value.lstrip()
    return _MARK + value if text.lstrip(_MARK).startswith(_FORMULA) else value
