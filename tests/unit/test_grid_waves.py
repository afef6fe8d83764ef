"""Cases, built-ins, COMTRADE and front ends."""

from __future__ import annotations

import itertools
import json
import random
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams.metrology.calibration import Calibration
from openams.errors import BenchError
from openams.grid.cases import load_cases
from openams.grid.fault import DISTURBANCES, DURATION_S
from openams.grid.frontend import make_front_end
from openams.grid.house import moments
from openams.grid.recording import interpolate
from openams.grid.registry import load
from openams.grid.scenario import PAIRS, ScenarioError
from openams.meter_time import NORWAY

CASES = Path(__file__).resolve().parents[1] / "data" / "grid-cases" / "cases.json"


@pytest.mark.parametrize("block", [80, 77, 4000])
def test_cases_are_their_formula(block):
    for case in load_cases(CASES)[::4]:
        samples = np.concatenate(list(case.scenario().samples(4000, block)))
        t = np.arange(len(samples)) / 4000
        assert len(t) == round(case.duration_s * 4000)
        u, i = PAIRS[case.system][0]
        for column, parts in ((0, case.voltage[u]), (1, case.current[i])):
            truth = sum(
                np.sqrt(2) * rms * np.cos(2 * np.pi * h * case.frequency_hz * t + np.radians(phase))
                for h, rms, phase in parts
            )
            assert np.max(np.abs(samples[:, column] - truth)) < 1e-6 * max(1, np.max(truth))


def test_dc_and_odd_frequencies():
    record = json.loads(CASES.read_text())[0]
    record.update(
        frequency_hz=50.0137,
        duration_s=3.3,
        system="1P2W",
        voltage={"L1": [[1, 230, 0]]},
        current={"L1": [[0, 1, 0], [1, 2, 0]]},
    )
    path = CASES.with_name("unused.json")
    from openams.grid.cases import _case

    samples = np.concatenate(list(_case(record, str(path)).scenario().samples(4000, 80)))
    t = np.arange(len(samples)) / 4000
    truth = np.sqrt(2) * (1 + 2 * np.cos(2 * np.pi * 50.0137 * t))
    assert np.max(np.abs(samples[:, 1] - truth)) < 1e-6


def house_rows(start, count, system="3P4W", seed=1):
    scenario = load("house", system, seed)
    scenario.begin(datetime.fromisoformat(start).replace(tzinfo=NORWAY))
    return list(itertools.islice(scenario.rows(), count))


def mean_kw(rows, first_s, last_s):
    return np.mean([row.total_active_power_mw for row in rows[first_s:last_s]]) / 1e6


def test_house_lives_by_the_clock_and_the_season():
    """Sun at noon, none at night; the car from one to half past four, local time, all year."""
    summer = house_rows("2026-06-21T00:00:00", 86_400)
    winter = house_rows("2026-12-21T00:00:00", 86_400)
    hour = 3600
    for rows in (summer, winter):
        assert mean_kw(rows, 3 * hour // 2, 4 * hour) > 7.5 + mean_kw(rows, 5 * hour, 6 * hour) - 5
        assert all(row.total_active_power_mw > 7_000_000 for row in rows[hour : 9 * hour // 2])
        assert all(row.total_active_power_mw < 7_000_000 for row in rows[5 * hour : 6 * hour])
    assert mean_kw(summer, 10 * hour, 15 * hour) < -2
    assert mean_kw(winter, 10 * hour, 15 * hour) > 1.5
    assert min(row.total_active_power_mw for row in winter) > 0, "no export in December"
    # The highest sun over Oslo is at 13:20 of summer time, and the day is 18 hours long.
    sun = [at.sun for at in itertools.islice(moments(at_local("2026-06-21T00:00:00")), 86_400)]
    assert abs(np.argmax(sun) / hour - 13.3) < 0.2
    assert 18 < sum(height > 0 for height in sun) / hour < 19.5
    sun = [at.sun for at in itertools.islice(moments(at_local("2026-12-21T00:00:00")), 86_400)]
    assert 5 < sum(height > 0 for height in sun) / hour < 6.5


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_house_changes_to_summer_time_and_back(day, hours):
    """Local hours go on as the clocks do; supper stays at four."""
    first = at_local(f"{day}T00:00:00")
    found = [at.hour for at in itertools.islice(moments(first), hours * 3600)]
    assert found[0] == 0 and found[-1] == pytest.approx(24, abs=0.001)
    gone_back = sum(b < a for a, b in itertools.pairwise(found))
    assert gone_back == (1 if hours == 25 else 0)
    assert sum(16 <= hour < 17 for hour in found) == 3600


def at_local(text):
    return datetime.fromisoformat(text).replace(tzinfo=NORWAY)


def test_house_begins_with_import_when_nobody_says_when():
    scenario = load("house")
    rows = itertools.islice(scenario.rows(), 3600)
    assert all(row.total_active_power_mw > 500_000 for row in rows)
    assert scenario.usual_start.month == 1


def test_year_has_its_seasons_by_local_time():
    """At one in the morning the car charges, before the clocks change and after."""
    rows = load("year").rows()
    start = load("year").start.astimezone(UTC)
    by_month = {}
    for step, row in enumerate(itertools.islice(rows, 91 * 8640)):
        if step % 360 == 180:  # half past each hour
            local = (start + timedelta(seconds=10 * step)).astimezone(NORWAY)
            by_month.setdefault((local.month, local.hour), []).append(row.total_active_power_mw)
    assert len(by_month[4, 1]) == 1  # the last day has summer time
    for month in range(1, 5):
        assert min(by_month[month, 1]) > 7_000_000 > max(by_month[month, 5])
    assert min(by_month[1, 13]) > 0


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_house_is_credible_and_repeats(system):
    rows = house_rows("2026-05-10T12:00:00", 86_400, system, 3)
    again = house_rows("2026-05-10T12:00:00", 1000, system, 3)
    assert rows[:1000] == again
    assert rows[:1000] != house_rows("2026-05-10T12:00:00", 1000, system, 4)
    power = np.array([row.total_active_power_mw for row in rows]) / 1e3
    assert power.min() < -1000, "the roof exports at noon"
    assert power.max() > 7000, "the car charges at night"
    assert 100 < np.median(power) < 5000
    for row in rows[::997]:
        assert sum(row.active_power_mw) == row.total_active_power_mw
        assert 200_000 < row.voltage_mv[0] < 260_000
        assert 49_500 < row.frequency_mhz < 50_500


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_house_as_a_waveform(system):
    samples = np.concatenate(list(itertools.islice(load("house", system).samples(4000, 80), 50)))
    row = next(iter(load("house", system).rows()))
    power = sum(
        np.mean(samples[:, 2 * k] * samples[:, 2 * k + 1]) for k in range(len(PAIRS[system]))
    )
    assert power == pytest.approx(row.total_active_power_mw / 1e3, rel=1e-3)


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_fault_does_what_its_table_says(system):
    samples = np.concatenate(list(load("fault", system).samples(4000, 80)))
    assert len(samples) == DURATION_S * 4000

    def rms(second, channel):
        piece = samples[round(second * 4000) : round(second * 4000) + 80, channel]
        return np.sqrt(np.mean(piece**2))

    assert rms(1, 0) == pytest.approx(230, rel=1e-3)
    for fault in DISTURBANCES:
        middle = (fault.start_s + fault.end_s) / 2 - 0.01
        if system != "3P3W" and 0 in fault.places:
            assert rms(middle, 0) == pytest.approx(230 * fault.factor, rel=1e-2, abs=1e-6)
    assert rms(21, 0) < 1e-9
    # The frequency comes back in phase: no step in the wave.
    assert np.max(np.abs(np.diff(samples[36 * 4000 : 44 * 4000, 0], 2))) < 4


def write_comtrade(tmp_path, channels, data, rate=2000, name="rec"):
    """A minimal COMTRADE 1999 ASCII record."""
    lines = ["station,device,1999", f"{len(channels)},{len(channels)}A,0D"]
    for k, (channel, phase, unit, scale, ps) in enumerate(channels, start=1):
        lines.append(f"{k},{channel},{phase},,{unit},{scale},0,0,-99999,99999,100,1,{ps}")
    count = len(data)
    lines += [
        "50",
        "1",
        f"{rate},{count}",
        "01/01/2026,00:00:00.000000",
        "01/01/2026,00:00:00.000000",
        "ASCII",
        "1",
    ]
    (tmp_path / f"{name}.cfg").write_text("\n".join(lines) + "\n")
    rows = [
        ",".join([str(n + 1), str(n * 1_000_000 // rate), *map(str, row)])
        for n, row in enumerate(data)
    ]
    (tmp_path / f"{name}.dat").write_text("\n".join(rows) + "\n")
    return tmp_path / f"{name}.cfg"


def codes(channels, rate=2000, seconds=0.5):
    t = np.arange(round(rate * seconds)) / rate
    return [
        [
            round(1000 * np.cos(2 * np.pi * 50 * x - 2 * np.pi / 3 * (k % 3)))
            for k in range(channels)
        ]
        for x in t
    ]


def test_comtrade_three_phases(tmp_path):
    channels = [(f"U{p}", p, "kV", 0.000325, "P") for p in "ABC"]
    channels += [(f"I{p}", p, "A", 0.01, "S") for p in "ABC"]
    scenario = load(str(write_comtrade(tmp_path, channels, codes(6))))
    assert scenario.system == "3P4W"
    samples = np.concatenate(list(scenario.samples(4000, 80)))
    assert samples.shape[1] == 6
    assert np.max(samples[:, 0]) == pytest.approx(325, rel=2e-3)
    # A current in secondary amperes counts times its ratio.
    assert np.max(samples[:, 1]) == pytest.approx(1000, rel=2e-3)


def test_comtrade_without_what_a_meter_needs(tmp_path):
    path = write_comtrade(tmp_path, [("UA", "A", "V", 1, "P")], codes(1))
    with pytest.raises(ScenarioError, match="a meter needs U and I"):
        load(str(path))
    path = write_comtrade(tmp_path, [("temp", "", "C", 1, "P")], codes(1), name="t")
    with pytest.raises(ScenarioError, match="no analog channel"):
        load(str(path))


def test_comtrade_that_is_broken(tmp_path):
    path = write_comtrade(tmp_path, [("UA", "A", "V", 1, "P"), ("IA", "A", "A", 1, "P")], codes(2))
    text = path.read_text().splitlines()
    path.write_text("\n".join(text[:3]) + "\n")
    with pytest.raises(ScenarioError, match="COMTRADE|no samples"):
        load(str(path))


@pytest.mark.parametrize("rate", [1000, 1200, 3200, 10_000])
def test_comtrade_keeps_power_at_any_recorded_rate(tmp_path, rate):
    """Lines between the points would lose 1.5 % of the power of a record at 1 kS/s."""
    t = np.arange(rate) / rate
    data = [
        (round(30_000 * np.cos(2 * np.pi * 50 * x)), round(30_000 * np.cos(2 * np.pi * 50 * x - 1)))
        for x in t
    ]
    channels = [("UA", "A", "V", 0.01, "P"), ("IA", "A", "A", 0.001, "P")]
    scenario = load(str(write_comtrade(tmp_path, channels, data, rate)))
    samples = np.concatenate(list(scenario.samples(4000, 77)))[400:3600]
    assert np.mean(samples[:, 0] * samples[:, 1]) == pytest.approx(4500 * np.cos(1), rel=1e-4)
    assert np.sqrt(np.mean(samples[:, 0] ** 2)) == pytest.approx(300 / np.sqrt(2), rel=1e-4)


def test_comtrade_binary_equals_ascii(tmp_path):
    channels = [("UA", "A", "V", 0.5, "P"), ("IA", "A", "A", 0.02, "P")]
    path = write_comtrade(tmp_path, channels, codes(2))
    ascii_samples = np.concatenate(list(load(str(path)).samples(4000, 80)))
    path.write_text(path.read_text().replace("ASCII", "BINARY"))
    records = [struct.pack("<IIhh", n + 1, 500 * n, *row) for n, row in enumerate(codes(2))]
    path.with_suffix(".dat").write_bytes(b"".join(records))
    assert np.array_equal(np.concatenate(list(load(str(path)).samples(4000, 80))), ascii_samples)


def test_comtrade_lines_of_three_wires(tmp_path):
    """U23 is the other way round than U32."""
    channels = [("UAB", "AB", "V", 1, "P"), ("UBC", "BC", "V", 1, "P")]
    channels += [("IA", "A", "A", 1, "P"), ("IC", "C", "A", 1, "P")]
    scenario = load(str(write_comtrade(tmp_path, channels, codes(4))))
    assert scenario.system == "3P3W"
    first = next(scenario.samples(2000, 80))
    assert first[0].tolist() == pytest.approx([codes(4)[0][k] * s for k, s in (
        (0, 1), (2, 1), (1, -1), (3, 1))])  # fmt: skip


def test_damaged_comtrade_is_an_error_or_a_waveform(tmp_path):
    path = write_comtrade(
        tmp_path, [("UA", "A", "V", 1, "P"), ("IA", "A", "A", 1, "P")], codes(2, seconds=0.05)
    )
    files = [(p, p.read_bytes()) for p in (path, path.with_suffix(".dat"))]
    rng = random.Random(1)
    refused = 0
    for _ in range(300):
        for file, good in files:
            data = bytearray(good)
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 9)] = rng.choice((b"", b",", b"\n", b"\xff", b"9e9"))
            file.write_bytes(data)
        try:
            first = next(load(str(path)).samples(4000, 80))
            assert np.all(np.isfinite(first))
        except ScenarioError as error:
            refused += 1
            assert "\n" not in str(error)
    assert 0 < refused < 300


@given(
    points=st.lists(st.integers(1, 50), min_size=2, max_size=40),
    factors=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
)
def test_interpolation_is_exact_for_low_polynomials(points, factors):
    times = np.cumsum(points) / 50
    degree = min(3, len(times))
    values = np.polyval(factors[:degree], times)[:, None]
    t = np.linspace(times[0], times[-1], 97)
    truth = np.polyval(factors[:degree], t)
    scale = 1 + np.max(np.abs(values))
    assert np.max(np.abs(interpolate(t, times, values)[:, 0] - truth)) < 1e-6 * scale


def test_ideal_rounds_and_saturates():
    front_end = make_front_end("ideal", "1P2W")
    block = np.array([[230.0, 10.0], [0.00006, -0.00003], [1e6, -1e6]])
    assert front_end.quantise(block).tolist() == [
        [2_300_000, 250_000],
        [1, -1],
        [8388607, -8388607],
    ]


def test_adc12_is_what_it_says():
    front_end = make_front_end("adc12", "3P4W", 1)
    quiet = front_end.quantise(np.zeros((4000, 6)))
    assert quiet.dtype == np.int32 and quiet.min() >= 0 and quiet.max() <= 4095
    assert 1.5 < quiet[:, 1].std() < 3.0
    assert abs(quiet.mean() - 2048) < 20
    loud = make_front_end("adc12", "3P4W", 1).quantise(np.full((100, 6), 1e4))
    assert set(loud.ravel()) == {4095}
    # The same seed gives the same noise, whatever the blocks.
    again = make_front_end("adc12", "3P4W", 1)
    pieces = [again.quantise(np.zeros((size, 6))) for size in (1000, 3000)]
    assert np.array_equal(np.concatenate(pieces), quiet)
    assert not np.array_equal(
        make_front_end("adc12", "3P4W", 2).quantise(np.zeros((4000, 6))), quiet
    )


def test_adc12_has_wide_codes_where_the_erratum_says():
    front_end = make_front_end("adc12", "1P2W", 1)
    ramp = np.linspace(-440, 440, 400_000)
    seen = front_end.quantise(np.stack([ramp, ramp * 0], axis=1))[:, 0]
    counts = np.bincount(seen, minlength=4096)[300:3800]
    smooth = np.convolve(counts, np.ones(9), "same")
    for code in (512, 1536, 2560, 3584):
        near = smooth[code - 300 - 12 : code - 300 + 13].max()
        assert near > 1.4 * np.median(smooth), code


def test_unknown_front_end():
    with pytest.raises(BenchError, match="choose one of ideal, adc12"):
        make_front_end("adc99", "1P2W")
    with pytest.raises(BenchError, match="choose one of 1P2W"):
        make_front_end("ideal", "2P")
    with pytest.raises(BenchError, match="--seed -1 is below 0"):
        make_front_end("adc12", "1P2W", -1)


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_adc12_holds_100_amperes_with_a_fifth_of_40_percent(system):
    front_end = make_front_end("adc12", system, 5)
    angle = 2 * np.pi * 50 * np.arange(4000) / 4000
    wave = np.sqrt(2) * 100 * (np.cos(angle) + 0.4 * np.cos(5 * angle))
    read = front_end.quantise(np.stack([wave * (n % 2) for n in range(front_end.channels)], axis=1))
    assert read.flags.c_contiguous and read.min() > 0 and read.max() < 4095


@pytest.mark.parametrize("name", ["ideal", "adc12"])
@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_the_firmware_takes_the_calibration(name, system):
    record = json.loads(json.dumps(make_front_end(name, system, 3).calibration(system)))
    calibration = Calibration(system, record)
    assert len(calibration.voltages) == len(calibration.currents) == len(PAIRS[system])
