"""`ams measure`: waveform cases through the meter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from openams import terminal
from openams.cli.common import JsonObjectOption
from openams.runtimes.launch import RUNTIMES


def measure(
    cases: Annotated[Path, typer.Argument(help="JSON file of waveform cases.")],
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUNTIMES)}.")] = "micropython",
    front_end: Annotated[str, typer.Option(help="ideal or adc12.")] = "ideal",
    seed: Annotated[int, typer.Option(help="Seed of the front end's noise.")] = 1,
    as_json: JsonObjectOption = False,
) -> None:
    """Play waveform cases through the meter and print what it measures."""
    from openams.bench.measure import measure as measure_file

    result = measure_file(cases, runtime, front_end, seed)
    if as_json:
        terminal.say(json.dumps(result))
        return
    _print_measured(result)


def _print_measured(result: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=f"{result['front_end']} on {result['runtime']}")
    for name in ("case", "P / W", "Q / var", "f / Hz", "A+ / Wh", "error of P / %", "limits"):
        table.add_column(name, justify="left" if name == "case" else "right")
    for case in result["cases"]:
        measured = case["measured"]
        errors = case.get("error_percent", {})
        verdict = {True: "met", False: "EXCEEDED", None: ""}[case.get("within_limits")]
        table.add_row(
            case["name"],
            f"{measured['active_power_w']:.3f}",
            f"{measured['reactive_power_var']:.3f}",
            f"{measured['frequency_hz']:.3f}",
            f"{measured['a_plus_wh']:.4f}",
            f"{errors['active_power_w']:+.4f}" if errors else "",
            verdict,
        )
    terminal.console().print(table)
