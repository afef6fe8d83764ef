"""`ams headend init` and `ams headend run`: a collection centre from a list, and its days."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openams.cli.common import JsonObjectOption, StoreOption
from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.errors import BenchError
from openams.keys.opening import open_keystore, read_passphrase
from openams.meter_time import to_utc_ms
from openams.private import make_folder, read_private, write_private
from openams.terminal import say

if TYPE_CHECKING:
    from openams.headend.elhub.deliver import Delivery
    from openams.headend.store import Store

_STORE, _KEYS, _SECRET, _HUB = "headend.db", "readers.keys", "readers.passphrase", "hub.db"
_FolderArgument = Annotated[Path, typer.Argument(help="The centre's own: store, readers' keys.")]


def init(
    folder: _FolderArgument,
    meters: Annotated[
        Path, typer.Argument(help="CSV file: meter_id,url, as ams field run --plan writes it.")
    ],
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First local day; yesterday.")
    ] = None,
    zero: Annotated[
        bool, typer.Option("--zero", help="Their registers were at zero then: from the works.")
    ] = False,
    minutes: Annotated[int, typer.Option("--period", help="15 or 60 minutes.")] = 60,
    store: StoreOption = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Begin a collection centre: a point for each meter of a list, and their readers' keys."""
    from openams.headend import beginning
    from openams.headend.days import local_day
    from openams.headend.store import open_store
    from openams.keys.handover import give_readers
    from openams.keys.keystore import Keystore

    if minutes not in (15, 60):
        raise BenchError("--period is 15 or 60 minutes")
    listed = beginning.read_meters(meters)
    begin = local_day(now_ms()) - timedelta(days=1) if first is None else _date(first)
    company = open_keystore(keystore, passphrase_file)
    make_folder(folder)
    secret = folder / _SECRET
    if secret.exists():
        raise BenchError(f"{folder} is a centre already: name another folder")
    with open_store(store or folder / _STORE) as opened:
        if opened.meters():
            raise BenchError(f"{opened.name} has a register already: name another with --store")
        write_private(secret, secrets.token_hex(16).encode() + b"\n", new=True)
        readers = Keystore(folder / _KEYS, read_passphrase(secret))
        given = give_readers(company, readers, [meter_id for meter_id, _ in listed])
        faults = opened.import_register(
            beginning.tables(listed, begin, minutes, zero), now_ms(), "init"
        )
        if faults:
            raise BenchError(faults[0].text)
    text = f"{folder}: {len(listed)} points from {begin}, readers' keys of {given} meters"
    result = {"folder": str(folder), "points": len(listed), "keys": given, "from": str(begin)}
    say(json.dumps(result) if as_json else text)


def run(
    folder: _FolderArgument,
    time_of: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Go by the clock of this meter: of a field's own time."),
    ] = None,
    speed: Annotated[float, typer.Option(help="Of that field: its seconds in one.")] = 1.0,
    hub: Annotated[
        bool, typer.Option(help="Deliver to a stand-in for Elhub within; else ams headend deliver.")
    ] = True,
    metrics: Annotated[
        int | None, typer.Option(metavar="PORT", help="Serve health for Prometheus there.")
    ] = None,
    sessions: Annotated[int, typer.Option(help="At a time.")] = 100,
    permits: Annotated[int, typer.Option(help="At a time in a segment of the net.")] = 8,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 30.0,
    tokens: Annotated[
        Path | None, typer.Option(help="JSON file: the token of each concentrator.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Run a collection centre until Ctrl-C: collect by night, evaluate, deliver, find causes."""
    from openams.headend.collect.collector import Roads, Settings
    from openams.headend.daemon import Daemon, PacedClock, shown_ms
    from openams.keys.keystore import Keystore

    if not 1 <= sessions <= 10_000 or not 1 <= permits <= 10_000 or timeout <= 0:
        raise BenchError("--sessions and --permits are 1 to 10000, --timeout is above 0")
    if not 0 < speed <= 100_000 or (speed != 1.0 and time_of is None):
        raise BenchError("--speed is above 0, and of a field: name a meter of it with --time-of")
    if not (folder / _SECRET).exists():
        raise BenchError(f"{folder} is no centre: make one with ams headend init")
    url = str(store or folder / _STORE)
    keys = Keystore(folder / _KEYS, read_passphrase(folder / _SECRET))
    known = read_tokens(tokens) if tokens else {}
    roads = Roads(timeout, known)
    clock = PacedClock(shown_ms(time_of, timeout) if time_of else None, speed)
    settings = Settings("centre", sessions, permits, timeout)
    daemon = Daemon(
        url, keys, clock, settings, roads, lambda s, now: _delivery(folder, hub, s, now), say
    )
    if metrics is not None:
        _serve_metrics(url, metrics)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: daemon.stop())
    say(f"{folder}: it runs, until Ctrl-C")
    asyncio.run(daemon.run())


def _delivery(
    folder: Path, hub: bool, store: Store, now: Callable[[], datetime]
) -> tuple[Delivery | None, Callable[[], None]]:
    from openams.headend.days import day_date
    from openams.headend.elhub.inprocess import LocalHub

    row = store.one("SELECT min(from_day) FROM terms")
    if not hub or row is None or row[0] is None:
        return None, lambda: None
    local = LocalHub(store, now, day_date(row[0]), folder / _HUB)
    return local.delivery, local.close


def _serve_metrics(url: str, port: int) -> None:
    from openams.cli.report import metrics_server

    server = metrics_server(url, "127.0.0.1", port)
    say(f"http://127.0.0.1:{server.server_address[1]}/metrics")
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()


def now_ms() -> int:
    return to_utc_ms(datetime.now(UTC))


def read_tokens(path: Path) -> dict[str, str]:
    try:
        found = json.loads(read_private(path))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise BenchError(f'{path} is no JSON object of tokens: {{"C0001": "..."}}')
    return found


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BenchError(f"--from {text!r} is no date: write it like 2026-01-31") from None
