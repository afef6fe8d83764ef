"""The breaker in the whole meter: what it cuts is not counted, and trips are exact in any step."""

from __future__ import annotations

import meterbench
import pytest
from meterbench import MeterBench

from ams.control import supply
from ams.control import transitions as tr
from ams.events import events as ev
from ams.hal import INPUT_BUTTON
from amsbench import hold as held
from openams.faultlab import flash_lab


def hold(bench: MeterBench, seconds: int, power_w: int) -> None:
    """One step of constant power, as a scenario gives it."""
    q = bench.meter.quantities

    def fill(connected: bool) -> None:
        flows = power_w if connected else 0
        q.voltage_mv[0] = 230_000
        q.current_ua[0] = abs(flows) * 1_000_000 // 230
        q.active_power_mw[0] = q.total_active_power_mw = 1000 * flows
        q.total_reactive_power_mvar = 0

    class Clock:
        def set(self, utc_ms: int) -> None:
            bench.relay.now = utc_ms

    held.hold(bench.meter, bench.board.clock.ms, 1000 * seconds, Clock(), fill)
    bench.board.clock.ms += 1000 * seconds


def limit(bench: MeterBench, **changes: int) -> None:
    s = bench.meter.control.limiter.settings.copy()
    for name, value in changes.items():
        setattr(s, name, value)
    bench.meter.control.limiter.change(s)


def moment(bench: MeterBench, code: int) -> int:
    return next(when for when, what, *_ in bench.meter.events.entries() if what == code)


@pytest.mark.parametrize("step_s", [1, 10, 600, 3600])
@pytest.mark.parametrize("kind", [supply.AVERAGE_IMPORT, supply.CURRENT_MAX])
def test_a_trip_in_the_middle_of_a_step_is_exact(step_s, kind):
    bench = MeterBench()
    begin = bench.board.clock.ms
    threshold = 4_000_000 if kind == supply.AVERAGE_IMPORT else 20_000
    limit(bench, monitored=kind, threshold_normal=threshold, min_over_s=90)
    for _ in range(3600 // step_s):
        hold(bench, step_s, 6000)
    # The mean over 60 s passes 4 kW after 40 s of 6 kW.
    exact = begin + 1000 * ((40 if kind == supply.AVERAGE_IMPORT else 0) + 90)
    tripped = moment(bench, ev.LOCAL_DISCONNECTION)
    assert abs(tripped - exact) <= 200
    assert bench.meter.control.breaker.state == tr.READY and not bench.relay.contact
    # Energy flows until the contact has moved, and none after.
    flowed_ms = bench.meter.energy.mwh[0] * 3600 / 6000
    assert tripped - begin <= flowed_ms <= tripped - begin + 400


def test_energy_of_an_hour_without_a_limit_is_untouched():
    bench = MeterBench()
    hold(bench, 3600, 6000)
    assert bench.meter.energy.mwh[0] == 6_000_000


def test_quota_in_one_long_step():
    bench = MeterBench()
    bench.meter.control.quota.change(1_000_000, 86400, 900, bench.meter.utc_ms, 0)
    begin = bench.board.clock.ms
    hold(bench, 7200, 2000)
    assert abs(moment(bench, ev.QUOTA_WARNING) - begin - 1_620_000) <= 1000
    assert abs(moment(bench, ev.QUOTA_EXCEEDED) - begin - 1_800_000) <= 1000
    assert 1_000_000 <= bench.meter.energy.mwh[0] <= 1_000_300


def test_a_flash_of_somebody_else_stops_neither_meter_nor_link(monkeypatch):
    """Nothing is written, so nothing that must be kept is done; what is measured is measured."""
    flash = flash_lab.LabFlash(256, {number: bytes(4096) for number in range(256)})
    monkeypatch.setattr(meterbench.Board, "flash", flash)
    bench = MeterBench()
    bench.run(120_000)
    hold(bench, 3600, 1000)
    assert bench.meter.energy.mwh[0] == 1_000_000
    assert not flash.operations and not bench.meter.nv_memory.writable
    assert bench.meter.control.remote(False, 5, 0) == supply.NOT_STORED
    assert bench.relay.contact


class Button:
    """What somebody does at the case, by the board's inputs."""

    def __init__(self):
        self.bits = 0

    def read(self):
        return self.bits


@pytest.mark.parametrize("step_s", [1, 7, 600])
def test_the_button_counts_in_steps_of_any_length(step_s):
    """Nothing else is due: the HAN port is closed, and nobody looks but for the button itself."""
    bench = MeterBench()
    button = bench.meter.case._inputs = Button()
    bench.meter.control.breaker.mode = 1
    hold(bench, 3600, 1000)
    began = bench.board.clock.ms
    button.bits = INPUT_BUTTON
    bench.meter.wake()
    for _ in range(-(-10 // step_s)):
        hold(bench, step_s, 1000)
    assert bench.meter.control.breaker.state == tr.READY
    assert moment(bench, ev.MANUAL_DISCONNECTION) - began <= 5000 + 200
    for bits, seconds in ((0, 1), (INPUT_BUTTON, 2), (0, 1)):
        button.bits = bits
        bench.meter.wake()
        hold(bench, seconds, 1000)
    hold(bench, 600, 1000)
    assert bench.meter.control.breaker.state == tr.CONNECTED
    assert moment(bench, ev.MANUAL_CONNECTION) - bench.board.clock.ms <= -600_000 + 5200
