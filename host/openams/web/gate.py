"""Who may speak to the page's server: what stands before every request.

A page that somebody else's server gave to the browser must not reach the meter: not by a name that
is led to this machine (DNS rebinding: the Host header says it), and not by sending requests along
(CSRF: the Origin header and the token say it). See docs/web.md.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "x-openams-token"
# Nothing but what comes with the page; nothing that frames it, sniffs it or keeps it.
_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Gate:
    """`token` is asked for every change; for reading too where other machines reach it."""

    def __init__(self, app: App, host: str, token: str) -> None:
        self._app = app
        self.local = is_loopback(host)
        self._names = {"localhost", host.lower()}
        if not self.local:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        refused = self._refused(scope, headers)
        if refused:
            await _answer(send, *refused)
            return

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_encoded(_HEADERS)]}
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """(status, why) of what is not let through."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, f"this server has no name {host[:100]!r}: use the address that it printed"
        # A browser says where the page comes from that asks; a program says nothing.
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            return 403, "a page of somebody else may not speak to this meter"
        if scope["path"].startswith("/api/"):
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403, "a page of somebody else may not speak to this meter"
            changes = scope["method"] not in ("GET", "HEAD")
            if (changes or not self.local) and not self._knows(scope, headers, changes):
                return 403, "the token is missing: open the whole address that `ams run` printed"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if not name:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # A number is nobody's to lead elsewhere.
        return address.is_loopback if self.local else True

    def _knows(self, scope: Scope, headers: dict[str, str], changes: bool) -> bool:
        said = headers.get(TOKEN_HEADER, "")
        if not said and not changes:
            # A stream of events takes no headers; nothing here writes addresses into a log.
            said = _parameter(scope["query_string"].decode("latin-1"), "token")
        return secrets.compare_digest(said.encode("latin-1", "replace"), self._token)


def _parameter(query: str, name: str) -> str:
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key == name:
            return value
    return ""


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]


async def _answer(send: Send, status: int, text: str) -> None:
    body = text.encode() + b"\n"
    headers = (("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": _encoded((*headers, *_HEADERS)),
        }
    )
    await send({"type": "http.response.body", "body": body})
