"""What comes later: revisions, corrections, edits, and that nothing is ever forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from openams.headend.vee import (
    ESTIMATED,
    FINAL,
    MEASURED,
    RULES,
    Reading,
    RegisterSpan,
    VeeError,
    corrections,
    edit,
    record,
    revise,
)
from openams.headend.vee.revise import last_moment
from tests.headend.test_vee_days import WEDNESDAY, house, put, wh

FIRST = datetime(2026, 1, 22, 5, tzinfo=UTC)
LATER = FIRST + timedelta(hours=9)
UNREAD = (RegisterSpan(None, None),)


def test_a_measured_value_replaces_an_estimate_and_both_are_kept():
    day = house()
    first = record(put(replace(day, registers=UNREAD), {4: None, 5: None}), FIRST)
    then = revise(first, day, LATER)
    assert [value.wh for value in then.current.values] == wh(day)
    assert [(one.number, one.why, one.changed) for one in then.revisions] == [
        (1, "first", tuple(range(24))),
        (2, "collected", (4, 5)),
    ]
    story = then.story(4)
    assert [step.value.state for step in story] == [ESTIMATED, MEASURED]
    assert [step.at for step in story] == [FIRST, LATER]
    assert story[0].value == first.current.values[4] and story[0].value.rules == RULES
    assert len(then.story(6)) == 1
    assert corrections(first.current, then.current) == (4, 5)


def test_a_register_that_comes_later_puts_the_sum_right():
    day = house()
    lost = put(day, dict.fromkeys(range(6, 12)))
    first = record(replace(lost, registers=UNREAD), FIRST)
    then = revise(first, replace(day, readings=(None,) * 24), LATER)
    assert then.revisions[-1].why == "registers"
    assert then.current.sum_off_wh == 0
    assert set(corrections(first.current, then.current)) <= set(range(6, 12))
    assert [v.wh for v in then.current.values[:6]] == wh(day)[:6]


def test_what_the_news_do_not_know_stays():
    day = house()
    first = record(put(day, {4: None}), FIRST)
    nothing = replace(day, readings=(None,) * 24, registers=UNREAD, history={})
    assert revise(first, nothing, LATER).revisions == first.revisions
    # An estimate is not sent again because its neighbours were read twice.
    assert revise(first, day, LATER).revisions[-1].changed == (4,)


def test_a_good_value_does_not_give_way_to_a_bad_one():
    day = house()
    first = record(day, FIRST)
    bad = put(day, {4: -5, 5: Reading(7, ("data-not-valid",))})
    assert revise(first, bad, LATER).revisions == first.revisions


def test_a_second_measured_value_takes_the_place_of_the_first_and_both_are_kept():
    day = house()
    other = put(day, {4: wh(day)[4] + 40, 5: wh(day)[5] - 40})
    then = revise(record(day, FIRST), other, LATER)
    assert [step.value.wh for step in then.story(4)] == [wh(day)[4], wh(day)[4] + 40]


def test_a_cut_that_is_learnt_of_later_makes_zeros():
    day = house()
    kept = sum(wh(day)[:20])
    lost = put(replace(day, registers=UNREAD), dict.fromkeys(range(20, 24)))
    first = record(lost, FIRST)
    off = (datetime(2026, 1, 21, 19, tzinfo=UTC), datetime(2026, 1, 21, 23, tzinfo=UTC))
    news = replace(lost, cuts=(off,), registers=(RegisterSpan(0, kept),))
    then = revise(first, news, LATER)
    assert [value.wh for value in then.current.values[20:]] == [0] * 4
    assert [value.state for value in then.current.values[20:]] == [FINAL] * 4


def test_a_mere_change_between_estimated_and_final_is_no_correction():
    day = put(house(), {4: None})
    first = record(day, FIRST)
    then = revise(first, replace(day, collectable=False), LATER)
    assert then.current.values[4].state == FINAL and then.revisions[-1].changed == (4,)
    assert corrections(first.current, then.current) == ()


def test_a_day_is_closed_after_three_years():
    day = house()
    first = record(put(day, {4: None}), FIRST)
    assert revise(first, day, last_moment(WEDNESDAY)).current.values[4].state == MEASURED
    with pytest.raises(VeeError, match="closed"):
        revise(first, day, last_moment(WEDNESDAY) + timedelta(seconds=1))
    assert last_moment(date(2028, 2, 29)) == datetime(2031, 2, 28, 23, tzinfo=UTC)


def test_time_goes_forward_and_has_an_offset():
    day = house()
    first = record(put(day, {4: None}), LATER)
    with pytest.raises(VeeError, match="forward"):
        revise(first, day, FIRST)
    with pytest.raises(VeeError, match="offset"):
        record(day, datetime(2026, 1, 22))


def test_news_of_another_day_are_refused():
    first = record(house(), FIRST)
    with pytest.raises(VeeError, match="no news"):
        revise(first, house(WEDNESDAY + timedelta(days=1)), LATER)


# --- edits -----------------------------------------------------------------------------------


def test_an_edit_is_final_has_a_name_and_keeps_the_sum():
    day = put(house(), {4: None, 5: None})
    total = sum(wh(house())[4:6])
    first = record(day, FIRST)
    then = edit(first, {4: 700}, LATER, "kari", "the customer's log")
    assert [then.current.values[k].wh for k in (4, 5)] == [700, total - 700]
    value = then.current.values[4]
    assert (value.state, value.validation, value.estimation) == (FINAL, "V999", "E008")
    assert then.revisions[-1].who == "kari" and then.revisions[-1].why == "the customer's log"
    with pytest.raises(VeeError, match="registers"):
        edit(first, {4: total + 1}, LATER, "kari", "a slip")
    with pytest.raises(VeeError, match="registers"):
        edit(first, {4: 1, 5: 1}, LATER, "kari", "a slip")


def test_an_edit_stays_until_a_measured_value_comes():
    day = put(replace(house(), registers=UNREAD), {4: None, 5: None})
    edited = edit(record(day, FIRST), {4: 555}, LATER, "kari", "the customer's log")
    then = revise(edited, day, LATER + timedelta(days=1))
    assert then.current.values[4].wh == 555
    full = revise(then, house(), LATER + timedelta(days=2))
    assert [value.wh for value in full.current.values] == wh(house())
    assert [step.value.wh for step in full.story(4)][1:] == [555, wh(house())[4]]


@pytest.mark.parametrize(
    ("values", "who", "why", "says"),
    [
        ({3: 5}, "kari", "so", "measured"),
        ({24: 5}, "kari", "so", "0 to 23"),
        ({4: -1}, "kari", "so", "not negative"),
        ({4: 5}, " ", "so", "name"),
        ({4: 5}, "kari", "", "reason"),
    ],
)
def test_edits_that_are_refused(values, who, why, says):
    first = record(put(house(), {4: None}), FIRST)
    with pytest.raises(VeeError, match=says):
        edit(first, values, LATER, who, why)
