"""`ams chain`: field, head-end, Elhub's stand-in and report in one command."""

from __future__ import annotations

import json
import signal
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.cli.common import BusOption, JsonObjectOption, StoreOption
from openams.errors import BenchError
from openams.private import make_folder
from openams.terminal import console, say

if TYPE_CHECKING:
    from openams.chain.whole import Whole
    from openams.field.faults import Rates


# Of a folder that is kept.
DETAILS = "details.json"
# More of them only fill the terminal.
_SHOWN = 20


def chain(
    meters: Annotated[int, typer.Option(help="How many meters.")] = 200,
    days: Annotated[int, typer.Option(help="How many days are collected.")] = 3,
    seed: Annotated[int, typer.Option(help="Of meters, loads and faults.")] = 1,
    start: Annotated[
        str, typer.Option(metavar="DATE", help="The first day, of Norwegian time.")
    ] = "2026-01-12",
    missing: Annotated[
        float, typer.Option(help="Share of the meter-days that go missing.")
    ] = 0.013,
    lasting: Annotated[float, typer.Option(help="Share of meters that nobody reaches.")] = 0.004,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAUSE=SHARE|KIND=N|none",
            help="Of the missing days by cause; of kinds that lose none in a thousand meter-days.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes of the field; 0: as many as are worth it.")
    ] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep all of it there: ledger, keystores, concentrators, details."),
    ] = None,
    details: Annotated[
        Path | None,
        typer.Option(
            help="Write what is lost, wrong or off, and causes not found, to this JSON file, with "
            "the faults near each."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the regulator's report to this HTML file.")
    ] = None,
    store: StoreOption = None,
    bus: BusOption = None,
    collectors: Annotated[int, typer.Option(help="Beside one another, on a bus.")] = 1,
    as_json: JsonObjectOption = False,
) -> None:
    """Days of a whole grid company in virtual time, from meters to Elhub, held against the truth.

    Let days of a whole grid company pass: meters, nets, concentrators, collection, validation,
    estimation, delivery to a stand-in for Elhub, report; and hold all values against the truth."""
    from openams.chain.course import Wanted
    from openams.chain.view import View
    from openams.chain.whole import run
    from openams.headend.report.page import html

    wanted = Wanted(
        meters, days, seed, _start(start), store, _rates(missing, lasting, faults or []),
        workers or _workers(meters), bus, collectors,
    )  # fmt: skip
    wanted.check()
    if folder is not None:
        make_folder(folder)
        if any(folder.iterdir()):
            raise BenchError(f"{folder} is not empty: name another folder with --folder")
    # What is thrown away at the end is so too where somebody ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with View() as view:
        whole = run(wanted, view.told, folder)
    for path in (details, folder / DETAILS if folder is not None else None):
        if path is not None:
            path.write_text(json.dumps(whole.details, indent=1) + "\n", encoding="utf-8")
    if report is not None:
        report.write_text(html(whole.report), encoding="utf-8")
    if as_json:
        say(json.dumps(whole.figures))
        return
    _show(whole)


# From here on a field has concentrators for all of its processes.
_MANY = 3000


def _workers(meters: int) -> int:
    """Beside the head-end's own process; a small field is quicker in it. In a large one there are
    more than cores: a concentrator that is busy for seconds keeps its process, and no core idle."""
    import os

    cores = max(1, os.cpu_count() or 1)
    return 1 if meters < 100 else min(8, cores if meters < _MANY else 2 * cores)


def _start(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BenchError(f"--start {text!r} is no date: write it like 2026-01-31") from None


def _rates(missing: float, lasting: float, faults: list[str]) -> Rates | None:
    from openams.field.faults import CAUSES, KINDS, Rates

    if faults == ["none"]:
        return None
    usual = Rates()
    shares: dict[str, float] = {}
    disturbed = dict(usual.disturbed)
    for text in faults:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e9 or name not in (*CAUSES, *KINDS):
            raise BenchError(
                f"--faults {text!r}: write it like signal=0.5 or torn-block=10, or none alone; "
                "ams field faults has the kinds"
            )
        if name in CAUSES:
            shares[name] = number
        elif KINDS[name].loses:
            raise BenchError(f"--faults {text!r}: give the share of its cause, {KINDS[name].cause}")
        else:
            disturbed[name] = number
    rates = Rates(missing, min(lasting, missing), shares or usual.shares, disturbed)
    rates.check()
    return rates


# --- what is shown -----------------------------------------------------------------------


def _show(whole: Whole) -> None:
    from rich.table import Table

    figures = whole.figures
    out = console()
    table = Table("", "", show_header=False, box=None, padding=(0, 2))
    for name, value in figures.items():
        if name not in ("causes", "estimation_error", "elhub"):
            table.add_row(_TITLES[name], _text(name, value))
    for name, value in figures["estimation_error"].items():
        table.add_row(f"error of estimates, {name.replace('_', ' ')}", _share(value))
    for name, value in figures["elhub"].items():
        table.add_row(f"Elhub: {name}", str(value))
    out.print(table)
    _show_causes(figures["causes"], out)
    _show_off(whole.details["values"], out)


_TITLES = {
    "meters": "meters",
    "days": "days",
    "values": "values",
    "read_rate_0700": "measured and here by D+1 07:00",
    "read_rate_d5": "by D+5",
    "estimated_share": "estimated in the end",
    "lost": "lost",
    "wrong_unmarked": "wrong and not marked",
    "doubled": "doubled",
    "sum_off_wh": "Wh that sums are off",
    "wall_s": "seconds",
    "sessions": "sessions of the head-end",
    "memory_mib": "MiB at the most",
}


def _text(name: str, value: Any) -> str:
    return _share(value) if name.startswith("read_rate") or name.endswith("share") else str(value)


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.2f} %"


def _show_causes(causes: dict[str, dict[str, int]], out: Any) -> None:
    from rich.table import Table

    if not causes:
        out.print("no meter-day was missing at seven")
        return
    found = sorted({name for row in causes.values() for name in row})
    table = Table("missing at seven by", *found, box=None, padding=(0, 2))
    for cause, row in causes.items():
        table.add_row(cause, *(str(row.get(name, 0)) for name in found))
    out.print("why, in truth (rows) and as the head-end found (columns)")
    out.print(table)


def _show_off(values: list[dict[str, Any]], out: Any) -> None:
    """What is lost, wrong or off, and what went on near it; nothing where all is right."""
    from rich.table import Table

    if not values:
        return
    table = Table("", "point", "when", "ours", "true", "faults near", box=None, padding=(0, 2))
    for one in values[:_SHOWN]:
        faults = [fault.partition(" ")[0] for meter in one["meters"] for fault in meter["faults"]]
        wh = ["" if one[name] is None else f"{one[name]} Wh" for name in ("ours_wh", "true_wh")]
        point = f"{one['gsrn']} {one['direction']}"
        when = one["begin"] or one["day"]
        table.add_row(one["what"], point, when, *wh, ", ".join(dict.fromkeys(faults)))
    out.print(table)
    if len(values) > _SHOWN:
        out.print(f"and {len(values) - _SHOWN} more: --details FILE has all, and more of each")
