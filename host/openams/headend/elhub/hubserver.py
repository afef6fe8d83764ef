"""The stand-in on a port: SOAP by POST, the customers' API by GET. One request at a time."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openams.headend.elhub.hub import Hub
from openams.headend.elhub.link import DirectLine, Line, Unanswered
from openams.headend.elhub.model import ElhubError
from openams.headend.elhub.openapi import ApiError, Desk, asked
from openams.headend.elhub.wire import Service
from openams.listening import HttpServer

SOAP_PATH = "/WebService/services/"
API_PATH = "/energy-data/v0/"
# Of a form with a grant; the hub itself bounds messages.
_MOST_FORM = 64 << 10
_MOST_MESSAGE = 256 << 20
_PATIENCE_S = 60.0


class HubServer:
    """Listens from the start; `serve` until `close`."""

    def __init__(
        self,
        hub: Hub,
        desk: Desk,
        clock: Callable[[], datetime],
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        line: Line | None = None,
    ) -> None:
        """`line`: how requests come to the hub, for one that is not well (trouble.TroubledLine)."""
        self._lock = threading.Lock()
        way = line or DirectLine(hub.answer)

        class Handler(_Handler):
            server_hub, server_desk, server_clock, server_lock = hub, desk, clock, self._lock
            server_line = way

        try:
            self._server = HttpServer((host, port), Handler)
        except OSError as error:
            raise ElhubError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        if tls is not None:
            # In the thread of each: who says nothing keeps nobody else waiting.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        name, bound = self._server.server_address[:2]
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://{name if isinstance(name, str) else name.decode()}:{bound}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def start(self) -> None:
        threading.Thread(target=self.serve, name="elhub-stand-in", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_hub: Hub
    server_desk: Desk
    server_clock: Callable[[], datetime]
    server_lock: threading.Lock
    server_line: Line
    protocol_version = "HTTP/1.1"
    server_version = "openams-elhub-stand-in"
    sys_version = ""
    timeout = _PATIENCE_S

    def parse_request(self) -> bool:
        """Whether there is a request; what has no target that can be read has its answer."""
        if not super().parse_request():
            return False
        try:
            urlsplit(self.path)
        except ValueError:
            self.send_error(400, "no target")
            return False
        return True

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if path == "/token":
            self._token()
        elif path.startswith(SOAP_PATH):
            octets = self._body(_MOST_MESSAGE)
            if octets is not None:
                self._soap(path, octets)
        else:
            self._json(404, {"error": "there is no such service"})

    def _soap(self, path: str, octets: bytes) -> None:
        service = Service(path[len(SOAP_PATH) :], self.headers.get("SOAPAction", ""))
        try:
            with self.server_lock:
                status, answer = self.server_line.exchange(service, octets)
        except Unanswered:
            self.close_connection = True
            return
        self._say(status, answer, "text/xml; charset=utf-8")

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if not parts.path.startswith(API_PATH):
            self._json(404, {"error": "there is no such resource"})
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            with self.server_lock:
                found = asked(
                    self.server_hub.store,
                    self.server_desk,
                    parts.path[len(API_PATH) :],
                    query,
                    headers,
                    type(self).server_clock(),
                )
        except ApiError as error:
            self._json(error.status, error.body)
            return
        if found is None:
            self._say(204, b"", "application/json")
        else:
            self._json(200, found)

    def _token(self) -> None:
        octets = self._body(_MOST_FORM)
        if octets is None:
            return
        form = dict(parse_qsl(octets.decode("utf-8", "replace")))
        try:
            with self.server_lock:
                answer = self.server_desk.token(form, type(self).server_clock())
        except ElhubError as error:
            self._json(400, {"error": "invalid_grant", "error_description": str(error)})
            return
        self._json(200, answer)

    def _body(self, most: int) -> bytes | None:
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) > most:
            self.close_connection = True
            self._json(413 if text else 411, {"error": f"a body of at most {most} octets"})
            return None
        return self.rfile.read(int(text))

    def _json(self, status: int, answer: Any) -> None:
        self._say(status, json.dumps(answer).encode(), "application/json")

    def _say(self, status: int, octets: bytes, kind: str) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what came and was refused is in the store."""
