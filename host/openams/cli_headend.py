"""`ams headend`: the collection centre."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from openams import cli_deliver, cli_profiled
from openams.errors import BenchError
from openams.meter_time import to_utc_ms
from openams.private import write_private
from openams.terminal import say

app = typer.Typer(no_args_is_help=True, help="The collection centre: register, store, collection.")

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="OPENAMS_STORE",
        metavar="URL",
        help="A file, sqlite:///FILE or postgresql://HOST/NAME.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def store_url(chosen: str | None) -> str:
    """By default a file among the user's data."""
    if chosen:
        return chosen
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(data) / "openams" / "headend.db")


def now_ms() -> int:
    return to_utc_ms(datetime.now(UTC))


@app.command("import", epilog="Example: ams headend import areas.csv terms.csv meters.csv")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.csv ...")],
    who: Annotated[str, typer.Option(help="Who does it, for the record.")] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take CSV files into the register: all rows of all files, or none with every error named."""
    from openams.headend import registercsv
    from openams.headend.store import open_store

    tables, errors = registercsv.load(files)
    if not errors:
        with open_store(store_url(store)) as opened:
            faults = opened.import_register(tables, now_ms(), who)
        errors = registercsv.placed(faults, tables)
    if errors:
        if as_json:
            say(json.dumps({"imported": {}, "errors": [one._asdict() for one in errors]}))
        for one in () if as_json else errors:
            say(str(one), error=True)
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        raise BenchError(f"{count}, nothing is imported: mend the lines and call again")
    counts = tables.count()
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
    say(json.dumps({"imported": counts, "errors": []}) if as_json else f"imported: {text}")


@app.command(epilog="Example: ams headend export FOLDER")
def export(
    folder: Annotated[Path, typer.Argument(help="Where the CSV files go; made if not there.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the register as CSV files that may be imported again."""
    from openams.headend import registercsv
    from openams.headend.store import open_store
    from openams.private import make_folder

    with open_store(store_url(store)) as opened:
        tables = opened.register()
    make_folder(folder)
    for name, text in registercsv.texts(tables).items():
        write_private(folder / name, text.encode())
    counts: dict[str, Any] = tables.count()
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    say(json.dumps({"folder": str(folder), **counts}) if as_json else f"{folder}: {text}")


# Commands in modules of their own: delivery and report have many options.
app.command(
    "deliver", epilog="Example: ams headend deliver --hub https://service.elhub.no:8200 ..."
)(cli_deliver.deliver)
app.command("readings", epilog="Example: ams headend readings visits.csv")(cli_profiled.readings)
app.command("profiled", epilog="Example: ams headend profiled --plan dark")(cli_profiled.profiled)
