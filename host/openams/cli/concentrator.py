"""`ams concentrator`: between a head-end and the meters of one substation."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from openams.cli.common import JsonOption, group
from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.errors import BenchError
from openams.keys.opening import open_keystore
from openams.private import read_private
from openams.terminal import say, say_lines

if TYPE_CHECKING:
    from openams.concentrator.outbox import Deliver
    from openams.concentrator.service import Service

app = group("A data concentrator: store and forward, and the way through to each meter.")

_VIEWS = ("state", "meters", "days", "alarms", "pushes")
_TIMEOUT_S = 30.0


@app.command(
    epilog="Example: ams concentrator run sub1 --list meters.csv --keystore sub1.keys "
    "--passphrase-file secret"
)
def run(
    folder: Annotated[Path, typer.Argument(help="Its store; made if not there.")],
    list_: Annotated[
        Path, typer.Option("--list", help="CSV file of its meters: meter_id,url (tcp://host:port).")
    ],
    name: Annotated[str | None, typer.Option(help="Its own; that of the folder if none.")] = None,
    host: Annotated[str, typer.Option(help="To listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of the way to the meters; 0: a free one.")] = 4060,
    http_port: Annotated[int, typer.Option(help="Of what it gives itself; 0: a free one.")] = 8060,
    window: Annotated[
        str, typer.Option(metavar="HH:MM-HH:MM", help="When meters are read, Norwegian time.")
    ] = "00:05-07:00",
    push_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Bring days there as they come.")
    ] = None,
    push_token_file: Annotated[
        Path | None, typer.Option(help="File with the token for that URL.")
    ] = None,
    scan: Annotated[
        str | None, typer.Option(metavar="HOST:FIRST-LAST", help="Look for new meters there.")
    ] = None,
    clock_offset: Annotated[
        float, typer.Option(metavar="S", help="Its clock is so far off this computer's.")
    ] = 0.0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a meter's answer.")] = 10.0,
    duration: Annotated[float | None, typer.Option(metavar="S", help="End after so long.")] = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a concentrator until Ctrl-C, or for --duration."""
    from openams.concentrator.clock import SystemClock
    from openams.concentrator.core import Concentrator
    from openams.concentrator.roster import read_list
    from openams.concentrator.service import Service, token_of
    from openams.concentrator.state import Settings, parse_window
    from openams.concentrator.ways import TcpWay, parse_scan
    from openams.listening import listen

    meters = read_list(list_)
    begin, end = parse_window(window)
    if not 0 < timeout <= 600 or not abs(clock_offset) < 1e9 or (duration or 1) <= 0:
        raise BenchError("--timeout, --clock-offset and --duration are seconds, within reason")
    settings = replace(Settings(), window_begin=begin, window_end=end, timeout_s=timeout)
    deliver = _delivery(push_url, push_token_file)
    way = TcpWay(meters, parse_scan(scan) if scan else None)
    clock = SystemClock(round(clock_offset * 1000))
    store = open_keystore(keystore, passphrase_file)
    # Ports first: where one cannot be had nothing is made.
    with listen(host, port, "--port") as first, listen(host, http_port, "--http-port") as second:
        concentrator = Concentrator(
            name or folder.absolute().name, folder, meters, store, way, clock, settings
        )
        with contextlib.closing(concentrator):
            service = Service(
                concentrator, way, (first, second), token_of(folder), deliver,
                discover_s=3600.0 if scan else 0.0,
            )  # fmt: skip
            _serve(service, host, duration, as_json)


def _serve(service: Service, host: str, duration: float | None, as_json: bool) -> None:
    """Until it is ended, or for `duration` seconds."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.stop())
    of = service.concentrator
    shown = f"[{host}]" if ":" in host else host
    ports = {"gateway": f"tcp://{shown}:{service.passage.port}"}
    ports["http"] = f"http://{shown}:{service.door.port}"
    count = len(of.meters())

    def ready() -> None:
        text = f"{of.name}: {count} meters behind {ports['gateway']}, days at {ports['http']}"
        say(json.dumps({"concentrator": of.name, "meters": count, **ports}) if as_json else text)

    service.run(duration, ready)
    if as_json:
        say(json.dumps(of.figures()))


def _delivery(url: str | None, token_file: Path | None) -> Deliver | None:
    from openams.concentrator.outbox import http_delivery

    if url is None:
        if token_file:
            raise BenchError("--push-token-file is for --push-url")
        return None
    token = ""
    if token_file:
        try:
            token = read_private(token_file, secret=True).decode("ascii").strip()
        except FileNotFoundError:
            raise BenchError(f"cannot read {token_file}: there is no such file") from None
        except UnicodeDecodeError:
            raise BenchError(f"{token_file} holds no token") from None
    return http_delivery(url, token)


@app.command(epilog="Example: ams concentrator show http://127.0.0.1:8060 meters sub1/token")
def show(
    url: Annotated[str, typer.Argument(help="http://host:port of a concentrator.")],
    what: Annotated[str, typer.Argument(metavar="|".join(_VIEWS))],
    token_file: Annotated[Path, typer.Argument(help="FOLDER/token of the concentrator.")],
    after: Annotated[int, typer.Option(help="What has a number above this one.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Ask a concentrator: its state, its meters, the days and alarms that it has."""
    if what not in _VIEWS:
        raise BenchError(f"{what!r} is unknown: choose one of {', '.join(_VIEWS)}")
    try:
        token = read_private(token_file, secret=True).decode("ascii", "replace").strip()
    except FileNotFoundError:
        raise BenchError(f"cannot read {token_file}: there is no such file") from None
    path = f"/v1/{what}" + (f"?after={after}" if what in ("days", "alarms", "pushes") else "")
    body = _ask(url, path, token)
    if as_json or what == "state":
        say_lines(json.dumps(body, indent=None if as_json else 2))
        return
    for row in body[what]:
        say(_line(what, row))
    if not body[what]:
        say(f"no {what}")


def _ask(url: str, path: str, token: str) -> dict[str, Any]:
    parts = urlsplit(url)
    try:
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_S)
    except ValueError:
        raise BenchError(f"{url!r}: write it like http://127.0.0.1:8060") from None
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        if not isinstance(body, dict):
            raise ValueError
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise BenchError(f"no concentrator answers at {url}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise BenchError(f"{url}: {body.get('error', answer.status)}")
    return body


def _line(what: str, row: dict[str, Any]) -> str:
    if what == "meters":
        signal_ = f"{row['signal_dbm']} dBm" if row["signal_dbm"] is not None else "-"
        shown = (row["meter_id"], row["state"], signal_, row["last_day"] or "-", row["reason"])
        return "{:<16} {:<8} {:>8} {:<10} {}".format(*shown).rstrip()
    if what == "days":
        whole = "whole" if row["complete"] else "with gaps"
        return f"{row['seq']:>6} {row['meter_id']} {row['day']} {len(row['rows'])} rows, {whole}"
    if what == "alarms":
        return (
            f"{row['seq']:>6} {row['time']} {row['kind']} {row['meter_id']} {row['text']}".rstrip()
        )
    return f"{row['seq']:>6} {row['time']} {row['meter_id']} {row['octets']}"
