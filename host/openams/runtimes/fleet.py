"""Many meters in one process: the firmware on CPython, each meter on a TCP port of its own.

For head-ends and rationing runs, where one meter is not enough. Meters have
keys of their own, a relay and a constant load; their flash is in RAM. Some
can be made to misbehave as meters in the field do.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from typing import Any

from openams.emulator.faulty_flash import FaultyFlash
from openams.errors import BenchError
from openams.grid.frontend import make_front_end
from openams.keys.keystore import Keystore
from openams.keys.provision import more_numbers, provisioned
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms
from openams.places import SHIMS, repository_root
from openams.runtimes.state import FLASH_SIZE

CHANNELS = 4
_TICK_S = 0.5
_LOAD_MW = 1_500_000
_MOVES_MS = 60


def load_firmware() -> Any:
    """The firmware's `ams.meter` in this process."""
    for path in (repository_root() / "firmware", SHIMS):
        if str(path) not in sys.path:
            sys.path.append(str(path))
    return importlib.import_module("ams.meter")


@dataclass(frozen=True)
class Behaviour:
    """How a meter of the fleet differs: no listener, late answers, or a critical point."""

    offline: bool = False
    late_s: float = 0.0
    critical: bool = False


class _Clock:
    """This computer's, or before that a time of the past that is played."""

    backup_s = None

    def __init__(self) -> None:
        self.past_ms: int | None = None

    def utc_ms(self) -> int:
        return to_utc_ms(datetime.now(UTC)) if self.past_ms is None else self.past_ms

    def set(self, utc_ms: int) -> None:
        if self.past_ms is not None:
            self.past_ms = utc_ms


class Silent:
    """A HAN line that nobody listens to."""

    def init(self, *_: Any) -> None:
        pass

    def write(self, data: Any) -> None:
        pass


class Relay:
    """A bistable relay: moved by 60 ms of current, by the time that `now_ms()` tells."""

    def __init__(self, now_ms: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self.contact = True
        self.pulses = 0
        self._coil = 0
        self._since_ms = 0.0

    def set_coil(self, coil: int) -> None:
        now_ms = self._now_ms()
        if self._coil and now_ms - self._since_ms >= _MOVES_MS:
            self.contact = self._coil == 2
        self.pulses += coil != 0 and coil != self._coil
        self._coil = coil
        self._since_ms = now_ms

    def closed(self) -> bool:
        return self.contact

    def load_voltage(self) -> None:
        return None


def _monotonic_ms() -> float:
    return 1000 * time.monotonic()


class _Board:
    inputs = None

    def __init__(self, owner: FleetMeter) -> None:
        self.flash: FaultyFlash | None = None
        self._owner = owner
        self.clock = _Clock()
        self.han_uart = Silent()
        self.relay = Relay(_monotonic_ms)

    def link_write(self, channel: int, data: Any) -> None:
        self._owner.write(channel, bytes(data))

    def link_close(self, channel: int) -> None:
        self._owner.hang_up(channel)

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def more_numbers(self, least: int) -> None:
        self._owner.extend(least)

    def log(self, text: str) -> None:
        pass


class FleetMeter:
    """One meter: its firmware, its port and its connections.

    `days`: so many local days lie behind it, of the load that it has now.
    """

    def __init__(
        self, meter_id: str, store: Keystore, how: Behaviour, port: int, days: int = 0
    ) -> None:
        self.meter_id = meter_id
        self.how = how
        self._store = store
        self.board = _Board(self)
        if days:
            # Without one a meter has no profiles.
            self.board.flash = FaultyFlash(FLASH_SIZE // FaultyFlash.sector_size)
        self.meter = load_firmware().Meter(
            self.board,
            {
                "system": "1P2W",
                "calibration": make_front_end("ideal", "1P2W", 1).calibration("1P2W"),
                "identity": {"meter_id": meter_id, "meter_type": "6515"},
                "han": {"format": "aidon"},
                "security": provisioned(store, meter_id),
                "breaker": {"critical": how.critical},
            },
        )
        if days:
            self._live_through(days)
        else:
            self.meter.start(self.board.clock.utc_ms())
        self.connections: dict[int, socket.socket] = {}
        self._late: list[tuple[float, int, bytes]] = []
        self.listener: socket.socket | None = None
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        # Where nobody listens a connection is refused; the port stays taken.
        if not how.offline:
            self._socket.listen(8)
            self._socket.setblocking(False)
            self.listener = self._socket

    def _live_through(self, days: int) -> None:
        hold = importlib.import_module("amsbench.hold").hold
        now_ms = self.board.clock.utc_ms()
        first = from_utc_ms(now_ms).astimezone(NORWAY).date() - timedelta(days)
        begin_ms = to_utc_ms(datetime.combine(first, clock_time(), NORWAY))
        self.board.clock.past_ms = begin_ms
        self.meter.start(begin_ms)
        self._load()
        hold(self.meter, begin_ms, now_ms - begin_ms, self.board.clock)
        self.board.clock.past_ms = None

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def extend(self, least: int) -> None:
        """Another range of invocation counters. Without one it says nothing more."""
        with contextlib.suppress(BenchError):
            given = more_numbers(self._store, self.meter_id, least)
            self.meter.link.keyring.numbers.extend(*given)

    def write(self, channel: int, data: bytes) -> None:
        if self.how.late_s:
            self._late.append((time.monotonic() + self.how.late_s, channel, data))
        else:
            self._send(channel, data)

    def _send(self, channel: int, data: bytes) -> None:
        connection = self.connections.get(channel)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setblocking(True)
                connection.sendall(data)
                connection.setblocking(False)

    def hang_up(self, channel: int) -> None:
        connection = self.connections.pop(channel, None)
        if connection is not None:
            connection.close()

    def tick(self) -> None:
        """Time passes: the load, the relay, answers that are late."""
        now = time.monotonic()
        due = [entry for entry in self._late if entry[0] <= now]
        self._late = [entry for entry in self._late if entry[0] > now]
        for _, channel, data in due:
            self._send(channel, data)
        self._load()
        self.meter.tick(self.board.clock.utc_ms())
        self.meter.link.poll(int(now * 1000))

    def _load(self) -> None:
        q = self.meter.quantities
        q.voltage_mv[0] = 230_000
        flows = self.meter.control.connected
        q.total_active_power_mw = q.active_power_mw[0] = _LOAD_MW if flows else 0
        q.current_ua[0] = _LOAD_MW * 1000 // 230_000 * 1000 // 1000 if flows else 0

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()
        self._socket.close()


class Fleet:
    """`first_port` 0: any free ones. Use as a context manager; `serve` runs until `stop`."""

    def __init__(
        self,
        store: Keystore,
        meter_ids: Iterable[str],
        behaviours: dict[str, Behaviour] | None = None,
        first_port: int = 0,
        days: int = 0,
    ) -> None:
        self.meters: list[FleetMeter] = []
        self._selector = selectors.DefaultSelector()
        self._ending = False
        meter_ids = list(meter_ids)
        store.ensure(meter_ids)
        try:
            for number, meter_id in enumerate(meter_ids):
                port = first_port + number if first_port else 0
                how = (behaviours or {}).get(meter_id, Behaviour())
                meter = FleetMeter(meter_id, store, how, port, days)
                self.meters.append(meter)
                if meter.listener:
                    self._selector.register(meter.listener, selectors.EVENT_READ, (meter, None))
        except OSError as error:
            self.close()
            raise BenchError(f"cannot open a port for each meter: {error.strerror}") from None

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        for meter in self.meters:
            meter.close()
        self._selector.close()

    def stop(self) -> None:
        self._ending = True

    def serve(self) -> None:
        due = time.monotonic()
        while not self._ending:
            for key, _ in self._selector.select(timeout=0.02):
                meter, channel = key.data
                if channel is None:
                    self._accept(meter)
                else:
                    self._read(meter, channel)
            moving = [meter for meter in self.meters if meter.meter.control.breaker.moving]
            now = time.monotonic()
            if now >= due:
                due = now + _TICK_S
                moving = self.meters
            for meter in moving:
                meter.tick()

    def _accept(self, meter: FleetMeter) -> None:
        assert meter.listener
        connection, _ = meter.listener.accept()
        free = [number for number in range(1, CHANNELS + 1) if number not in meter.connections]
        if not free:
            connection.close()
            return
        channel = free[0]
        connection.setblocking(False)
        meter.connections[channel] = connection
        self._selector.register(connection, selectors.EVENT_READ, (meter, channel))
        meter.meter.link.opened(channel)

    def _read(self, meter: FleetMeter, channel: int) -> None:
        connection = meter.connections.get(channel)
        data = b""
        if connection is not None:
            with contextlib.suppress(OSError):
                data = connection.recv(4096)
        if data:
            now_ms = time.monotonic_ns() // 1_000_000
            for at in range(0, len(data), 512):
                meter.meter.link.feed(channel, bytearray(data[at : at + 512]), now_ms)
            if channel in meter.connections:
                return
        if connection is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(connection)
            meter.hang_up(channel)
            meter.meter.link.closed(channel)
