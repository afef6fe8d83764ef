"""How Elhub's deadlines were kept, in figures: of each day what was there in time.

D+1 07:00: all values of the day are with Elhub. D+5: all are ready for bills, that is measured or
finally estimated, or left as they are: what changed later is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from openams.headend.days import day_number
from openams.headend.elhub.build import first_deadline, ready_deadline
from openams.headend.elhub.plan import ACCEPTED, LOST, SENT, delivered
from openams.headend.register import series_of
from openams.headend.store import Store
from openams.meter_time import to_utc_ms


class DayFigures(NamedTuple):
    """Of one day: series expected, with Elhub by both deadlines and now; series that were changed
    after each deadline; what is refused and parked now."""

    day: date
    expected: int
    by_first: int
    by_ready: int
    now: int
    changed_after_first: int
    changed_after_ready: int
    refused: int
    parked: int

    def share(self, count: int) -> float | None:
        """Of the expected ones; None where nothing is expected."""
        return count / self.expected if self.expected else None


def day_figures(store: Store, day: date, at: datetime) -> DayFigures:
    """As seen at a moment. A series is there in time if it was sent in time and then stood."""
    number, now = day_number(day), to_utc_ms(at)
    first, ready = to_utc_ms(first_deadline(day)), to_utc_ms(ready_deadline(day))
    expected = sum(len(series_of(one.kind)) for one in store.all_terms(day) if delivered(one))

    def by(moment: int) -> int:
        (count,) = store.one(
            "SELECT COUNT(*) FROM (SELECT DISTINCT d.gsrn, d.series FROM delivery d"
            " JOIN message m ON m.message_id = d.message_id WHERE d.day = ?"
            " AND d.intervals IS NULL AND d.state IN (?, ?, ?) AND m.sent_ms <= ?) AS there",
            number, SENT, ACCEPTED, LOST, min(moment, now),
        )  # fmt: skip
        return int(count)

    def changed(moment: int) -> int:
        (count,) = store.one(
            "SELECT COUNT(*) FROM (SELECT DISTINCT d.gsrn, d.series FROM delivery d"
            " JOIN message m ON m.message_id = d.message_id WHERE d.day = ?"
            " AND d.intervals IS NOT NULL AND d.state IN (?, ?) AND m.sent_ms > ?"
            " AND m.sent_ms <= ?) AS there",
            number, SENT, ACCEPTED, moment, now,
        )  # fmt: skip
        return int(count)

    states = dict(
        store.all("SELECT state, COUNT(*) FROM delivery WHERE day = ? GROUP BY state", number)
    )
    return DayFigures(
        day, expected, by(first), by(ready), by(now), changed(first), changed(ready),
        int(states.get("rejected", 0)), int(states.get("parked", 0)),
    )  # fmt: skip


def figures(store: Store, days: Iterable[date], at: datetime) -> list[DayFigures]:
    return [day_figures(store, day, at) for day in days]
