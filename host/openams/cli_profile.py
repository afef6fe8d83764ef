"""`ams profile`: what a meter has stored, as a table, JSON, CSV or bars."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from openams.errors import BenchError
from openams.meter_time import parse_time, to_utc_ms
from openams.profiles import NAMES, day_limits, plot, read, write_csv
from openams.runtimes.process import RUNTIMES


def profile(
    state: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of --state.")],
    name: Annotated[str, typer.Option("--name", help=f"One of {', '.join(NAMES)}.")] = "load",
    from_: Annotated[str | None, typer.Option("--from", metavar="ISO-TIME")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="ISO-TIME")] = None,
    day: Annotated[str | None, typer.Option(metavar="DATE", help="One local day.")] = None,
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUNTIMES)}.")] = "micropython",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_plot: Annotated[bool, typer.Option("--plot", help="Print bars of the mean power.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Read a profile or the event logs of a state image; writes nothing."""
    if runtime not in RUNTIMES:
        raise BenchError(f"--runtime {runtime!r} is unknown: choose one of {', '.join(RUNTIMES)}")
    limits = {}
    if day:
        try:
            limits["from_ms"], limits["to_ms"] = day_limits(date.fromisoformat(day))
        except ValueError:
            raise BenchError(f"--day {day!r} is no date: write it like 2026-01-31") from None
    if from_:
        limits["from_ms"] = to_utc_ms(parse_time("--from", from_))
    if to:
        limits["to_ms"] = to_utc_ms(parse_time("--to", to))
    if as_plot and name != "load":
        raise BenchError("--plot shows the load profile: leave --name out")
    rows = read(state, name, runtime, **limits)
    if as_json:
        print(json.dumps(rows))
    elif as_plot:
        print(plot(rows))
    elif as_csv or rows:
        write_csv(rows, sys.stdout)
    else:
        print("no entries")
