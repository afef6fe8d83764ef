"""`ams profile`: what a meter has stored, as a table, JSON, CSV or bars."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.bench.profiles import NAMES, day_limits, plot, read, write_csv
from openams.cli.meter import Access, ClientOption, takes_access
from openams.client.readout import PROFILES, columns, named_rows
from openams.client.readout import rows as rows_of
from openams.errors import BenchError
from openams.meter_time import from_utc_ms, parse_range, to_utc_ms
from openams.runtimes.launch import RUNTIMES
from openams.terminal import say

if TYPE_CHECKING:
    from openams.client.client import Client


@takes_access
def profile(
    source: Annotated[
        str, typer.Argument(metavar="DIR|URL", help="Folder of --state, or URL of a meter.")
    ],
    access: Access,
    name: Annotated[str, typer.Option("--name", help=f"One of {', '.join(NAMES)}.")] = "load",
    from_: Annotated[str | None, typer.Option("--from", metavar="ISO-TIME")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="ISO-TIME")] = None,
    day: Annotated[str | None, typer.Option(metavar="DATE", help="One local day.")] = None,
    entries: Annotated[
        str | None, typer.Option(metavar="FIRST:LAST", help="Of a URL: rows by number, from 1.")
    ] = None,
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUNTIMES)}.")] = "micropython",
    client: ClientOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    bars: Annotated[bool, typer.Option("--bars", help="Print bars of the mean power.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the mean power: .png, .svg or .pdf."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Read a profile of a state image or of a meter at a URL; writes nothing."""
    if runtime not in RUNTIMES:
        raise BenchError(f"--runtime {runtime!r} is unknown: choose one of {', '.join(RUNTIMES)}")
    asked = {"--csv": as_csv, "--json": as_json, "--bars": bars, "--plot": picture}
    forms = [option for option, wanted in asked.items() if wanted]
    if len(forms) > 1:
        raise BenchError(f"{' and '.join(forms)} exclude each other: choose one")
    limits = {}
    if day and (from_ or to):
        raise BenchError("--day and --from or --to exclude each other: leave one out")
    if day:
        try:
            limits["from_ms"], limits["to_ms"] = day_limits(date.fromisoformat(day))
        except ValueError:
            raise BenchError(f"--day {day!r} is no date: write it like 2026-01-31") from None
    begin, end = parse_range(from_, to)
    if begin:
        limits["from_ms"] = to_utc_ms(begin)
    if end:
        limits["to_ms"] = to_utc_ms(end)
    if (bars or picture) and name != "load":
        option = "--bars" if bars else "--plot"
        raise BenchError(f"{option} shows the load profile: leave --name out")
    if picture:
        from openams.bench.pictures import check_picture

        # Before a meter is asked for a year.
        check_picture(picture)
    if "://" in source:
        if name not in PROFILES:
            raise BenchError(
                f"no profile {name!r} of a meter: choose one of {', '.join(PROFILES)}, "
                "or read its logs with ams events"
            )
        chosen = _entries(entries)
        with access.connected(source, client or "reader") as meter:
            rows = _meter_rows(meter, PROFILES[name], limits, chosen)
    else:
        if entries:
            raise BenchError("--entries chooses rows of a meter at a URL")
        rows = read(Path(source), name, runtime, **limits)
    if as_json:
        say(json.dumps(rows))
    elif picture:
        from openams.bench.pictures import draw_profile

        draw_profile(rows, picture)
        say(f"{picture}: {len(rows)} intervals")
    elif bars:
        print(plot(rows))
    elif as_csv or rows:
        write_csv(rows, sys.stdout)
    else:
        say("no entries")


def _entries(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, mark, last = text.partition(":")
    if mark and first.isdigit() and (last.isdigit() or not last) and 0 < int(first) < 1 << 32:
        return int(first), int(last or 0)
    raise BenchError(f"--entries {text!r} is no range: write it like 1:96, or 1: to the end")


def _meter_rows(
    meter: Client, obis: str, limits: dict[str, int], entries: tuple[int, int] | None
) -> list[dict[str, Any]]:
    begin, end = (
        from_utc_ms(limits[key]) if key in limits else None for key in ("from_ms", "to_ms")
    )
    if entries and (begin or end):
        raise BenchError("--entries and times exclude each other: leave one out")
    captured = columns(meter, obis)
    return list(named_rows(meter, obis, rows_of(meter, obis, begin, end, entries), captured))
