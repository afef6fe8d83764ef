"""The page's server: static files, one stream of events, one door for what is done to the meter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from openams.errors import BenchError
from openams.listening import listen
from openams.web.gate import Gate, is_loopback
from openams.web.hub import Hub

# Taken for --web 0 if it is free: the address stays the same from run to run.
_USUAL_PORT = 8080
_BODY_MOST = 4096
_STOP_S = 2.0
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# An action or a question of the page, by name; raises BenchError with words for the user.
Door = Callable[[dict[str, Any]], Any]


class WebServer:
    """Listens from the start; serves from `start` on, in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.hub = Hub()
        self._socket = _listen(host, port)
        self._token = secrets.token_urlsafe(24)
        name, bound = self._socket.getsockname()[:2]
        shown = f"[{name}]" if ":" in name else name
        self.url = f"http://{shown}:{bound}/"
        if not is_loopback(host):
            # Behind the # it is sent to nobody.
            self.url += f"#{self._token}"
        self._host = host
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._door: Door = lambda order: None

    def start(self, door: Door) -> None:
        """`door` is called in threads of the server."""
        self._door = door
        app = Gate(self._app(), self._host, self._token)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", http="h11",
            loop="asyncio", server_header=False, date_header=False, limit_concurrency=128,
            timeout_keep_alive=10, timeout_graceful_shutdown=1, h11_max_incomplete_event_size=16384,
        )  # fmt: skip
        server = self._server = uvicorn.Server(config)
        begun = threading.Event()

        async def serve() -> None:
            self.hub.begin(asyncio.get_running_loop())
            begun.set()
            with contextlib.suppress(asyncio.CancelledError):
                await server.serve(sockets=[self._socket])

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        begun.wait()

    def close(self) -> None:
        self.hub.publish("end", {})
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(timeout=_STOP_S)
        self._socket.close()

    # --- what it serves ----------------------------------------------------------------

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._index),
                Route("/api/stream", self._stream),
                Route("/api/do", self._do, methods=["POST"]),
                Route("/{name}", self._file),
            ]
        )

    async def _index(self, request: Request) -> Response:
        # Only who sees a page of this server may read this; see docs/web.md for who else can.
        token = self._token if is_loopback(self._host) else ""
        text = _page("index.html").replace("{{token}}", token)
        return Response(text, media_type=_TYPES["html"])

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _names() or name == "index.html":
            return Response("there is no such page\n", 404, media_type="text/plain")
        return Response(_page(name), media_type=_TYPES[name.rsplit(".", 1)[1]])

    async def _stream(self, request: Request) -> Response:
        if self.hub.full():
            return Response("too many pages look at this meter\n", 503, media_type="text/plain")
        return StreamingResponse(self.hub.stream(), media_type="text/event-stream")

    async def _do(self, request: Request) -> Response:
        """{"do": name, ...}; answers {"ok": what came of it} or {"error": words}."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _BODY_MOST:
                return JSONResponse({"error": "that is too long for an order"}, 413)
        try:
            order = json.loads(body)
            if not isinstance(order, dict) or not isinstance(order.get("do"), str):
                raise ValueError
        except (ValueError, RecursionError):
            return JSONResponse({"error": 'an order is JSON like {"do": "button"}'}, 400)
        try:
            return JSONResponse({"ok": await asyncio.to_thread(self._door, order)})
        except BenchError as error:
            return JSONResponse({"error": str(error)}, 409)


def _names() -> frozenset[str]:
    return frozenset(
        item.name for item in files(__package__).joinpath("page").iterdir()
        if item.name.rsplit(".", 1)[-1] in _TYPES
    )  # fmt: skip


def _page(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text("utf-8")


def _listen(host: str, port: int) -> socket.socket:
    if port == 0:
        with contextlib.suppress(BenchError):
            return listen(host, _USUAL_PORT, "--web")
    return listen(host, port, "--web")
