"""Three phases through the metering IC on SPI."""

from __future__ import annotations

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
