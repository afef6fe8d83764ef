"""`ams measure`: every grid case within its limit, the same on both runtimes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import ams

CASES = Path(__file__).resolve().parents[1] / "data" / "grid-cases" / "cases.json"


@pytest.fixture(scope="module")
def measured():
    return {
        (runtime, front_end): json.loads(
            ams("measure", CASES, "--runtime", runtime, "--front-end", front_end, "--json").stdout
        )["cases"]
        for runtime in ("micropython", "cpython")
        for front_end in ("ideal", "adc12")
    }


@pytest.mark.parametrize("front_end", ["ideal", "adc12"])
def test_both_runtimes_are_equal_to_the_last_digit(measured, front_end):
    assert measured["micropython", front_end] == measured["cpython", front_end]


def test_every_case_is_within_its_limit(measured, grid_cases):
    results = measured["micropython", "ideal"]
    assert [case["name"] for case in results] == [case["name"] for case in grid_cases]
    for case, result in zip(grid_cases, results, strict=True):
        assert result["within_limits"], result
        expected, read = case["expected"], result["measured"]
        assert set(expected) <= set(read)
        for name, volts in expected["voltage_v"].items():
            assert read["voltage_v"][name] == pytest.approx(volts, rel=1e-4)
        for name, amperes in expected["current_a"].items():
            assert read["current_a"][name] == pytest.approx(amperes, rel=1e-3, abs=2e-6)
        assert read["frequency_hz"] == pytest.approx(expected["frequency_hz"], abs=2e-3)


def test_no_load_moves_no_register(measured):
    for key, results in measured.items():
        (case,) = [c for c in results if c["name"] == "TN below starting current"]
        assert case["measured"]["a_plus_wh"] == case["measured"]["r_plus_varh"] == 0, key


def test_twelve_bits_meet_class_a_from_five_percent_of_imax(measured, grid_cases):
    """EN 50470-3 class A: 2 % at power factor 1, 2.5 % from 0.5 inductive to 0.8 capacitive."""
    checked = 0
    for case, result in zip(grid_cases, measured["micropython", "adc12"], strict=True):
        if max(case["expected"]["current_a"].values()) < 5.0:
            continue
        expected = case["expected"]
        apparent = sum(
            u * i
            for u, i in zip(
                expected["voltage_v"].values(), expected["current_a"].values(), strict=True
            )
        )
        unity = abs(expected["active_power_w"]) > 0.99 * apparent
        limit = 2.0 if unity else 2.5
        for error in result["error_percent"].values():
            assert abs(error) < limit, result
        checked += 1
    assert checked > 30


def case_file(tmp_path, **change):
    case = json.loads(CASES.read_text())[0]
    case.update(change)
    path = tmp_path / "case.json"
    path.write_text(json.dumps([case]))
    return path


@pytest.mark.parametrize("duration", [0.05, 0.31, 1.0, 3.777])
@pytest.mark.parametrize("frequency", [47.5, 50.0, 51.37])
def test_short_and_odd_cases(tmp_path, duration, frequency):
    """Energy of a piece of any length: power times time within a cycle's ripple."""
    path = case_file(tmp_path, duration_s=duration, frequency_hz=frequency, expected=None)
    (case,) = json.loads(ams("measure", path, "--json").stdout)["cases"]
    assert case["measured"]["active_power_w"] == pytest.approx(345.0, rel=0.01)
    assert case["measured"]["a_plus_wh"] == pytest.approx(345 * duration / 3600, rel=0.01)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"system": "2P"}, "system must be one of"),
        ({"voltage": {"L1": [[1, 230, 0]]}}, "voltage must have the channels L1, L2, L3"),
        ({"duration_s": -1}, "duration_s must be more than 0"),
        ({"frequency_hz": "fast"}, "frequency_hz must be a number"),
        ({"current": {"L1": [[1, 2]], "L2": [], "L3": []}}, "[harmonic, rms, phase in degrees]"),
    ],
)
def test_bad_cases_are_one_clear_line(tmp_path, change, text):
    done = ams("measure", case_file(tmp_path, **change), ok=False)
    assert done.returncode == 1 and text in done.stderr
    assert done.stderr.count("\n") == 1 and "case 1" in done.stderr


@pytest.mark.parametrize("content", ["", "[]", "{", '"text"', "\xff"])
def test_bad_case_files(tmp_path, content):
    path = tmp_path / "cases.json"
    path.write_bytes(content.encode("latin-1"))
    done = ams("measure", path, "--json", ok=False)
    assert done.returncode == 1 and done.stderr.startswith("ams: ") and not done.stdout
    assert done.stderr.count("\n") == 1


def test_the_table_for_people(tmp_path):
    done = ams("measure", case_file(tmp_path))
    assert "TN PF1 0.5 A" in done.stdout and "met" in done.stdout
