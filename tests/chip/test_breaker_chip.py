"""The breaker on the emulated RP2040, its relay at the pins: the table, and time to the pulse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from rp2040py.gpio_pin import GPIOPinState

from openams.runtimes.rp2040.firmware_image import image
from openams.runtimes.rp2040.repl import ReplChip
from openams.runtimes.rp2040.wiring import COIL_CLOSE, COIL_OPEN, WiredRelay

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from breakertable import TABLE

SCRIPT = """
import struct, time
from machine import Pin
from ams.control.breaker import Breaker
from ams.control import command as cm

class Cells:
    def __init__(self, state, mode):
        self.data = {1: struct.pack("<BBBBBBH", 1, state, mode, 0, 0, 0, 0)}
    def get(self, key):
        return self.data.get(key)
    def set(self, key, value):
        self.data[key] = bytes(value)

class Relay:
    coils = (None, Pin(6, Pin.OUT, value=0), Pin(7, Pin.OUT, value=0))
    contact = Pin(8, Pin.IN, Pin.PULL_UP)
    def set_coil(self, coil):
        self.coils[1].value(0)
        self.coils[2].value(0)
        if coil:
            self.coils[coil].value(1)
    def closed(self):
        return not self.contact.value()
    def load_voltage(self):
        return None

def settle(breaker):
    while breaker.moving:
        breaker.poll(time.ticks_ms())
        time.sleep_ms(5)

relay = Relay()
def put(closed):
    if relay.closed() != closed:
        relay.set_coil(2 if closed else 1)
        time.sleep_ms(100)
        relay.set_coil(0)
"""
EACH = """
for mode in {modes}:
    for state in range(3):
        for event in range(6):
            put(state == 1)
            breaker = Breaker(relay, Cells(state, mode), 1, lambda *a: None)
            breaker.start(time.ticks_ms())
            reason = breaker.event(event, 5, time.ticks_ms())
            settle(breaker)
            print(mode, state, event, reason == cm.OK, breaker.state, int(relay.closed()))
"""
TIMED = """
from ams.control.guard import Guard, Policy
key = b"k" * 16
title = b"OAM00001"
guard = Guard(Cells(1, 4), 2, Policy({"interactive": False}), lambda: (title, (key, None)))
put(True)
breaker = Breaker(relay, Cells(1, 4), 1, lambda *a: None)
breaker.start(time.ticks_ms())
order = cm.pack(title, cm.DISCONNECT, 1, 0, 1000, (key,))
a = time.ticks_us()
assert guard.arm(order, 500, 0, True) == cm.OK
b = time.ticks_us()
assert guard.permit(cm.DISCONNECT, 0, None) == cm.OK
assert guard.may_move(False, 0) and guard.spend(500) == cm.OK
guard.moved(0)
assert breaker.event(0, 5, time.ticks_ms()) == cm.OK
c = time.ticks_us()
print(b - a, c - b)
settle(breaker)
"""


class Bench:
    def __init__(self) -> None:
        self.chip = ReplChip(image("pico-bench"))
        self.relay = WiredRelay(self.chip.mcu)
        self.pulses: list[tuple[int, float]] = []  # coil, ms
        self._since: dict[int, float] = {}
        for pin in (COIL_OPEN, COIL_CLOSE):
            self.chip.mcu.gpio[pin].add_listener(
                lambda level, before, pin=pin: self._edge(pin, level)
            )

    def _edge(self, pin: int, level: Any) -> None:
        now = self.chip.now_ms()
        if level == GPIOPinState.HIGH:
            self._since[pin] = now
        elif pin in self._since:
            self.pulses.append((pin, now - self._since.pop(pin)))


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("modes", [(0, 1), (2, 3), (4,), (5, 6)])
def test_the_table_with_the_relay_at_its_pins(bench, modes):
    bench.pulses.clear()
    lines = bench.chip.run(SCRIPT + EACH.format(modes=modes)).splitlines()
    assert len(lines) == 18 * len(modes)
    moves = 0
    for line in lines:
        mode, state, event, ok, after, closed = line.split()
        wanted = TABLE.get((int(mode), int(event), int(state)))
        assert (ok == "True") == (wanted is not None), line
        assert int(after) == (int(state) if wanted is None else wanted), line
        assert int(closed) == (int(after) == 1), line
        moves += wanted is not None and (int(state) == 1) != (wanted == 1)
    # Every movement is one pulse of 100 ms; others put the relay where a case begins.
    assert moves > 0 and len(bench.pulses) >= moves
    for _, length_ms in bench.pulses:
        assert 99 <= length_ms <= 115


def test_time_from_order_to_pulse(bench):
    """At 125 MHz: a sealed order is checked, and the coil gets current."""
    bench.pulses.clear()
    check_us, pulse_us = map(int, bench.chip.run(SCRIPT + TIMED).split())
    print(f"order checked in {125 * check_us} cycles, coil {125 * pulse_us} cycles later")
    assert check_us + pulse_us < 50_000
    assert bench.pulses[-1][0] == COIL_OPEN
