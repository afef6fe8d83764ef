"""How fast a field is played: meter-days a second a core, and what a meter takes of memory.

python tools/bench/field.py [METERS] [DAYS]      (200, 10)
python tools/bench/field.py day METERS [WORKERS] a whole field's day, as ams field run does it
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from openams.field.faults import DAY_MS, Rates
from openams.field.field import Field
from openams.field.meters import FieldPlan, make_plan
from openams.field.run import Running, run
from openams.field.sleep import freeze, thaw
from openams.keys.keystore import Keystore
from openams.meter_time import NORWAY, to_utc_ms

BEGIN_MS = to_utc_ms(datetime(2026, 1, 12, tzinfo=NORWAY))


def rss_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def made(folder: Path, meters: int, period: int) -> tuple[FieldPlan, Keystore]:
    plan = make_plan(meters, 1, begin_ms=BEGIN_MS, period_min=period)
    store = Keystore(folder / f"keystore{period}", b"bench", 1 << 14)
    store.ensure([meter.meter_id for meter in plan.meters])
    return plan, store


def speeds(folder: Path, meters: int, days: int) -> None:
    for period in (60, 15):
        plan, store = made(folder, meters, period)
        with Field(plan, store, folder / f"{period}.db", days=days) as field:
            began = time.process_time()
            field.advance_to(BEGIN_MS + DAY_MS // 24)
            field.settle()
            first = time.process_time() - began
            field.advance_to(BEGIN_MS + days * DAY_MS)
            began = time.process_time()
            field.settle()
            took = time.process_time() - began
            number = plan.meters[0].meter_id
            device = field.played(number, field.utc_ms)
            began = time.process_time()
            for _ in range(20):
                state = freeze(device)
            frozen = (time.process_time() - began) / 20
            began = time.process_time()
            for _ in range(20):
                thaw(state)
            thawed = (time.process_time() - began) / 20
            print(
                f"{period} minutes: {1000 * took / meters / days:.1f} ms a meter-day, "
                f"{meters * days / took:.0f} meter-days a second a core; "
                f"made and an hour played in {1000 * first / meters:.1f} ms; "
                f"asleep {len(state) / 1024:.0f} KiB, "
                f"to sleep {1000 * frozen:.1f} ms, awake {1000 * thawed:.1f} ms"
            )
    print(f"most memory of the process: {rss_kib() / 1024:.0f} MiB, {meters} meters a field")


def whole_day(folder: Path, meters: int, workers: int) -> None:
    plan, store = made(folder, meters, 60)
    before = rss_kib()
    began = time.monotonic()
    result = run(Running(plan, store, folder / "day.db", Rates(), workers=workers), lambda *_: None)
    took = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    used += resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    print(
        f"{meters} meters' day with {workers} processes: {took:.0f} s, {used:.0f} s of CPU, "
        f"{len(result['differing'])} registers differ; memory of a process "
        f"{rss_kib() / 1024:.0f} MiB, {(rss_kib() - before) / meters:.1f} KiB a meter more"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="openams-bench-") as name:
        folder = Path(name)
        if sys.argv[1:2] == ["day"]:
            workers = int(sys.argv[3]) if len(sys.argv) > 3 else os.cpu_count() or 1
            whole_day(folder, int(sys.argv[2]), workers)
        else:
            speeds(
                folder, *(int(text) for text in (sys.argv[1:] + ["200", "10"][len(sys.argv) - 1 :]))
            )


if __name__ == "__main__":
    main()
