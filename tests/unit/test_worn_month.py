"""A month on parts as they are and a flash that takes its time, with power cuts at any moment.

Days of it here, on both VMs; the whole in `make campaign`, by seed (OPENAMS_SEED).
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from openams.faultlab.worn_month import WornMonth

SEED = int(os.environ.get("OPENAMS_SEED", "3"))
# A clock of a meter errs by no more in a day (IEC 62054-21).
A_DAY_MS = 500
SCRIPT = """
import json
from openams.faultlab.worn_month import WornMonth
month = WornMonth(%d, days=1, cuts=6)
month.days(1)
print(json.dumps((month.judge(), month.meter.energy.mwh, month.erased, len(month.outages))))
"""


def lived(seed: int, days: int, cuts: int) -> WornMonth:
    month = WornMonth(seed, days, cuts)
    month.days(days)
    assert month.judge() == []
    assert len(month.outages) > cuts // 2 and month.erased > 20 * days
    # Nobody waits for an erase.
    assert month.longest_us < 45000
    return month


def test_days_with_cuts() -> None:
    month = lived(SEED, 2, 12)
    assert any(lost for _, _, _, lost in month.outages)
    assert any(not unclean for _, _, unclean, _ in month.outages)


def test_both_pythons_find_the_same(micropython: Any) -> None:
    out = micropython(
        SCRIPT % SEED,
        heap_kib=8192,
        paths=("firmware", "boards", "boards/unix", "host", "host/openams/faultlab"),
    )
    wrong, mwh, erased, outages = json.loads(out.strip().splitlines()[-1])
    month = lived(SEED, 1, 6)
    assert wrong == []
    assert [mwh, erased, outages] == [list(month.meter.energy.mwh), month.erased, 6]


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_a_month(seed: int) -> None:
    month = lived(seed, 30, 30)
    assert month.worst_day_ms <= A_DAY_MS
