"""A chain from the first midnight to its figures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from openams.chain.comparison import Comparing, Comparison, doubled, reads
from openams.chain.course import Course, Progress, Told, Wanted, opened
from openams.chain.details import details
from openams.chain.parts import ask_all
from openams.field.ledger import QUARTER_MS, Ledger
from openams.headend.elhub.build import first_deadline, ready_deadline
from openams.headend.report.company import Company
from openams.headend.report.gather import report
from openams.headend.report.model import Report
from openams.headend.store import Store

_MEMORY = "/dev/shm"
_ROOM, _ROOM_METER = 256 << 20, 512 << 10


class Whole(NamedTuple):
    """`figures`: as `ams chain --json` prints them; `details`: of what is not as it should be."""

    figures: dict[str, Any]
    comparison: Comparison
    report: Report
    details: dict[str, Any]


def run(
    wanted: Wanted,
    told: Told = lambda progress, store: None,
    folder: Path | None = None,
    also: Callable[[Course], None] = lambda course: None,
) -> Whole:
    """`folder`: where all of it stays; None: it is thrown away. `also` sees the course when it has
    ended."""
    place = _place(wanted)
    with (
        tempfile.TemporaryDirectory(prefix="openams-chain-", dir=place) as temporary,
        opened(wanted, folder or Path(temporary), told) as course,
    ):
        asyncio.run(course.run())
        also(course)
        return _compared(course, told)


def _place(wanted: Wanted) -> str | None:
    """Memory where the system has enough of it as a disk: what is thrown away needs no other."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _ROOM + _ROOM_METER * wanted.meters:
            return _MEMORY if os.access(_MEMORY, os.W_OK) else None
    return None


def _compared(course: Course, told: Told) -> Whole:
    store, wanted = course.store, course.wanted
    progress: Progress = course.progress
    days = [wanted.start + timedelta(days=k) for k in range(wanted.days)]
    progress.doing = "the ledger is made whole"
    told(progress, store)
    memory = course.memory_mib()
    # What flows after the last midnight says what a clock that is off may have counted of it.
    until_ms = course.plan_end_ms + QUARTER_MS
    ask_all(course.parts, "settle", until_ms)
    ledger = Ledger.open(course.setup.ledger)
    try:
        comparing = Comparing(store, course.hub.store, ledger)
        for day in days:
            progress.doing = f"comparing {day}"
            told(progress, store)
            comparing.day(day)
        told_more = details(store, ledger, comparing.out)
    finally:
        ledger.close()
    progress.doing = "the report is made"
    told(progress, store)
    written = report(store, days[0], days[-1], course.now(), Company(name="Chain"))
    figures = _figures(course, comparing.out, days)
    return Whole({**figures, "memory_mib": memory}, comparing.out, written, told_more)


def _figures(course: Course, found: Comparison, days: list[date]) -> dict[str, Any]:
    store = course.store
    expected, there = 0, [0, 0]
    for day in days:
        of_day = reads(store, day, [first_deadline(day), ready_deadline(day)])
        expected += of_day.expected
        there = [a + b for a, b in zip(there, of_day.by, strict=True)]
    hub = course.hub.store.figures()
    (sessions,) = store.one("SELECT COUNT(*) FROM attempt") or (0,)
    return {
        "meters": course.wanted.meters,
        "days": course.wanted.days,
        "values": found.values,
        "read_rate_0700": round(there[0] / max(1, expected), 6),
        "read_rate_d5": round(there[1] / max(1, expected), 6),
        "estimated_share": round(found.estimated / max(1, found.values), 6),
        "lost": found.lost,
        "wrong_unmarked": found.wrong_unmarked,
        "doubled": doubled(store),
        "sum_off_wh": found.sum_off_wh,
        "causes": {cause: dict(counts) for cause, counts in sorted(found.causes.items())},
        "estimation_error": {
            "ours": found.ours.share,
            "flat": found.flat.share,
            "last_week": found.last_week.share,
        },
        "elhub": {
            "messages": hub["messages"],
            "accepted": hub["accepted"],
            "rejected": hub["refused"],
            "corrected": course.progress.delivered["corrections"],
        },
        "wall_s": round(time.monotonic() - course.began, 1),
        "sessions": sessions,
    }


__all__ = ["Store", "Wanted", "Whole", "run"]
