"""The command line: `openams`, short `ams`. Every command has --json."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from openams import __version__, terminal
from openams.cli_client import clock, events, han_port, interval, read
from openams.cli_control import breaker, limit, order_app
from openams.cli_flash import calibrate, console, flash
from openams.cli_fleet import fleet
from openams.cli_fuzz import fuzz as fuzz_command
from openams.cli_han import app as han_app
from openams.cli_image import app as image_app
from openams.cli_powercut import powercut as powercut_command
from openams.cli_profile import profile as profile_command
from openams.cli_ration import ration
from openams.cli_run import run as run_command
from openams.cli_vee import vee
from openams.errors import BenchError
from openams.keys.cli import app as keys_app
from openams.private import reason
from openams.runtimes.launch import RUNTIMES

app = typer.Typer(
    name="ams",
    help="OpenAMS: runs, measures and reads an open smart electricity meter.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(han_app, name="han")
app.add_typer(keys_app, name="keys")
app.add_typer(order_app, name="order")
app.add_typer(image_app, name="image")
app.command("run")(run_command)
app.command("powercut")(powercut_command)
app.command("fuzz")(fuzz_command)
app.command("profile")(profile_command)
for command in (
    read,
    events,
    clock,
    interval,
    han_port,
    breaker,
    limit,
    ration,
    flash,
    console,
    calibrate,
    fleet,
    vee,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    context.with_resource(terminal.guard())
    if version:
        print(f"openams {__version__}")
        raise typer.Exit()


@app.command()
def measure(
    cases: Annotated[Path, typer.Argument(help="JSON file of waveform cases.")],
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUNTIMES)}.")] = "micropython",
    front_end: Annotated[str, typer.Option(help="ideal or adc12.")] = "ideal",
    seed: Annotated[int, typer.Option(help="Seed of the front end's noise.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Play waveform cases through the meter and print what it measures."""
    from openams.measure import measure as measure_file

    result = measure_file(cases, runtime, front_end, seed)
    if as_json:
        print(json.dumps(result))
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


def main() -> None:
    """Entry point: errors that a user can act on are one line and a non-zero exit."""
    terminal.install()
    try:
        code = app(standalone_mode=False)
    except (BenchError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader of our output has gone (`ams ... | head`).
            sys.stderr.close()
            sys.exit(1)
        _fail(_words(error), 1)
    except typer.Abort:
        _fail("stopped", 130)
    except Exception as error:
        # What the command line's parser says of unknown options and bad values.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message())
            sys.exit(2)
        _fail(f"{message()} (see ams --help)", getattr(error, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _words(error: BenchError | OSError) -> str:
    """In place of what the system calls it: the path, and what helps."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    hint = "choose a place where you may write, or a file that you may read"
    path = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "a file"
    return f"{path}: {reason(error, hint)}"


def _fail(text: str, code: int) -> NoReturn:
    terminal.say(f"ams: {' '.join(text.split())}", error=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
