"""Clocks that showed another time: found by the log's steps and by what was read, either alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openams.client.data import decode, parse_date_time
from openams.headend.clocks import Check, wrong_spans
from openams.headend.collect.orders import _clock
from openams.headend.store import Event
from openams.meter_time import from_utc_ms

HOUR = 3_600_000
NOON = 1000 * HOUR


def step(number, old_ms, by_ms, got_ms=NOON + 480 * HOUR):
    """The two events of a clock that is set. `got_ms`: when the log was read."""
    return [
        Event("m", "standard", number, old_ms, 4, by_ms // 1000, None, got_ms, ""),
        Event("m", "standard", number + 1, old_ms + by_ms, 5, by_ms // 1000, None, got_ms, ""),
    ]


def wrong(spans, at_ms):
    return any(span.touches(at_ms, at_ms + 1) for span in spans)


@pytest.mark.parametrize("by_ms", [HOUR, -HOUR, 2 * HOUR, -1_900_000])
def test_between_a_step_and_the_one_back_it_is_wrong_and_right_before_and_after(by_ms):
    back = NOON + 5 * HOUR + by_ms
    events = step(1, NOON, by_ms) + step(3, back, -by_ms)
    spans = wrong_spans(events, [Check(NOON - 9 * HOUR, 0), Check(NOON + 12 * HOUR, 200)])
    assert wrong(spans, NOON + 3 * HOUR) and wrong(spans, NOON)
    assert not wrong(spans, NOON - 2 * HOUR) and not wrong(spans, NOON + 8 * HOUR)


@pytest.mark.parametrize("by_ms", [HOUR, -HOUR])
def test_a_midnight_that_was_jumped_over_is_none(by_ms):
    """Its register was taken at the jump, whichever of the two clocks was right."""
    before, after = (0, HOUR) if by_ms > 0 else (-HOUR, 0)
    checks = [Check(NOON - 9 * HOUR - before, before), Check(NOON + 9 * HOUR - after, after)]
    spans = wrong_spans(step(1, NOON, HOUR), checks)
    assert wrong(spans, NOON + HOUR // 2)


def test_while_it_is_wrong_what_was_before_is_right():
    events = step(1, NOON, HOUR)
    spans = wrong_spans(events, [Check(NOON - 9 * HOUR, 0), Check(NOON + 9 * HOUR, HOUR)])
    assert wrong(spans, NOON + 20 * HOUR) and not wrong(spans, NOON - HOUR)


def test_a_clock_that_is_set_right_was_wrong_before():
    spans = wrong_spans(step(1, NOON, -HOUR), [Check(NOON + 9 * HOUR, 0)])
    assert wrong(spans, NOON - 5 * HOUR) and not wrong(spans, NOON + HOUR)


def test_a_reading_alone_tells_since_the_last_good_one():
    spans = wrong_spans([], [Check(NOON, 100), Check(NOON + 24 * HOUR, 2 * HOUR)])
    assert wrong(spans, NOON + HOUR) and not wrong(spans, NOON - HOUR)


def test_small_steps_and_seconds_are_no_matter():
    events = step(1, NOON, 20_000) + step(3, NOON + HOUR, -15_000)
    assert wrong_spans(events, [Check(NOON - HOUR, 4000), Check(NOON + 2 * HOUR, -9000)]) == ()
    assert wrong_spans([], []) == ()


def test_a_step_whose_return_is_not_read_yet_is_wrong_by_either_side():
    """It was right, jumped, and reads right again: a step back is to come in the log."""
    spans = wrong_spans(step(1, NOON, HOUR), [Check(NOON - HOUR, 0), Check(NOON + 9 * HOUR, 0)])
    assert wrong(spans, NOON + 3 * HOUR)


def both_ways(offs, at, read):
    """The log of a clock that is set to each of `offs` at each of `at`, true times."""
    events, off = [], 0
    for number, (by, ms) in enumerate(zip(offs, at, strict=True)):
        got_ms = next(one for one in [*read, NOON + 48 * HOUR] if one >= ms)
        events += step(1 + 2 * number, ms + off, by - off, got_ms) if by != off else []
        off = by
    return events


def off_at(offs, at, ms):
    return next(
        (off for off, since in reversed(list(zip(offs, at, strict=True))) if since <= ms), 0
    )


OFFS = st.sampled_from([0, 0, HOUR, -HOUR, 2 * HOUR, -1_900_000, 90_000, -25 * HOUR])


@st.composite
def histories(draw, most=6):
    count = draw(st.integers(1, most))
    at = draw(st.lists(st.integers(1, 47), min_size=count, max_size=count, unique=True).map(sorted))
    read = draw(st.lists(st.integers(2, 47), max_size=5).map(sorted))
    offs = draw(st.lists(OFFS, min_size=count, max_size=count))
    return (
        offs,
        [NOON + hour * HOUR + 1_000_007 for hour in at],
        [NOON + hour * HOUR for hour in read],
    )


def checks_of(offs, at, read, noise):
    first, last = NOON, NOON + 48 * HOUR
    return [
        Check(ms, off_at(offs, at, ms) + noise[k % len(noise)])
        for k, ms in enumerate([first, *read, last])
    ]


@given(histories(), st.lists(st.integers(-4000, 4000), min_size=1, max_size=5), st.data())
def test_all_that_a_wrong_clock_showed_is_found_whichever_event_of_a_step_is_here(
    history, noise, data
):
    offs, at, read = history
    events = both_ways(offs, at, read)
    steps = [events[k : k + 2] for k in range(0, len(events), 2)]
    halves = [data.draw(st.sampled_from([pair, pair[:1], pair[1:]])) for pair in steps]
    spans = wrong_spans([one for pair in halves for one in pair], checks_of(*history, noise))
    right = set()
    for half in range(2 * 48):
        ms = NOON + half * HOUR // 2 + 60_007
        off = off_at(offs, at, ms)
        if off:
            assert wrong(spans, ms + off), (half, off, spans)
        else:
            right.add(ms)
    # And of what it showed while it was right only what it showed while it was wrong, too.
    # What is wrong at the end goes on.
    ends = [*at[1:], NOON + 480 * HOUR]
    false = [
        (since + off, until + off) for off, since, until in zip(offs, at, ends, strict=True) if off
    ]
    for ms in right:
        twice = any(begin - 120_000 < ms < end + 120_000 for begin, end in false)
        jump = any(old.at_ms - 120_000 < ms < new.at_ms + 120_000 for old, new in steps)
        # Nor of a time that was jumped over: nobody knows whose that is.
        assert twice or jump or not wrong(spans, ms), (ms, spans)


@given(histories(most=2), st.data())
def test_a_step_that_is_lost_hides_nothing_between_readings(history, data):
    offs, at, read = history
    events = both_ways(offs, at, read)
    steps = [events[k : k + 2] for k in range(0, len(events), 2)]
    if steps:
        del steps[data.draw(st.integers(0, len(steps) - 1))]
    spans = wrong_spans([one for pair in steps for one in pair], checks_of(*history, [0]))
    for half in range(2 * 48):
        ms = NOON + half * HOUR // 2 + 60_007
        if off := off_at(offs, at, ms):
            assert wrong(spans, ms + off), (half, off, spans)


@pytest.mark.parametrize(("count", "known"), [(20_000, False), (60, True), (60, False)])
def test_a_log_of_many_steps_is_of_no_clock_if_it_does_not_say_what_was_read(count, known):
    """And it takes no time to find out, however long it is."""
    events, checks = [], []
    for k in range(count):
        events += step(1 + 2 * k, NOON + 2 * k * HOUR, HOUR if k % 2 else -HOUR)
        checks += [Check(NOON + 2 * k * HOUR + HOUR, -HOUR if known and k % 2 == 0 else 0)]
    spans = wrong_spans(events, checks[:60])
    assert wrong(spans, NOON) and wrong(spans, NOON + 9 * HOUR)
    assert wrong(spans, NOON - 90 * HOUR) is not known


class Modem:
    """A meter behind a modem: each exchange takes a time, of which the request takes the
    first part. `off`: what the clock was set to, less what it was then, ms."""

    def __init__(self, *exchanges):
        self.now, self.exchanges, self.off = 0, list(exchanges), []

    def _goes(self):
        there, back = self.exchanges.pop(0)
        self.now += there
        at = self.now
        self.now += back
        return at

    def get(self, *what):
        self._goes()

    def set(self, class_id, obis, number, value):
        at = self._goes()
        shown = parse_date_time(decode(value))
        self.off.append(round((shown - from_utc_ms(at)).total_seconds() * 1000))


AWAKE, ASLEEP = (200, 200), (19_000, 200)


@pytest.mark.parametrize(
    "exchanges",
    [
        (AWAKE, AWAKE, AWAKE),
        (ASLEEP, AWAKE, AWAKE),
        (AWAKE, ASLEEP, AWAKE),
        (AWAKE, AWAKE, ASLEEP, AWAKE, AWAKE, AWAKE),
        ((3000, 3000), (3000, 3000), (3000, 3000)),
    ],
)
def test_a_clock_is_set_to_the_time_at_which_it_is_told(exchanges):
    modem = Modem(*exchanges)
    _clock(modem, None, lambda: modem.now)
    assert abs(modem.off[-1]) <= 10 and modem.exchanges == []
