"""Days as JSON: what `ams vee` reads and prints; an error of one line for what is no day."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn

from openams.headend.vee.day import check
from openams.headend.vee.model import (
    KINDS,
    PRODUCTION,
    PROSUMER,
    RESOLUTIONS_MIN,
    SYSTEMS,
    Day,
    Point,
    Reading,
    RegisterSpan,
    Result,
    VeeError,
)

# Larger main fuses and registers are slips of the pen.
MOST_FUSE_A = 100_000
MOST_WH = 10**15


Cut = tuple[datetime, datetime | None]


class Case:
    """One day of one point: its series, and for a prosumer the other direction."""

    def __init__(self, name: str, day: Day, export: Day | None) -> None:
        self.name, self.day, self.export = name, day, export


def load(path: Path) -> list[Case]:
    """Reads {"cases": [...]}; VeeError names the case and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VeeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        document = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise VeeError(f"{path} is no JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("cases"), list):
        raise VeeError(f'{path} has no list "cases"')
    return [_case(raw, number) for number, raw in enumerate(document["cases"], 1)]


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _case(raw: Any, number: int) -> Case:
    name = raw.get("name") if isinstance(raw, dict) else None
    if not isinstance(name, str) or not name:
        raise VeeError(f"case {number} is no object with a name")
    try:
        return _named(raw, name)
    except VeeError as error:
        raise VeeError(f"case {number} ({name}): {error}") from None


def _named(raw: dict[str, Any], name: str) -> Case:
    point = _point(_key(raw, "point", dict))
    day = _date(_key(raw, "day", str), "day")
    cuts = tuple(_cut(cut) for cut in _key(raw, "power_cuts", list))
    main = _series(raw, point, day, cuts)
    export = None
    if point.kind == PROSUMER and "export" in raw:
        other = _key(raw, "export", dict)
        giving = Point(PRODUCTION, point.fuse_a, point.system, point.resolution_min)
        try:
            export = _series(other, giving, day, cuts)
        except VeeError as error:
            raise VeeError(f"export: {error}") from None
        main, export = _with_opposite(main, export), _with_opposite(export, main)
    for one in (main, export):
        if one is not None:
            check(one)
    return Case(name, main, export)


def _with_opposite(day: Day, other: Day) -> Day:
    values = tuple(None if reading is None else reading.wh for reading in other.readings)
    return Day(day.point, day.day, day.readings, day.registers, day.history, day.cuts, values)


def _series(raw: dict[str, Any], point: Point, day: date, cuts: tuple[Cut, ...]) -> Day:
    intervals = _key(raw, "intervals", list)
    readings = tuple(_reading(one, k) for k, one in enumerate(intervals))
    history = _key(raw, "history", dict)
    return Day(
        point,
        day,
        readings,
        _registers(raw),
        {_date(at, "history"): _past(values, at) for at, values in history.items()},
        cuts,
    )


def _key(raw: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    if key not in raw:
        raise VeeError(f'"{key}" is missing')
    if not isinstance(raw[key], kind):
        names = {"dict": "an object", "list": "a list", "str": "a text"}
        raise VeeError(f'"{key}" must be {names[kind.__name__]}')
    return raw[key]


def _point(raw: dict[str, Any]) -> Point:
    kind, system = raw.get("kind"), raw.get("system")
    if kind not in KINDS:
        raise VeeError(f'"kind" {kind!r} is unknown: choose one of {", ".join(KINDS)}')
    if system not in SYSTEMS:
        raise VeeError(f'"system" {system!r} is unknown: choose one of {", ".join(SYSTEMS)}')
    resolution = raw.get("resolution_min")
    if isinstance(resolution, bool) or resolution not in RESOLUTIONS_MIN:
        raise VeeError(f'"resolution_min" {resolution!r} must be 60 or 15')
    fuse = _number(raw.get("fuse_a"), "fuse_a")
    if not 0 < fuse <= MOST_FUSE_A:
        raise VeeError(f'"fuse_a" must be above 0 and at most {MOST_FUSE_A} A')
    annual = raw.get("annual_kwh")
    if annual is not None and _number(annual, "annual_kwh") < 0:
        raise VeeError('"annual_kwh" must not be negative')
    return Point(kind, fuse, system, int(resolution), annual)


def _number(value: Any, key: str) -> float:
    """A finite number; JSON's true is none."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or abs(value) > MOST_WH or not math.isfinite(value):
        raise VeeError(f'"{key}" must be a number, not {_shown(value)}')
    return float(value)


def _wh(value: Any, what: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MOST_WH:
        raise VeeError(f"{what} must be whole Wh or null, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _date(text: str, key: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise VeeError(f'"{key}": {text!r} is no date: write it like 2026-01-31') from None
    if not 2000 <= day.year <= 2099:
        raise VeeError(f'"{key}": {text} must lie in the years 2000 to 2099')
    return day


def _time(text: Any, key: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        shown = _shown(text)
        raise VeeError(
            f'"{key}": {shown} is no time: write it like 2026-01-31T12:00:00+00:00'
        ) from None
    if at.tzinfo is None:
        raise VeeError(f'"{key}": {text} has no offset: write it like 2026-01-31T12:00:00+00:00')
    if not 2000 <= at.year <= 2099:
        raise VeeError(f'"{key}": {text} must lie in the years 2000 to 2099')
    return at.astimezone(UTC)


def _reading(raw: Any, k: int) -> Reading | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or "wh" not in raw:
        raise VeeError(f'interval {k} must be null or an object with "wh"')
    status = raw.get("status", [])
    if not isinstance(status, list) or not all(isinstance(name, str) for name in status):
        raise VeeError(f'interval {k}: "status" must be a list of names')
    wh = _wh(raw["wh"], f'interval {k}: "wh"')
    return None if wh is None and not status else Reading(wh, tuple(status))


def _registers(raw: dict[str, Any]) -> tuple[RegisterSpan, ...]:
    """One object for the day, or a list of them with "from" and "to": the meter was changed."""
    registers = raw.get("registers")
    if isinstance(registers, dict):
        registers = [registers]
    if not isinstance(registers, list) or not all(isinstance(one, dict) for one in registers):
        raise VeeError('"registers" must be an object with "start_wh" and "end_wh", or a list')
    out = []
    for one in registers:
        ends = []
        for key in ("start_wh", "end_wh"):
            if key not in one:
                raise VeeError(f'"registers" has no "{key}": write null where it is not known')
            wh = _wh(one[key], f'"{key}"')
            if wh is not None and wh < 0:
                raise VeeError(f'"{key}" must not be negative')
            ends.append(wh)
        times = [_time(one[key], key) if key in one else None for key in ("from", "to")]
        if times[0] and times[1] and times[0] >= times[1]:
            raise VeeError('"registers": "from" must be before "to"')
        out.append(RegisterSpan(ends[0], ends[1], times[0], times[1]))
    return tuple(out)


def _past(raw: Any, at: str) -> tuple[int | None, ...]:
    if not isinstance(raw, list):
        raise VeeError(f'"history" of {at} must be a list')
    return tuple(_wh(value, f'"history" of {at}') for value in raw)


def _cut(raw: Any) -> Cut:
    if not isinstance(raw, list) or len(raw) != 2:
        raise VeeError('"power_cuts" must be a list of [begin, end]')
    begin = _time(raw[0], "power_cuts")
    # null: not over when the day is read.
    end = None if raw[1] is None else _time(raw[1], "power_cuts")
    if end is not None and begin >= end:
        raise VeeError(f'"power_cuts": {raw[0]} is not before {raw[1]}')
    return begin, end


def as_json(result: Result) -> dict[str, Any]:
    """A day as `ams vee --json` prints it."""
    intervals = []
    for value in result.values:
        one: dict[str, Any] = {
            "wh": value.wh,
            "state": value.state,
            "validation": value.validation,
            "estimation": value.estimation,
        }
        if value.reason is not None:
            one |= {"reason": value.reason, "method": value.method, "inputs": value.inputs}
        intervals.append(one)
    return {
        "intervals": intervals,
        "total_wh": result.total_wh,
        "sum_off_wh": result.sum_off_wh,
        "notes": [{"name": note.name, "text": note.text} for note in result.notes],
        "rules": result.rules,
    }
