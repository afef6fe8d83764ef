"""Household files: rows equal the file, and as waveforms measure as the file says."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.grid.household import Household, Reading
from openams.grid.registry import load
from openams.grid.scenario import PAIRS, Row, ScenarioError
from openams.grid.synthesis import play, waves

DATA = Path(__file__).resolve().parents[1] / "data"
DAY = DATA / "kaifa_ma304h3e_2017-09-15.csv"


def measure(block, system, rate=4000):
    """(P, Q) and {channel: rms} over whole cycles at 50 Hz, by plain numpy."""
    n = len(block)
    t = np.arange(n) / rate
    reference = np.exp(-2j * np.pi * 50 * t)
    total = 0j
    rms = []
    for k in range(len(PAIRS[system])):
        u, i = block[:, 2 * k], block[:, 2 * k + 1]
        phasor_u, phasor_i = (np.sqrt(2) * np.mean(x * reference) for x in (u, i))
        total += np.mean(u * i) + 1j * (phasor_u * np.conj(phasor_i)).imag
        rms += [np.sqrt(np.mean(u * u)), np.sqrt(np.mean(i * i))]
    return total, rms


def test_rows_are_the_file_to_the_last_digit():
    scenario = load(str(DAY))
    assert scenario.system == "3P3W"
    assert scenario.start.isoformat() == "2017-09-15T02:51:22+00:00"
    with DAY.open() as stream:
        lines = list(csv.DictReader(stream))
    rows = list(scenario.rows())
    assert len(rows) == len(lines)
    at = 0
    for row, line in zip(rows, lines, strict=True):
        assert row.start_ms == at
        at += row.duration_ms
        assert row.total_active_power_mw == 1000 * int(line["active_import_W"])
        assert sum(row.active_power_mw) == row.total_active_power_mw
        assert sum(row.reactive_power_mvar) == row.total_reactive_power_mvar
        if line["current_l1_A"]:
            amperes = [float(line[f"current_l{k}_A"]) for k in (1, 2, 3)]
            volts = [float(line[f"voltage_l{k}_V"]) for k in (1, 2, 3)]
            assert row.current_ua == tuple(round(x * 1e6) for x in amperes)
            assert row.voltage_mv == tuple(round(x * 1e3) for x in volts)
    assert at == scenario.duration_s * 1000


def test_the_day_as_a_waveform_has_the_recordings_quantities():
    rows = [row for k, row in enumerate(load(str(DAY)).rows()) if k % 97 == 4]
    assert len(rows) > 200
    for row in rows:
        one = Row(
            0,
            400,
            row.voltage_mv,
            row.current_ua,
            row.active_power_mw,
            row.reactive_power_mvar,
            row.total_active_power_mw,
            row.total_reactive_power_mvar,
        )
        block = np.concatenate(list(play(iter([one]), "3P3W", 4000, 80)))
        total, rms = measure(block, "3P3W")
        assert total.real == pytest.approx(row.total_active_power_mw / 1e3, abs=1e-3)
        assert total.imag == pytest.approx(row.total_reactive_power_mvar / 1e3, abs=1e-3)
        assert rms[0] == pytest.approx(row.voltage_mv[0] / 1e3, rel=1e-9)
        assert rms[2] == pytest.approx(row.voltage_mv[2] / 1e3, rel=1e-9)


def test_the_lists_of_the_day_have_the_recordings_currents():
    """Of the rows with currents of their own all but two: their power asks for more."""
    lists = [row for k, row in enumerate(load(str(DAY)).rows()) if k % 5 == 4]
    off = 0
    for row in lists:
        made = waves(row, "3P3W")
        rms = [math.hypot(abs(u), h) for u, h in zip(made.fundamental, made.excess, strict=True)]
        near = all(
            abs(rms[channel] - row.current_ua[place] / 1e6) < 1e-9
            for channel, place in ((1, 0), (3, 2))
        )
        off += not near
    assert len(lists) == 4594 and off <= 2


@pytest.mark.parametrize("system", ["1P2W", "3P4W"])
def test_the_currents_of_the_day_on_other_nets(system):
    """The day's loads on the phases of other nets: P, Q, U of each row, I where P allows."""
    for row in [row for k, row in enumerate(load(str(DAY)).rows()) if k % 197 == 4]:
        places = range(len(PAIRS[system]))
        volts = tuple(row.voltage_mv[0] if k in places else 0 for k in range(3))
        reading = Reading(
            datetime(2026, 1, 1, tzinfo=UTC),
            row.total_active_power_mw,
            row.total_reactive_power_mvar,
            volts,
            row.current_ua,
        )
        (one,) = Household("day", system, [reading]).rows()
        total, rms = measure(np.concatenate(list(play(iter([one]), system, 4000, 80))), system)
        assert total.real == pytest.approx(row.total_active_power_mw / 1e3, abs=1e-6)
        assert total.imag == pytest.approx(row.total_reactive_power_mvar / 1e3, abs=1e-6)
        for place in places:
            assert rms[2 * place] == pytest.approx(volts[place] / 1e3, rel=1e-9)
            power = math.hypot(one.active_power_mw[place], one.reactive_power_mvar[place])
            needed = power / volts[place]
            expected = max(needed, row.current_ua[place] / 1e6)
            assert rms[2 * place + 1] == pytest.approx(expected, rel=1e-9)


@given(
    volts=st.tuples(st.integers(180_000, 260_000), st.integers(180_000, 260_000)),
    amperes=st.tuples(*[st.integers(0, 60_000_000)] * 3),
    power=st.tuples(*[st.integers(-20_000_000, 20_000_000)] * 2),
)
@settings(max_examples=200, deadline=None)
def test_three_wires_always_meet_the_power(volts, amperes, power):
    row = Row(0, 200, (volts[0], 0, volts[1]), amperes, (0, 0, 0), (0, 0, 0), *power)
    u12, i1, u32, i3 = waves(row, "3P3W").fundamental
    total = u12 * i1.conjugate() + u32 * i3.conjugate()
    assert total == pytest.approx(complex(*power) / 1e3, abs=1e-6)
    assert [abs(u12), abs(u32)] == pytest.approx([volts[0] / 1e3, volts[1] / 1e3])


@pytest.mark.parametrize(
    ("system", "volts"), [("3P4W", (230_000, 0, 230_000)), ("3P3W", (230_000, 0, 0))]
)
def test_current_of_a_place_without_voltage_is_played(system, volts):
    row = Row(0, 200, volts, (2_000_000, 3_000_000, 4_000_000), (0, 0, 0), (0, 0, 0), 100_000, 0)
    row = replace(row, active_power_mw=(100_000, 0, 0))
    total, rms = measure(np.concatenate(list(play(iter([row]), system, 4000, 80))), system)
    assert total.real == pytest.approx(100)
    assert rms[1::2] == pytest.approx([2, 3, 4] if system == "3P4W" else [2, 4])


PHASE = st.tuples(
    st.integers(180_000, 260_000),
    st.integers(0, 60_000_000),
    st.floats(-3.14, 3.14),
    st.floats(0.3, 1),
)


@pytest.mark.parametrize("system", ["1P2W", "3P4W"])
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_row_that_can_be_is_met(system, data):
    """Power, voltage and current of each phase, with distortion where the current asks for it."""
    voltage, current, active, reactive = [0] * 3, [0] * 3, [0] * 3, [0] * 3
    for place in range(len(PAIRS[system])):
        u, i, angle, share = data.draw(PHASE)
        s = u * i / 1e6 * share
        voltage[place], current[place] = u, i
        active[place], reactive[place] = round(s * np.cos(angle)), round(s * np.sin(angle))
    row = Row(
        0,
        200,
        tuple(voltage),
        tuple(current),
        tuple(active),
        tuple(reactive),
        sum(active),
        sum(reactive),
    )
    total, rms = measure(np.concatenate(list(play(iter([row]), system, 4000, 80))), system)
    assert total.real == pytest.approx(sum(active) / 1e3, abs=2e-3)
    assert total.imag == pytest.approx(sum(reactive) / 1e3, abs=2e-3)
    for place in range(len(PAIRS[system])):
        assert rms[2 * place] == pytest.approx(voltage[place] / 1e3, rel=1e-9)
        assert rms[2 * place + 1] == pytest.approx(current[place] / 1e6, rel=1e-6, abs=1e-4)


def test_power_wins_over_a_stale_current():
    row = Row(
        0, 200, (230_000, 0, 0), (1_000_000, 0, 0), (3_000_000, 0, 0), (0, 0, 0), 3_000_000, 0
    )
    total, rms = measure(np.concatenate(list(play(iter([row]), "1P2W", 4000, 80))), "1P2W")
    assert total.real == pytest.approx(3000)
    assert rms[1] == pytest.approx(3000 / 230)


def test_phase_goes_on_across_rows_and_blocks():
    rows = [
        Row(k * 30, 30, (230_000, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), 0, 0, 50_000 + 10 * k)
        for k in range(40)
    ]
    whole = np.concatenate(list(play(iter(rows), "1P2W", 4000, 77)))[:, 0]
    assert len(whole) == 40 * 120
    # No jump: two steps never differ by more than the curvature of the wave.
    assert np.max(np.abs(np.diff(whole, 2))) < 230 * np.sqrt(2) * (2 * np.pi * 50.5 / 4000) ** 2


def test_a_recording_played_as_samples_leads_by_half_a_second(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text(
        "time,active_import_W,voltage_l1_V,current_l1_A\n"
        "2026-01-01T00:00:00+01:00,1000,230,5\n"
        "2026-01-01T00:00:02+01:00,2000,230,9\n"
        "2026-01-01T00:00:04+01:00,3000,230,14\n"
    )
    scenario = load(str(path))
    assert scenario.system == "1P2W" and scenario.duration_s == 6
    samples = np.concatenate(list(scenario.samples(4000, 80)))
    assert len(samples) == 6 * 4000
    for second, power in ((1.0, 1000), (1.6, 2000), (3.4, 2000), (3.6, 3000), (5.8, 3000)):
        piece = samples[round(second * 4000) : round(second * 4000) + 160]
        assert np.mean(piece[:, 0] * piece[:, 1]) == pytest.approx(power, rel=1e-6)


def test_uci_gaps_hold(tmp_path):
    head = "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;a;b;c\n"
    path = tmp_path / "uci.txt"
    path.write_text(
        head + "1/2/2007;00:00:00;0.326;0.128;243.150;1.400;0;0;0\n"
        "1/2/2007;00:01:00;?;?;?;?;?;?;?\n1/2/2007;00:02:00;0.5;0;240;2;0;0;0\n"
    )
    rows = list(load(str(path)).rows())
    assert [row.total_active_power_mw for row in rows] == [326_000, 326_000, 500_000]
    assert rows[1].voltage_mv == (243_150, 0, 0) and rows[0].current_ua[0] == 1_400_000
    assert [row.duration_ms for row in rows] == [60_000] * 3


def test_times_cross_the_change_to_summer_time(tmp_path):
    path = tmp_path / "dst.csv"
    path.write_text("time,active_import_W\n2026-03-29 01:59:58,1\n2026-03-29 03:00:00,2\n")
    rows = list(load(str(path)).rows())
    assert rows[0].duration_ms == 2000


@pytest.mark.parametrize("system", ["1P2W", "3P3W", "3P4W"])
def test_a_file_of_powers_alone_goes_with_any_system(tmp_path, system):
    path = tmp_path / "powers.csv"
    path.write_text("time,active_import_W\n2026-01-01T00:00:00Z,1001\n2026-01-01T00:00:10Z,7\n")
    scenario = load(str(path), system)
    rows = list(scenario.rows())
    assert scenario.system == system
    assert sum(rows[0].active_power_mw) == rows[0].total_active_power_mw == 1_001_000
    block = next(iter(scenario.samples(4000, 800)))
    total, _ = measure(block, system)
    assert total.real == pytest.approx(1001, rel=1e-6)


def test_system_of_the_user_must_fit():
    with pytest.raises(ScenarioError, match="is 3P3W, not 1P2W"):
        load(str(DAY), "1P2W")
