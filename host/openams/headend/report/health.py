"""Health for machines: metrics in the text form of Prometheus, events as lines of JSON.

No name of a point or a customer stands in a metric.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TextIO

from openams.headend.days import day_number
from openams.headend.elhub.deadlines import day_figures
from openams.headend.store import Store
from openams.headend.store.jobs import OPEN
from openams.meter_time import NORWAY, to_utc_ms

_DAYS = 6


class Metric(NamedTuple):
    name: str
    kind: str  # gauge, counter
    help: str
    samples: tuple[tuple[tuple[tuple[str, str], ...], float], ...]


def metrics(store: Store, at: datetime) -> str:
    """What a watcher needs to see of the head-end now."""
    return text_of(_all(store, at))


def _all(store: Store, at: datetime) -> Iterable[Metric]:
    now_ms = to_utc_ms(at)
    today = at.astimezone(NORWAY).date()
    days = [today - timedelta(days=ago) for ago in range(1, _DAYS + 1)]
    first = day_number(days[-1])
    yield _jobs(store, first)
    yield _by_label(store, "openams_notices_open", "Notices that wait for a person.", ("kind",),
                    "SELECT kind, COUNT(*) FROM notice WHERE closed_ms IS NULL"
                    " GROUP BY kind")  # fmt: skip
    yield _by_label(store, "openams_elhub_messages", "Messages to Elhub by state.", ("state",),
                    "SELECT state, COUNT(*) FROM message GROUP BY state")  # fmt: skip
    yield _by_label(store, "openams_elhub_series", "Series to Elhub of the last days by state.",
                    ("state",), "SELECT state, COUNT(*) FROM delivery WHERE day >= ?"
                    " GROUP BY state", first)  # fmt: skip
    yield _by_label(store, "openams_attempts_day", "Sessions with meters in the last 24 hours.",
                    ("outcome",), "SELECT outcome, COUNT(*) FROM attempt WHERE at_ms > ?"
                    " GROUP BY outcome", now_ms - 86_400_000)  # fmt: skip
    yield from _of_days(store, days, at)
    (oldest,) = store.one("SELECT MIN(created_ms) FROM message WHERE state = 'prepared'")
    waited = 0.0 if oldest is None else max(0, now_ms - oldest) / 1000
    yield Metric("openams_elhub_waiting_seconds", "gauge",
                 "How long the oldest message to Elhub waits.", (((), waited),))  # fmt: skip
    yield Metric("openams_time_seconds", "gauge", "When this was written, since 1970.",
                 (((), at.timestamp()),))  # fmt: skip


def _jobs(store: Store, first: int) -> Metric:
    """All that are open, and of the last days those that are over: of these there are ever more."""
    counts: Counter[tuple[str, str]] = Counter()
    marks = ", ".join("?" * len(OPEN))
    for kind, state, count in store.all(
        f"SELECT kind, state, COUNT(*) FROM job WHERE state IN ({marks}) AND day < ?"
        " GROUP BY kind, state", *OPEN, first,
    ):  # fmt: skip
        counts[kind, state] += count
    kind = ""
    while True:
        # From one kind to the next, and not through all of their jobs.
        (kind,) = store.one("SELECT MIN(kind) FROM job WHERE kind > ?", kind)
        if kind is None:
            break
        for state, count in store.all(
            "SELECT state, COUNT(*) FROM job WHERE kind = ? AND day >= ? GROUP BY state",
            kind,
            first,
        ):
            counts[kind, state] += count
    samples = tuple(
        ((("kind", kind), ("state", state)), float(count))
        for (kind, state), count in sorted(counts.items())
    )
    text = "Jobs that are open, and of the last days those that are over, by kind and state."
    return Metric("openams_jobs", "gauge", text, samples)


def _of_days(store: Store, days: list[date], at: datetime) -> Iterable[Metric]:
    found = [day_figures(store, day, at) for day in days]
    for name, key, text in (
        ("openams_elhub_day_expected", "expected", "Series of a day that Elhub is to have."),
        ("openams_elhub_day_there", "now", "Series of a day that Elhub has."),
        ("openams_elhub_day_in_time", "by_first", "Series of a day sent by D+1 07:00."),
        ("openams_elhub_day_parked", "parked", "Series of a day that wait for a person."),
    ):
        samples = tuple(
            ((("age_days", str(ago)),), float(getattr(one, key)))
            for ago, one in enumerate(found, 1)
        )
        yield Metric(name, "gauge", text, samples)


def _by_label(
    store: Store, name: str, text: str, labels: tuple[str, ...], sql: str, *params: Any
) -> Metric:
    rows = sorted(store.all(sql, *params))
    samples = tuple(
        (tuple(zip(labels, map(str, row[:-1]), strict=True)), float(row[-1])) for row in rows
    )
    return Metric(name, "gauge", text, samples)


def text_of(found: Iterable[Metric]) -> str:
    """Prometheus text exposition format 0.0.4."""
    out = []
    for one in found:
        out.append(f"# HELP {one.name} {one.help}\n# TYPE {one.name} {one.kind}\n")
        for labels, value in one.samples:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
            number = str(int(value)) if value == int(value) else repr(value)
            out.append(f"{one.name}{'{' + inner + '}' if inner else ''} {number}\n")
    return "".join(out)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def log(event: str, at: datetime, stream: TextIO | None = None, **fields: Any) -> None:
    """One event as one line of JSON, on standard error."""
    line = json.dumps({"at": at.isoformat(timespec="milliseconds"), "event": event, **fields})
    print(line, file=stream or sys.stderr, flush=True)
