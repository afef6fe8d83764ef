"""Three phases through the metering IC on SPI."""

from __future__ import annotations

import itertools
import math

import pytest
from chipbench import ChipBench, register_change, steady


def test_an_atm90e32_measures_three_phases(image, tmp_path):
    volts, amperes, lag = 230.0, 10.0, 60.0
    power = volts * amperes * math.cos(math.radians(lag))
    reactive = volts * amperes * math.sin(math.radians(lag))
    bench = ChipBench(image, tmp_path, steady("3P4W", volts, amperes, lag))
    meter = bench.meter
    try:
        bench.boot()
        bench.run(0.7)
        before = meter.view()
        # The two energies are read one after the other: milliseconds at each end, of five seconds.
        bench.run(5.0)
        after = meter.view()
        result = meter.stop()
    finally:
        meter.kill()
    quantities = result["quantities"]
    for place in range(3):
        assert quantities["voltage_mv"][place] / 1000 == pytest.approx(volts, rel=0.001)
        assert quantities["current_ua"][place] / 1e6 == pytest.approx(amperes, rel=0.001)
        assert quantities["active_power_mw"][place] / 1000 == pytest.approx(power, rel=0.002)
        assert quantities["reactive_power_mvar"][place] / 1000 == pytest.approx(reactive, rel=0.002)
    assert quantities["frequency_mhz"] == pytest.approx(50_000, abs=10)
    seconds = (after["utc_ms"] - before["utc_ms"]) / 1000
    active = register_change(before, after, "a_plus_mwh", 0)
    # The IC is read five times a second: two readings more or less.
    assert active == pytest.approx(3 * power * seconds / 3.6, rel=0.25 / seconds)
    assert result["samples_missing"] == 0
    # The energies stand to each other as the powers do.
    assert register_change(before, after, "r_plus_mvarh", 2) / active == pytest.approx(
        reactive / power, rel=0.01
    )


@pytest.mark.parametrize("kw", [pytest.param(9.2, marks=pytest.mark.campaign), 90.0])
def test_the_test_led_is_even_up_to_90_kw(image, tmp_path, kw):
    """By a timer, between the passes of the main loop: none waits, and each can be seen."""
    bench = ChipBench(image, tmp_path, steady("3P4W", 230.0, kw * 1000 / 690, 0.0))
    meter = bench.meter
    try:
        bench.boot()
        bench.run(1.5)
        led = meter.wiring.pulses
        led.times_ns.clear()
        led.ends_ns.clear()
        before = meter.view()
        bench.run(4.0)
        after = meter.view()
        begins = [at / 1e6 for at in led.times_ns]
        ends = [at / 1e6 for at in led.ends_ns if at / 1e6 > begins[0]]
    finally:
        meter.kill()
    even = 3600 / kw
    gaps = [b - a for a, b in itertools.pairwise(begins)]
    # The IC counts in lumps of 11 Ws, and is read by passes of 25 ms.
    assert all(abs(gap - even) < 0.15 * even + 10 for gap in gaps), (min(gaps), max(gaps))
    lit = [end - begin for begin, end in zip(begins, ends, strict=False)]
    # Its end waits for the end of a window (9.5 ms), and for a page that the flash programs (3 ms).
    assert all(24 < ms < 44 for ms in lit), (min(lit), max(lit))
    counted = register_change(before, after, "a_plus_mwh", 0) / 1000
    assert abs(len(begins) - counted) <= 2 + 300 / even
