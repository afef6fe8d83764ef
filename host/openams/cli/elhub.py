"""`ams elhub-stand-in`: a hub to deliver to, with Elhub's rules."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openams import csvtable
from openams.errors import BenchError
from openams.private import make_folder, read_private, write_private
from openams.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openams.headend.elhub.hubstore import HubPoint
    from openams.headend.elhub.openapi import Customer
    from openams.headend.elhub.soap import Identity

_HINT = "the state's folder has to be your own"
_COLUMNS = ("gsrn", "kind", "resolution_min", "party", "from", "settlement")


def stand_in(
    state: Annotated[Path, typer.Option(help="Folder of its keys and values; made if needed.")],
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Metering points: gsrn,kind,resolution_min,party,from,settlement. party is the "
            "GLN of the grid company, from a date, settlement is interval or profile.",
        ),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Metering points of a head-end's store, for one --party."),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="With --register: first day that is expected; yesterday."),
    ] = None,
    party: Annotated[
        list[str] | None,
        typer.Option(help="GLN that may send; its key is made in STATE/parties if it has none."),
    ] = None,
    customer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID:PEM:POINT,...",
            help="Client of the customers' API: its public key, and the points that are its.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8200,
    trouble: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE",
            help="Be unwell: away, deaf, nonsense, half, unsigned, twice; share from 0 to 1.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the troubles.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = (
        False
    ),
) -> None:
    """Stand in for Elhub: take values by its rules, refuse, remind, until Ctrl-C."""
    from openams.headend.elhub.hub import Hub
    from openams.headend.elhub.hubserver import HubServer
    from openams.headend.elhub.hubstore import HubStore
    from openams.headend.elhub.link import DirectLine
    from openams.headend.elhub.openapi import Desk
    from openams.headend.elhub.trouble import TROUBLES, TroubledLine

    rates = _shares(trouble or [], TROUBLES)
    known = list(_read_points(points)) if points is not None else []
    if register is not None:
        known += _of_store(register, party or [], begin)
    customers = {one.client_id: one for one in map(_customer, customer or [])}
    make_folder(state / "parties", _HINT)
    identity = _identity(state / "hub.pem", "hub")
    # What companies are given to know the hub by: without its key.
    write_private(state / "hub.crt", identity.certificate_pem(), hint=_HINT)
    parties = {gln: _identity(state / "parties" / f"{gln}.pem", gln) for gln in _glns(state, party)}
    store = HubStore(state / "hub.db")
    store.add_points(known)

    def clock() -> datetime:
        return datetime.now(UTC)

    hub = Hub(store, identity, {gln: one.certificate for gln, one in parties.items()}, clock)
    line = TroubledLine(DirectLine(hub.answer), rates, seed) if rates else None
    server = HubServer(hub, Desk(customers), clock, host, port, line=line)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=server.close).start())
    started = {"url": server.url, "state": str(state), "parties": sorted(parties)}
    say(json.dumps(started) if as_json else f"{server.url} for {', '.join(sorted(parties))}")
    server.serve()
    figures = store.figures()
    store.close()
    if as_json:
        say(json.dumps(figures))
    else:
        say(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in figures.items()))


def _of_store(url: str, parties: list[str], begin: str | None) -> list[HubPoint]:
    from openams.headend.elhub.inprocess import hub_points
    from openams.headend.store import open_store
    from openams.meter_time import NORWAY

    if len(parties) != 1:
        raise BenchError("--register needs one --party: whose points they are")
    try:
        yesterday = datetime.now(NORWAY).date() - timedelta(days=1)
        first = yesterday if begin is None else date.fromisoformat(begin)
    except ValueError:
        raise BenchError(f"--begin {begin!r} is no day: write it like 2026-01-31") from None
    with open_store(url) as opened:
        return list(hub_points(opened, first, parties[0]))


def _glns(state: Path, asked: list[str] | None) -> list[str]:
    from openams.headend.elhub.build import is_gln

    for gln in asked or []:
        if not is_gln(gln):
            raise BenchError(f"--party {gln!r} is no GLN: 13 digits with their check digit")
    found = {path.stem for path in (state / "parties").glob("*.pem")} | set(asked or [])
    if not found:
        raise BenchError("nobody may send: name a grid company with --party GLN")
    return sorted(found)


def _identity(path: Path, name: str) -> Identity:
    """A key that was made before, or one that is made now."""
    from openams.headend.elhub.soap import Identity, make_identity

    try:
        return Identity.from_pem(read_private(path, secret=True))
    except FileNotFoundError:
        made = make_identity(name, datetime.now(UTC))
        write_private(path, made.pem(), new=True, hint=_HINT)
        return made


def _shares(texts: list[str], names: tuple[str, ...]) -> dict[str, float]:
    out = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            out[name] = float(share)
        except ValueError:
            out[name] = -1.0
        if name not in names or not 0 <= out[name] <= 1:
            raise BenchError(
                f"--trouble {text!r}: write NAME=SHARE with one of {', '.join(names)} and 0 to 1"
            )
    if sum(out.values()) > 1:
        raise BenchError("the shares of all --trouble are more than 1")
    return out


def _customer(text: str) -> Customer:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from openams.headend.elhub.openapi import Customer

    parts = text.split(":")
    if len(parts) != 3:
        raise BenchError(f"--customer {text!r}: write ID:PEM:POINT,POINT")
    client_id, path, points = parts
    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise BenchError(f"--customer {client_id}: {path} is no public key: {error}") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise BenchError(f"--customer {client_id}: the key has to be RSA")
    return Customer(client_id, key, client_id, tuple(points.split(",")))


def _read_points(path: Path) -> Iterator[HubPoint]:
    """Every row, or all that is wrong with the file in one error."""
    rows = csvtable.rows_of(path)
    wrong, points = [], []
    for number, row in rows:
        try:
            points.append(_hub_point(row))
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if not rows:
        wrong.append(f"no rows: its first line is {','.join(_COLUMNS)}")
    if wrong:
        raise BenchError(f"{path}: {'; '.join(wrong)}")
    return iter(points)


def _hub_point(row: dict[str, str]) -> HubPoint:
    from openams.gs1 import check_digit
    from openams.headend.elhub.build import DIRECTIONS, is_gln
    from openams.headend.elhub.hubstore import HubPoint
    from openams.headend.vee.calendar import midnight

    missing = [name for name in _COLUMNS if not row.get(name)]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    gsrn = row["gsrn"]
    digits = len(gsrn) == 18 and gsrn.isascii() and gsrn.isdecimal()
    if not digits or gsrn[-1] != check_digit(gsrn[:-1]):
        raise ValueError(f"gsrn {gsrn!r} is no 18 digits with their check digit")
    if not is_gln(row["party"]):
        raise ValueError(f"party {row['party']!r} is no GLN")
    kinds = {"consumption": (1,), "production": (2,), "prosumer": (1, 2), "exchange": (1, 2)}
    if row["kind"] not in kinds:
        raise ValueError(f"kind {row['kind']!r} is none of {', '.join(kinds)}")
    if row["resolution_min"] not in ("15", "60"):
        raise ValueError(f"resolution_min {row['resolution_min']!r} is neither 15 nor 60")
    if row["settlement"] not in ("interval", "profile"):
        raise ValueError(f"settlement {row['settlement']!r} is neither interval nor profile")
    try:
        begin = midnight(date.fromisoformat(row["from"]))
    except (ValueError, OverflowError):
        raise ValueError(f"from {row['from']!r} is no date") from None
    directions = tuple(DIRECTIONS[series] for series in kinds[row["kind"]])
    settled = row["settlement"] == "interval"
    minutes = int(row["resolution_min"])
    return HubPoint(gsrn, row["party"], directions, minutes, begin, None, settled)
