"""One phase through the ADC and DMA of the emulated RP2040: one run, looked at from all sides."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from chipbench import ChipBench, amshan_frames, register_change, steady

from openams.bench.options import DEFAULT_METER_ID
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.runtimes.rp2040.wiring import TERMINAL_COVER

VOLTS, AMPERES, LAG = 230.0, 40.0, 36.87
P = VOLTS * AMPERES * math.cos(math.radians(LAG))
Q = VOLTS * AMPERES * math.sin(math.radians(LAG))
SECONDS = 2.4


@pytest.fixture(scope="module")
def run(image, tmp_path_factory):
    """With the ADC's errors as its datasheet has them, after 0.6 s to lock to the mains."""
    folder = tmp_path_factory.mktemp("one")
    bench = ChipBench(image, folder, steady("1P2W", VOLTS, AMPERES, LAG), "adc12")
    store = Keystore(folder / "keys", b"bench", SCRYPT_N_RANDOM)
    bench.config["security"] = provisioned(store, DEFAULT_METER_ID)
    meter = bench.meter
    bench.boot()
    bench.run(0.6)
    before = meter.view()
    begun_ms = meter.machine.now_ms
    bench.run(SECONDS / 2)
    meter.wiring.set_input(TERMINAL_COVER, True)
    bench.run(SECONDS / 2)
    after = meter.view()
    bench.run(0.2)
    # The list that is on the line leaves whole.
    while meter.machine.now_ms - meter.han_tap.octet_times_ns[-1] / 1e6 < 20:
        bench.run(0.1)
    octet_times_ns = list(meter.han_tap.octet_times_ns)
    result = meter.stop()
    flashes = [t / 1e6 for t in meter.wiring.pulses.times_ns]
    yield SimpleNamespace(
        bench=bench, before=before, after=after, result=result, begun_ms=begun_ms,
        octet_times_ns=octet_times_ns, flashes=flashes,
    )  # fmt: skip
    meter.kill()


def test_measures_within_a_second_of_power_up(run):
    """Boot to metering: the budget of one second, on a flash that never held a meter or keys."""
    assert 0 < run.bench.meter.booted_ms < 1000
    assert run.before["quantities"]["voltage_mv"][0] > 0


def test_powers_within_class_limits(run):
    means = run.result["aggregate"]
    assert means["duration_us"] >= 2_000_000
    assert means["total_active_power_mw"] / 1000 == pytest.approx(P, rel=0.01)
    assert means["total_reactive_power_mvar"] / 1000 == pytest.approx(Q, rel=0.02)
    assert means["voltage_mv"][0] / 1000 == pytest.approx(VOLTS, rel=0.005)
    assert means["current_ua"][0] / 1e6 == pytest.approx(AMPERES, rel=0.01)
    assert means["frequency_mhz"] == pytest.approx(50_000, abs=10)


def test_energy_of_every_sample(run):
    """Between two looks at the registers, which move window by window."""
    active = register_change(run.before, run.after, "a_plus_mwh", 0)
    reactive = register_change(run.before, run.after, "r_plus_mvarh", 2)
    windows = round(active * 3.6 / (P * 0.2))
    assert windows >= 10
    assert active == pytest.approx(windows * 0.2 * P / 3.6, rel=0.01)
    assert reactive == pytest.approx(windows * 0.2 * Q / 3.6, rel=0.02)
    assert run.result["samples_missing"] == run.result["samples_late"] == 0


def test_frames_leave_at_2400_baud(run):
    """Kaifa: 8E1, so eleven bits an octet; amshan reads what came."""
    bench = run.bench
    assert bench.lines == [{"baudrate": 2400, "bits": 8, "parity": 0, "stop": 1}]
    gaps = [b - a for a, b in zip(run.octet_times_ns, run.octet_times_ns[1:], strict=False)]
    assert len(gaps) > 30
    # Without a pause between them, at the pace that the divider gives.
    assert all(gap == pytest.approx(11e9 / 2400, rel=0.002) for gap in gaps)
    decoded = amshan_frames(b"".join(frame.data for frame in bench.frames))
    assert len(decoded) == len(bench.frames) >= 1
    assert decoded[-1]["active_power_import"] == pytest.approx(P, rel=0.01)
    for frame in bench.frames:
        # Due at every second second of true time. The RTC is read 180 ms after power-up; when its
        # next second is seen, the clock jumps by 100 of them and is slewed by the rest.
        assert (frame.utc_ms + 1000) % 2000 - 1000 < 80 + 50
    assert run.result["han"]["late_max_ms"] < 50
    assert run.result["han"]["missed"] == 0


def test_a_thousand_pulses_a_kilowatt_hour(run):
    """The test LED flashes as often as the registers say."""
    counted = run.result["registers"]["a_plus_mwh"] // 1000
    assert counted >= 4
    assert counted - 2 <= len(run.flashes) <= counted


def test_a_cover_that_comes_off_is_told(run):
    names = [event[2] for event in run.result["events"]]
    assert "terminal-cover-removed" in names
    assert names[0] == "power-up" and names[-1] == "power-down"


def test_the_heap_has_room(run):
    """The link with its keys and the slots of updates are there, the HAN port is open."""
    assert run.result["heap_used"] < 128 * 1024
