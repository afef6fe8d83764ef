"""Files of the field: what is given stays, what is wrong is one line with its place."""

from __future__ import annotations

import json

import pytest

from openams.grid.cases import load_cases
from openams.grid.registry import load
from openams.grid.scenario import ScenarioError

POWERS = "time,active_import_W\n"
FULL = (
    "time,active_import_W,active_export_W,reactive_import_var,reactive_export_var,"
    "current_l1_A,current_l2_A,current_l3_A,voltage_l1_V,voltage_l2_V,voltage_l3_V\n"
)
UCI = "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity\n"


def rows(tmp_path, text, system=None, name="house.csv"):
    path = tmp_path / name
    path.write_text(text)
    scenario = load(str(path), system)
    return scenario, list(scenario.rows())


def test_a_recorded_blackout_stays_dark(tmp_path):
    scenario, (before, dark, after) = rows(
        tmp_path,
        FULL + "2026-01-01 00:00:00,500,0,0,0,1,1,1,230,231,232\n"
        "2026-01-01 00:00:02,0,0,0,0,0,0,0,0,0,0\n"
        "2026-01-01 00:00:04,500,0,0,0,1,1,1,230,231,232\n",
    )
    assert scenario.system == "3P4W"
    assert dark.voltage_mv == dark.current_ua == (0, 0, 0)
    assert before.voltage_mv == after.voltage_mv == (230_000, 231_000, 232_000)


def test_a_phase_lost_at_the_end_is_still_four_wires(tmp_path):
    scenario, (_, lost) = rows(
        tmp_path,
        FULL + "2026-01-01 00:00:00,500,0,0,0,1,1,1,230,230,230\n"
        "2026-01-01 00:00:02,300,0,0,0,1,0,2,230,0,230\n",
    )
    assert scenario.system == "3P4W"
    assert lost.active_power_mw == (100_000, 0, 200_000)


def test_two_voltages_are_three_wires(tmp_path):
    header = "time,active_import_W,current_l1_A,current_l3_A,voltage_l1_V,voltage_l3_V\n"
    scenario, (row,) = rows(tmp_path, header + "2026-01-01 00:00:00,1000,2,3,230,231\n")
    assert scenario.system == "3P3W" and row.voltage_mv == (230_000, 0, 231_000)


@pytest.mark.parametrize(
    ("system", "volts"), [(None, (230_000, 0, 0)), ("3P4W", (230_000, 230_000, 230_000))]
)
def test_currents_stay_where_voltages_are_missing(tmp_path, system, volts):
    header = "time,active_import_W,current_l1_A\n"
    _, (row,) = rows(tmp_path, header + "2026-01-01 00:00:00,1000,5.25\n", system)
    assert row.current_ua == (5_250_000, 0, 0) and row.voltage_mv == volts


def test_power_without_current_goes_to_no_dead_phase(tmp_path):
    _, (_, row) = rows(
        tmp_path,
        FULL + "2026-01-01 00:00:00,500,0,0,0,1,1,1,230,230,230\n"
        "2026-01-01 00:00:02,2,0,0,0,0,0,0,230,0,230\n",
    )
    assert row.active_power_mw == (1000, 0, 1000)


def test_a_night_of_two_hours_between_two_and_three(tmp_path):
    """02:59:58 summer time, 02:00:00 standard time: two seconds."""
    times = ("02:59:58", "02:00:00", "02:00:02", "02:59:58", "03:00:00")
    _, played = rows(tmp_path, POWERS + "".join(f"2026-10-25 {t},1\n" for t in times))
    assert [row.start_ms for row in played] == [0, 2000, 4000, 3_600_000, 3_602_000]


def test_rows_are_contiguous_whatever_the_fractions(tmp_path):
    times = ("00.0004", "00.5008", "01.2505", "03")
    _, played = rows(tmp_path, POWERS + "".join(f"2026-01-01 00:00:{t},1\n" for t in times))
    assert [row.start_ms for row in played] == [0, 500, 1250, 3000]
    for one, following in zip(played, played[1:], strict=False):
        assert one.start_ms + one.duration_ms == following.start_ms


def test_uci_is_exact_and_its_first_gap_takes_the_first_value(tmp_path):
    scenario, (first, second) = rows(
        tmp_path,
        UCI + "1/2/2007;00:00:00;0.326;0.128;?;?\n1/2/2007;00:01:00;?;?;243.150;1.400\n",
        name="uci.txt",
    )
    assert scenario.system == "1P2W"
    assert first.voltage_mv == second.voltage_mv == (243_150, 0, 0)
    assert second.active_power_mw == (326_000, 0, 0)
    assert second.reactive_power_mvar == (128_000, 0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FULL + "2026-01-01 00:00:00,5,0,0,0,1,1,1,-230,0,230\n", ":2: voltage_l1_V is an RMS"),
        (FULL + "2026-01-01 00:00:00,5,0,0,0,1,1,-1,230,0,230\n", ":2: current_l3_A is an RMS"),
        (POWERS.replace("\n", ",active_import_W\n"), ":1: column active_import_W is there twice"),
        (POWERS + f"2026-01-01 00:00:00,{'1' * 200_000}\n", ":2: field larger than"),
        ("time," + "x" * 200_000 + "\n", ":1: field larger than"),
        (POWERS + "0001-01-01 00:00:00,1\n", ":2: no time"),
        (POWERS + "2026-01-01 00:00:00,1\n2026-01-01 00:00:00,1\n", ":3: time does not go"),
        (UCI + "31/2/2007;00:00:00;1;0;230;1\n", ":2: no date and time"),
        (UCI + "1/2/2007;00:00:00;1;0;230;x\n", ":2: current_l1_A is no number"),
        (UCI + "1/2/2007;00:00:00;1;0;-230;1\n", ":2: voltage_l1_V is an RMS"),
        (UCI + "1/2/2007;00:00:00;?;?;?;?\n", "no rows with a power"),
        (UCI + "1/2/2007;00:00:00;1\n", ":2: 3 fields"),
        (UCI + "1/2/2007;00:01:00;1;0;230;1\n1/2/2007;00:00:00;1;0;230;1\n", ":3: time does not"),
    ],
)
def test_household_errors_name_the_line(tmp_path, text, message):
    path = tmp_path / "house.csv"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(str(path))
    assert message in str(caught.value) and "\n" not in str(caught.value)


CASE = {
    "name": "x",
    "system": "1P2W",
    "frequency_hz": 50,
    "duration_s": 1,
    "voltage": {"L1": [[1, 230, 0]]},
    "current": {"L1": [[1, 5, 0]]},
    "colour": "extra keys are let be",
}
EXPECTED = {
    "active_power_w": 1150, "reactive_power_var": 0, "a_plus_wh": 0, "a_minus_wh": 0,
    "r_plus_varh": 0, "r_minus_varh": 0, "voltage_v": {"L1": 230}, "current_a": {"L1": 5},
}  # fmt: skip


def cases(tmp_path, *changes, name="cases.json"):
    path = tmp_path / name
    path.write_text(json.dumps([{**CASE, **change} for change in changes]))
    return path


@pytest.mark.parametrize("change", [{}, {"expected": EXPECTED}, {"expected": {}}])
def test_cases_that_are_right(tmp_path, change):
    (case,) = load_cases(cases(tmp_path, change))
    assert case.expected == (change.get("expected") or None)
    assert case.scenario().duration_s == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name must be"),
        ({"frequency_hz": True}, "frequency_hz must be a number"),
        ({"frequency_hz": 400}, "frequency_hz must lie"),
        ({"duration_s": 0}, "duration_s must be more than 0"),
        ({"duration_s": 10**400}, "duration_s is too large"),
        ({"current": {"L1": [[1, float("inf"), 0]]}}, "current.L1: rms must be a number"),
        ({"current": {"L1": [[1, float("nan"), 0]]}}, "current.L1: rms must be a number"),
        ({"current": {"L1": [[1, -5, 0]]}}, "current.L1: rms must not be below 0"),
        ({"current": {"L1": [[1.5, 5, 0]]}}, "current.L1: harmonic must be 0 to 100"),
        ({"current": {"L1": [[10**400, 5, 0]]}}, "current.L1: harmonic is too large"),
        ({"current": {"L1": 5}}, "current.L1 must be a list"),
        ({"limit_percent": [1]}, "limit_percent must be an object"),
        ({"expected": [1]}, "expected must be an object"),
        ({"expected": {"active_power_w": "x"}}, "expected.active_power_w must be a number"),
        ({"expected": {"voltage_v": []}}, "expected.voltage_v must be an object"),
        ({"expected": {"voltage_v": {"L1": "x"}}}, "expected.voltage_v.L1 must be a number"),
    ],
)
def test_case_errors_name_the_case_and_the_key(tmp_path, change, message):
    with pytest.raises(ScenarioError) as caught:
        load_cases(cases(tmp_path, {}, change))
    assert "case 2" in str(caught.value) and message in str(caught.value)


def test_a_case_is_picked_by_name(tmp_path):
    path = cases(tmp_path, *({"name": f"n{k}"} for k in range(5)))
    assert load(f"{path}#n3").name == "n3"
    with pytest.raises(ScenarioError, match="has 5 cases: add #NAME, one of 'n0', 'n1', 'n2' ..."):
        load(str(path))
    with pytest.raises(ScenarioError, match="no case 'zz': it has 'n0', 'n1', 'n2' ..."):
        load(f"{path}#zz")
    assert load(str(cases(tmp_path, {}, name="one#1.json"))).name == "x"
    (tmp_path / "house.csv").write_text(POWERS + "2026-01-01 00:00:00,1\n")
    with pytest.raises(ScenarioError, match="has no cases: leave #n3 out"):
        load(f"{tmp_path / 'house.csv'}#n3")


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "{", "[]", "3"])
def test_json_that_holds_no_cases(tmp_path, text):
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(ScenarioError, match="is no JSON|holds no cases"):
        load(str(path))
