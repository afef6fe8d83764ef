"""`ams vee`: days validated and estimated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openams.cli.common import JsonObjectOption
from openams.terminal import console as make_console
from openams.terminal import say

if TYPE_CHECKING:
    from openams.headend.vee.model import Day, Result


def vee(
    cases: Annotated[Path, typer.Argument(metavar="CASES.json", help="Days after collection.")],
    as_json: JsonObjectOption = False,
) -> None:
    """Validate and estimate the days of a file: a value for every interval, and why."""
    from openams.headend.vee import cases as days
    from openams.headend.vee import evaluate

    loaded = days.load(cases)
    out = []
    for case in loaded:
        results = [evaluate(day) for day in (case.day, case.export) if day is not None]
        if as_json:
            one = {"name": case.name, **days.as_json(results[0])}
            if case.export is not None:
                one["export"] = days.as_json(results[1])
            out.append(one)
            continue
        _print(case.name, case.day, results[0])
        if case.export is not None:
            _print(f"{case.name}, export", case.export, results[1])
    if as_json:
        say(json.dumps({"days": out}))


def _print(name: str, day: Day, result: Result) -> None:
    """One line for the day, a table of what is not measured, the notes."""
    from rich.table import Table

    from openams.headend.vee import MEASURED
    from openams.headend.vee.calendar import starts
    from openams.meter_time import NORWAY

    console = make_console()
    changed = [k for k, value in enumerate(result.values) if value.state != MEASURED]
    total = sum(value.wh for value in result.values)
    known = "not known" if result.total_wh is None else f"{result.total_wh} Wh"
    console.print(
        f"{name} {result.day}: {len(result.values)} values, {len(changed)} not measured, "
        f"{total} Wh, registers {known}",
        markup=False,
    )
    if changed:
        table = Table()
        for title in ("from", "collected", "Wh", "state", "found", "V", "method", "E"):
            table.add_column(title, justify="right" if title in ("collected", "Wh") else "left")
        times = starts(day.day, day.point.resolution_min)
        for k in changed:
            value = result.values[k]
            held = value.reading.wh if value.reading is not None else None
            table.add_row(
                times[k].astimezone(NORWAY).strftime("%H:%M%z")[:8],
                "-" if held is None else str(held),
                str(value.wh),
                value.state,
                value.reason or "",
                value.validation or "",
                value.method or "",
                value.estimation or "",
            )
        console.print(table)
    for note in result.notes:
        console.print(f"  {note.name}: {note.text}", markup=False)
