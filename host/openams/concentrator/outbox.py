"""Days on their way to a head-end that wants them brought: again and again until it has them.

What is brought is what `GET /v1/days` gives; the answer names the last number that is taken. A
batch that nobody has acknowledged is brought again, after a while that grows.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from openams.concentrator.core import Concentrator
from openams.concentrator.door import days_body
from openams.errors import BenchError

BATCH = 100
_RETRY_MS, _RETRY_MOST_MS = 10_000, 900_000
_ANSWER_MOST = 65536

# Brings a body; the number that is taken. Raises BenchError, OSError.
Deliver = Callable[[dict[str, Any]], int]


class Outbox:
    def __init__(self, concentrator: Concentrator, deliver: Deliver) -> None:
        self._of = concentrator
        self._deliver = deliver
        self._wait_ms = 0
        self.not_before_ms = 0
        self.trouble = ""

    def step(self) -> bool:
        """Brings one batch; False when there is none, or it could not be brought."""
        now = self._of.clock.utc_ms()
        if now < self.not_before_ms:
            return False
        taken = int(self._of.store.meta("taken"))
        body = days_body(self._of, taken, BATCH)
        if not body["days"]:
            return False
        try:
            said = self._deliver(body)
            if not taken < said <= body["next"]:
                raise BenchError(f"it says that it has taken {said}, behind {taken}")
        except (BenchError, OSError, http.client.HTTPException) as error:
            self.trouble = str(error)
            self._wait_ms = min(max(2 * self._wait_ms, _RETRY_MS), _RETRY_MOST_MS)
            self.not_before_ms = now + self._wait_ms
            return False
        self.trouble = ""
        self._wait_ms = 0
        self._of.taken(said)
        return True


def http_delivery(url: str, token: str, timeout_s: float = 30.0) -> Deliver:
    """By POST. BenchError for what is no http or https URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BenchError(f"--push-url {url!r}: write it like https://headend.example/v1/days")

    def deliver(body: dict[str, Any]) -> int:
        host, port = str(parts.hostname), parts.port
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        try:
            headers = {"Content-Type": "application/json"}
            if token:
                headers["Authorization"] = f"Bearer {token}"
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            text = answer.read(_ANSWER_MOST)
        finally:
            connection.close()
        if answer.status != 200:
            raise BenchError(f"{url} answers {answer.status}")
        try:
            return int(json.loads(text)["taken"])
        except (ValueError, KeyError, TypeError):
            raise BenchError(f"{url} does not say what it has taken") from None

    return deliver
