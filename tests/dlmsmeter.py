"""A whole meter in a process of its own, and other people's clients on its channels."""

from __future__ import annotations

import queue
import struct
from typing import Any

from dlms import security

from openams.grid.frontend import make_front_end
from openams.runtimes.launch import LINK_HEAP_KIB
from openams.runtimes.process import MeterProcess

START_MS = 840_000_000_000
DATA, OPENED, CLOSED = 0, 1, 2


class MeterBench:
    """The wrapper of channels 1 to 4 of a meter; stands where `dlms.Bench` does for a client."""

    def __init__(self, runtime: str, **config: Any) -> None:
        self.octets: dict[int, queue.Queue[bytes]] = {
            channel: queue.Queue() for channel in range(5)
        }
        self.closed: set[int] = set()
        self.frames: list[Any] = []
        self.logs: list[str] = []
        self.process = MeterProcess(
            runtime, self.frames.append, None, self.logs.append, LINK_HEAP_KIB, self._from_meter
        )
        self.open: set[int] = set()
        self.process.configure(
            {
                "system": "1P2W",
                "calibration": make_front_end("ideal", "1P2W", 1).calibration("1P2W"),
                "identity": {"meter_id": "7359990000000017", "meter_type": "6515"},
                "han": {"format": "kaifa"},
                "utc_ms": START_MS,
                "security": security(),
                **config,
            }
        )

    def __enter__(self) -> MeterBench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()

    def _from_meter(self, channel: int, kind: int, data: bytes) -> None:
        if kind == DATA:
            self.octets[channel].put(data)
        elif kind == 1:
            self.closed.add(channel)

    def send(self, channel: int, data: bytes) -> None:
        if channel and channel not in self.open:
            self.open.add(channel)
            self.process.link(channel, OPENED, b"")
        self.process.link(channel, DATA, data)

    def wrapper(self, frame: bytes, channel: int = 1) -> bytes:
        self.send(channel, bytes(frame))
        got = self.octets[channel].get(timeout=30)
        while len(got) < 8 or len(got) < 8 + struct.unpack(">H", got[6:8])[0]:
            got += self.octets[channel].get(timeout=30)
        return got

    def request(self, apdu: bytes, sap: int = 16, channel: int = 1, server: int = 1) -> bytes:
        frame = struct.pack(">4H", 1, sap, server, len(apdu)) + apdu
        return self.wrapper(frame, channel)[8:]
