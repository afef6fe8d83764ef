"""The register as CSV files: read with every error in its line, all of it or nothing; written.

A file says by its header what it holds; a comma or a semicolon parts the columns, as spreadsheets
write them, and with semicolons a decimal comma is one. Days are local dates, moments ISO times
(without an offset Norwegian local time; a date alone is its midnight).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from openams import csvtable
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.headend import register
from openams.headend.days import day_bounds, day_date, day_number
from openams.headend.numbers import area_fault, gsrn_fault
from openams.headend.register import KEYS, Fault, Tables
from openams.headend.vee.model import KINDS, SYSTEMS
from openams.meter_time import local_text, parse_time, to_utc_ms
from openams.private import reason

_LONGEST = 200
_MOST = 10**15
_MOST_FUSE_A = 100_000


class LineError(NamedTuple):
    """One thing that is wrong in one line of one file."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class RegisterError(BenchError):
    """Files that cannot be imported; `errors` has every line that is wrong."""

    def __init__(self, errors: Sequence[LineError]) -> None:
        count = len(errors)
        what = "1 error" if count == 1 else f"{count} errors"
        super().__init__(f"{what}, nothing is imported: {errors[0]}")
        self.errors = list(errors)


class _CellError(Exception):
    """What is wrong with one value."""


@dataclass(frozen=True)
class _Form:
    """One kind of file: its columns, each with how it is read and written; what a row becomes."""

    table: str
    columns: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]]
    make: Callable[..., Any]
    optional: tuple[str, ...] = ()


# --- cells -------------------------------------------------------------------------------


def _text(value: str) -> str:
    if len(value) > _LONGEST or not value.isprintable():
        raise _CellError(f"is no text of at most {_LONGEST} printable characters")
    return value


def _needed(value: str) -> str:
    if not value:
        raise _CellError("is empty")
    return _text(value)


def _checked(fault: Callable[[str], str | None]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if text := fault(value):
            raise _CellError(text)
        return value

    return read


def _one_of(*names: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in names:
            known = ", ".join(name for name in names if name)
            raise _CellError(f"{value!r} is unknown: choose one of {known}")
        return value

    return read


def _meter_fault(text: str) -> str | None:
    if len(text) != 16 or not (text.isascii() and text.isdigit()):
        return f"{text!r} is no meter number: it has 16 digits"
    return None


def _url(value: str) -> str:
    if _text(value):
        try:
            parse_url(value)
        except BenchError as error:
            raise _CellError(str(error)) from None
    return value


def _road(value: str) -> str:
    """A concentrator is at the end of a TCP connection."""
    parts = urlsplit(_needed(value))
    try:
        good = parts.scheme in ("tcp", "http", "https") and bool(parts.hostname and parts.port)
    except ValueError:
        good = False
    if not good:
        raise _CellError(f"{value!r} is no URL of a concentrator: write it like tcp://host:4060")
    return value


def _day(value: str) -> int:
    try:
        return day_number(_in_years(date.fromisoformat(value)))
    except ValueError:
        raise _CellError(f"{value!r} is no date: write it like 2026-01-31") from None


def _in_years(day: date) -> date:
    if not 2000 <= day.year <= 2099:
        raise _CellError(f"{day} must lie in the years 2000 to 2099")
    return day


def _moment(value: str) -> int:
    if len(value) == 10:
        _day(value)
        return day_bounds(date.fromisoformat(value))[0]
    try:
        return to_utc_ms(parse_time("the time", value))
    except BenchError as error:
        raise _CellError(str(error)) from None


def _number(value: str) -> float:
    try:
        number = float(value)
        if not 0 <= number <= _MOST:
            raise ValueError
    except ValueError:
        raise _CellError(f"{value!r} is no number from 0 on") from None
    return number


def _fuse(value: str) -> float:
    number = _number(value)
    if not 0 < number <= _MOST_FUSE_A:
        raise _CellError(f"{value!r} must be above 0 and at most {_MOST_FUSE_A} A")
    return number


def _minutes(value: str) -> int:
    if value not in ("", "0", "15", "60"):
        raise _CellError(f"{value!r} must be 60 or 15, or empty of a profile-settled point")
    return int(value or 0)


def _kwh(value: str) -> int:
    """kWh as a person reads them off, to whole mWh."""
    whole, _, part = value.partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdigit()) or len(part) > 6 or len(whole) > 12:
        raise _CellError(f"{value!r} is no register in kWh with at most six decimals")
    return int(whole or 0) * 1_000_000 + int(part.ljust(6, "0") or 0)


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda value: read(value) if value else None


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return repr(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def _kwh_text(value: int | None) -> str:
    if value is None:
        return ""
    return f"{value // 1_000_000}.{value % 1_000_000:06d}".rstrip("0").rstrip(".")


def _day_text(value: int | None) -> str:
    return "" if value is None else day_date(value).isoformat()


def _moment_text(value: int | None) -> str:
    return "" if value is None else local_text(value)


_GSRN = (_checked(gsrn_fault), str)
_METER = (_checked(_meter_fault), str)
_KWH = (_or_none(_kwh), _kwh_text)
FORMS = (
    _Form("areas", {"area": (_checked(area_fault), str), "name": (_text, str)}, register.Area),
    _Form(
        "terms",
        {
            "gsrn": _GSRN,
            "from": (_day, _day_text),
            "to": (_or_none(_day), _day_text),
            "kind": (_one_of(*KINDS), str),
            "settlement": (_one_of(*register.SETTLEMENTS), str),
            "reason": (_text, str),
            "resolution_min": (_minutes, lambda value: str(value or "")),
            "fuse_a": (_or_none(_fuse), _plain),
            "system": (_one_of("", *SYSTEMS), str),
            "area": (_checked(area_fault), str),
            "annual_kwh": (_or_none(_number), _plain),
        },
        register.Terms,
        ("to", "reason", "annual_kwh"),
    ),
    _Form(
        "concentrators",
        {"concentrator": (_needed, str), "net": (_one_of("mesh", "plc"), str), "url": (_road, str)},
        register.ConcentratorRow,
    ),
    _Form(
        "meters",
        {
            "meter_id": _METER,
            "make": (_text, str),
            "net": (_one_of(*register.NETS), str),
            "concentrator": (_text, str),
            "url": (_url, str),
            "segment": (_text, str),
        },
        register.MeterRow,
        ("concentrator", "url", "segment"),
    ),
    _Form(
        "relations",
        {
            "gsrn": _GSRN,
            "meter_id": _METER,
            "from": (_moment, _moment_text),
            "to": (_or_none(_moment), _moment_text),
            "start_plus_kwh": _KWH,
            "end_plus_kwh": _KWH,
            "start_minus_kwh": _KWH,
            "end_minus_kwh": _KWH,
        },
        register.Relation,
        ("to", "start_plus_kwh", "end_plus_kwh", "start_minus_kwh", "end_minus_kwh"),
    ),
    _Form(
        "access",
        {
            "who": (_needed, str),
            "role": (_one_of(*register.ROLES), str),
            "scope": (_one_of(*register.SCOPES), str),
            "target": (_needed, str),
            "from": (_moment, _moment_text),
            "to": (_or_none(_moment), _moment_text),
        },
        register.Access,
        ("to",),
    ),
)


# --- reading -----------------------------------------------------------------------------


def load(paths: Iterable[Path]) -> tuple[Tables, list[LineError]]:
    """All rows of the files that are good for themselves, and what is wrong in the others."""
    tables = Tables()
    errors: list[LineError] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise BenchError(f"cannot read {path}: {reason(error)}") from None
        except UnicodeDecodeError:
            raise BenchError(f"cannot read {path}: it is no text in UTF-8") from None
        errors += _load(str(path), text, tables)
    return tables, errors


def _load(name: str, text: str, tables: Tables) -> Iterator[LineError]:
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        form, fault = _form_of(header)
        if form is None:
            yield LineError(name, 1, fault)
            return
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield from _row(name, reader.line_num, form, header, cells, delimiter, tables)
    except csv.Error as error:
        yield LineError(name, reader.line_num, str(error))


def _short(text: str) -> str:
    """Cells may be as long as a file."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _form_of(header: list[str]) -> tuple[_Form | None, str]:
    """The form whose columns these are; or None, and what is missing or unknown."""
    best = max(
        FORMS, key=lambda form: len(set(header) & form.columns.keys()) - len(form.columns) / 99
    )
    missing = [name for name in best.columns if name not in header and name not in best.optional]
    unknown = [name for name in header if name not in best.columns]
    if len(set(header)) != len(header):
        return None, "the header names a column twice"
    if missing or unknown:
        words = [f"no column {missing[0]!r}"] if missing else []
        words += [f"an unknown column {_short(repr(unknown[0]))}"] if unknown else []
        return None, f"this looks like {best.table}, but has {' and '.join(words)}"
    return best, ""


def _row(
    name: str,
    line: int,
    form: _Form,
    header: list[str],
    cells: list[str],
    delimiter: str,
    tables: Tables,
) -> Iterator[LineError]:
    if len(cells) != len(header):
        yield LineError(name, line, f"{len(cells)} values for {len(header)} columns")
        return
    given = dict(zip(header, map(csvtable.given, cells), strict=True))
    values, bad = [], False
    for title, (read, _) in form.columns.items():
        cell = given.get(title, "")
        if delimiter == ";" and (title.endswith("kwh") or title.endswith("_a")):
            cell = cell.replace(",", ".")
        try:
            values.append(read(cell))
        except _CellError as error:
            bad = True
            yield LineError(name, line, f"{title}: {_short(str(error))}")
    if bad:
        return
    row = form.make(*values)
    key = (form.table, KEYS[form.table](row))
    if key in tables.lines:
        file, before = tables.lines[key]
        yield LineError(name, line, f"the same {form.table[:-1]} stands in {file}:{before}")
        return
    tables.lines[key] = (name, line)
    getattr(tables, form.table).append(row)


def placed(faults: Iterable[Fault], tables: Tables) -> list[LineError]:
    """Contradictions in the lines that make them; of what was there before without a line."""
    out = []
    for fault in faults:
        known = (tables.lines.get((fault.table, key)) for key in (fault.key, fault.other))
        file, line = next((place for place in known if place), ("the register", 0))
        out.append(LineError(file, line, fault.text))
    return sorted(set(out))


# --- writing -----------------------------------------------------------------------------


def texts(tables: Tables) -> dict[str, str]:
    """The register as files of `load`, by name: with what may be read in again as it is."""
    out = {}
    for form in FORMS:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(form.columns)
        for row in sorted(getattr(tables, form.table), key=KEYS[form.table]):
            writer.writerow(
                csvtable.shown(write(value))
                for (_, write), value in zip(form.columns.values(), row, strict=True)
            )
        out[f"{form.table}.csv"] = text.getvalue()
    return out
