"""`ams fleet`: many meters in one process, for head-ends and rationing runs."""

from __future__ import annotations

import csv
import io
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.errors import BenchError
from openams.gs1 import meter_number as meter_number
from openams.keys.opening import open_keystore
from openams.private import write_private
from openams.terminal import say


def fleet(
    count: Annotated[int, typer.Argument(help="How many meters.")],
    port: Annotated[int, typer.Option(help="Of the first; the others follow.")] = 6000,
    plan: Annotated[
        Path | None, typer.Option(help="Write their numbers and URLs to this CSV file.")
    ] = None,
    offline: Annotated[int, typer.Option(help="So many do not answer at all.")] = 0,
    late: Annotated[int, typer.Option(help="So many answer late.")] = 0,
    late_s: Annotated[float, typer.Option(metavar="S", help="How late.")] = 20.0,
    critical: Annotated[int, typer.Option(help="So many are critical points.")] = 0,
    days: Annotated[int, typer.Option(help="So many days lie behind each, in its profiles.")] = 0,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Run many meters, each on a TCP port, until Ctrl-C."""
    from openams.runtimes.fleet import Behaviour, Fleet

    if not 1 <= count <= 2000 or not 1 <= port <= 65536 - count:
        raise BenchError("a fleet has 1 to 2000 meters, on ports below 65536")
    if offline + late + critical > count:
        raise BenchError("more meters misbehave than there are")
    if not 0 <= days <= 400:
        raise BenchError("--days must lie between 0 and 400")
    store = open_keystore(keystore, passphrase_file)
    ids = [meter_number(k) for k in range(count)]
    kinds = (
        [Behaviour(offline=True)] * offline
        + [Behaviour(late_s=late_s)] * late
        + [Behaviour(critical=True)] * critical
    )
    with Fleet(store, ids, dict(zip(ids, kinds, strict=False)), port, days) as meters:
        rows = [{"meter_id": meter.meter_id, "url": meter.url} for meter in meters.meters]
        if plan:
            text = io.StringIO()
            writer = csv.DictWriter(text, ["meter_id", "url"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_private(plan, text.getvalue().encode())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: meters.stop())
        say(json.dumps(rows) if as_json else f"{count} meters from {rows[0]['url']}")
        meters.serve()
