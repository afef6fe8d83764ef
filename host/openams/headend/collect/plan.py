"""When what is due: days of meters spread over the night; how long one waits after a failure."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from openams.headend.days import day_bounds, day_number, local_day
from openams.headend.register import NONE
from openams.headend.store import Store
from openams.headend.store.jobs import CONCENTRATOR, DAY, METER, OPEN

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Plan:
    """A day's values are with Elhub at 07:00: the first reading ends before, then come retries.

    Minutes are of the local day. A meter behind a concentrator that can be called directly is, for
    what is still missing then, unless `direct` is False: where the readers' numbers are the
    concentrators' alone. No day after `last` is collected.
    """

    first_min: int = 5
    last_min: int = 240
    direct_min: int = 270
    window_end_min: int = 415
    # A session, and waiting after one that failed: doubled each time, with jitter.
    again_s: int = 60
    longest_s: int = 3600
    attempts_a_day: int = 8
    # Load profiles are kept so long at least (docs/storage.md); then a day is lost.
    kept_days: int = 200
    # Visits of a concentrator, in the night and by day.
    concentrator_s: int = 600
    by_day_s: int = 3600
    last_s: int = 1500  # of the night, visits as often as where something is missing
    direct: bool = True
    last: date | None = None

    def first_ms(self, meter_id: str, day: date) -> int:
        """In the night after the day, each meter at a time of its own, the same each night."""
        return _after(day, _share(meter_id, self.first_min, self.last_min))

    def direct_ms(self, meter_id: str, day: date) -> int:
        return _after(day, _share(meter_id, self.direct_min, self.window_end_min))

    def visit_ms(self, now_ms: int, missing: bool) -> int:
        """When a concentrator is visited again: often until all is here that is due in the night,
        and in its last minutes, so that who is down then is known to be."""
        due_ms = day_bounds(local_day(now_ms))[0] + 60_000 * self.window_end_min
        soon_ms, late_ms = now_ms + 1000 * self.concentrator_s, now_ms + 1000 * self.by_day_s
        if now_ms >= due_ms:
            return late_ms
        last_ms = due_ms - 1000 * self.last_s
        return soon_ms if missing or now_ms >= last_ms else min(late_ms, max(soon_ms, last_ms))

    def again_ms(self, attempts: int, now_ms: int, rng: random.Random) -> int:
        """After the `attempts`th failure: sooner in a night than after many of them."""
        tonight = attempts % self.attempts_a_day
        if tonight == 0:
            # Enough for a day: the same time in the next night.
            return now_ms + _DAY_MS + round(1000 * rng.uniform(-600, 600))
        wait_s = min(self.longest_s, self.again_s << (tonight - 1))
        return now_ms + round(1000 * rng.uniform(wait_s / 2, wait_s))


def _after(day: date, minute: float) -> int:
    """So many minutes into the local day after it."""
    return day_bounds(day)[1] + round(60_000 * minute)


def _share(name: str, first: float, last: float) -> float:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return first + (last - first) * number / (1 << 64)


def plan_day(
    store: Store, plan: Plan, day: date, now_ms: int, besides: Collection[str] = ()
) -> int:
    """Jobs and turns of all meters that were on a point that day, `besides` left out. It may run as
    often as one likes.

    Gives how many meters there are.
    """
    begin, end = day_bounds(day)
    on_points = {relation.meter_id for relation in store.relations(begin, end)}
    on_points.difference_update(besides)
    if not on_points and besides:
        return 0
    meters = [row for row in store.meters() if row.net != NONE and row.meter_id in on_points]
    until = end + plan.kept_days * _DAY_MS
    turns = []
    for row in meters:
        if row.url and (plan.direct or not row.concentrator):
            first = plan.direct_ms if row.concentrator else plan.first_ms
            turns.append((METER, row.meter_id, row.segment, first(row.meter_id, day)))
    for one in store.concentrators():
        first_ms = _after(day, plan.first_min)
        turns.append((CONCENTRATOR, one.concentrator_id, "", first_ms))
    with store.transaction():
        store.add_jobs(
            DAY, [(row.meter_id, day_number(day), end, until, {}) for row in meters], now_ms
        )
        waiting = {job.subject for job in store.jobs(DAY, day_number(day), OPEN)}
        waiting.difference_update(besides)
        store.add_turns(turn for turn in turns if turn[0] == CONCENTRATOR or turn[1] in waiting)
    return len(meters)
