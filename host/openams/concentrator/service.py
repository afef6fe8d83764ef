"""A concentrator as a process: its two ports, its collecting, its bringing, until it is ended."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from openams.concentrator.core import Concentrator
from openams.concentrator.door import Door, DoorServer
from openams.concentrator.outbox import Deliver, Outbox
from openams.concentrator.passage import Bounds, Passage
from openams.concentrator.ways import TcpWay
from openams.errors import BenchError
from openams.private import read_private, write_private

# Times are looked at again after so long, whatever was said to be due.
_LOOK_S = 5.0


def token_of(folder: Path) -> str:
    """Who has this may ask; made when it is not there."""
    path = folder / "token"
    try:
        text = read_private(path, secret=True).decode("ascii", "replace").strip()
    except FileNotFoundError:
        text = secrets.token_urlsafe(24)
        write_private(path, text.encode() + b"\n")
    if len(text) < 16:
        raise BenchError(f"{path} is too short to be a secret: remove it, and another is made")
    return text


class Places:
    """Where the passage finds a meter."""

    def __init__(self, concentrator: Concentrator, way: TcpWay) -> None:
        self._of = concentrator
        self._way = way

    def find(self, meter_id: str) -> tuple[str, int] | None:
        if not self._of.known(meter_id):
            return None
        url = self._way.url(meter_id)
        return url.host, url.port

    def heard(self, message: bytes) -> bool:
        return self._of.heard(message)


class Service:
    """On two sockets that listen: of the passage, of the door. `run` serves until `stop`, or for
    `duration_s`."""

    def __init__(
        self,
        concentrator: Concentrator,
        way: TcpWay,
        sockets: tuple[socket.socket, socket.socket],
        token: str,
        deliver: Deliver | None = None,
        discover_s: float = 0.0,
        bounds: Bounds | None = None,
    ) -> None:
        self.concentrator = concentrator
        self._outbox = Outbox(concentrator, deliver) if deliver else None
        self._discover_s = discover_s
        self._ending = threading.Event()
        self._woken = threading.Condition()
        self._wishes: set[str] = set()
        self.passage = Passage(sockets[0], Places(concentrator, way), bounds)
        self.door = DoorServer(sockets[1], token)

    def stop(self) -> None:
        self._ending.set()
        self._wake("stop")

    def _wake(self, wish: str) -> None:
        with self._woken:
            self._wishes.add(wish)
            self._woken.notify_all()

    def run(self, duration_s: float | None = None, ready: Callable[[], None] | None = None) -> None:
        self.passage.start()
        self.door.start(Door(self.concentrator, self._wake))
        threads = [threading.Thread(target=self._collect, daemon=True)]
        if self._outbox:
            threads.append(threading.Thread(target=self._bring, args=(self._outbox,), daemon=True))
        for thread in threads:
            thread.start()
        if ready:
            ready()
        self._ending.wait(duration_s)
        self.stop()
        self.passage.close()
        self.door.close()
        for thread in threads:
            thread.join(timeout=self.concentrator.settings.timeout_s + 5)

    def _collect(self) -> None:
        looked = time.monotonic() - self._discover_s
        while not self._ending.is_set():
            with self._woken:
                wishes, self._wishes = self._wishes, set()
            due = self._discover_s and time.monotonic() - looked >= self._discover_s
            if due or "discover" in wishes:
                looked = time.monotonic()
                self.concentrator.discover()
            if self.concentrator.step():
                if self._outbox:
                    self._wake("bring")
                continue
            wait_s = (self.concentrator.next_ms() - self.concentrator.clock.utc_ms()) / 1000
            with self._woken:
                if not self._wishes & {"ask", "discover", "stop"}:
                    self._woken.wait(min(max(wait_s, 0.05), _LOOK_S))

    def _bring(self, outbox: Outbox) -> None:
        while not self._ending.is_set():
            if not outbox.step():
                with self._woken:
                    self._woken.wait(1.0)
