"""`ams headend deliver`: what the store has to Elhub, once or for as long as it runs."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.cli.common import StoreOption
from openams.errors import BenchError
from openams.private import read_private
from openams.terminal import say

if TYPE_CHECKING:
    from openams.headend.elhub.deliver import Delivery
    from openams.headend.store import Store

_DAYS_SHOWN = 7


def deliver(
    hub: Annotated[str, typer.Option(envvar="OPENAMS_ELHUB", help="Address of the hub.")],
    identity: Annotated[
        Path, typer.Option(help="PEM file with the company's private key and certificate.")
    ],
    hub_certificate: Annotated[
        Path, typer.Option(help="PEM file with the certificate by which the hub signs.")
    ],
    party: Annotated[str, typer.Option(metavar="GLN", help="The grid company.")],
    sender: Annotated[
        str | None, typer.Option(metavar="GLN", help="Who sends for it, if that is another.")
    ] = None,
    every: Annotated[
        float, typer.Option(metavar="S", help="Go on, a step each so many seconds; 0: one step.")
    ] = 0.0,
    settle: Annotated[
        float,
        typer.Option(metavar="MIN", help="What is not refused for so long counts as accepted."),
    ] = 30.0,
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="First day that Elhub gets, at first use.")
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(metavar="POINT", help="Let go what was parked of a point, to go again."),
    ] = None,
    suite: Annotated[str, typer.Option(help="Of signatures: sha1 (Elhub's WSDL) or sha256.")] = (
        "sha1"
    ),
    ca: Annotated[Path | None, typer.Option(help="PEM file of who vouches for the hub's TLS.")] = (
        None
    ),
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a step.")] = False,
) -> None:
    """Send values to Elhub, read its answers, correct, answer reminders."""
    from openams.headend.elhub.build import Parties
    from openams.headend.elhub.deliver import Delivery, Settings
    from openams.headend.elhub.link import HttpLine, Link
    from openams.headend.elhub.soap import SUITES, Identity
    from openams.headend.report.health import log
    from openams.headend.store import GoneError, open_store, store_url

    if suite not in SUITES:
        raise BenchError(f"--suite {suite!r} is none of {', '.join(SUITES)}")
    if not 0 <= every <= 86400 or not 0 <= settle <= 1440:
        raise BenchError("--every is 0 to 86400 seconds, --settle 0 to 1440 minutes")
    first = _day(since)
    mine = Identity.from_pem(_secret(identity), suite)
    parties = Parties(sender or party, party)
    line = HttpLine(hub, ca=None if ca is None else str(ca))

    def clock() -> datetime:
        return datetime.now(UTC)

    link = Link(line, mine, [_certificate(hub_certificate)], parties, clock)
    settings = Settings(timedelta(minutes=settle), first)
    pause = threading.Event()
    while True:
        try:
            with open_store(store_url(store)) as opened:
                delivery = Delivery(opened, link, clock, settings)
                if release is not None:
                    _release(delivery, release, as_json)
                    release = None
                _steps(delivery, opened, every, as_json, clock)
            return
        except GoneError as error:
            # A database that went away comes back; what was under way is in it.
            if not every:
                raise
            log("store-gone", clock(), error=str(error))
            pause.wait(every)


def _release(delivery: Delivery, point: str, as_json: bool) -> None:
    count = delivery.release(point)
    if not count:
        raise BenchError(f"nothing of {point} is parked")
    say(f"{point}: {count} series let go", error=as_json)


def _steps(delivery: Delivery, store: Store, every: float, as_json: bool, clock: Any) -> None:
    from openams.headend.report.health import log

    pause = threading.Event()
    while True:
        found = delivery.step()
        days = _figures(store, clock())
        if as_json:
            say(json.dumps({"at": clock().isoformat(), **asdict(found), "days": days}))
        else:
            parts = [f"{count} {name}" for name, count in asdict(found).items() if name != "error"]
            say(", ".join(parts))
        if not every:
            if found.error:
                raise BenchError(found.error)
            return
        log("elhub-step", clock(), **asdict(found))
        try:
            pause.wait(every)
        except KeyboardInterrupt:
            return


def _figures(store: Store, now: datetime) -> list[dict[str, Any]]:
    from openams.headend.elhub.deadlines import figures
    from openams.meter_time import NORWAY

    today = now.astimezone(NORWAY).date()
    days = [today - timedelta(days=ago) for ago in range(_DAYS_SHOWN, 0, -1)]
    rows = (one for one in figures(store, days, now) if one.expected)
    return [{**one._asdict(), "day": one.day.isoformat()} for one in rows]


def _secret(path: Path) -> bytes:
    try:
        return read_private(path, secret=True)
    except FileNotFoundError:
        raise BenchError(f"there is no {path}: it holds the company's key and certificate") from (
            None
        )


def _certificate(path: Path) -> Any:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise BenchError(f"{path} holds no certificate in PEM") from None


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BenchError(f"--since {text!r} is no day: write it like 2026-01-31") from None
