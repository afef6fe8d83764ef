"""The whole meter in a process, on both runtimes, against formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from openams.grid.frontend import make_front_end
from openams.runtimes.launch import RUNTIMES
from openams.runtimes.process import MeterProcess

START_MS = 840_000_000_000
RATE = 4000


def config(system="1P2W", front_end="ideal", **more):
    model = make_front_end(front_end, system, 1)
    return {
        "system": system,
        "calibration": model.calibration(system),
        "identity": {"meter_id": "7359990000000017", "meter_type": "6515"},
        "han": {"format": "kaifa"},
        "utc_ms": START_MS,
        **more,
    }


def wave(rms_u, rms_i, sets, phase=0.0, start=0):
    """1P2W codes of the ideal front end: volts over 100 uV, amperes over 40 uA."""
    t = np.arange(start, start + sets) / RATE
    u = np.sqrt(2) * rms_u * np.cos(2 * np.pi * 50 * t) / 100e-6
    i = np.sqrt(2) * rms_i * np.cos(2 * np.pi * 50 * t - phase) / 40e-6
    return np.rint(np.stack([u, i], axis=1)).astype(np.int32)


def feed(process, codes, start=0, block=200):
    for at in range(0, len(codes), block):
        piece = codes[at : at + block]
        after = start + at + len(piece)
        process.samples(START_MS + after * 1000 // RATE, start + at, piece)


@pytest.mark.parametrize("power_w", [1.0, 23_000.0])
def test_an_hour_is_exact_to_a_milliwatt_hour(power_w):
    """A constant load for 14.4 million sample sets, against the sum of the same codes."""
    period = wave(230.0, power_w / 230.0, 80)
    exact = int(np.sum(period[:, 0].astype(np.int64) * period[:, 1].astype(np.int64)))
    exact_mwh = exact * 100e-6 * 40e-6 / 80 * 1000
    block = np.concatenate([period, period])
    sets = 3600 * RATE
    with MeterProcess("micropython") as process:
        process.configure(config())
        for at in range(0, sets, 160):
            process.samples(START_MS + (at + 160) * 1000 // RATE, at, block)
        result = process.stop()
    assert abs(result["registers"]["a_plus_mwh"] - exact_mwh) <= 1
    assert result["registers"]["a_minus_mwh"] == 0
    assert abs(exact_mwh - power_w * 1000) < 1e-3 * power_w * 1000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_load_moves_no_register(runtime):
    with MeterProcess(runtime) as process:
        process.configure(config())
        feed(process, wave(264.5, 0.0, 20 * RATE))
        feed(process, wave(230.0, 0.002, 20 * RATE, start=20 * RATE), start=20 * RATE)
        result = process.stop()
    assert set(result["registers"].values()) == {0}
    assert result["remainder_uws"] == [0] * 8
    assert result["quantities"]["status"] & 0x20


def test_both_runtimes_agree_to_the_last_digit():
    rng = np.random.default_rng(7)
    codes = wave(231.0, 7.7, 5 * RATE, phase=0.7)
    codes += rng.integers(-5000, 5000, codes.shape, dtype=np.int32)
    results = []
    for runtime in RUNTIMES:
        with MeterProcess(runtime) as process:
            process.configure(config())
            feed(process, codes)
            result = process.stop()
            for name in ("heap_used", "heap_free"):
                result.pop(name)
            results.append(result)
    assert results[0] == results[1]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_missing_samples_are_marked_and_no_energy_is_invented(runtime):
    """Half of the samples never come: half of the energy is counted."""
    codes = wave(230.0, 10.0, 4 * RATE)
    with MeterProcess(runtime) as process:
        process.configure(config())
        feed(process, codes[:RATE])
        feed(process, codes[3 * RATE :], start=3 * RATE)
        status = process.view()["quantities"]["status"]
        result = process.stop()
    counted = result["registers"]["a_plus_mwh"] * 3_600_000 + result["remainder_uws"][0]
    assert counted == pytest.approx(2 * 2300e6, rel=1e-4)
    assert result["samples_missing"] == 2 * RATE
    assert "samples-missing" in [event[2] for event in result["events"]]
    assert not status & 0x08, "the mark is on the window after the gap, not for ever"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_samples_that_stop_are_noticed(runtime):
    with MeterProcess(runtime) as process:
        process.configure(config())
        feed(process, wave(230.0, 10.0, RATE))
        process.tick(START_MS + 1100)
        assert not process.view()["quantities"]["status"] & 0x08
        process.tick(START_MS + 1500)
        assert process.view()["quantities"]["status"] & 0x08
        before = process.view()["registers"]
        process.tick(START_MS + 60_000)
        result = process.stop()
    assert result["registers"] == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_late_samples_are_dropped_and_marked(runtime):
    codes = wave(230.0, 10.0, 2 * RATE)
    with MeterProcess(runtime) as process:
        process.configure(config())
        feed(process, codes)
        process.samples(START_MS + 2000, RATE, codes[:200])
        result = process.stop()
    counted = result["registers"]["a_plus_mwh"] * 3_600_000 + result["remainder_uws"][0]
    assert counted == pytest.approx(2 * 2300e6, rel=1e-4)
    assert result["samples_late"] == 200
    assert "samples-late" in [event[2] for event in result["events"]]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_saturation_is_flagged(runtime):
    codes = wave(230.0, 240.0, 2 * RATE)
    codes = np.clip(codes, -8388607, 8388607)
    with MeterProcess(runtime) as process:
        process.configure(config())
        feed(process, codes)
        assert process.view()["quantities"]["status"] & 0x04
        events = [event[2] for event in process.stop()["events"]]
    assert events.count("samples-saturated") == 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_interruption_and_return(runtime):
    codes = wave(230.0, 10.0, 6 * RATE)
    codes[2 * RATE : 4 * RATE] = 0
    with MeterProcess(runtime) as process:
        process.configure(config())
        feed(process, codes)
        view = process.view()
        result = process.stop()
    names = [event[2] for event in result["events"]]
    assert names.index("voltage-lost") < names.index("voltage-back")
    # The supply was there for two seconds, and gone for two.
    gone = next(event for event in result["events"] if event[2] == "missing-voltage-l1")
    back = next(event for event in result["events"] if event[2] == "normal-voltage-l1")
    assert gone[0] == pytest.approx(START_MS + 2000, abs=250) and gone[3] < 11_500
    assert back[3] == 0 and back[5] == pytest.approx(2000, abs=500)
    assert names.index("missing-voltage-l1") < names.index("normal-voltage-l1")
    assert view["quantities"]["frequency_mhz"] == 50000
    counted = result["registers"]["a_plus_mwh"] * 3_600_000 + result["remainder_uws"][0]
    assert counted == pytest.approx(4 * 2300e6, rel=5e-3)


def test_frequency_follows_a_ramp():
    """48.5 to 51.5 Hz in 30 s: within 10 mHz, a window's length behind."""
    t = np.arange(30 * RATE) / RATE
    turns = 48.5 * t + 0.05 * t * t
    u = np.rint(np.sqrt(2) * 230 * np.cos(2 * np.pi * turns) / 100e-6)
    codes = np.stack([u, u // 10], axis=1).astype(np.int32)
    with MeterProcess("cpython") as process:
        process.configure(config())
        for second in range(30):
            feed(process, codes[second * RATE : (second + 1) * RATE], start=second * RATE)
            if second:
                read = process.view()["quantities"]["frequency_mhz"] / 1000
                assert abs(read - (48.5 + 0.1 * (second + 1))) < 0.05


def test_phase_calibration_turns_the_fundamental():
    """A current channel that lags by 20 mrad, told so, reads as if it did not."""
    case = config()
    case["calibration"]["channels"][1]["phase_urad"] = 20_000
    lag = math.radians(60)
    with MeterProcess("micropython") as process:
        process.configure(case)
        feed(process, wave(230.0, 10.0, 2 * RATE, phase=lag + 0.020))
        q = process.stop()["quantities"]
    assert q["total_active_power_mw"] == pytest.approx(2300e3 * math.cos(lag), rel=1e-4)
    assert q["total_reactive_power_mvar"] == pytest.approx(2300e3 * math.sin(lag), rel=1e-4)


def test_gain_calibration():
    case = config()
    case["calibration"]["channels"][0]["gain_ppb"] = 10_000_000
    with MeterProcess("micropython") as process:
        process.configure(case)
        feed(process, wave(230.0 / 1.01, 10.0, 2 * RATE))
        q = process.stop()["quantities"]
    assert q["voltage_mv"][0] == pytest.approx(230_000, abs=3)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_calibration_is_stored(tmp_path, runtime):
    """Given once, it is there after a stop; without any the meter does not start."""
    from openams.errors import BenchError
    from openams.runtimes.state import StateImage

    state = StateImage(tmp_path)
    case = config(flash=str(state.path))
    case["calibration"]["channels"][0]["gain_ppb"] = 10_000_000
    with MeterProcess(runtime) as process:
        process.configure(case)
        process.stop()
    case.pop("calibration")
    with MeterProcess(runtime) as process:
        process.configure(case)
        feed(process, wave(230.0 / 1.01, 10.0, RATE))
        q = process.stop()["quantities"]
    assert q["voltage_mv"][0] == pytest.approx(230_000, abs=3)
    case["flash"] = None
    with MeterProcess(runtime) as process, pytest.raises(BenchError, match="no calibration"):
        process.configure(case)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"channels": []}, "needs 2 channels"),
        ({"sample_rate_hz": 0}, "sample_rate_hz"),
        ({"starting_power_mva": "much"}, "starting_power_mva"),
        (
            {
                "channels": [
                    {"kind": "voltage", "lsb_pv": 100000000},
                    {"kind": "current", "lsb_pa": 400000000},
                ]
            },
            "above 2.1 kA",
        ),
    ],
)
def test_a_bad_calibration_is_refused_in_words(change, text):
    from openams.errors import BenchError

    case = config()
    case["calibration"].update(change)
    with MeterProcess("micropython") as process, pytest.raises(BenchError, match=text):
        process.configure(case)
