"""`ams headend report` and `ams headend metrics`."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Annotated

import typer

from openams.cli.common import JsonObjectOption, StoreOption
from openams.errors import BenchError
from openams.listening import HttpServer
from openams.private import write_private
from openams.terminal import say, say_lines

_LONGEST_DAYS = 400
_KEPT_S = 5.0


def report(
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First day; seven days by default.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Last day; yesterday by default.")
    ] = None,
    company: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What no register has: plans, competence, ..."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that prints.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table.")] = None,
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """The regulator's figures 1 to 11 for the company, and the chain's own."""
    from openams.headend.report import charts, page, table
    from openams.headend.report.company import Company, load
    from openams.headend.report.gather import report as gather
    from openams.headend.store import open_store, store_url
    from openams.meter_time import NORWAY

    now = datetime.now(UTC)
    until = _day("--to", last) or now.astimezone(NORWAY).date() - timedelta(days=1)
    begin = _day("--from", first) or until - timedelta(days=6)
    if not 0 <= (until - begin).days < _LONGEST_DAYS:
        raise BenchError(f"--from {begin} --to {until} are no 1 to {_LONGEST_DAYS} days")
    stated = Company() if company is None else load(company)
    with open_store(store_url(store)) as opened:
        found = gather(opened, begin, until, now, stated)
    for path, write in ((html, page.html), (csv, table.as_csv)):
        if path is not None:
            write_private(path, write(found).encode())
    if as_json:
        say(json.dumps(table.as_json(found)))
        return
    for figure in (*found.own, *found.regulator):
        number = f"{figure.number}. " if figure.number else ""
        rows = ", ".join(f"{row.label} {charts.percent(row.share)}" for row in figure.rows)
        say(f"{number}{figure.title}: {rows or 'nothing'}")
    for text in found.missing:
        say(f"not said: {text}")


def metrics(
    port: Annotated[
        int | None, typer.Option(help="Serve them on this port until Ctrl-C, 0: a free one.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    store: StoreOption = None,
) -> None:
    """Print or serve the head-end's health for Prometheus."""
    from openams.headend.report.health import metrics as written
    from openams.headend.store import open_store, store_url

    url = store_url(store)
    if port is None:
        with open_store(url) as opened:
            say_lines(written(opened, datetime.now(UTC)))
        return
    server = metrics_server(url, host, port)
    say(f"http://{host}:{server.server_address[1]}/metrics")
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        server.server_close()


def metrics_server(url: str, host: str, port: int) -> HttpServer:
    """Serves the health of a store; BenchError where it cannot listen."""
    from openams.headend.report.health import metrics as written
    from openams.headend.store import open_store

    asking = threading.Lock()
    until, text = 0.0, ""

    def now() -> str:
        # Among many meters it takes seconds: whoever asks meanwhile gets the same.
        nonlocal until, text
        with asking:
            if time.monotonic() >= until:
                with open_store(url) as opened:
                    text = written(opened, datetime.now(UTC))
                until = time.monotonic() + _KEPT_S
            return text

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            try:
                status, body = 200, now() if self.path == "/metrics" else ""
            except BenchError as error:
                status, body = 503, f"{error}\n"
            if not body:
                status, body = 404, "metrics are at /metrics\n"
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: who watches asks often."""

    try:
        return HttpServer((host, port), Handler)
    except OSError as error:
        raise BenchError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BenchError(f"{option} {text!r} is no day: write it like 2026-01-31") from None
