"""A whole meter with slots in this process, behind the bench's ports; its power can go."""

from __future__ import annotations

import os
import threading
from typing import Any

from ams.events import events
from ams.update import updater as firmware
from openams.faultlab import flash_lab, starter
from openams.grid.frontend import make_front_end
from openams.keys.provision import provisioned
from openams.lines.channels import ACKNOWLEDGED, CLOSE, CLOSED, DATA, OPENED
from openams.lines.linkports import LinkPorts
from openams.meter_time import to_utc_ms

METER = "7359990000000017"


ORIGINS = (0x10006000, 0x100BA000)
FLASHED = bytes(range(256)) * 5  # the code of the first half, of a meter with two
_CODE_AT = 8192


class Board(flash_lab.LabBoard):
    name = "unix"

    def __init__(self, meter: SlotMeter) -> None:
        super().__init__(meter.flash)
        self.slots = meter.slots
        self._meter = meter
        if meter.halves:
            self.name = "pico-ab"
            half, _ = starter.choose(meter.records, meter.read_code, meter.slots.size)
            self.halves = meter.records, half, len(FLASHED), ORIGINS

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def link_write(self, channel: int, data: Any) -> None:
        self._meter.out.append((channel, DATA, bytes(data)))

    def link_close(self, channel: int) -> None:
        self._meter.out.append((channel, CLOSE, b""))

    def restart(self) -> None:
        self._meter.restarts = True


class SlotMeter:
    """`cut_after`: blocks that come before the power goes, once; None: it stays.
    `halves`: it takes a whole firmware."""

    def __init__(self, store: Any, ports: LinkPorts, now: Any, halves: bool = False) -> None:
        self.store, self.ports, self._now = store, ports, now
        self.flash, self.slots = flash_lab.LabFlash(64), flash_lab.LabFlash(64)
        self.halves, self.records = halves, flash_lab.LabFlash(2)
        for at in range(0, len(FLASHED) if halves else 0, 256):
            self.slots.program(_CODE_AT + at, FLASHED[at : at + 256])
        self.cut_after: int | None = None
        self.messages = 0
        # The message at which the power goes, once; whether the meter still does what it asks.
        self.cut_at: tuple[int, bool] | None = None
        self.cuts = 0
        self.blocks: list[int] = []  # numbers of the blocks that were stored
        self.ill = False  # the code on trial does not measure
        self.restarts = False
        self.out: list[tuple[int, int, bytes]] = []
        self._ticks = 0
        self._lock = threading.Lock()
        self.power_up()
        ports.attach(self._take)

    def power_up(self) -> None:
        self.restarts = False
        self.board = Board(self)
        self.meter = flash_lab.Meter(
            self.board,
            {
                "system": "1P2W",
                "calibration": make_front_end("ideal", "1P2W", 1).calibration("1P2W"),
                "identity": {"meter_id": METER, "meter_type": "OAM-1"},
                "han": {"format": "kaifa"},
                "security": provisioned(self.store, METER),
            },
        )
        self.meter.start(to_utc_ms(self._now()))
        updater = self.meter.updater
        if not self.halves:
            updater.switch.choose(updater.slots, b"unix")
        put = updater.put

        def counted(number: int, data: Any) -> None:
            put(number, data)
            self.blocks.append(number)

        updater.put = counted

    def read_code(self, half: int, size: int) -> bytes:
        code = bytearray(size)
        self.slots.read((half - 1) * self.slots.size // 2 + _CODE_AT, code)
        return bytes(code)

    def _take(self, channel: int, kind: int, data: bytes) -> None:
        with self._lock:
            self._ticks += 1
            link = self.meter.link
            if kind == OPENED:
                link.opened(channel)
            elif kind == CLOSED:
                link.closed(channel)
                self.ports.from_meter(channel, ACKNOWLEDGED, b"")
            else:
                self._data(channel, data)
            if self.restarts:
                self._reset(channel)
            for message in self.out:
                self.ports.from_meter(*message)
            self.out.clear()

    def _data(self, channel: int, data: bytes) -> None:
        gone = self.cut_at is not None and self.messages == self.cut_at[0]
        if not gone or self.cut_at[1]:
            self.messages += 1
            self.meter.link.feed(channel, memoryview(bytearray(data)), self._ticks)
        self._pass_time()
        if gone or (self.cut_after is not None and len(self.blocks) >= self.cut_after):
            self.cut_at = self.cut_after = None
            self.cuts += 1
            # The answer is lost with the power.
            self.out.clear()
            self._reset(channel)

    def _pass_time(self) -> None:
        """Whoever asks gives the meter time for what it does beside."""
        for _ in range(100 if self.ill else 5):
            self._ticks += 200
            self.meter.link.poll(self._ticks)
            if self.meter.updater.status == firmware.ACTIVATING and not self.ill:
                at = self.meter.utc_ms + 200
                self.meter.measured(at, 200, 0, 0, 0)

    def _reset(self, channel: int) -> None:
        self.power_up()
        if channel:
            self.out.append((channel, CLOSE, b""))

    def cut(self) -> None:
        """The power goes now, and comes back."""
        with self._lock:
            self.cuts += 1
            links = enumerate(self.meter.link.tcp)
            channels = [k + 1 for k, link in links if link is not None and not link.free]
            self.power_up()
            for channel in channels:
                self.ports.from_meter(channel, CLOSE, b"")

    def live_on(self, seconds: int) -> None:
        """Time passes and nobody asks anything."""
        with self._lock:
            for _ in range(seconds):
                self._pass_time()
                if self.restarts:
                    self.power_up()

    @property
    def updater(self) -> Any:
        return self.meter.updater

    def refusals(self) -> list[int]:
        entries = self.meter.events.entries()
        return [entry[2] for entry in entries if entry[1] == events.FIRMWARE_REFUSED]
