"""Clocks that showed another time: found by the log's steps and by what was read, either alone."""

from __future__ import annotations

import pytest

from openams.client.data import decode, parse_date_time
from openams.headend.clocks import Check, wrong_spans
from openams.headend.collect.orders import _clock
from openams.headend.store import Event
from openams.meter_time import from_utc_ms

HOUR = 3_600_000
NOON = 1000 * HOUR


def step(number, old_ms, by_ms):
    """The two events of a clock that is set."""
    return [
        Event("m", "standard", number, old_ms, 4, None, None, 0, ""),
        Event("m", "standard", number + 1, old_ms + by_ms, 5, by_ms // 1000, None, 0, ""),
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
