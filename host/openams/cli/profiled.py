"""`ams headend readings` and `ams headend profiled`: points that persons read, or nobody."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openams import csvtable
from openams.cli.common import JsonObjectOption, StoreOption
from openams.errors import BenchError
from openams.terminal import say

if TYPE_CHECKING:
    from openams.headend.store import Store
    from openams.headend.store.raw import RegisterReading

_COLUMNS = ("gsrn", "date", "kwh", "source")
_WHOLE_KWH = re.compile(r"[0-9]{1,9}(\.0*)?")
_PERSONS = ("sms", "portal", "visit")


def readings(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="gsrn,date,kwh,source")],
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Take in registers that persons have read: all rows, or none with every error named."""
    from openams.headend.store import open_store, store_url

    rows = csvtable.rows_of(file)
    if not rows:
        raise BenchError(f"{file} has no rows: its first line is {','.join(_COLUMNS)}")
    now = datetime.now(UTC)
    with open_store(store_url(store)) as opened:
        found, wrong = [], []
        for number, row in rows:
            try:
                found.append(_reading(opened, row, now))
            except ValueError as error:
                wrong.append(f"line {number}: {error}")
        if wrong:
            raise BenchError(f"{file}: {'; '.join(wrong)}")
        count = opened.add_readings(found)
    say(json.dumps({"readings": count}) if as_json else f"{count} readings are new")


def _reading(store: Store, row: dict[str, str], now: datetime) -> RegisterReading:
    from openams.headend.days import day_bounds
    from openams.headend.numbers import gsrn_fault
    from openams.headend.store.raw import RegisterReading
    from openams.meter_time import NORWAY, to_utc_ms

    missing = [name for name in _COLUMNS if not row.get(name)]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    try:
        day = date.fromisoformat(row["date"])
    except ValueError:
        raise ValueError(f"date {row['date']!r} is no date") from None
    if day.year < 2000:
        raise ValueError(f"date {day} is before all meters")
    if day > now.astimezone(NORWAY).date():
        raise ValueError(f"date {day} is to come")
    if row["source"] not in _PERSONS:
        raise ValueError(f"source {row['source']!r} is none of {', '.join(_PERSONS)}")
    if fault := gsrn_fault(row["gsrn"]):
        raise ValueError(f"gsrn: {fault}")
    if not _WHOLE_KWH.fullmatch(row["kwh"]):
        raise ValueError(f"kwh {row['kwh'][:40]!r} is no register of whole kWh")
    kwh = int(row["kwh"].partition(".")[0])
    at, end = day_bounds(day)
    there = [
        one for one in store.relations(at, end, gsrns=[row["gsrn"]])
        if one.to_ms is None or one.to_ms > at
    ]  # fmt: skip
    if not there:
        raise ValueError(f"point {row['gsrn']} has no meter on {day}")
    moment = max(at, there[-1].from_ms)
    return RegisterReading(
        there[-1].meter_id, moment, kwh * 1_000_000, None, 0, row["source"], to_utc_ms(now)
    )


def profiled(
    plan: Annotated[
        str, typer.Option(help="When unmetered points are on: dark, half-night, always.")
    ] = "dark",
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Period volumes of readings, hours by profile, yearly control, unmetered points."""
    from openams.headend.profiled.lamps import PLANS
    from openams.headend.profiled.run import run
    from openams.headend.store import open_store, store_url

    if plan not in PLANS:
        raise BenchError(f"--plan {plan!r} is none of {', '.join(PLANS)}")
    with open_store(store_url(store)) as opened:
        counts = dict(run(opened, datetime.now(UTC), plan))
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no news"
    say(json.dumps(counts) if as_json else text)
