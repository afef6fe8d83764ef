"""The store of the head-end: meter-days and values in and out, a second, on each engine.

    .venv/bin/python tools/bench/headend.py [--meters N] [--postgres URL]

`--postgres` names an empty database. What is printed is of this machine as it is now.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path

from openams.headend.days import day_bounds, day_number
from openams.headend.store import IntervalRow, StoredRevision, open_store

DAY = date(2026, 3, 10)
BATCH = 100


def meter_id(k: int) -> str:
    return f"73599900{k:08d}"


def rows(k: int) -> list[IntervalRow]:
    begin = day_bounds(DAY)[0] // 1000
    return [
        IntervalRow(
            begin + 3600 * (hour + 1), 3600, 0, 400_000 + k * 7919 * (hour + 1) % 900_000, 0
        )
        for hour in range(24)
    ]


def revision(k: int) -> StoredRevision:
    wh = tuple(row.plus_mwh // 1000 for row in rows(k))
    return StoredRevision(
        DAY, f"70705750{k:010d}", 1, 1, 1, "first", "", "vee-1", 60, wh, ("measured",) * 24,
        tuple(range(24)), {}, {}, sum(wh),
    )  # fmt: skip


def timed(name: str, count: int, work: object) -> None:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    took = time.perf_counter() - began
    print(f"  {name:<42} {count / took:>10.0f} meter-days/s  {1e6 * took / count:>8.1f} us each")


def bench(url: str, meters: int) -> None:
    print(url.partition("?")[0])
    with open_store(url) as store:
        collected = [(meter_id(k), rows(k)) for k in range(meters)]
        values = [revision(k) for k in range(meters)]

        def take() -> None:
            for k in range(0, meters, BATCH):
                store.add_intervals(collected[k : k + BATCH], "meter", 1)

        def put() -> None:
            for k in range(0, meters, BATCH):
                store.put_revisions(values[k : k + BATCH])

        timed(f"collected, {BATCH} in a transaction", meters, take)
        timed("collected once more: nothing new", meters, take)
        timed(f"values, {BATCH} in a transaction", meters, put)
        ids = [meter for meter, _ in collected]
        timed("collected, read", meters, lambda: store.intervals(day_number(DAY), ids))
        timed("values of the day, read", meters, lambda: list(store.values(DAY)))
        one = values[0].gsrn
        timed("one point's day, read", 1, lambda: store.value(DAY, one, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meters", type=int, default=10_000)
    parser.add_argument("--postgres", metavar="URL")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "headend.db"
        bench(f"sqlite:///{path}", chosen.meters)
        octets = sum(one.stat().st_size for one in Path(folder).iterdir())
        print(f"  {octets / chosen.meters:.0f} octets a meter-day, raw and values")
    if chosen.postgres:
        bench(chosen.postgres, chosen.meters)


if __name__ == "__main__":
    main()
