"""What becomes of single faults: marks, registers, cuts, states and codes."""

from __future__ import annotations

import ast
import random
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from openams.headend.vee import (
    ESTIMATED,
    FINAL,
    MEASURED,
    TEMPORARY,
    Day,
    Point,
    Reading,
    RegisterSpan,
    VeeError,
    codes,
    evaluate,
    profile,
)
from openams.headend.vee.calendar import midnight, starts
from openams.headend.vee.limits import limit_wh, nominal_wh
from tests.conftest import ROOT
from tests.headend.veedays import DAY_OFF, ROOF, WORKDAY

WEDNESDAY = date(2026, 1, 21)
HOUSE = Point("consumption", 63, "3P3W", 60)


def house(day=WEDNESDAY, seed=1, history=28, point=HOUSE, shape=None):
    """A day without faults, its registers and its history."""
    rng = random.Random(seed)
    per = 60 // point.resolution_min

    def values(at):
        of = shape or (DAY_OFF if at.weekday() > 4 else WORKDAY)
        n = len(starts(at, point.resolution_min))
        return [round(of[k // per % 24] / per * rng.uniform(0.85, 1.15)) for k in range(n)]

    truth = values(day)
    past = {day - timedelta(days=k): values(day - timedelta(days=k)) for k in range(1, history + 1)}
    span = RegisterSpan(10**6, 10**6 + sum(truth))
    return Day(point, day, tuple(map(Reading, truth)), (span,), past)


def put(day, values):
    """The day with other readings: Wh, a reading, or None."""
    readings = list(day.readings)
    for k, one in values.items():
        readings[k] = Reading(one) if isinstance(one, int) else one
    return replace(day, readings=tuple(readings))


def wh(day):
    return [reading.wh for reading in day.readings]


def changed(result):
    return [k for k, value in enumerate(result.values) if value.state != MEASURED]


def names(result):
    return {note.name for note in result.notes}


# --- limits --------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "kw"), [("1P2W", 14.49), ("3P3W", 25.098), ("3P4W", 43.648)])
def test_what_a_fuse_of_63_a_bears(system, kw):
    point = Point("consumption", 63, system, 60)
    assert nominal_wh(point) == pytest.approx(1000 * kw, rel=1e-3)
    assert limit_wh(replace(point, resolution_min=15)) == int(limit_wh(point) / 4)


def test_a_value_above_the_fuse_stands_if_the_registers_confirm_it_and_goes_if_not():
    day = house()
    high = limit_wh(HOUSE) + 5_000
    confirmed = put(day, {13: high})
    total = sum(wh(confirmed))
    result = evaluate(replace(confirmed, registers=(RegisterSpan(0, total),)))
    assert not changed(result) and "confirmed" in names(result)
    result = evaluate(confirmed)
    assert changed(result) == [13] and result.values[13].wh == wh(day)[13]
    assert result.values[13].reason == "above-fuse"
    assert changed(evaluate(replace(confirmed, registers=()))) == [13]


def test_a_spike_below_the_fuse_is_judged_by_the_registers():
    day = house()
    spike = put(day, {3: 15_000})
    assert changed(evaluate(spike)) == [3]
    total = sum(wh(spike))
    assert not changed(evaluate(replace(spike, registers=(RegisterSpan(0, total),))))


def test_without_registers_only_a_lone_jump_near_the_fuse_goes():
    day = replace(house(), registers=())
    assert changed(evaluate(put(day, {3: 20_000}))) == [3]
    assert evaluate(put(day, {3: 20_000})).values[3].reason == "jump"
    # A car, or an oven: three times what was, but no fault.
    assert not changed(evaluate(put(day, {3: 9_000})))
    assert not changed(evaluate(put(day, {3: 20_000, 4: 21_000, 5: 19_000})))


# --- marks of the meter ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dst", "clock-adjusted", "power-down", "period-changed"])
def test_harmless_marks_change_nothing(name):
    day = house()
    marked = put(day, {5: Reading(wh(day)[5], (name,))})
    assert not changed(evaluate(marked))
    assert not changed(evaluate(replace(marked, registers=())))


@pytest.mark.parametrize(
    "name", ["critical-error", "clock-invalid", "wrong-length", "energy-missing"]
)
def test_doubtful_marks_stand_if_the_registers_confirm_the_day(name):
    day = house()
    marked = put(day, {5: Reading(wh(day)[5], (name,))})
    assert not changed(evaluate(marked))
    result = evaluate(replace(marked, registers=()))
    assert changed(result) == [5] and result.values[5].validation == "V001"


def test_data_that_the_meter_calls_not_valid_are_never_called_measured():
    day = house()
    marked = put(day, {k: Reading(wh(day)[k], ("data-not-valid",)) for k in (5, 6)})
    result = evaluate(marked)
    assert changed(result) == [5, 6]
    # They add up to the registers: no profile knows better.
    assert [value.wh for value in result.values] == wh(day)
    assert {result.values[k].method for k in (5, 6)} == {"own"}


def test_an_unknown_mark_is_said_and_left():
    day = house()
    result = evaluate(put(day, {5: Reading(wh(day)[5], ("meter-cover-opened",))}))
    assert not changed(result) and "status-unknown" in names(result)


# --- the hour before once more -------------------------------------------------------------


def test_a_repeated_hour_shares_what_the_hour_after_it_has():
    day = house()
    a, b = wh(day)[8:10]
    result = evaluate(put(day, {8: Reading(0, ("clock-not-advanced",)), 9: a + b}))
    assert changed(result) == [8, 9]
    assert result.values[8].wh + result.values[9].wh == a + b
    assert [result.values[k].reason for k in (8, 9)] == ["clock-not-advanced", "catch-up"]
    assert abs(result.values[8].wh - a) < 0.3 * a


def test_a_repeated_hour_with_a_gap_elsewhere_keeps_its_own_sum():
    day = house()
    a, b = wh(day)[8:10]
    broken = put(day, {8: Reading(0, ("clock-not-advanced",)), 9: a + b, 15: None, 16: None})
    result = evaluate(broken)
    assert changed(result) == [8, 9, 15, 16] and result.sum_off_wh == 0
    assert result.values[8].wh + result.values[9].wh == a + b


def test_a_zero_that_the_register_does_not_move_for_is_no_repeated_hour():
    day = house()
    result = evaluate(put(day, {8: Reading(0, ("clock-not-advanced",))}))
    # The hour after it has only its own: the registers have the rest for the hour itself.
    assert changed(result) == [8] and result.values[8].wh == wh(day)[8]


# --- registers -------------------------------------------------------------------------------


def test_a_register_that_went_round_is_understood():
    day = house()
    total = sum(wh(day))
    start = 10**8 - 1_000
    result = evaluate(put(replace(day, registers=(RegisterSpan(start, total - 1_000),)), {4: None}))
    assert result.total_wh == total and result.values[4].wh == wh(day)[4]
    assert "register-rollover" in names(result)


@pytest.mark.parametrize("span", [RegisterSpan(5_000, 4_000), RegisterSpan(0, 10**9)])
def test_a_register_that_contradicts_itself_is_not_believed(span):
    day = put(replace(house(), registers=(span,)), {4: None})
    result = evaluate(day)
    assert result.total_wh is None and "register-rejected" in names(result)
    assert changed(result) == [4] and result.values[4].estimation == "E003"


def test_a_register_that_stood_still_while_the_house_went_on_is_not_believed():
    day = house()
    result = evaluate(replace(day, registers=(RegisterSpan(10**6, 10**6),)))
    assert not changed(result) and result.total_wh is None
    assert "register-rejected" in names(result)


def test_values_rounded_each_for_itself_stay():
    day = house()
    for off in (-3, 3):
        span = RegisterSpan(0, sum(wh(day)) + off)
        result = evaluate(replace(day, registers=(span,)))
        assert not changed(result) and "sum-rounding" in names(result)
        assert result.sum_off_wh == -off


def test_a_sum_that_no_value_explains_makes_the_day_temporary():
    day = house()
    span = RegisterSpan(0, sum(wh(day)) + 800)
    result = evaluate(replace(day, registers=(span,)))
    assert {value.state for value in result.values} == {TEMPORARY}
    assert {value.validation for value in result.values} == {"V011"}
    assert result.sum_off_wh == 0 and "sum-unresolved" in names(result)
    assert all(abs(v.wh - was) < 0.05 * was for v, was in zip(result.values, wh(day), strict=True))


def test_a_meter_changed_within_an_hour_gives_the_sum_of_both():
    day = house()
    truth = wh(day)
    at = midnight(WEDNESDAY) + timedelta(hours=10, minutes=17)
    before = sum(truth[:10]) + 300
    spans = (RegisterSpan(50_000, 50_000 + before, None, at),
             RegisterSpan(0, sum(truth) - before, at, None))  # fmt: skip
    result = evaluate(put(replace(day, registers=spans), {10: None, 11: None}))
    assert result.total_wh == sum(truth) and result.sum_off_wh == 0
    assert changed(result) == [10, 11]


def test_a_meter_changed_on_the_hour_gives_two_sums():
    day = house()
    truth = wh(day)
    at = midnight(WEDNESDAY) + timedelta(hours=10)
    spans = (RegisterSpan(9, 9 + sum(truth[:10]), None, at),
             RegisterSpan(0, sum(truth[10:]), at, None))  # fmt: skip
    result = evaluate(put(replace(day, registers=spans), {9: None, 10: None}))
    assert [result.values[k].wh for k in (9, 10)] == truth[9:11]
    result = evaluate(
        put(
            replace(day, registers=(spans[0], RegisterSpan(0, None, at, None))), {9: None, 10: None}
        )
    )
    assert result.values[9].wh == truth[9] and result.total_wh is None
    assert [result.values[k].estimation for k in (9, 10)] == ["E001", "E003"]


def test_registers_read_past_the_day_say_nothing_of_it():
    day = house()
    span = RegisterSpan(0, 90_000, midnight(WEDNESDAY) - timedelta(hours=1), None)
    assert evaluate(replace(day, registers=(span,))).total_wh is None


def test_a_unit_that_is_wrong_keeps_its_shape():
    day = house()
    tenth = put(day, {k: value // 10 for k, value in enumerate(wh(day))})
    result = evaluate(tenth)
    assert len(changed(result)) == 24 and result.sum_off_wh == 0
    assert all(abs(v.wh - was) <= 20 for v, was in zip(result.values, wh(day), strict=True))


# --- cuts ------------------------------------------------------------------------------------


def cut(first, last):
    begin = midnight(WEDNESDAY)
    return (begin + timedelta(hours=first), begin + timedelta(hours=last))


def test_hours_without_supply_are_final_zeros_and_part_hours_have_their_part():
    day = house()
    truth = wh(day)
    truth[9:13] = [truth[9] // 2, 0, 0, truth[12] * 3 // 4]
    lost = put(day, dict.fromkeys(range(9, 13)))
    lost = replace(lost, registers=(RegisterSpan(0, sum(truth)),), cuts=(cut(9.5, 12.25),))
    result = evaluate(lost)
    assert [result.values[k].wh for k in (10, 11)] == [0, 0]
    assert {result.values[k].state for k in (10, 11)} == {FINAL}
    assert {result.values[k].estimation for k in (10, 11)} == {"E007"}
    assert {result.values[k].estimation for k in (9, 12)} == {"E005"}
    assert result.sum_off_wh == 0
    assert abs(result.values[9].wh - truth[9]) < 0.3 * truth[9]
    alone = evaluate(replace(lost, registers=()))
    assert abs(alone.values[9].wh - truth[9]) < 0.3 * truth[9]


def test_energy_in_an_hour_without_supply_goes_unless_the_registers_have_it():
    day = replace(house(), cuts=(cut(9, 11),))
    truth = wh(day)
    result = evaluate(day)
    assert not changed(result) and "confirmed" in names(result)
    without = sum(truth) - truth[9] - truth[10]
    result = evaluate(replace(day, registers=(RegisterSpan(0, without),)))
    assert changed(result) == [9, 10] and result.sum_off_wh == 0
    assert [result.values[k].wh for k in (9, 10)] == [0, 0]
    assert changed(evaluate(replace(day, registers=()))) == [9, 10]


def test_an_event_log_that_the_registers_contradict_gives_way():
    day = replace(put(house(), {9: None, 10: None}), cuts=(cut(9, 11),))
    result = evaluate(day)
    assert result.sum_off_wh == 0 and "cut-contradicted" in names(result)
    assert all(result.values[k].wh > 0 for k in (9, 10))


def test_cuts_that_overlap_or_go_on_count_once():
    day = put(house(), dict.fromkeys(range(20, 24)))
    kept = sum(wh(house())[:20])
    cuts = (cut(20, 22), cut(21, 23), (cut(22, 23)[0], None))
    result = evaluate(replace(day, registers=(RegisterSpan(0, kept),), cuts=cuts))
    assert [result.values[k].wh for k in range(20, 24)] == [0] * 4


# --- kinds of points ---------------------------------------------------------------------


def test_a_roof_that_gives_at_night_is_believed_only_with_the_registers():
    point = replace(HOUSE, kind="production")
    day = house(date(2026, 6, 10), point=point, shape=ROOF)
    odd = put(day, {1: 2_500})
    assert changed(evaluate(odd)) == [1]
    alone = evaluate(replace(odd, registers=()))
    assert changed(alone) == [1] and alone.values[1].reason == "night-production"
    total = sum(wh(odd))
    assert not changed(evaluate(replace(odd, registers=(RegisterSpan(0, total),))))


def test_both_directions_go_through_one_fuse():
    day = replace(house(), registers=())
    most = limit_wh(HOUSE)
    other = [None] * 24
    other[3] = most - 100
    other[4] = 50
    high = put(day, {3: most - 50, 4: 12_000})
    result = evaluate(replace(high, opposite=tuple(other)))
    assert 3 in changed(result) and result.values[3].reason == "both-ways"


def test_history_of_another_resolution_serves():
    quarters = replace(HOUSE, resolution_min=15)
    hourly = house()
    n = len(starts(WEDNESDAY, 15))
    day = Day(quarters, WEDNESDAY, (None,) * n, hourly.registers, hourly.history)
    result = evaluate(day)
    truth = wh(hourly)
    found = [sum(v.wh for v in result.values[4 * k : 4 * k + 4]) for k in range(24)]
    assert sum(abs(a - b) for a, b in zip(found, truth, strict=True)) < 0.12 * sum(truth)
    by_quarters = house(point=quarters)
    day = Day(HOUSE, WEDNESDAY, (None,) * 24, hourly.registers, by_quarters.history)
    found = [v.wh for v in evaluate(day).values]
    assert sum(abs(a - b) for a, b in zip(found, truth, strict=True)) < 0.12 * sum(truth)


def test_history_that_does_not_fit_its_days_is_left_out_and_said():
    day = house()
    odd = {**day.history, WEDNESDAY - timedelta(days=1): [1] * 7}
    result = evaluate(put(replace(day, history=odd), {4: None, 5: None}))
    assert "history-ignored" in names(result)
    assert (WEDNESDAY - timedelta(days=1)).isoformat() not in result.values[4].inputs["history"]


def test_a_holiday_is_estimated_from_days_off():
    """1 May 2026 is a Friday."""
    friday = date(2026, 5, 1)
    day = house(friday)
    rng = random.Random(5)
    truth = [round(value * rng.uniform(0.9, 1.1)) for value in DAY_OFF]
    day = replace(day, readings=(None,) * 24, registers=(RegisterSpan(0, sum(truth)),))
    found = [value.wh for value in evaluate(day).values]
    error = sum(abs(a - b) for a, b in zip(found, truth, strict=True))
    as_friday = sum(
        abs(a - b) for a, b in zip(day.history[friday - timedelta(days=7)], truth, strict=True)
    )
    assert error < 0.5 * as_friday


# --- states -------------------------------------------------------------------------------------


def test_states_say_what_may_still_come():
    day = house()
    assert evaluate(put(day, {4: None})).values[4].state == ESTIMATED
    assert evaluate(replace(put(day, {4: None}), collectable=False)).values[4].state == FINAL
    assert evaluate(put(day, {4: -3})).values[4].state == FINAL
    without = replace(day, registers=())
    assert evaluate(put(without, {4: -3})).values[4].state == ESTIMATED
    nothing = replace(without, readings=(None,) * 24, history={})
    assert {value.state for value in evaluate(nothing).values} == {TEMPORARY}


def test_the_assumed_yearly_volume_is_the_level_where_nothing_else_is():
    point = replace(HOUSE, annual_kwh=8_766)
    day = Day(point, WEDNESDAY, (None,) * 24)
    assert sum(value.wh for value in evaluate(day).values) == pytest.approx(24_000, abs=24)


def test_each_estimate_says_what_it_was_made_from():
    day = put(house(), {4: None, 5: None})
    value = evaluate(day).values[4]
    total = sum(wh(house())[4:6])
    assert value.inputs["total_wh"] == total and value.inputs["intervals"] == [4, 5]
    assert value.inputs["measured"] == 22
    assert (WEDNESDAY - timedelta(days=7)).isoformat() in value.inputs["history"]
    assert value.method == "history" and value.rules


def test_a_wrong_count_is_said():
    day = replace(house(), day=date(2026, 3, 29))
    with pytest.raises(VeeError, match="24 intervals, but 2026-03-29 has 23 of 60 minutes"):
        evaluate(day)


def test_a_day_without_faults_costs_no_estimate(monkeypatch):
    from openams.headend.vee import day as module

    monkeypatch.setattr(module, "expect", lambda *_: pytest.fail("asked for"))
    assert not changed(evaluate(house()))
    assert not changed(evaluate(replace(house(), registers=())))


# --- the room ----------------------------------------------------------------------------------


def test_the_codes_of_the_documentation_are_those_of_the_table():
    page = (ROOT / "docs" / "vee.md").read_text()
    for row in (*codes.VALIDATION, *codes.ESTIMATION):
        assert f"| {row.code} | {row.meaning} | {row.source} |" in page
    for state in codes.STATES.values():
        assert f"| {state.name} | {state.norwegian} |" in page
    for reason in codes.REASONS:
        assert f"`{reason}`" in page or reason == "edited"


def test_the_codes_are_all_that_the_schema_has():
    assert [row.code for row in codes.VALIDATION] == [
        "V001", "V002", "V003", "V004", "V011", "V012", "V013", "V014", "V999",
    ]  # fmt: skip
    assert [row.code for row in codes.ESTIMATION] == [f"E00{k}" for k in range(1, 9)]


def test_the_room_knows_nobody_and_reads_nothing_but_the_file_of_cases():
    for path in (ROOT / "host" / "openams" / "headend" / "vee").glob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("openams"):
                own = node.module.startswith("openams.headend.vee")
                assert own or node.module in ("openams.errors", "openams.meter_time"), path.name
        if path.name != "cases.py":
            for word in (" open(", "import os", "pathlib", "sqlite", ".now(", "random"):
                assert word not in text, (path.name, word)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("near", [0.0, 0.5, 0.9])
def test_deviations_that_go_together_are_a_process_that_can_be(share, near):
    """Whatever the history says, the correlations have no negative eigenvalue."""
    rng = np.random.default_rng(1)
    n, days = 24, 28
    noise = rng.normal(size=(days, n))
    off = share * rng.normal(size=(days, 1)) + noise
    off[:, 1:] += near * noise[:, :-1]
    alike = profile._correlation(off, np.full(days, 1 / days), float(days), 1, n)
    assert np.linalg.eigvalsh(alike).min() > 0


def test_a_fuse_of_next_to_nothing_is_no_error():
    day = house(point=replace(HOUSE, fuse_a=0.0001))
    assert len(evaluate(day).values) == 24
