"""A month on parts as they are: a crystal that drifts with the weather, a chip with its error.

Days of it here, on both VMs; the whole in `make campaign`, by seed (OPENAMS_SEED).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ams.events import events as ev
from ams.registers import profile
from openams.faultlab.month_lab import Month

ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("OPENAMS_SEED", "3"))
# A clock of a meter errs by no more in a day (IEC 62054-21).
A_DAY_MS = 500
# What a new crystal loses until somebody tells the time twice: 30 ppm and its temperature.
_UNTAUGHT = 2


def judge(month):
    assert month.worst_day_ms <= A_DAY_MS
    # The first is the one in which the new meter was given its time.
    assert [number for number, status in month.marked()] in ([], [1])
    assert month.count_of(ev.CLOCK_ADJUSTED_OLD) <= 1
    assert month.count_of(ev.CLOCK_CHIP_ERROR) == (0 if month.chip.present else 1)
    entries = [entry for entry in month.lengths()]
    assert set(entries) == {3600}
    assert month.used_uws // 3_600_000 == month.meter.energy.mwh[0]


def ends(month):
    """When its intervals ended: each hour once, and none left out."""
    from openams.faultlab import flash_lab

    found = [entry[1] for entry in flash_lab.entries(month.meter)]
    assert found == list(range(found[0], found[0] + 3600 * len(found), 3600))
    return found


def test_days_with_a_clock_chip():
    month = Month(SEED)
    month.days(2)
    judge(month)
    assert len(ends(month)) == 48
    assert month.worst_ms <= 2 * A_DAY_MS


def test_days_with_a_client_that_sets_it():
    month = Month(SEED, chip=False, daily=True)
    month.days(4, settle=_UNTAUGHT)
    judge(month)
    assert len(ends(month)) == 96
    assert month.worst_ms <= A_DAY_MS


SCRIPT = """
import json
from openams.faultlab.month_lab import Month
for chip in (True, False):
    month = Month(%d, chip=chip, daily=not chip)
    month.days(1)
    shown = month.off_ms(), month.clock.count_ms, month.marked(), month.meter.energy.mwh
    print(json.dumps(shown))
"""


def test_both_pythons_keep_the_same_time(micropython):
    out = micropython(
        SCRIPT % SEED,
        heap_kib=4096,
        paths=("firmware", "boards", "boards/unix", "host", "host/openams/faultlab"),
    )
    for line, chip in zip(out.splitlines(), (True, False), strict=True):
        month = Month(SEED, chip=chip, daily=not chip)
        month.days(1)
        marked = [list(entry) for entry in month.marked()]
        expected = [month.off_ms(), month.clock.count_ms, marked, month.meter.energy.mwh]
        assert json.loads(line) == expected


@pytest.mark.campaign
def test_a_month_with_a_client_whose_word_is_late():
    """By up to a fifth of a second either way, as lines and queues make it."""
    month = Month(SEED, chip=False, daily=True, jitter_ms=200)
    month.days(30, settle=4)
    judge(month)
    assert month.worst_ms <= A_DAY_MS


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
@pytest.mark.parametrize("chip", [True, False])
def test_a_month(seed, chip):
    month = Month(seed, ppm=30 if seed % 2 else -30, chip=chip, daily=not chip)
    month.days(30, settle=0 if chip else _UNTAUGHT)
    judge(month)
    ends(month)
    # A chip alone: what its own crystal errs; a client's day: what the weather does to the board's.
    assert month.worst_ms <= (30 * A_DAY_MS if chip else A_DAY_MS)
    assert abs(month.meter.clock.drift_ppb) < 60_000
    assert not month.meter.recorder.load_profile.status & profile.STATUS_CLOCK_ADJUSTED
