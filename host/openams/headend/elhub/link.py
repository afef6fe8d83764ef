"""A company's side of the line to the hub: signed requests, answers that are checked.

`Line` moves octets: `HttpLine` to a hub at an address, `DirectLine` to one in the same process.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from cryptography import x509

from openams.headend.elhub import soap, wire
from openams.headend.elhub.build import Parties
from openams.headend.elhub.model import CollectedData, ElhubError, Fault, Polled
from openams.headend.elhub.safexml import octets_of, parse

_BASE = "/WebService/services"
_MOST_ANSWER = 256 << 20


class Unanswered(ElhubError):
    """Nobody knows whether the hub has taken it: it is to be sent again, the very same."""


class Refused(ElhubError):
    """The hub answered with a fault."""

    def __init__(self, fault: Fault) -> None:
        text = f": {fault.text}" if fault.text else ""
        super().__init__(f"Elhub refuses ({fault.group}): {fault.description}{text}")
        self.fault = fault


class Line(Protocol):
    def exchange(self, service: wire.Service, octets: bytes) -> tuple[int, bytes]:
        """HTTP status and body; Unanswered where the hub is away or falls silent."""


class DirectLine:
    """To a hub in this process."""

    def __init__(self, answer: Callable[[bytes], tuple[int, bytes]]) -> None:
        self._answer = answer

    def exchange(self, service: wire.Service, octets: bytes) -> tuple[int, bytes]:
        return self._answer(octets)


class HttpLine:
    """To a hub at an address like https://service.elhub.no:8200; a connection for each request."""

    def __init__(
        self, url: str, timeout_s: float = 60.0, ca: str | None = None, whole_s: float = 900.0
    ) -> None:
        """`timeout_s`: without an octet; `whole_s`: for a request and all of its answer."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise ElhubError(f"{url!r} is no address of a hub: write it like https://host:8200")
        self._host, self._port, self._whole_s = host, port, whole_s
        self._base = parts.path.rstrip("/") or _BASE
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        self._shown = f"{host}:{port or ''}".rstrip(":")

    def exchange(self, service: wire.Service, octets: bytes) -> tuple[int, bytes]:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
            if self._tls is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        )
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{service.action}"'}
        try:
            connection.connect()
            # Octets that come one by one, and answers that never begin, are bounded by no timeout.
            end = threading.Timer(self._whole_s, _cut, (connection.sock,))
            end.daemon = True
            end.start()
            try:
                connection.request("POST", f"{self._base}/{service.path}", octets, headers)
                answer = connection.getresponse()
                body = answer.read(_MOST_ANSWER + 1)
            finally:
                end.cancel()
        except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
            why = str(error) or type(error).__name__
            raise Unanswered(f"Elhub at {self._shown} does not answer: {why}") from None
        finally:
            connection.close()
        return answer.status, body


def _cut(line: socket.socket) -> None:
    """Ends what waits for the other side."""
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


class Link:
    """Requests of one company. `hub`: certificates by which the hub may have signed."""

    def __init__(
        self,
        line: Line,
        identity: soap.Identity,
        hub: Sequence[x509.Certificate],
        parties: Parties,
        clock: Callable[[], datetime],
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._line = line
        self._identity = identity
        self._hub = list(hub)
        self.parties = parties
        self._clock = clock
        self._new_id = new_id

    def send(self, message: CollectedData) -> None:
        """Returns when the hub has the message; Refused, Unanswered."""
        content = self._ask(wire.COLLECT, wire.collected_request(message))
        if content is not None and len(content):
            raise Unanswered("Elhub's answer to values is not an empty one")

    def poll(self) -> Polled | None:
        """What waits for the company; None: nothing."""
        request = wire.poll_request(self.parties, self._clock(), self._new_id())
        content = self._ask(wire.ASK, request)
        try:
            return wire.read_poll_response(content)
        except ElhubError as error:
            raise Unanswered(f"Elhub's answer to a poll is not understood: {error}") from None

    def taken(self, poll_id: str) -> None:
        """Says that all of a poll is kept."""
        request = wire.taken_request(self.parties, self._clock(), self._new_id(), poll_id)
        self._ask(wire.TAKEN, request)

    def _ask(self, operation: str, content: Any) -> Any | None:
        root = soap.sign(soap.envelope(content), self._identity, self._clock())
        status, octets = self._line.exchange(wire.SERVICES[operation], octets_of(root))
        try:
            answer = parse(octets, _MOST_ANSWER)
            # A fault is believed as much as an answer: not without the hub's signature.
            soap.verify(answer, self._hub, self._clock())
            inner = soap.content_of(answer)
        except ElhubError as error:
            raise Unanswered(f"Elhub's answer ({status}) is not to be believed: {error}") from None
        fault = soap.read_fault(inner)
        if fault is not None:
            raise Refused(fault)
        if status != 200:
            raise Unanswered(f"Elhub answers {status} without a fault")
        return inner
