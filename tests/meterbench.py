"""A whole meter in this process with its keys, its relay and a clock that is ours."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from typing import Any

from breakerbench import Relay
from dlms import hexed
from gurux import Gurux

from ams.events import events as ev
from ams.meter import Meter
from openams.control.orders import Order, seconds
from openams.grid.frontend import make_front_end
from openams.meter_time import from_utc_ms

START_MS = 840_000_000_000
SAPS = {"operator": 1, "reader": 2, "breaker": 5, "update": 6}


class Clock:
    backup_s = None

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def utc_ms(self) -> int:
        return self.ms

    def set(self, ms: int) -> None:
        self.ms = ms


class Silent:
    def init(self, *line: Any) -> None:
        pass

    def write(self, data: Any) -> None:
        pass


class Board:
    flash = None
    inputs = None

    def __init__(self, relay: Relay) -> None:
        self.clock = Clock(START_MS)
        self.han_uart = Silent()
        self.relay = relay

    def link_write(self, channel: int, data: Any) -> None:
        pass

    def link_close(self, channel: int) -> None:
        pass

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def log(self, text: str) -> None:
        pass


class MeterBench:
    """A meter with its own keys; time is ours. `more` are settings beside the usual ones, `log`
    takes what it says at the console, the rest is the breaker's policy."""

    def __init__(
        self,
        number: int = 1,
        more: dict[str, Any] | None = None,
        log: Callable[[str], None] | None = None,
        **policy: Any,
    ) -> None:
        rng = random.Random(number)
        self.title = b"OAM" + number.to_bytes(5, "big")
        self.keys = {name: (rng.randbytes(16), rng.randbytes(16)) for name in SAPS}
        self.seal_keys = (rng.randbytes(16), rng.randbytes(16))
        self.relay = Relay()
        self.board = Board(self.relay)
        if log is not None:
            self.board.log = log  # type: ignore[method-assign]
        self.meter = Meter(
            self.board,
            {
                "system": "1P2W",
                "calibration": make_front_end("ideal", "1P2W", 1).calibration("1P2W"),
                "identity": {"meter_id": f"73599900000000{number:02d}", "meter_type": "6515"},
                "han": {"format": "aidon"},
                "breaker": policy,
                "security": {
                    "system_title": hexed(self.title),
                    "kek": hexed(rng.randbytes(16)),
                    "breaker": hexed(self.seal_keys[0]),
                    "breaker_second": hexed(self.seal_keys[1]),
                    "clients": [
                        {"sap": sap, "encryption": hexed(self.keys[name][0]),
                         "authentication": hexed(self.keys[name][1])}
                        for name, sap in SAPS.items()
                    ],
                },
                **(more or {}),
            },
        )  # fmt: skip
        self.meter.start(START_MS)
        self.frames: list[bytes] = []
        self.counters = dict.fromkeys(SAPS, 1)
        self.run(100)

    @property
    def now_ms(self) -> int:
        return self.board.clock.ms - START_MS + 1000

    def run(self, ms: int) -> None:
        for _ in range(0, ms, 10):
            self.board.clock.ms += 10
            self.relay.now += 10
            self.meter.tick(self.board.clock.ms)

    def wrapper(self, frame: bytes, channel: int = 1) -> bytes:
        self.frames.append(bytes(frame))
        version, source, destination, length = struct.unpack(">4H", frame[:8])
        data = memoryview(bytearray(frame[8:]))
        answer = self.meter.link.server.request(channel, source, destination, data, self.now_ms)
        if answer is None:
            return b""
        return struct.pack(">4H", 1, destination, source, len(answer)) + bytes(answer)

    def gurux(self, name: str, keys: Any = None) -> Gurux:
        counter = self.counters[name]
        self.counters[name] += 200
        return Gurux(self, SAPS[name], keys or self.keys[name], counter).open()

    def codes(self) -> list[int]:
        return [entry[1] for entry in self.meter.events.entries()]

    def refusals(self) -> list[int]:
        return [
            extra & 0xFF
            for _, code, _, extra in self.meter.events.entries()
            if code == ev.CONTROL_REFUSED
        ]

    @property
    def now_s(self) -> int:
        return seconds(from_utc_ms(self.meter.utc_ms))

    def order(self, action: str = "disconnect", number: int = 1, **more: Any) -> bytes:
        order = Order(
            more.get("title", self.title),
            action,
            number,
            more.get("start", self.now_s - 60),
            more.get("end", self.now_s + 60),
            more.get("bound", bytes(8)),
        )
        return order.sealed(more.get("key", self.seal_keys[0]))
