"""Ports of a field's concentrators: the way through to their meters, by the gateway's prefix.

The way is the concentrator's own (openams.concentrator.passage); while a concentrator is down its
port is shut.
"""

from __future__ import annotations

import socket

from openams.concentrator.passage import Passage
from openams.field.field import Field
from openams.field.serve import Ports
from openams.listening import listen

_HOST = "127.0.0.1"
_DOWN = "concentrator-down"


class _Places:
    """Where the passage finds the meters of a master: at their ports."""

    def __init__(self, field: Field, master_id: str, urls: dict[str, str]) -> None:
        self._field = field
        self._master_id = master_id
        self._urls = urls

    def find(self, meter_id: str) -> tuple[str, int] | None:
        url = self._urls.get(meter_id)
        if url is None or self._field.spec(meter_id).master != self._master_id:
            return None
        host, _, port = url.removeprefix("tcp://").rpartition(":")
        return host, int(port)

    def heard(self, message: bytes) -> bool:
        return False  # nobody keeps it here


class Gateways:
    """A port for each concentrator: the first `first`, the others follow; 0: any free ones."""

    def __init__(self, field: Field, ports: Ports, first: int = 0) -> None:
        self._field = field
        self._places = {
            master.master_id: _Places(field, master.master_id, ports.urls)
            for master in field.plan.masters
        }
        self._open: dict[str, Passage] = {}
        self.ports: dict[str, int] = {}
        try:
            for number, master_id in enumerate(self._places):
                listener = listen(_HOST, first + number if first else 0, "--gateway-port")
                self._start(master_id, listener)
        except BaseException:
            self.close()
            raise

    def _start(self, master_id: str, listener: socket.socket) -> None:
        passage = Passage(listener, self._places[master_id])
        passage.start()
        self._open[master_id] = passage
        self.ports[master_id] = passage.port

    def url(self, meter_id: str) -> str:
        """Of a meter behind a concentrator, for openams.client."""
        port = self.ports[self._field.spec(meter_id).master]
        return f"tcp://{_HOST}:{port}?gateway={meter_id}"

    def look(self) -> None:
        """Who is down now shuts its port, who is back opens it again."""
        for master_id in self._places:
            kinds = {fault.kind for fault in self._field.faults_of(master_id)}
            passage = self._open.get(master_id)
            if _DOWN in kinds and passage is not None:
                passage.close()
                del self._open[master_id]
            elif _DOWN not in kinds and passage is None:
                listener = listen(_HOST, self.ports[master_id], "--gateway-port")
                self._start(master_id, listener)

    def __enter__(self) -> Gateways:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        for passage in self._open.values():
            passage.close()
        self._open = {}
