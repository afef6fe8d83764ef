"""What every meter must do, emulated or on a rig: `pytest tests/hil --meter ... [--rig ...]`."""

from __future__ import annotations

import pytest

# Long enough for some lists of the HAN port and for the metrology to settle.
SETTLE_S = 2.0
MEASURE_S = 6.0
# List 2, which names the meter, comes every ten seconds.
NAMED_S = 12.0


def power_w(reading):
    return reading.values.get("active_power_import_w")


@pytest.mark.needs("han")
def test_the_han_port_speaks(meter):
    meter.wait(NAMED_S)
    readings = meter.readings()
    assert len(readings) >= 4, "a list every two and a half seconds at least"
    named = [reading.meter_id for reading in readings if reading.meter_id]
    assert set(named) == {meter.meter_id}


@pytest.mark.needs("load", "han")
@pytest.mark.parametrize("watts", [500, 2300])
def test_the_han_port_shows_the_load(meter, watts):
    real = meter.load(watts)
    meter.wait(SETTLE_S)
    meter.readings()
    meter.wait(MEASURE_S)
    shown = [power_w(reading) for reading in meter.readings()]
    shown = [power for power in shown if power is not None]
    assert shown
    # A list may have been on its way when we began to listen.
    for power in shown[1:]:
        assert power == pytest.approx(real, rel=meter.load_accuracy, abs=1)


@pytest.mark.needs("load", "registers")
def test_the_register_counts_the_load(meter):
    real = meter.load(2300)
    meter.wait(SETTLE_S)
    before = meter.import_mwh()
    span_s = meter.wait(MEASURE_S)
    counted = meter.import_mwh() - before
    # One step of the register, and half a second that it takes to read a board.
    slack = meter.register_step_mwh + (real / 3.6 * 0.5 if meter.register_step_mwh > 1 else 0)
    # The last window of 200 ms may still be open at either end.
    slack += real / 3.6 * 0.2
    assert counted == pytest.approx(real * span_s / 3.6, rel=meter.load_accuracy, abs=slack)


@pytest.mark.needs("load", "registers")
def test_no_load_counts_nothing(meter):
    meter.load(0)
    meter.wait(SETTLE_S)
    before = meter.import_mwh()
    meter.wait(MEASURE_S)
    # What was counted of a step before may fill it.
    assert meter.import_mwh() - before < meter.register_step_mwh + (meter.register_step_mwh > 1)


@pytest.mark.needs("load", "registers", "power")
def test_the_register_outlasts_the_supply(meter):
    meter.load(2300)
    # It is stored every minute.
    meter.wait(MEASURE_S)
    before = meter.import_mwh()
    meter.wait(61)
    meter.load(0)
    meter.wait(1)
    last = meter.import_mwh()
    meter.cut_power()
    meter.restore_power()
    after = meter.import_mwh()
    assert before - meter.register_step_mwh <= after <= last


@pytest.mark.needs("han", "power")
def test_the_han_port_comes_back(meter):
    meter.cut_power()
    meter.restore_power()
    meter.readings()
    meter.wait(MEASURE_S)
    assert meter.readings()
