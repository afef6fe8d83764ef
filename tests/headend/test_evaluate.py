"""From rows and registers in the store to values: rounding, meters that were changed, odd rows."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openams.errors import BenchError
from openams.headend.assemble import Known, days, power_cuts
from openams.headend.days import day_bounds, day_number
from openams.headend.evaluate import evaluate_days
from openams.headend.register import A_MINUS, A_PLUS, Relation, Terms
from openams.headend.store import Event, IntervalRow, RegisterReading
from openams.headend.store.raw import Part
from openams.headend.vee import evaluate
from openams.meter_time import from_utc_ms
from tests.headend.registers import AREA, gsrn, meter_id

DAY = date(2026, 3, 10)
BEGIN, END = day_bounds(DAY)
HOUR = 3_600_000
TERMS = Terms(gsrn(0), 20260101, None, "consumption", "interval", "", 60, 63.0, "3P4W", AREA, None)


def relation(meter=0, from_ms=0, to_ms=None, **registers):
    named = {"start_plus_mwh": None, "end_plus_mwh": None, "start_minus_mwh": None}
    named.update(end_minus_mwh=None, **registers)
    return Relation(gsrn(0), meter_id(meter), from_ms, to_ms, *named.values())


def rows(values, begin=BEGIN, period_s=3600, status=0):
    return tuple(
        IntervalRow(begin // 1000 + period_s * (k + 1), period_s, status, value, 0)
        for k, value in enumerate(values)
        if value is not None
    )


def reading(at_ms, mwh, meter=0):
    return RegisterReading(meter_id(meter), at_ms, mwh, 0, 0, "meter", at_ms)


def made(relations, parts, readings=(), terms=TERMS, events=(), day=DAY):
    whole = {
        meter_id(meter): [Part(k + 1, 0, "meter", some) for k, some in enumerate(of_meter)]
        for meter, of_meter in parts.items()
    }
    known = Known(terms, day, relations, whole, readings, events, {})
    return days(known, (A_PLUS,))[A_PLUS]


def values(day):
    return [None if one is None else one.wh for one in day.readings]


# --- rounding --------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 5_000_000), min_size=24, max_size=24),
    st.integers(0, 10**12),
    st.sets(st.integers(0, 23), max_size=12),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_day_is_the_difference_of_two_registers_to_the_wh_whatever_is_missing(mwh, start, gaps):
    kept = [None if k in gaps else value for k, value in enumerate(mwh)]
    ends = (reading(BEGIN, start), reading(END, start + sum(mwh)))
    result = evaluate(made([relation()], {0: [rows(kept)]}, ends))
    due = (start + sum(mwh)) // 1000 - start // 1000
    assert result.total_wh in (due, None)
    if result.total_wh is not None:
        assert sum(value.wh for value in result.values) == due
    if not gaps:
        assert [value.state for value in result.values] == ["measured"] * 24


@given(st.lists(st.integers(0, 5_000_000), min_size=24, max_size=24), st.integers(0, 10**9))
def test_values_beside_a_gap_are_those_that_they_are_without_one(mwh, start):
    ends = (reading(BEGIN, start), reading(END, start + sum(mwh)))
    whole = values(made([relation()], {0: [rows(mwh)]}, ends))
    kept = [None if 9 <= k < 12 else value for k, value in enumerate(mwh)]
    with_gap = values(made([relation()], {0: [rows(kept)]}, ends))
    assert [one for k, one in enumerate(with_gap) if not 9 <= k < 12] == [
        one for k, one in enumerate(whole) if not 9 <= k < 12
    ]


# --- a meter that is changed ---------------------------------------------------------------------


@pytest.mark.parametrize("at", [10 * HOUR, 10 * HOUR + 17 * 60_000])
def test_a_meter_changed_within_the_day_is_one_day_of_both(at):
    """The first counts to the change, the second from its own register on."""
    change = BEGIN + at
    old = [1_000_300] * 10
    part = (at - 10 * HOUR) // 1000
    first = list(rows(old))
    second_rows = []
    begin_s = change // 1000
    if part:
        first.append(IntervalRow(begin_s, part, 0x80, 283_333, 0))
        second_rows.append(IntervalRow(BEGIN // 1000 + 11 * 3600, 3600 - part, 0x80, 716_667, 0))
    fresh = [2_000_700] * (13 if part else 14)
    second_rows += rows(fresh, BEGIN + (11 if part else 10) * HOUR)
    used_old = 10 * 1_000_300 + (283_333 if part else 0)
    used_new = sum(row.plus_mwh for row in second_rows)
    day = made(
        [
            relation(0, 0, change, end_plus_mwh=500_000_999 + used_old),
            relation(1, change, None, start_plus_mwh=12),
        ],
        {0: [tuple(first)], 1: [tuple(second_rows)]},
        (reading(BEGIN, 500_000_999), reading(END, 12 + used_new, 1)),
    )
    result = evaluate(day)
    assert [value.state for value in result.values] == ["measured"] * 24
    assert sum(value.wh for value in result.values) == result.total_wh
    assert abs(result.total_wh - (used_old + used_new) // 1000) <= 1


def test_rows_of_a_meter_that_was_not_on_the_point_are_not_its():
    change = BEGIN + 12 * HOUR
    both = rows([1_000_000] * 24)
    day = made([relation(0, 0, change)], {0: [both], 1: [both]})
    assert values(day) == [1000] * 12 + [None] * 12
    # It came to the point at noon: of what it counted before, elsewhere, nothing is taken.
    day = made([relation(1, change, None)], {1: [both]})
    assert values(day) == [None] * 12 + [1000] * 12


# --- rows that are not as they should ------------------------------------------------------------


def test_a_row_that_came_twice_with_another_value_and_which_is_taken():
    bad = rows([7_000_000], status=0x04)
    good, other = rows([1_000_000]), rows([2_000_000])
    for parts, wh in (((bad, good), 1000), ((good, bad), 1000), ((good, other), 2000)):
        assert values(made([relation()], {0: list(parts)}))[0] == wh


def test_quarters_make_hours_and_three_of_them_do_not():
    quarters = rows([250_000] * 96, period_s=900)
    assert values(made([relation()], {0: [quarters]})) == [1000] * 24
    day = made([relation()], {0: [quarters[:2] + quarters[3:]]})
    assert day.readings[0].wh == 750 and "wrong-length" in day.readings[0].status
    assert day.readings[1].status == ()


def test_an_hour_is_no_quarter():
    terms = TERMS._replace(resolution_min=15)
    day = made([relation()], {0: [rows([1_000_000] * 24)]}, terms=terms)
    assert values(day) == [None] * 96


def test_cuts_from_the_log():
    def event(at, code, number):
        return Event(meter_id(0), "standard", number, BEGIN + at, code, None, None, 0, "meter")

    found = power_cuts(
        [event(HOUR, 1, 1), event(2 * HOUR, 2, 2), event(5 * HOUR, 1, 3)], BEGIN, END
    )
    assert found == (
        (from_utc_ms(BEGIN + HOUR), from_utc_ms(BEGIN + 2 * HOUR)),
        (from_utc_ms(BEGIN + 5 * HOUR), None),
    )
    assert power_cuts([event(-3 * HOUR, 1, 1), event(-2 * HOUR, 2, 2)], BEGIN, END) == ()


# --- in the store --------------------------------------------------------------------------------


def stored(store, kind="consumption"):
    from openams.headend.register import Area, MeterRow, Tables

    tables = Tables(
        [Area(AREA, "")],
        [TERMS._replace(kind=kind)],
        [],
        [MeterRow(meter_id(0), "aidon", "cellular", "", "tcp://h:1", "")],
        [relation(0, day_bounds(date(2026, 1, 1))[0])],
    )
    assert store.import_register(tables, 1) == []


def test_a_prosumer_has_two_series_and_each_adds_up(store):
    stored(store, "prosumer")
    both = [
        IntervalRow(BEGIN // 1000 + 3600 * (k + 1), 3600, 0, *((0, 700_100) if k in (11, 12) else
        (900_300, 0))) for k in range(24)
    ]  # fmt: skip
    store.add_intervals([(meter_id(0), both)], "meter", 1)
    plus, minus = (sum(row[k] for row in both) for k in (3, 4))
    store.add_readings([
        reading(BEGIN, 999)._replace(minus_mwh=5),
        reading(END, 999 + plus)._replace(minus_mwh=5 + minus),
    ])  # fmt: skip
    counts = evaluate_days(store, DAY, from_utc_ms(END + HOUR))
    assert counts["revisions"] == 2 and counts["estimated"] == 0
    out, in_ = store.values(DAY)
    assert (out.series, in_.series) == (A_PLUS, A_MINUS)
    assert sum(out.wh) == (999 + plus) // 1000 and sum(in_.wh) == (5 + minus) // 1000


def test_what_a_person_set_stands_with_name_and_reason_until_it_is_measured(store):
    stored(store)
    store.add_intervals([(meter_id(0), rows([1_000_000] * 20))], "meter", 1)
    at = from_utc_ms(END + HOUR)
    evaluate_days(store, DAY, at)
    store.add_edits(DAY, gsrn(0), A_PLUS, {22: 4321}, END + 2 * HOUR, "kari", "read by camera")
    evaluate_days(store, DAY, at + timedelta(hours=2))
    now = store.value(DAY, gsrn(0), A_PLUS)
    assert (now.revision, now.wh[22]) == (2, 4321)
    assert store.revisions(DAY, gsrn(0), A_PLUS)[1].why == "edit"
    late = rows([1_500_000] * 4, BEGIN + 20 * HOUR)
    store.add_intervals([(meter_id(0), late)], "meter", 2)
    evaluate_days(store, DAY, at + timedelta(hours=3))
    now = store.value(DAY, gsrn(0), A_PLUS)
    assert now.wh[20:] == (1500,) * 4 and set(now.states) == {"measured"} and now.revision == 3


def test_a_day_of_more_than_three_years_ago_is_closed(store):
    with pytest.raises(BenchError, match="closed"):
        evaluate_days(store, DAY, from_utc_ms(END + 4 * 366 * 24 * HOUR))


def test_hundreds_of_points_at_once(store):
    from openams.headend.register import Area, MeterRow, Tables

    begin = day_bounds(date(2026, 1, 1))[0]
    count = 600
    tables = Tables([Area(AREA, "")])
    for k in range(count):
        tables.terms.append(TERMS._replace(gsrn=gsrn(k)))
        tables.meters.append(MeterRow(meter_id(k), "", "cellular", "", "tcp://h:1", ""))
        tables.relations.append(relation(k, begin)._replace(gsrn=gsrn(k)))
    assert store.import_register(tables, 1) == []
    store.add_intervals([(meter_id(k), rows([1000 * k] * 24)) for k in range(count)], "meter", 1)
    assert evaluate_days(store, DAY, from_utc_ms(END))["revisions"] == count
    assert [one.wh[0] for one in store.values(DAY)] == sorted(range(count))
    assert evaluate_days(store, DAY, from_utc_ms(END))["unchanged"] == count
    assert store.count_days(day_number(DAY)) == {}
