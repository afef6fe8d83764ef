"""Norwegian local times: the hour that comes twice, and the one that there is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openams.errors import BenchError
from openams.grid.registry import load
from openams.grid.scenario import ScenarioError
from openams.meter_time import NORWAY, SkippedTimeError, from_local, parse_time

SPRINGS = ("2026-03-29", "2027-03-28", "2000-03-26", "2050-03-27")


@pytest.mark.parametrize("day", SPRINGS)
@pytest.mark.parametrize("time", ["02:00", "02:00:01", "02:30", "02:59:59", "02:59:59.999"])
@pytest.mark.parametrize("mark", [" ", "T"])
def test_a_time_that_spring_leaves_out_is_refused_everywhere_with_the_same_words(
    day, time, mark, tmp_path
):
    path = tmp_path / "spring.csv"
    path.write_text(f"time,active_import_W\n{day} 01:00,5\n{day}{mark}{time},1000\n{day} 04:00,9\n")
    with pytest.raises(ScenarioError) as of_file:
        load(str(path))
    with pytest.raises(BenchError) as of_option:
        parse_time("--start", f"{day}T{time}")
    for caught, where in ((of_file, f"{path}:3: {day}{mark}{time} "), (of_option, "--start ")):
        text = str(caught.value)
        assert text.startswith(where) and "does not exist in Norway" in text and "+01:00" in text
    # With an offset it is what it says.
    path.write_text(path.read_text().replace(f"{time},", f"{time}+01:00,"))
    assert load(str(path)).start == datetime.fromisoformat(f"{day}T00:00:00+00:00")
    assert parse_time("--start", f"{day}T{time}+01:00").hour == 1


@pytest.mark.parametrize("day", SPRINGS)
def test_the_times_beside_it_exist(day):
    before = parse_time("--start", f"{day}T01:59:59")
    assert parse_time("--start", f"{day}T03:00:00") - before == timedelta(seconds=1)


def test_the_first_row_too_and_a_row_of_another_order(tmp_path):
    path = tmp_path / "spring.csv"
    path.write_text("time,active_import_W\n2026-03-29 02:00,1000\n2026-03-29 03:00,1000\n")
    with pytest.raises(ScenarioError, match=":2: 2026-03-29 02:00 does not exist"):
        load(str(path))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)), st.integers(0, 1))
def test_a_time_that_comes_back_is_itself_or_there_is_none(when, fold):
    try:
        utc = from_local(when, fold)
    except SkippedTimeError:
        # Then no moment of Norway's shows it.
        near = [when.replace(tzinfo=UTC) + timedelta(hours=h) for h in (-3, -2, -1, 0)]
        assert when not in [m.astimezone(NORWAY).replace(tzinfo=None) for m in near]
        assert when.hour == 2 and when.month == 3
        return
    assert utc.astimezone(NORWAY).replace(tzinfo=None) == when
    assert from_local(when) <= from_local(when, 1)
