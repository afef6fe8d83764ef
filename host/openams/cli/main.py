"""The command line: `openams`, short `ams`. Every command has --json.

A command is loaded when it is called: what one needs takes the others' time, numpy alone half a
second of it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from openams import __version__, terminal
from openams.errors import BenchError
from openams.private import reason


@dataclass(frozen=True)
class Entry:
    """Where a command is, what `ams --help` says of it, and how it may be called."""

    place: str
    help: str
    example: str = ""


# By Ctrl-C, as shells have it: 128 and the number of the signal.
_STOPPED = 130
_URL = "tcp://127.0.0.1:4059"
COMMANDS = {
    "run": Entry(
        "run:run",
        "Run a meter in a scenario.",
        "ams run --scenario house --han-open --dlms-port 4059",
    ),
    "measure": Entry(
        "measure:measure",
        "Play waveform cases through the meter and print what it measures.",
        "ams measure cases.json --front-end adc12",
    ),
    "han": Entry("han:app", "Read HAN ports, files and captures."),
    "read": Entry(
        "client:read",
        "Read objects of a meter; without OBIS all that the client may read.",
        f"ams read {_URL} 1.0.1.8.0.255",
    ),
    "profile": Entry(
        "profile:profile",
        "Read a profile of a state image or of a meter at a URL; writes nothing.",
        f"ams profile {_URL} --from 2026-01-01 --to 2026-02-01 --csv",
    ),
    "events": Entry(
        "client:events",
        "Read the event logs of a meter, oldest first.",
        f"ams events {_URL} --log control",
    ),
    "clock": Entry(
        "client:clock",
        "Show the meter's clock, set it by this computer's, or to a time.",
        f"ams clock {_URL} sync",
    ),
    "interval": Entry(
        "client:interval",
        "Set the interval of the load profile.",
        f"ams interval {_URL} 15",
    ),
    "han-port": Entry(
        "client:han_port",
        "Open or close the customer's HAN port, encrypt its lists, or give them new keys.",
        f"ams han-port {_URL} open",
    ),
    "readout": Entry(
        "readout:readout",
        "Show or set what the optical port shows as text: nothing, registers, or profiles too.",
        f"ams readout {_URL} registers",
    ),
    "modbus": Entry(
        "modbus:modbus",
        "Open or close the Modbus port, or show which unit has which map.",
        f"ams modbus {_URL} open",
    ),
    "home": Entry(
        "home:home",
        "Open or close the home automation of a meter, or show how it stands.",
        f"ams home {_URL} open",
    ),
    "breaker": Entry(
        "control:breaker",
        "Show or move the breaker of a meter; needs the keys of the breaker's client.",
        f"ams breaker {_URL} disconnect",
    ),
    "limit": Entry(
        "control:limit",
        "Show or set the limiter and the quota of a meter.",
        f"ams limit {_URL} set --threshold 4000 --over 30",
    ),
    "order": Entry("control:order_app", "Sealed orders to a breaker, in files."),
    "ration": Entry(
        "ration:ration",
        "Disconnect or reconnect a list of meters. Without --execute it only says what it would "
        "do.",
        "ams ration plan.csv --execute 1a2b3c4d",
    ),
    "fleet": Entry(
        "fleet:fleet",
        "Run many meters, each on a TCP port, until Ctrl-C.",
        "ams fleet 200 --plan plan.csv --offline 5",
    ),
    "field": Entry(
        "field:app", "A field of meters in virtual time, its faults, and the truth beside it."
    ),
    "keys": Entry("keys:app", "Keys of meters, in an encrypted keystore."),
    "image": Entry("image:app", "Firmware images: build, sign, send."),
    "flash": Entry(
        "flash:flash",
        "Put the firmware on a MicroPython board, verify it, and make it a meter.",
        "ams flash --board pico --meter-id 7359990000000017",
    ),
    "calibrate": Entry(
        "flash:calibrate",
        "Teach a board its gains and phase: a known load in, the record stored on the board.",
        "ams calibrate --element 1 --voltage 230.1 --current 5.02",
    ),
    "console": Entry(
        "flash:console",
        "Print what the board logs, with the time at which it came. It is only listened to.",
        "ams console --port /dev/ttyACM0",
    ),
    "concentrator": Entry(
        "concentrator:app",
        "A data concentrator: store and forward, and the way through to each meter.",
    ),
    "vee": Entry(
        "vee:vee",
        "Validate and estimate the days of a file: a value for every interval, and why.",
        "ams vee days.json --json",
    ),
    "headend": Entry("headend:app", "The collection centre: register, store, collection."),
    "chain": Entry(
        "chain:chain",
        "Days of a whole grid company in virtual time, from meters to Elhub, held against the "
        "truth.",
        "ams chain --meters 200 --days 3 --seed 7",
    ),
    "elhub-stand-in": Entry(
        "elhub:stand_in",
        "Stand in for Elhub: take values by its rules, refuse, remind, until Ctrl-C.",
        "ams elhub-stand-in --state hub --points points.csv --party 7080000000012",
    ),
    "powercut": Entry(
        "powercut:powercut",
        "Cut the power at flash operations; every start afterwards must find all that was kept.",
        "ams powercut --operations 500 --every",
    ),
    "fuzz": Entry(
        "fuzz:fuzz",
        "Send mutated frames: no exception may escape, the heap may not grow, the meter answers "
        "on.",
        "ams fuzz --target server --count 1000",
    ),
}


class _Commands(TyperGroup):
    """The commands of the table. What is listed needs no command to be loaded."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return self.commands.get(cmd_name) or self._load(cmd_name, COMMANDS[cmd_name])

    def _load(self, name: str, entry: Entry) -> Any:
        module, _, attribute = entry.place.partition(":")
        thing = getattr(import_module(f"openams.cli.{module}"), attribute)
        if not isinstance(thing, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(name, epilog=f"Example: {entry.example}")(thing)
            thing = app
        command = self.commands[name] = typer.main.get_command(thing)
        command.name = name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


app = typer.Typer(
    name="ams",
    cls=_Commands,
    help="OpenAMS: runs, measures and reads an open smart electricity meter.",
    epilog="Example: ams run --scenario house --han-open",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    context.with_resource(terminal.guard())
    if version:
        print(f"openams {__version__}")
        raise typer.Exit()


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
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped", _STOPPED)
    except Exception as error:
        # What the command line's parser says of unknown options and bad values.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message())
            sys.exit(2)
        _fail(f"{message()} (see ams --help)", getattr(error, "exit_code", 2))
    if code == _STOPPED:
        _fail("stopped", _STOPPED)
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
