"""Points that persons read, or that are not metered: volumes, hours, control, lamp hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from elhubstore import Chain, add_points, gsrn, hub_points, put, terms
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.headend.days import day_bounds
from openams.headend.profiled import hours, lamps
from openams.headend.profiled.control import control
from openams.headend.profiled.periods import Index, Volume, stipulated, volumes
from openams.headend.profiled.run import area_profile, controls, run
from openams.headend.register import Relation
from openams.headend.store import open_store
from openams.headend.store.raw import RegisterReading
from openams.headend.vee.calendar import starts

JAN, FEB, MAR = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 31)


def index(day, kwh, source="portal", meter="M1"):
    return Index(day, meter, kwh * 1000, source)


# --- volumes -----------------------------------------------------------------------------


def test_a_period_lies_between_two_readings():
    (one,), odd = volumes([index(JAN, 1000, "visit"), index(FEB, 1400)])
    assert (one.begin, one.end, one.wh, one.reason) == (JAN, FEB, 400_000, "1")
    assert (one.sources, odd) == (("visit", "portal"), [])


def test_a_change_of_meter_ends_a_period_and_begins_one():
    readings = [
        index(JAN, 1000), index(FEB, 1400, "mounting"), index(FEB, 5, "mounting", "M2"),
        index(MAR, 105, "sms", "M2"),
    ]  # fmt: skip
    found, odd = volumes(readings)
    assert [(one.wh, one.reason) for one in found] == [(400_000, "4"), (100_000, "1")]
    assert odd == []


def test_the_better_source_of_a_day_counts():
    (one,), _ = volumes([index(JAN, 1000), index(FEB, 1500), index(FEB, 1400, "visit")])
    assert one.wh == 400_000


@pytest.mark.parametrize(
    ("kwh", "says"), ((900, "went back"), (90_000, "more than the fuse bears"))
)
def test_a_reading_that_cannot_be_is_left_out_and_named(kwh, says):
    readings = [index(JAN, 1000), index(FEB, kwh), index(MAR, 1800)]
    found, (odd,) = volumes(readings, most_w=20_000)
    assert [(one.begin, one.end, one.wh) for one in found] == [(JAN, MAR, 800_000)]
    assert says in odd.text


def test_a_register_that_went_round_is_none_that_went_back():
    (one,), odd = volumes([index(JAN, 99_900), index(FEB, 150)])
    assert (one.wh, odd) == (250_000, [])


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3000)), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_volumes_are_whole_and_follow_one_another(rows):
    readings = [index(JAN + timedelta(days=day), kwh) for day, kwh in rows]
    found, odd = volumes(readings, most_w=30_000)
    assert all(one.wh >= 0 and one.begin < one.end for one in found)
    assert all(
        a.end == b.begin and a.end_wh == b.start_wh for a, b in zip(found, found[1:], strict=False)
    )
    assert len(found) + len(odd) == len({one.day for one in readings}) - 1


def test_what_nobody_read_is_stipulated_by_the_year_before_or_the_yearly_volume():
    year = [Volume(date(2023, 1, 1), date(2023, 7, 1), 0, 1_810_000, "1", ("", ""))]
    one = stipulated(JAN, FEB, 5000, year, 999)
    assert (one.start_wh, one.wh, one.stipulated) == (5000, 310_000, True)
    assert stipulated(JAN, FEB, 0, [], 3652.5).wh == 310_000
    assert stipulated(JAN, FEB, 0, [], None) is None


# --- hours -------------------------------------------------------------------------------


@given(st.integers(0, 10**8), st.dates(date(2020, 1, 1), date(2028, 1, 1)), st.integers(1, 70))
@settings(max_examples=25, deadline=None)
def test_hours_add_up_to_the_volume_to_the_wh(wh, begin, count):
    volume = Volume(begin, begin + timedelta(days=count), 0, wh, "1", ("", ""))
    found = hours.spread(volume, hours.standard)
    assert sum(map(sum, found.values())) == wh
    assert [len(found[day]) for day in found] == [len(starts(day, 60)) for day in found]
    assert all(value >= 0 for day in found.values() for value in day)


def test_a_profile_without_weights_spreads_evenly():
    volume = Volume(JAN, JAN + timedelta(days=1), 0, 2400, "1", ("", ""))
    assert set(hours.spread(volume, lambda day: [0.0] * 24)[JAN]) == {100}


# --- lamps -------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", lamps.PLANS)
@pytest.mark.parametrize("year", (2023, 2024))
def test_quarters_of_a_year_add_up_to_its_volume(plan, year):
    day, total = date(year, 1, 1), 0
    while day.year == year:
        quarters = lamps.quarters(day, 1_234_567, plan)
        assert len(quarters) == len(starts(day, 15))
        total += sum(quarters)
        day += timedelta(days=1)
    assert total == 1_234_567


def test_lamps_are_on_in_the_dark_about_as_long_as_street_lights():
    assert 3800 < lamps.lamp_hours(2024) < 4400
    assert 2100 < lamps.lamp_hours(2024, "half-night") < 2700
    assert lamps.lamp_hours(2024, "always") == 8784
    june, december = lamps.lit(date(2024, 6, 21), "dark"), lamps.lit(date(2024, 12, 21), "dark")
    assert 4 * 3 < sum(june) < 4 * 7 and 4 * 15 < sum(december) < 4 * 19
    assert not june[48] and december[0]


# --- control -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("readings", "by", "overdue"),
    (
        ([], "", True),
        ([index(date(2023, 12, 1), 1)], "", True),
        ([index(JAN, 1)], "customer", False),
        ([index(JAN, 1, "visit")], "company", False),
        ([index(JAN, 1, "visit"), index(FEB, 2, "sms")], "both", False),
    ),
)
def test_each_point_is_read_once_a_year(readings, by, overdue):
    found = control("x", readings, 2024, date(2024, 11, 1))
    assert (found.by, found.overdue) == (by, overdue)
    assert not control("x", readings, 2024, date(2024, 6, 1)).overdue


# --- of a store --------------------------------------------------------------------------

NOW = datetime(2024, 4, 2, 5, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def profile_point(number=0):
    return terms(number, date(2023, 1, 1))._replace(
        settlement="profile", reason="health", resolution_min=0, kind="consumption"
    )


def mount(store, point, day):
    row = (point.gsrn, "M1", day_bounds(day)[0], None, 0, None, None, None)
    store.put_rows("relation", Relation._fields, [row])


def read(store, day, kwh, source="portal", meter="M1"):
    at = day_bounds(day)[0]
    store.add_readings([RegisterReading(meter, at, kwh * 10**6, None, 0, source, at)])


def test_readings_become_volumes_hours_and_a_message_that_elhub_takes(store):
    point = profile_point()
    add_points(store, [point])
    mount(store, point, date(2023, 1, 1))
    read(store, JAN, 1000)
    read(store, MAR, 1900, "visit")
    counts = run(store, NOW)
    assert (counts["periods"], counts["overdue"]) == (2, 0)
    days = [JAN + timedelta(days=k) for k in range((MAR - JAN).days)]
    values = [store.value(day, point.gsrn, 1) for day in days]
    assert sum(sum(one.wh) for one in values) == 900_000
    assert {state for one in values for state in one.states} == {"estimated"}
    assert run(store, NOW)["periods"] == 0
    there = Chain(store, NOW, [])
    known = hub_points([point._replace(resolution_min=60)])
    there.hub_store.add_points([replace(one, interval_settled=False) for one in known])
    there.run(steps=3)
    states = dict(store.all("SELECT state, COUNT(*) FROM delivery GROUP BY state"))
    assert states == {"accepted": 2}
    (wh,) = there.hub_store._db.execute("SELECT SUM(wh) FROM period_volume").fetchone()
    assert wh == 1_900_000


def test_a_reading_that_is_put_right_is_a_new_version(store):
    point = profile_point()
    add_points(store, [point])
    mount(store, point, JAN)
    read(store, FEB, 400)
    run(store, NOW)
    read(store, FEB, 300, "visit")
    run(store, NOW)
    assert store.all("SELECT version, end_wh FROM period_volume ORDER BY version") == [
        (1, 400_000), (2, 300_000)
    ]  # fmt: skip
    assert sum(store.value(JAN, point.gsrn, 1).wh) < 400_000 / 20
    assert len(store.revisions(JAN, point.gsrn, 1)) == 2


def test_a_point_that_nobody_reads_is_told_in_october(store):
    add_points(store, [profile_point()])
    assert run(store, datetime(2024, 9, 1, tzinfo=UTC))["overdue"] == 0
    assert run(store, datetime(2024, 10, 2, tzinfo=UTC))["overdue"] == 1
    assert [notice[2] for notice in store.notices()] == ["yearly-control"]
    assert controls(store, date(2024, 10, 2))[0].by == ""


def test_the_profile_is_that_of_the_areas_points_with_hours(store):
    points = [terms(4 * number, JAN) for number in range(12)]
    points = [one._replace(resolution_min=60) for one in points]
    add_points(store, points)
    for one in points:
        put(store, one, JAN, NOW, change={k: (100 * k, "measured") for k in range(24)})
    assert area_profile(store, points[0].area, JAN) == tuple(1200.0 * k for k in range(24))
    assert area_profile(store, points[0].area, FEB) == hours.standard(FEB)


def test_unmetered_points_have_quarters_that_are_final(store):
    point = terms(0, JAN)._replace(
        settlement="unmetered", resolution_min=15, annual_kwh=1000.0, fuse_a=None, system=""
    )
    add_points(store, [point])
    assert run(store, NOW)["unmetered"] == 7
    one = store.value(date(2024, 3, 31), gsrn(0), 1)
    assert (len(one.wh), set(one.states)) == (92, {"final"})
    assert sum(one.wh) == sum(lamps.quarters(date(2024, 3, 31), 1_000_000))
    assert run(store, NOW)["unmetered"] == 0
