"""A whole meter that publishes, on either VM: time is ours or the wall's, the network is given."""

import os
import time

from ams.hal import Uart
from ams.meter import Meter
from amsbench.hold import hold

START_MS = 830_001_500_000  # 100 s before a full hour
_FULL = 0x7FFFFF
HOUR_MS = 3600000


def ticks_ms():
    if hasattr(time, "ticks_ms"):
        return time.ticks_ms()
    return time.monotonic_ns() // 1000000 & 0x3FFFFFFF


class Clock:
    backup_s = None

    def __init__(self):
        self.ms = START_MS

    def utc_ms(self):
        return self.ms

    def set(self, ms):
        self.ms = ms


class Recorder(Uart):
    """How many frames the HAN port sent, and a sum over them and their times."""

    def __init__(self, clock):
        self._clock = clock
        self.frames = 0
        self.sum = 0

    def init(self, *line):
        pass

    def write(self, data):
        self.frames += 1
        total = self._clock.ms % 1000003
        for octet in data:
            total = (total * 31 + octet) % 1000003
        self.sum = (self.sum * 7 + total) % 1000003


class Board:
    flash = relay = inputs = None

    def __init__(self):
        self.clock = Clock()
        self.han_uart = Recorder(self.clock)
        self.said = []

    def entropy(self, count):
        return os.urandom(count)

    def log(self, text):
        self.said.append(text)
        del self.said[:-5]


def calibration(system):
    """Of an ideal front end."""
    pairs = {"1P2W": 1, "3P3W": 2, "3P4W": 3}[system]
    pair = [{"kind": "voltage", "lsb_pv": 100000000}, {"kind": "current", "lsb_pa": 40000000}]
    return {
        "sample_rate_hz": 4000,
        "full_scale": _FULL,
        "lowest_code": -_FULL,
        "starting_power_mva": 700,
        "channels": pair * pairs,
    }


def make(config, system="3P4W", meter_id="7359990000000017", han=True):
    """(board, meter) with an open HAN port (or not) and home automation."""
    board = Board()
    meter = Meter(
        board,
        {
            "system": system,
            "calibration": calibration(system),
            "identity": {"meter_id": meter_id, "meter_type": "MA304H3E"},
            "han": {"format": "kaifa"},
            "home": config,
        },
    )
    meter.start(START_MS)
    if han:
        meter.han_settings.open_first()
    if meter.home is not None:
        meter.home.open_first()
    return board, meter


def load(meter, at_ms):
    """Powers of a household, by the minute."""
    q = meter.quantities
    minute = at_ms // 60000
    total = 0
    for k in range(3):
        if q.system == "1P2W" and k:
            break
        p = ((minute * (7 + 3 * k)) % 41 - 9) * 111000 + 345 * k
        q.voltage_mv[k] = 229000 + (minute * (k + 3)) % 900
        q.current_ua[k] = abs(p) * 1000 // 230
        q.active_power_mw[k] = p
        q.reactive_power_mvar[k] = p // 7
        total += p
    q.total_active_power_mw = total
    q.total_reactive_power_mvar = total // 7
    q.frequency_mhz = 50010


def go_on(board, meter, ms):
    """Measures for so long, by the meter's time."""
    at = board.clock.ms
    load(meter, at)
    hold(meter, at, ms, board.clock)
    board.clock.set(at + ms)
    meter.tick(at + ms)


def totals(board, meter):
    """What has to be the same whatever the broker does."""
    port = meter.han
    return [meter.energy.mwh, board.han_uart.frames, board.han_uart.sum, port.missed,
            port.late_max_ms, meter.faults.count]  # fmt: skip
