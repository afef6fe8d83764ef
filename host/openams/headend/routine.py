"""The day of a collection centre: when collected days are evaluated and sent, gaps explained.

All of it may be done twice and at any time: a centre that stood still does what is due when it is
back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from openams.headend.causes import find_causes
from openams.headend.days import day_bounds, day_date, day_number, local_day
from openams.headend.elhub.build import first_deadline
from openams.headend.elhub.deliver import Delivery, Figures
from openams.headend.evaluate import evaluate_days, points_of
from openams.headend.profiled.run import run as settle_profiled
from openams.headend.store import Store
from openams.headend.store.jobs import COMPLETE, DAY
from openams.meter_time import from_utc_ms, to_utc_ms

# Minutes before (-) and after the hour at which yesterday's values are due with Elhub. In the night
# those points are evaluated and sent whose meters have brought all: a centre that stands still at
# the end of it has missed what was not read, and no more. Then all points are; what came since;
# what Elhub says of it.
_NIGHT = (-280, -220, -160, -100)
_FIRST, _LAST, _ANSWERS = -40, -15, -2
_CAUSES = 1
# Then what came is evaluated and sent once an hour until the evening, and causes are looked for.
_HOURLY = tuple(60 * hour for hour in range(1, 17))
SLOTS = (*_NIGHT, _FIRST, _LAST, _ANSWERS, _CAUSES, *_HOURLY)
# After so many days all points of a day are looked at again: logs and registers that came late.
_AGAIN_DAYS = (2, 5)
# So long a day's values change from day to day; later ones come as corrections.
OPEN_DAYS = 6


@dataclass
class Did:
    """What a step did."""

    evaluated: Counter[str] = field(default_factory=Counter)
    delivered: list[Figures] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)


class Routine:
    """Of one store. `delivery` None: nothing is sent."""

    def __init__(
        self,
        store: Store,
        delivery: Delivery | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store, self._delivery, self._told = store, delivery, told
        self._done_ms: int | None = None
        self._evaluated_ms: dict[int, int] = {}
        # Of the day that is being collected: until when it was looked at, points that are done.
        self._night: tuple[int, int, set[str]] = (-1, 0, set())

    def next_ms(self, now_ms: int) -> int:
        """The next moment at which something is due."""
        today = local_day(now_ms)
        moments = [_moment(today + timedelta(days=k), slot) for k in (0, 1) for slot in SLOTS]
        return min(at for at in moments if at > now_ms)

    def step(self, now_ms: int) -> Did:
        """Does what has come due since the last step; the first time whatever is open."""
        did = Did()
        today = local_day(now_ms)
        since = self._done_ms
        due = [slot for slot in SLOTS if _moment(today, slot) <= now_ms]
        if since is not None:
            due = [slot for slot in due if _moment(today, slot) > since]
            if not due and local_day(since) == today:
                return did
        whole = since is None or _FIRST in due or local_day(since) != today
        for day in self._open(today):
            age = (today - day).days
            if now_ms < _moment(day + timedelta(days=1), _FIRST):
                self._early(day, now_ms, did)
            elif day_number(day) not in self._evaluated_ms or (
                whole and (age == 1 or age in _AGAIN_DAYS)
            ):
                self._evaluate(day, now_ms, did)
            else:
                self._news(day, now_ms, did)
        if whole:
            settle_profiled(self._store, from_utc_ms(now_ms))
        if self._delivery is not None:
            did.delivered.append(self._delivery.step())
        for day in self._open(today):
            if now_ms > to_utc_ms(first_deadline(day)):
                did.causes += find_causes(self._store, day, now_ms)
        self._done_ms = now_ms
        return did

    def _open(self, today: date) -> list[date]:
        """Days that were collected and may still change, the oldest first."""
        first = day_number(today - timedelta(days=OPEN_DAYS))
        rows = self._store.all(
            "SELECT DISTINCT day FROM job WHERE kind = ? AND day >= ? AND day < ? ORDER BY day",
            DAY, first, day_number(today),
        )  # fmt: skip
        return [day_date(number) for (number,) in rows]

    def _early(self, day: date, now_ms: int, did: Did) -> None:
        """Points of a day that is being collected, all of whose meters have brought all of it."""
        store, done = self._store, self._done_early(day)
        rows = store.all(
            "SELECT subject FROM job WHERE kind = ? AND day = ? AND state = ?",
            DAY, day_number(day), COMPLETE,
        )  # fmt: skip
        complete = {subject for (subject,) in rows}
        relations = store.relations(*day_bounds(day))
        behind = {one.gsrn for one in relations if one.meter_id not in complete}
        new = {one.gsrn for one in relations} - behind - done
        if new:
            self._told(f"evaluating {day}")
            did.evaluated += evaluate_days(store, day, from_utc_ms(now_ms), new)
        self._night = day_number(day), now_ms, done | new

    def _done_early(self, day: date) -> set[str]:
        """Points that were evaluated in the night, without those of which something came since."""
        number, since_ms, done = self._night
        return done - self._changed(day, since_ms) if number == day_number(day) else set()

    def _changed(self, day: date, since_ms: int) -> set[str]:
        """Points of whose meters something has come since."""
        rows = self._store.all(
            "SELECT subject FROM job WHERE kind = ? AND day = ? AND changed_ms >= ?",
            DAY, day_number(day), since_ms,
        )  # fmt: skip
        if not rows:
            return set()
        meters = {subject for (subject,) in rows}
        relations = self._store.relations(*day_bounds(day))
        return {one.gsrn for one in relations if one.meter_id in meters}

    def _evaluate(self, day: date, now_ms: int, did: Did) -> None:
        self._told(f"evaluating {day}")
        store, done = self._store, self._done_early(day)
        points = None
        if done:
            points = {one.gsrn for one in points_of(store, day)} - done
        did.evaluated += evaluate_days(store, day, from_utc_ms(now_ms), points)
        self._evaluated_ms[day_number(day)] = now_ms

    def _news(self, day: date, now_ms: int, did: Did) -> None:
        points = self._changed(day, self._evaluated_ms[day_number(day)])
        self._evaluated_ms[day_number(day)] = now_ms
        if points:
            did.evaluated += evaluate_days(self._store, day, from_utc_ms(now_ms), points)


def _moment(day: date, slot: int) -> int:
    """So many minutes from the hour at which the values of the day before `day` are due."""
    return to_utc_ms(first_deadline(day - timedelta(days=1))) + 60_000 * slot
