"""Whole days: the recorded house, and every format without a list missed."""

from __future__ import annotations

import csv
import json
from datetime import datetime

import pytest
from helpers import DAY, ams, amshan_frames

from openams.bench.options import Options
from openams.bench.session import Session
from openams.grid.registry import load
from openams.han.reader import decode_frame
from openams.meter_time import NORWAY, to_utc_ms


def play(scenario, **options):
    """(result, frames) of a run as fast as it goes."""
    frames = []
    options.setdefault("speed", None)
    session = Session(scenario, Options(han_open=True, **options), on_frame=frames.append)
    try:
        session.play(lambda: None)
        return session.finish(), frames
    finally:
        session.close()


@pytest.fixture(scope="module")
def recording():
    with DAY.open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        local = datetime.fromisoformat(row["time"]).replace(tzinfo=NORWAY)
        row["utc_ms"] = to_utc_ms(local)
    return rows


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_the_kaifa_day(recording, runtime):
    """At each 10 s list P, Q, U and I are the recording's; A+ is the integral of the powers."""
    result, frames = play(load(str(DAY)), runtime=runtime, han_format="kaifa")
    by_time = {frame.utc_ms: decode_frame(frame.data) for frame in frames}
    checked = 0
    for row in recording:
        reading = by_time[row["utc_ms"]]
        values = {name: float(value) for name, value in reading.values.items()}
        assert values["active_power_import_w"] == float(row["active_import_W"])
        if not row["current_l1_A"]:
            continue
        checked += 1
        assert reading.list_no == (3 if row["time"].endswith("00:10") else 2)
        assert values["active_power_export_w"] == float(row["active_export_W"])
        assert values["reactive_power_import_var"] == float(row["reactive_import_var"])
        assert values["reactive_power_export_var"] == float(row["reactive_export_var"])
        for k in (1, 2, 3):
            assert values[f"voltage_l{k}_v"] == float(row[f"voltage_l{k}_V"])
            assert values[f"current_l{k}_a"] == float(row[f"current_l{k}_A"])
    assert checked == 4594
    integral_mwh = sum(float(row["active_import_W"]) for row in recording) * 2 / 3.6
    assert result["registers"]["a_plus_mwh"] == pytest.approx(integral_mwh, abs=1)
    assert result["han"]["missed"] == 0
    # amshan sees the same.
    last = amshan_frames(b"".join(frame.data for frame in frames[-5:]))[-1]
    assert last["active_power_import"] == float(recording[-1]["active_import_W"])


def test_the_kaifa_day_sampled(recording):
    """A stretch of the recording as a waveform: what the metrology measures is what was recorded.

    Reactive power and current of L2 follow from the angles that the waveform
    was given; the currents are rounded to a milliampere in the recording.
    """
    scenario = load(str(DAY))
    # At speed 1 the recording is sampled; without pacing, to be quick.
    session_options = {"speed": 1.0, "duration_s": 300.0}
    frames = []
    session = Session(
        scenario, Options(han_open=True, han_format="kaifa", **session_options), None, frames.append
    )
    session.options.speed = None
    try:
        assert session.sampled
        session.play(lambda: None)
        session.finish()
    finally:
        session.close()
    rows = {row["utc_ms"]: row for row in recording}
    checked = 0
    for frame in frames:
        reading = decode_frame(frame.data)
        row = rows[frame.utc_ms]
        values = {name: float(value) for name, value in reading.values.items()}
        assert abs(values["active_power_import_w"] - float(row["active_import_W"])) <= 1
        if reading.list_no != 2:
            continue
        checked += 1
        assert abs(values["reactive_power_export_var"] - float(row["reactive_export_var"])) <= 1
        for k in (1, 3):
            assert abs(values[f"voltage_l{k}_v"] - float(row[f"voltage_l{k}_V"])) <= 0.1001
            assert abs(values[f"current_l{k}_a"] - float(row[f"current_l{k}_A"])) <= 0.002
    assert checked >= 29


PERIODS = {"aidon": 2500, "kaifa": 2000, "kamstrup": 10_000, "p1": 10_000}


@pytest.mark.parametrize(
    "name",
    # One that is fast and one that is not, for every commit.
    [
        name if name in ("kaifa", "p1") else pytest.param(name, marks=pytest.mark.campaign)
        for name in PERIODS
    ],
)
def test_no_list_is_missed_or_late_in_a_day(name):
    """86 400 s of a house: a list at every multiple of the period, the hourly ones in place."""
    start = datetime.fromisoformat("2026-03-29T00:00:00+01:00")  # the day that has 23 hours
    result, frames = play(load("house"), han_format=name, start=start, duration_s=86_400.0)
    first = to_utc_ms(start)
    due = set(range(first, first + 86_400_000, PERIODS[name]))
    due |= set(range(first, first + 86_400_000, 10_000))
    after = 5_000 if name == "kamstrup" else 10_000
    if name != "p1":
        due |= set(range(first + after, first + 86_400_000, 3_600_000))
    late = [frame.utc_ms - when for frame, when in zip(frames, sorted(due), strict=True)]
    assert max(late) <= 100 and min(late) >= 0
    assert result["han"]["missed"] == 0
    if name != "p1":
        hourly = [frame for frame in frames if decode_frame(frame.data).list_no == 3]
        assert [frame.utc_ms for frame in hourly] == [
            first + hour * 3_600_000 + after for hour in range(24)
        ]


def test_a_sampled_stretch_misses_nothing():
    result, frames = play(load("fault"), han_format="aidon")
    assert result["han"]["missed"] == 0
    assert result["han"]["late_max_ms"] <= 20
    assert len(frames) == 24
    names = [event[2] for event in result["events"] if event[4] == "quality"]
    # The disturbances of grid/fault.py; an interruption of all phases is one of each.
    for what, counts in (
        ("undervoltage", (3, 3, 2)),
        ("overvoltage", (1, 1, 1)),
        ("missing-voltage", (1, 2, 1)),
        ("normal-voltage", (4, 4, 3)),
    ):
        assert tuple(names.count(f"{what}-l{k}") for k in (1, 2, 3)) == counts, what


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
@pytest.mark.parametrize("power_w", [0, 1, 23_000])
def test_an_hour_of_quantities_is_exact(tmp_path, system, power_w):
    path = tmp_path / "constant.csv"
    path.write_text(
        f"time,active_import_W\n2026-01-01T00:00:00Z,{power_w}\n2026-01-01T00:30:00Z,{power_w}\n"
    )
    result = json.loads(
        ams("run", "--scenario", path, "--system", system, "--speed", "max", "--json").stdout
    )
    assert result["simulated_s"] == 3600
    assert result["registers"]["a_plus_mwh"] == power_w * 1000
    assert result["remainder_uws"] == [0] * 8


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
@pytest.mark.parametrize("power_w", [2_147_484, 1_000_000_000])
def test_a_load_beyond_31_bits_of_milliwatts_is_counted_and_shown(tmp_path, runtime, power_w):
    path = tmp_path / "large.csv"
    path.write_text(
        f"time,active_import_W,current_l1_A\n2026-01-01T00:00:00Z,{power_w},5000\n"
        f"2026-01-01T00:30:00Z,{power_w},5000\n"
    )
    result, frames = play(load(str(path)), runtime=runtime, han_format="kaifa")
    assert result["registers"]["a_plus_mwh"] == power_w * 1000
    last = [decode_frame(frame.data) for frame in frames][-5:]
    assert {reading.values["active_power_import_w"] for reading in last} == {power_w}
    assert {reading.values.get("current_l1_a", 5000) for reading in last} == {5000}


def test_a_load_that_no_house_has_is_refused_in_words(tmp_path):
    path = tmp_path / "huge.csv"
    path.write_text("time,active_import_W\n2026-01-01T00:00:00Z,1000000001\n")
    done = ams("run", "--scenario", path, "--speed", "max", ok=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "huge.csv:2: active_import_W is 1000000001: give at most" in done.stderr


def test_all_events_of_a_run_are_given(tmp_path):
    """More than the meter has at hand (64): the rest is in its flash; those of before are not."""
    kinds = ("magnetic-field", "terminal-cover-removed", "meter-cover-removed")
    # As many of a kind at once as its log takes; and what the operator sets, each hour.
    orders = [word for k in range(1, 9) for kind in kinds for word in ("--at", f"{k}={kind}")]
    for hour in range(1, 41):
        orders += ["--at", f"{hour * 3600}=capture-period:{15 if hour % 2 else 60}"]
        orders += ["--at", f"{hour * 3600 + 600}=clock:{90 if hour % 2 else -90}"]
    for first in (True, False):
        done = ams("run", "--runtime", "cpython", "--speed", "max", "--duration", 41 * 3600,
                   "--scenario", "year", "--state", tmp_path, "--json", *orders)  # fmt: skip
        names = [event["name"] for event in json.loads(done.stdout)["events"]]
        # The second run begins at the same time: what a log had taken by then, it had taken.
        assert [names.count(kind) for kind in kinds] == 3 * [8 if first else 0]
        assert len(names) > 64 or not first
        assert names.count("power-up") == 1
        assert names[0] == "power-up" and names[-1] == "power-down"


def test_uci_household():
    path = DAY.with_name("household_2007-02-01_02.txt")
    result = json.loads(ams("run", "--scenario", path, "--speed", "max", "--json").stdout)
    powers = [line.split(";")[2] for line in path.read_text().splitlines()[1:]]
    mwh = sum(float(power) for power in powers if power != "?") * 1e6 / 60
    assert result["system"] == "1P2W"
    assert result["registers"]["a_plus_mwh"] == pytest.approx(mwh, rel=1e-3)
