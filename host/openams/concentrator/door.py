"""What a concentrator gives to head-ends: JSON over HTTP, with a token (docs/concentrator.md).

Bounded in all: connections, the size of a question and of an answer, and the time that somebody
may take to ask, or to read what he is told.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import date
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openams.concentrator.core import Concentrator
from openams.errors import BenchError
from openams.meter_time import local_text

_CONNECTIONS = 32
_BODY_MOST = 4096
_PATIENCE_S = 20.0
_LIFE_S = 600.0  # of a connection
DAYS_MOST = 200
_ROWS_MOST = 1000

Answer = tuple[int, dict[str, Any]]


class Door:
    """Questions and their answers, apart from how they come. `discover` is begun elsewhere."""

    def __init__(self, concentrator: Concentrator, wake: Callable[[str], None]) -> None:
        self._of = concentrator
        self._wake = wake

    def get(self, path: str, query: dict[str, str]) -> Answer:
        of = self._of
        if path == "/v1/state":
            return 200, of.figures()
        if path == "/v1/meters":
            return 200, {"meters": [state.to_json() for state in of.meters()]}
        if path == "/v1/days":
            limit = min(_number(query, "limit", 100), DAYS_MOST)
            return 200, days_body(
                of, _number(query, "after"), limit, query.get("meter", ""), query.get("day", "")
            )
        for name, rows in (("alarms", of.store.alarms), ("pushes", of.store.pushes)):
            if path == f"/v1/{name}":
                found = rows(_number(query, "after"), _ROWS_MOST)
                return 200, {"store_id": of.store_id, name: [_shown(row) for row in found]}
        return 404, {"error": "there is no such question: docs/concentrator.md has them"}

    def post(self, path: str, order: dict[str, Any]) -> Answer:
        of = self._of
        if path == "/v1/days/taken":
            if order.get("store_id") != of.store_id:
                return 409, {"error": f"the store is {of.store_id}: begin with its first day"}
            of.taken(_whole(order, "seq"))
            return 200, {"taken": of.store.meta("taken")}
        if path == "/v1/ask":
            of.ask(str(order.get("meter_id", "")), _day(order))
            self._wake("ask")
            return 202, {}
        if path == "/v1/discover":
            self._wake("discover")
            return 202, {}
        if counters := re.fullmatch(r"/v1/meters/([0-9]{16})/counters", path):
            first, end = of.lease(counters[1], _whole(order, "count"))
            return 200, {"first": first, "end": end}
        return 404, {"error": "there is no such order: docs/concentrator.md has them"}


def days_body(
    of: Concentrator, after: int, limit: int, meter_id: str = "", day: str = ""
) -> dict[str, Any]:
    """Days behind a number, as they are given on request and pushed."""
    found = of.store.days(after, limit + 1, meter_id, day)
    given = found[:limit]
    return {
        "concentrator": of.name,
        "store_id": of.store_id,
        "days": [stored.to_json() for stored in given],
        "next": given[-1].seq if given else after,
        "more": len(found) > limit,
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in row.items() if key != "at_ms"}
    if "octets" in out:
        out["octets"] = out["octets"].hex()
    return {**out, "time": local_text(row["at_ms"])}


def _number(query: dict[str, str], name: str, default: int = 0) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BenchError(f"{name} is a whole number")
    return int(text)


def _whole(order: dict[str, Any], name: str) -> int:
    value = order.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise BenchError(f"{name} is a whole number")
    return value


def _day(order: dict[str, Any]) -> date:
    try:
        return date.fromisoformat(str(order.get("day")))
    except ValueError:
        raise BenchError("day is a date like 2026-01-31") from None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_S  # of each wait for the other end
    server: DoorServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._answer(lambda: self.server.door.get(parts.path, dict(parse_qsl(parts.query))))

    def do_POST(self) -> None:
        self._answer(self._posted)

    def _posted(self) -> Answer:
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit() or int(text[:9]) > _BODY_MOST:
            self.close_connection = True
            return 413, {"error": f"an order has at most {_BODY_MOST} octets, and says how many"}
        try:
            order = json.loads(self.rfile.read(int(text)) or b"{}")
        except (ValueError, RecursionError):
            order = None
        if not isinstance(order, dict):
            return 400, {"error": "an order is a JSON object"}
        return self.server.door.post(urlsplit(self.path).path, order)

    def _answer(self, work: Callable[[], Answer]) -> None:
        if not self._may():
            self.close_connection = True
            code, body = 401, {"error": "the token is missing or wrong: Authorization: Bearer ..."}
        else:
            try:
                code, body = work()
            except BenchError as error:
                code, body = 400, {"error": str(error)}
        data = json.dumps(body).encode()
        if time.monotonic() - self._begun > _LIFE_S:
            self.close_connection = True
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def _may(self) -> bool:
        scheme, _, said = self.headers.get("Authorization", "").partition(" ")
        right = secrets.compare_digest(said.strip().encode("latin-1", "replace"), self.server.token)
        return right and scheme.lower() == "bearer"

    def setup(self) -> None:
        super().setup()
        self._begun = time.monotonic()

    def version_string(self) -> str:
        return "openams"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: what is asked for is nobody's business."""


class DoorServer(ThreadingMixIn, TCPServer):
    """On a socket that listens; serves in threads from `start` on."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, token: str) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.port: int = listener.getsockname()[1]
        self.token = token.encode()
        self.door: Door
        self._places = threading.BoundedSemaphore(_CONNECTIONS)
        self._started = False

    def start(self, door: Door) -> None:
        self.door = door
        self._started = True
        threading.Thread(target=self.serve_forever, args=(0.2,), daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up amid an answer, or takes too long for it, is no error of ours."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._started:
                self.shutdown()
            self.server_close()
