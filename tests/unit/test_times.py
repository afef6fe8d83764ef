"""Dates and times of COSEM that clients set: what is taken is used, and nothing else is stored."""

from __future__ import annotations

import contextlib
import os
from calendar import monthrange
from datetime import date, timedelta
from pathlib import Path

import pytest
import times_vm
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.clock.local import LocalClock, civil, days_from_civil
from ams.cosem import datetime
from ams.objects import catalogue
from ams.objects.calendar import matches_date
from ams.results import AccessError

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests", "tests/unit", "host/openams/faultlab")]
SEED = int(os.environ.get("OPENAMS_SEED", "1"))
LOCAL = LocalClock()


def test_whatever_is_taken_is_used_and_read_back():
    assert times_vm.run(900, SEED) > 150


@pytest.mark.campaign
def test_whatever_is_taken_is_used_and_read_back_in_a_campaign():
    for seed in range(SEED, SEED + 40):
        assert times_vm.run(3000, seed) > 500


def test_what_a_former_version_took_faults_nothing():
    assert times_vm.poisoned() == 5


def test_both_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport times_vm as vm\n"
    script += f"print(vm.run(360, {SEED + 1}) > 50, vm.poisoned())"
    assert micropython(script, heap_kib=4096).strip() == "True 5"


def test_all_that_takes_a_time_is_tried():
    """Classes of the catalogue with a date or time that can be written."""
    tried = {(class_id, attribute) for _, class_id, _, attribute, _ in times_vm.ATTRIBUTES}
    assert tried == {(20, 10), (20, 7), (20, 9), (11, 2), (22, 4), (40, 4), (71, 8), (8, 2)}
    written = {row[0] for row in catalogue.ROWS if catalogue.rights(row[7]).writes}
    # The others take numbers, names and keys: Data, profiles, images, links, breakers, sub-meters.
    assert written - {8, 11, 20, 22, 40, 71} == {1, 7, 18, 19, 23, 41, 70, 72}


octet = st.integers(0, 255)
year = st.one_of(st.integers(1995, 2140), st.just(0xFFFF), st.integers(0, 0xFFFF))
deviations = st.one_of(st.just(-0x8000), st.integers(-900, 900), st.integers(-0x8000, 0x7FFF))
near = [
    st.one_of(st.integers(least, most), st.just(0xFF), octet)
    for least, most in ((1, 12), (1, 31), (1, 7), (0, 23), (0, 59), (0, 59), (0, 99))
]


@settings(max_examples=800)
@given(year, st.tuples(*near), deviations, octet, st.booleans())
def test_what_check_takes_parse_takes(year, fields, deviation, status, end):
    data = year.to_bytes(2, "big") + bytes(fields) + deviation.to_bytes(2, "big", signed=True)
    data += bytes((status,))
    try:
        datetime.check(data)
    except AccessError:
        # Of a range the meter takes years that it does not store.
        with contextlib.suppress(AccessError):
            datetime.parse(data, LOCAL, end)
        return
    moment = datetime.parse(data, LOCAL, end)
    assert (moment is None) == (year == 0xFFFF)
    month, day, weekday, *rest = fields
    if 0xFF not in (*fields[:2], *rest) and day < 0xFD and year != 0xFFFF:
        # A day that the calendar of the library has.
        assert date(year, month, day)
        if deviation != -0x8000:
            assert civil(moment - deviation * 60_000)[:3] == (year, month, day)


@settings(max_examples=400)
@given(st.integers(2000, 2100), st.integers(1, 12), st.integers(1, 7), st.integers(0, 1))
def test_last_and_last_but_one_days(year, month, weekday, before):
    """FE and FD alone count days from the end, with a day of the week such days."""
    length = monthrange(year, month)[1]
    code = 0xFE - before
    assert datetime.day_of(year, month, code) == length - before
    last = date(year, month, length)
    while last.isoweekday() != weekday:
        last -= timedelta(days=1)
    last -= timedelta(days=7 * before)
    assert datetime.day_of(year, month, code, weekday) == last.day
    now = (year, month, last.day, weekday)
    assert matches_date(b"\xff\xff" + bytes((month, code, weekday)), now)
    for other in range(1, length + 1):
        day = date(year, month, other)
        now = (year, month, other, day.isoweekday())
        found = matches_date(b"\xff\xff\xff" + bytes((code, weekday)), now)
        assert found == (other == last.day)
    stamp = year.to_bytes(2, "big") + bytes((month, code, weekday, 2, 0, 0, 0)) + b"\x00\x00\x00"
    moment = days_from_civil(year, month, last.day) * 86_400_000 + 7_200_000
    assert datetime.parse(stamp, LOCAL) == moment
