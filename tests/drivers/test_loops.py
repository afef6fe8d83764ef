"""The boards' main loops when part of a pass fails: the rest of it runs, resets mend or end."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from ams import faults
from ams.events import events
from openams.faultlab import flash_lab
from openams.grid.frontend import make_front_end

ROOT = Path(__file__).resolve().parents[2]
START_MS = flash_lab.START_MS


class Ic:
    """A metering IC that answers, is silent or fails."""

    period_ms = 200
    active_uws = 200_000_000
    reactive_uvars = 0
    status = 0

    def __init__(self):
        self.does = "answer"

    def poll(self, quantities):
        if self.does == "fail":
            raise OSError(5)
        return self.does == "answer"


class Bench:
    """A board of nothing but stubs around a whole meter, and its own loop."""

    def __init__(self, kind, monkeypatch, was_reset=False):
        self.ms = START_MS
        self.feeds = 0
        board = flash_lab.LabBoard(flash_lab.LabFlash(64))
        board.clock = SimpleNamespace(utc_ms=lambda: self.ms)
        board.frontend = self.ic = Ic()
        board.links = board.mailbox = board.service_uart = None
        board.pulse_led = SimpleNamespace(set=lambda on: None)
        board.watchdog = SimpleNamespace(feed=self.feed)
        board.was_reset = was_reset
        module = ModuleType("board")
        module.Board = None
        monkeypatch.setitem(sys.modules, "board", module)
        monkeypatch.setitem(sys.modules, "flash", ModuleType("flash"))
        spec = importlib.util.spec_from_file_location(
            f"loop_of_{kind}", ROOT / "boards" / kind / "loop.py"
        )
        loop = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loop)
        loop.time = SimpleNamespace(sleep_ms=self.sleep, ticks_ms=lambda: self.ms & 0x3FFFFFFF)
        monkeypatch.setattr("drivers.pulse_led.time", loop.time)
        self.meter = flash_lab.Meter(
            board,
            {
                "system": "3P4W",
                "calibration": make_front_end("ideal", "3P4W", 1).calibration("3P4W"),
                "identity": {"meter_id": "7359990000000017"},
                "han": {"format": "kaifa"},
            },
        )
        self.meter.start(self.ms)
        self.meter.han.open(self.ms)
        more = ({},) if kind == "esp32" else ()
        self.loop = loop.Loop(board, self.meter, *more)

    def feed(self):
        self.feeds += 1

    def run(self, seconds):
        """Gives how often the watchdog was fed."""
        self.feeds = 0
        for _ in range(seconds * 40):
            before_ms = self.ms
            self.loop._go()
            # Some rest in it, others behind it.
            self.ms = before_ms + 25
        return self.feeds

    def sleep(self, ms):
        self.ms += ms


@pytest.mark.parametrize("kind", ["pico", "esp32"])
def test_a_front_end_that_fails_leaves_the_rest_its_time(kind, monkeypatch):
    bench = Bench(kind, monkeypatch)
    assert bench.run(5) > 20
    counted = bench.meter.energy.mwh[0]
    assert 24 * 200 // 3.6 <= counted <= 25 * 200 // 3.6
    bench.ic.does = "fail"
    sent = sum(bench.meter.han.sent)
    fed = bench.run(20)
    assert sum(bench.meter.han.sent) >= sent + 9
    # It is the watchdog's turn on a Pico; an ESP32's IC is set up anew without a reset.
    assert (fed == 0) == (kind == "pico")
    logged = [(event[1], event[2]) for event in bench.meter.events.entries()]
    assert (events.SOFTWARE_FAULT, faults.MEASURED) in logged
    assert (events.MEASUREMENT_ERROR, 0) in logged
    bench.ic.does = "answer"
    bench.run(5)
    assert bench.meter.energy.mwh[0] > counted


def test_a_sub_meter_that_makes_its_port_fail_resets_nothing(monkeypatch):
    bench = Bench("esp32", monkeypatch)
    bench.loop._bus = SimpleNamespace(poll=lambda ms: 1 // 0)
    assert bench.run(5) == 200 and bench.meter.energy.mwh[0]
    logged = [(event[1], event[2]) for event in bench.meter.events.entries()]
    assert logged.count((events.SOFTWARE_FAULT, faults.LINK)) == 1


@pytest.mark.parametrize("does", ["silent", "fail"])
def test_what_one_reset_did_not_mend_is_reset_no_more(does, monkeypatch):
    """A front end that is dead: one reset is tried, then the meter is alive without it."""
    first = Bench("pico", monkeypatch)
    first.ic.does = does
    assert first.run(10) == 0
    second = Bench("pico", monkeypatch, was_reset=True)
    second.ic.does = does
    assert second.run(20) == 800
    assert events.MEASUREMENT_ERROR in [event[1] for event in second.meter.events.entries()]
    assert sum(second.meter.han.sent) >= 9
    # It comes to life: from then on it has to stay alive.
    second.ic.does = "answer"
    assert 20 <= second.run(5) <= 60
    second.ic.does = does
    assert second.run(5) == 0
