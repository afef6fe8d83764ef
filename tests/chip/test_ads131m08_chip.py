"""Three phases through an ADS131M08: its frames by PIO and DMA of the emulated RP2040.

The converter errs as its datasheet allows, by a seed (openams.runtimes.rp2040.converter).
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from chipbench import ChipBench, register_change, steady

from openams.bench.options import DEFAULT_METER_ID
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.runtimes.rp2040.meter import inspect

VOLTS, AMPERES, LAG = 230.0, 10.0, 60.0
P = VOLTS * AMPERES * math.cos(math.radians(LAG))
Q = VOLTS * AMPERES * math.sin(math.radians(LAG))


def bench_of(image, folder, system="3P4W", keys=True):
    bench = ChipBench(image, folder, steady(system, VOLTS, AMPERES, LAG), "ads131m08")
    if not keys:
        return bench
    store = Keystore(folder / "keys", b"bench", SCRYPT_N_RANDOM)
    bench.config["security"] = provisioned(store, DEFAULT_METER_ID)
    return bench


@pytest.fixture(scope="module")
def run(image, tmp_path_factory):
    """Chip seconds are dear here, half a million bits each: as few as show a whole window."""
    bench = bench_of(image, tmp_path_factory.mktemp("ads131"), keys=False)
    try:
        bench.boot()
        bench.run(0.02)
        # Those of before its frames are taken.
        dropped = bench.meter.converter.model.dropped
        bench.run(0.48)
        yield SimpleNamespace(bench=bench, view=bench.meter.view(), dropped=dropped)
    finally:
        bench.meter.kill()


def test_it_measures_three_phases(run):
    quantities = run.view["quantities"]
    for place in range(3):
        assert quantities["voltage_mv"][place] / 1000 == pytest.approx(VOLTS, rel=1e-4)
        assert quantities["current_ua"][place] / 1e6 == pytest.approx(AMPERES, rel=1e-4)
        assert quantities["active_power_mw"][place] / 1000 == pytest.approx(P, rel=2e-4)
        assert quantities["reactive_power_mvar"][place] / 1000 == pytest.approx(Q, rel=2e-4)
    # Its crystal is up to 94 ppm beside the truth.
    assert quantities["frequency_mhz"] == pytest.approx(50_000, abs=6)
    assert quantities["status"] == 0


def test_nothing_is_missing_and_it_fits(run):
    view = run.view
    assert 0 < run.bench.meter.booted_ms < 1000
    assert view["samples_missing"] == view["samples_late"] == view["faults"] == 0
    assert view["heap_used"] < 128 * 1024
    assert run.bench.meter.converter.model.dropped == run.dropped


@pytest.mark.campaign
def test_it_measures_the_neutral_as_well(image, tmp_path):
    """Even loads leave nothing but noise; the phases are measured as without it."""
    bench = bench_of(image, tmp_path, keys=False)
    meter = bench.meter
    try:
        bench.boot()
        bench.run(0.5)
        assert meter.view()["quantities"]["neutral_current_ua"] is None
        meter.kill()
        case = steady("3P4W", VOLTS, [AMPERES, 4.0, 1.0], LAG)
        bench = ChipBench(image, tmp_path, case, "ads131m08-neutral")
        meter = bench.meter
        bench.boot()
        bench.run(0.8)
        view = meter.view()
    finally:
        meter.kill()
    quantities = view["quantities"]
    # |10 + 4 a + a^2|, a a third of a turn.
    assert quantities["neutral_current_ua"] / 1e6 == pytest.approx(math.sqrt(63), rel=1e-3)
    for place, amperes in enumerate((AMPERES, 4.0, 1.0)):
        assert quantities["current_ua"][place] / 1e6 == pytest.approx(amperes, rel=2e-4)
    assert view["samples_missing"] == view["samples_late"] == view["faults"] == 0
    assert view["heap_used"] < 128 * 1024


@pytest.mark.campaign
@pytest.mark.parametrize("system", ["1P2W", "3P4W"])
def test_energy_of_every_sample(image, tmp_path, system):
    bench = bench_of(image, tmp_path, system)
    meter = bench.meter
    try:
        bench.boot()
        bench.run(1.0)
        before = meter.view()
        bench.run(6.0)
        after = meter.view()
    finally:
        meter.kill()
    phases = {"1P2W": 1, "3P4W": 3}[system]
    active = register_change(before, after, "a_plus_mwh", 0)
    windows = round(active * 3.6 / (phases * P * 0.2))
    assert 28 <= windows <= 32
    assert active == pytest.approx(windows * 0.2 * phases * P / 3.6, rel=5e-4)
    assert after["samples_missing"] == after["samples_late"] == after["faults"] == 0
    assert meter.booted_ms < 1000 and after["heap_used"] < 128 * 1024 and meter.machine.resets == 0


def told(bench):
    return [(row[4], row[5]) for row in inspect(bench.state, "events")]


@pytest.mark.campaign
@pytest.mark.parametrize("fault", ["reset", "stuck", "silent", "spoilt", "settings"])
def test_what_is_wrong_is_told_once_and_mended(image, tmp_path, fault):
    """The rest goes on, no reset, no energy that was not there."""
    bench = bench_of(image, tmp_path)
    meter = bench.meter
    try:
        bench.boot()
        bench.run(1.5)
        before = meter.view()
        model = meter.converter.model
        if fault == "reset":
            model.dip()
        elif fault == "settings":
            model.flip(0x04, 1)
        elif fault == "stuck":
            model.stuck = 0
        elif fault == "spoilt":
            model.disturb(3, 500)
        else:
            meter.converter.stands = True
        bench.run(5.0)
        sent = sum(meter.view()["han"]["sent"])
        model.stuck = None
        model.calm()
        meter.converter.stands = False
        bench.run(3.0)
        after = meter.view()
        meter.stop()
    finally:
        meter.kill()
    assert meter.machine.resets == 0 and after["faults"] == 0
    assert sent > sum(before["han"]["sent"]) and after["heap_used"] < 128 * 1024
    names = [name for name, _ in told(bench)]
    assert names.count("measurement-error") == names.count("samples-missing") == 1, names
    assert not {"watchdog-error", "software-fault", "phase-lost", "voltage-lost"} & set(names)
    counted = register_change(before, after, "a_plus_mwh", 0)
    seconds = (after["utc_ms"] - before["utc_ms"]) / 1000
    most = 3 * P * seconds / 3.6
    assert counted < most * 1.001 + 3 * P * 0.2 / 3.6
    if fault in ("reset", "settings"):
        assert counted > most - 3 * P * 0.5 / 3.6
    quantities = after["quantities"]
    assert quantities["active_power_mw"][1] / 1000 == pytest.approx(P, rel=3e-4)
