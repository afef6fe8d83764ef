"""The boards' main loops when part of a pass fails: the rest of it runs, resets mend or end."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from ams import faults
from ams.events import events
from ams.storage.eraser import Eraser
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
        self.lost_ms = 0  # to a flash that is busy
        board = flash_lab.LabBoard(flash_lab.LabFlash(64))
        board.clock = SimpleNamespace(utc_ms=lambda: self.ms)
        board.frontend = self.ic = Ic()
        board.links = board.mailbox = board.service_uart = None
        board.pulse_led = SimpleNamespace(set=lambda on: None)
        board.watchdog = SimpleNamespace(feed=self.feed)
        board.was_reset = was_reset
        board.has_radio = False
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
        for driver in ("pulse_led", "outside"):
            monkeypatch.setattr(f"drivers.{driver}.time", loop.time)
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
            self.run_pass()
        return self.feeds

    def run_pass(self):
        before_ms = self.ms
        self.loop._go()
        # Some rest in it, others behind it.
        self.ms = before_ms + 25

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
    bench.run(1)
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
    bench.loop._outside._bus = SimpleNamespace(poll=lambda ms: 1 // 0)
    assert bench.run(5) == 200 and bench.meter.energy.mwh[0]
    logged = [(event[1], event[2]) for event in bench.meter.events.entries()]
    assert logged.count((events.SOFTWARE_FAULT, faults.LINK)) == 1


@pytest.mark.parametrize("kind", ["pico", "esp32"])
def test_a_metering_ic_that_is_silent_resets_nothing(kind, monkeypatch):
    """It goes on counting; a reset would cost what was counted since the registers were stored."""
    bench = Bench(kind, monkeypatch)
    bench.ic.does = "silent"
    assert bench.run(10) == 400
    bench.ic.does = "answer"
    bench.run(5)
    bench.ic.does = "silent"
    assert bench.run(20) == 800
    logged = [event[1] for event in bench.meter.events.entries()]
    assert 1 <= logged.count(events.MEASUREMENT_ERROR) <= 2 and not bench.meter.faults.count
    assert sum(bench.meter.han.sent) >= 15


def test_what_one_reset_did_not_mend_is_reset_no_more(monkeypatch):
    """A front end whose driver fails: one reset is tried, then the meter is alive without it."""
    does = "fail"
    first = Bench("pico", monkeypatch)
    first.ic.does = does
    first.run(1)
    assert first.run(10) == 0
    second = Bench("pico", monkeypatch, was_reset=True)
    second.ic.does = does
    assert second.run(20) == 800
    assert events.MEASUREMENT_ERROR in [event[1] for event in second.meter.events.entries()]
    assert sum(second.meter.han.sent) >= 9
    # It comes to life: from then on it has to stay alive.
    second.ic.does = "answer"
    assert second.run(5) > 20
    second.ic.does = does
    second.run(1)
    assert second.run(5) == 0


class Wanting:
    """Somebody with a sector to be erased, which takes the longest time there is."""

    def __init__(self, bench):
        self._bench = bench
        self.begun_ms = []

    def want(self):
        self._bench.meter.nv_memory.eraser.want(self)

    def to_erase(self):
        return self, 0

    def begin_erase(self, address):
        self.begun_ms.append(self._bench.ms)
        self._bench.lost_ms += 400
        return 0

    def erased(self):
        pass


def test_an_esp32_erases_when_nobody_waits(monkeypatch):
    """ESP-IDF stops everything for a sector: no list and no client is kept waiting for it, if
    there is a time for it within half a minute."""
    bench = Bench("esp32", monkeypatch)
    bench.meter.nv_memory.eraser = Eraser()
    one = Wanting(bench)
    late_ms = []
    wanted = 0
    for k in range(1500):
        if k % 53 == 0:
            one.want()
            wanted += 1
        bench.run_pass()
        bench.ms, bench.lost_ms = bench.ms + bench.lost_ms, 0
        late_ms.append(bench.meter.han.late_max_ms)
    assert len(one.begun_ms) >= wanted - 20 and max(late_ms) <= 30
    # A client who talks without end does not keep it from being done.
    talking = SimpleNamespace(busy=lambda ticks: True, poll=lambda ticks: None, network=None)
    bench.loop.board.links = talking
    one.begun_ms.clear()
    one.want()
    begun = bench.ms
    bench.run(40)
    assert len(one.begun_ms) == 1 and 30000 <= one.begun_ms[0] - begun < 30100
