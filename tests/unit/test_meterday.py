"""When a day of a meter is whole, and how it is written down."""

from __future__ import annotations

import json
from datetime import UTC, date, timedelta

import pytest

from openams.client.meterday import MeterDay, day_bounds, is_complete

NORMAL, SPRING, AUTUMN = date(2026, 2, 1), date(2026, 3, 29), date(2026, 10, 25)


def rows(day, period_s):
    begin, end = day_bounds(day)
    count = int((end - begin).total_seconds()) // period_s
    return [
        {"time": (begin + timedelta(seconds=period_s * (k + 1))).isoformat(), "status": 0}
        for k in range(count)
    ]


@pytest.mark.parametrize("period_s", [3600, 900])
@pytest.mark.parametrize(("day", "hours"), [(NORMAL, 24), (SPRING, 23), (AUTUMN, 25)])
def test_a_day_is_whole_when_no_interval_is_missing(day, hours, period_s):
    bounds, all_ = day_bounds(day), rows(day, period_s)
    assert len(all_) == hours * 3600 // period_s
    assert is_complete(all_, *bounds, period_s)
    assert is_complete(all_[::-1] + all_[:3], *bounds, period_s), "order and doubles do not matter"
    for missing in (0, 1, len(all_) // 2, len(all_) - 1):
        left = all_[:missing] + all_[missing + 1 :]
        assert not is_complete(left, *bounds, period_s), missing
    assert not is_complete([], *bounds, period_s)


def test_a_day_of_two_periods_is_whole():
    """60 to 15 minutes at noon; without the mark of it hours are missing."""
    bounds = day_bounds(NORMAL)
    both = rows(NORMAL, 3600)[:12] + rows(NORMAL, 900)[48:]
    assert not is_complete(both, *bounds, 900)
    both[12] = {**both[12], "status": 0x0400}
    assert is_complete(both, *bounds, 900)
    assert not is_complete(both[:5] + both[6:], *bounds, 900)


def test_a_row_without_a_time_fills_no_gap():
    bounds, all_ = day_bounds(NORMAL), rows(NORMAL, 3600)
    assert not is_complete([{"time": None, "status": 4}, *all_[1:]], *bounds, 3600)


def test_a_day_survives_json():
    day = MeterDay("7359990100000012", "2026-02-01", 3600, True, rows(NORMAL, 3600))
    record = json.loads(json.dumps({**day.to_json(), "seq": 4}))
    assert MeterDay.from_json(record) == day
    with pytest.raises(TypeError):
        MeterDay.from_json({"meter_id": "7359990100000012"})
    assert day_bounds(NORMAL)[0].tzinfo is UTC
