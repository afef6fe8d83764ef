"""What holds for every day that validation and estimation is given, sound or absurd."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.headend.vee import (
    FINAL,
    MEASURED,
    RULES,
    TEMPORARY,
    Day,
    Point,
    Reading,
    RegisterSpan,
    VeeError,
    evaluate,
    record,
    revise,
)
from openams.headend.vee.calendar import midnight, starts
from openams.headend.vee.cases import load
from openams.headend.vee.codes import ESTIMATION, STATES, VALIDATION
from openams.headend.vee.estimate import apportion
from openams.headend.vee.limits import limit_wh
from tests.conftest import DATA

DATES = st.sampled_from(
    [date(2026, 1, 21), date(2026, 3, 29), date(2026, 10, 25), date(2026, 5, 17), date(2028, 2, 29)]
)
STATUS = st.sampled_from(
    [(), (), (), (), ("dst",), ("power-down",), ("clock-adjusted",), ("data-not-valid",),
     ("clock-not-advanced",), ("critical-error",), ("energy-missing", "data-not-valid"),
     ("something-new",)]
)  # fmt: skip
LATER = datetime(2026, 11, 28, tzinfo=UTC)


@st.composite
def points(draw):
    return Point(
        draw(st.sampled_from(["consumption", "production", "prosumer", "exchange"])),
        draw(st.sampled_from([16, 25, 63, 200])),
        draw(st.sampled_from(["1P2W", "3P3W", "3P4W"])),
        draw(st.sampled_from([60, 60, 15])),
        draw(st.sampled_from([None, 12_000])),
    )


def loads(limit):
    """Wh of an interval: nothing, a little, a usual value, near what the fuse bears."""
    return st.one_of(
        st.just(0), st.integers(1, 20), st.integers(limit // 20, limit // 8), st.integers(0, limit)
    )


@st.composite
def histories(draw, day, resolution, limit):
    past = {}
    days = draw(st.sampled_from([0, 0, 1, 3, 9, 28]))
    rng = random.Random(draw(st.integers(0, 2**32)))
    for back in range(1, days + 1):
        at = day - timedelta(days=back)
        n = len(starts(at, resolution))
        past[at] = [rng.randrange(limit // 20, limit // 8) for _ in range(n)]
        if rng.random() < 0.05:
            past[at] = [rng.choice([None, 0, 10 * limit]) for _ in range(n)]
        if rng.random() < 0.03:
            past[at] = past[at][:-3]
    return past


@st.composite
def cuts_of(draw, day):
    out = []
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        begin = midnight(day) + timedelta(minutes=draw(st.integers(-300, 1500)))
        end = begin + timedelta(minutes=draw(st.integers(1, 900)))
        out.append((begin, draw(st.sampled_from([end, end, end, None]))))
    return tuple(out)


@st.composite
def sound_days(draw):
    """A day as a meter that works has it, and its true values."""
    point, day = draw(points()), draw(DATES)
    limit = limit_wh(point)
    n = len(starts(day, point.resolution_min))
    truth = draw(st.lists(loads(limit), min_size=n, max_size=n))
    begin = draw(st.integers(0, 10**9))
    return (
        Day(
            point,
            day,
            tuple(Reading(wh, ("dst",) if wh % 3 == 0 else ()) for wh in truth),
            (RegisterSpan(begin, begin + sum(truth)),),
            draw(histories(day, point.resolution_min, limit)),
        ),
        truth,
    )


@st.composite
def usual_days(draw):
    """A day like those of its history, and its true values."""
    point, day = draw(points()), draw(DATES)
    limit = limit_wh(point)
    rng = random.Random(draw(st.integers(0, 2**32)))
    past = {
        at: [rng.randrange(limit // 20, limit // 8) for _ in starts(at, point.resolution_min)]
        for at in (day - timedelta(days=back) for back in range(draw(st.sampled_from([0, 1, 28]))))
    }
    truth = [rng.randrange(limit // 20, limit // 8) for _ in starts(day, point.resolution_min)]
    readings = tuple(map(Reading, truth))
    return Day(point, day, readings, (RegisterSpan(7, 7 + sum(truth)),), past), truth


@st.composite
def absurd_days(draw):
    """Anything that has the form of a day."""
    point, day = draw(points()), draw(DATES)
    limit = limit_wh(point)
    n = len(starts(day, point.resolution_min))
    values = st.one_of(loads(limit), loads(limit), st.integers(-1000, 10**7), st.none())
    readings = draw(
        st.lists(st.one_of(st.builds(Reading, values, STATUS), st.none()), min_size=n, max_size=n)
    )
    counted = sum(one.wh for one in readings if one and one.wh and one.wh > 0)
    ends = st.one_of(st.none(), st.integers(0, 10**8))
    middle = midnight(day) + timedelta(minutes=draw(st.integers(1, 1300)))
    spans = draw(
        st.sampled_from(
            [
                (RegisterSpan(None, None),),
                (RegisterSpan(1000, 1000 + counted),),
                (RegisterSpan(draw(ends), draw(ends)),),
                (RegisterSpan(draw(ends), draw(ends), None, middle),
                 RegisterSpan(draw(ends), draw(ends), middle, None)),
            ]
        )
    )  # fmt: skip
    history = draw(histories(day, point.resolution_min, limit))
    return Day(point, day, tuple(readings), spans, history, draw(cuts_of(day)),
               collectable=draw(st.booleans()))  # fmt: skip


V_CODES, E_CODES = ({row.code for row in rows} for rows in (VALIDATION, ESTIMATION))


def sound(day, result):
    assert len(result.values) == len(starts(day.day, day.point.resolution_min))
    assert result.rules == RULES
    for value, reading in zip(result.values, day.readings, strict=True):
        assert isinstance(value.wh, int) and value.wh >= 0
        assert value.state in STATES and value.rules == RULES
        assert value.reading == reading
        if value.state == MEASURED:
            assert value.wh == reading.wh
            assert value[2:6] == (None, None, None, None)
        else:
            assert value.validation in V_CODES and value.estimation in E_CODES
            assert value.reason and value.method
    json.dumps([value.inputs for value in result.values])
    if result.total_wh is not None and result.sum_off_wh:
        assert "sum-rounding" in {note.name for note in result.notes}
        assert abs(result.sum_off_wh) <= 10


@settings(max_examples=80, deadline=None)
@given(absurd_days())
def test_whatever_the_day_it_has_all_its_values_and_their_sum(day):
    sound(day, evaluate(day))


@settings(max_examples=50, deadline=None)
@given(sound_days())
def test_a_good_day_stays_as_it_is(given_):
    day, truth = given_
    result = evaluate(day)
    assert [value.wh for value in result.values] == truth
    assert {value.state for value in result.values} == {MEASURED}


@settings(max_examples=50, deadline=None)
@given(usual_days(), st.data())
def test_a_lost_or_refused_value_is_what_the_registers_leave_and_no_other_is_changed(given_, data):
    day, truth = given_
    k = data.draw(st.integers(0, len(truth) - 1))
    lost = data.draw(
        st.sampled_from([None, Reading(-5), Reading(truth[k] + 1, ("data-not-valid",))])
    )
    readings = tuple(lost if j == k else one for j, one in enumerate(day.readings))
    result = evaluate(replace(day, readings=readings))
    assert [value.wh for value in result.values] == truth
    assert [j for j, value in enumerate(result.values) if value.state != MEASURED] == [k]


@settings(max_examples=50, deadline=None)
@given(usual_days(), st.data())
def test_of_a_day_with_gaps_no_good_value_is_changed(given_, data):
    day, truth = given_
    n = len(truth)
    gap = set(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n)))
    readings = tuple(None if k in gap else one for k, one in enumerate(day.readings))
    result = evaluate(replace(day, readings=readings))
    assert {k for k, value in enumerate(result.values) if value.state != MEASURED} == gap
    assert result.sum_off_wh == 0


@settings(max_examples=50, deadline=None)
@given(sound_days(), st.data())
def test_without_history_the_registers_alone_refuse_no_value(given_, data):
    day, truth = given_
    gap = set(data.draw(st.lists(st.integers(0, len(truth) - 1), min_size=1, max_size=9)))
    readings = tuple(None if k in gap else one for k, one in enumerate(day.readings))
    result = evaluate(replace(day, readings=readings, history={}))
    changed = {k for k, value in enumerate(result.values) if value.state != MEASURED}
    assert changed == gap and result.sum_off_wh == 0


@settings(max_examples=30, deadline=None)
@given(absurd_days(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_changes_nothing(day, rng):
    history = list(day.history.items())
    cuts, spans = list(day.cuts), list(day.registers)
    for order in (history, cuts, spans):
        rng.shuffle(order)
    other = replace(day, history=dict(history), cuts=tuple(cuts), registers=tuple(spans))
    first = evaluate(day)
    assert evaluate(other) == first == evaluate(day)


@settings(max_examples=30, deadline=None)
@given(absurd_days())
def test_no_energy_without_supply(day):
    result = evaluate(day)
    if "cut-contradicted" in {note.name for note in result.notes}:
        return
    step = timedelta(minutes=day.point.resolution_min)
    for at, value in zip(starts(day.day, day.point.resolution_min), result.values, strict=True):
        off = any(begin <= at and (end is None or at + step <= end) for begin, end in day.cuts)
        if off and value.state == FINAL and value.method == "no-supply":
            assert value.wh == 0
        if off and value.wh and value.state not in (MEASURED, TEMPORARY):
            # Only what the registers ask for and no other interval can hold.
            assert result.total_wh is not None


@settings(max_examples=30, deadline=None)
@given(absurd_days())
def test_the_same_day_again_is_no_revision(day):
    first = record(day, LATER)
    assert revise(first, day, LATER + timedelta(days=1)).revisions == first.revisions


@settings(max_examples=30, deadline=None)
@given(sound_days(), st.randoms(use_true_random=False))
def test_what_comes_later_comes_to_the_same_in_any_order(given_, rng):
    day, truth = given_
    parts = [rng.randrange(4) for _ in truth]
    nothing = replace(day, readings=(None,) * len(truth), registers=(RegisterSpan(None, None),))
    news = [
        replace(nothing, readings=tuple(
            one if part == k else None for one, part in zip(day.readings, parts, strict=True)
        ))
        for k in range(4)
    ] + [replace(nothing, registers=day.registers)]  # fmt: skip
    rng.shuffle(news)
    now = record(nothing, LATER)
    for hours, new in enumerate(news, 1):
        now = revise(now, new, LATER + timedelta(hours=hours))
        sound(now.day, now.current)
    assert [value.wh for value in now.current.values] == truth
    assert {value.state for value in now.current.values} == {MEASURED}
    assert now.revisions[0].result == evaluate(nothing)


@given(
    st.integers(0, 10**12),
    st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 10**6)), min_size=1, max_size=100),
)
def test_parts_add_up_and_stay_within_their_limits(total, both):
    weights, most = [one[0] for one in both], [one[1] for one in both]
    parts = apportion(total, weights, most)
    assert sum(parts) == total and min(parts) >= 0
    if sum(most) >= total:
        assert all(part <= limit for part, limit in zip(parts, most, strict=True))


def test_parts_are_in_proportion_and_the_largest_remainders_go_up():
    assert apportion(10, [1, 1, 1], [99] * 3) == [4, 3, 3]
    assert apportion(100, [1, 2, 5], [99] * 3) == [13, 25, 62]
    assert apportion(100, [1, 2, 5], [99, 99, 40]) == [20, 40, 40]
    assert apportion(7, [0, 0], [99, 0]) == [7, 0]
    assert apportion(0, [1, 1], [5, 5]) == [0, 0]


# --- days of JSON --------------------------------------------------------------------------

CASE = json.loads((DATA / "vee" / "cases.json").read_text())["cases"][1]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=8), some, max_size=3)
    ),
    max_leaves=6,
)


def places(value, path=()):
    """Every place of a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


PLACES = [path for path in places(CASE) if path and path[0] != "expect"]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(PLACES), JSON, st.sampled_from(["put", "leave out", "double"]))
def test_a_broken_document_is_one_clear_line_or_a_day(tmp_path_factory, path, value, what):
    document = json.loads(json.dumps(CASE))
    at = document
    for key in path[:-1]:
        at = at[key]
    if what == "put":
        at[path[-1]] = value
    elif what == "leave out":
        del at[path[-1]]
    elif isinstance(at, list):
        at.insert(path[-1], at[path[-1]])
    file = tmp_path_factory.getbasetemp() / "broken.json"
    file.write_text(json.dumps({"cases": [document]}))
    try:
        for case in load(file):
            sound(case.day, evaluate(case.day))
    except VeeError as error:
        assert str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    "octets", [b"", b"\xff\xfe", b"[1]", b"{}", b'{"cases": {}}', b"[" * 10**5]
)
def test_a_file_that_holds_no_cases_is_said_so(tmp_path, octets):
    path = tmp_path / "cases.json"
    path.write_bytes(octets)
    with pytest.raises(VeeError, match="cases"):
        load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(VeeError, match="cannot read"):
        load(Path(tmp_path) / "nowhere.json")
