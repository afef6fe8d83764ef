"""What came of turns, into the store: of many in one transaction, with whose turn is next.

A turn ends in the transaction that has what it brought. It may be written twice: what is there
already is left out, and a turn that has gone to another is left to that one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from openams.headend.collect.concentrators import take_visits
from openams.headend.collect.plan import Plan
from openams.headend.collect.taking import take_all
from openams.headend.collect.work import COUNTERS, Outcome, is_silent
from openams.headend.days import day_bounds, day_number, local_day
from openams.headend.store import Store
from openams.headend.store.jobs import METER, NEVER_MS, Attempt, Turn

_DAY_MS = 86_400_000


class Writer:
    """`seed`: when somebody is called again hangs on who it is and how often it was called in vain,
    not on who else was called meanwhile; None: on chance."""

    def __init__(self, store: Store, plan: Plan, seed: int | None = None) -> None:
        self._store, self._plan, self._seed = store, plan, seed

    def write(
        self, outs: Sequence[Outcome], now_ms: int, also: Callable[[], None] = lambda: None
    ) -> None:
        """All of them or none; `also` is part of the transaction."""
        # Tables of days are made outside of it.
        days = {day for out in outs for day in out.days}
        days |= {day for out in outs if out.visit for one in out.visit.days for day in one.days}
        self._store.database.open_days(days)

        def all_of_it() -> None:
            self._write(outs, now_ms)
            also()

        self._store.retried(all_of_it)

    def _write(self, outs: Sequence[Outcome], now_ms: int) -> None:
        store = self._store
        came = [out.came for out in outs if out.came is not None]
        visits = {out.turn.subject: out.visit for out in outs if out.visit is not None}
        came += [one for visit in visits.values() for one in visit.days]
        whole = take_all(store, came, now_ms)
        if visits:
            take_visits(store, visits, now_ms)
        self._keep_links(outs, now_ms)
        ends = []
        for out in outs:
            if out.told:
                store.notice("refused", out.turn.subject, out.error, now_ms)
            kind, subject = out.turn.kind, out.turn.subject
            following = self._following(out, whole, now_ms)
            ends.append((out.worker, kind, subject, following, out.well))
        store.end_turns(ends)
        store.raise_counters((out.turn.subject, out.counter) for out in outs if out.counter)
        store.add_attempts(
            Attempt(
                out.turn.subject, out.began_ms, out.worker, out.road, out.outcome, out.rows,
                out.octets, out.took_ms, out.error,
            )
            for out in outs
            if out.outcome != COUNTERS or out.octets
        )  # fmt: skip

    def _keep_links(self, outs: Sequence[Outcome], now_ms: int) -> None:
        """How links looked by which nothing came, the last time of a day."""
        day = day_number(local_day(now_ms))
        rows: dict[str, tuple[str, int, int, str, int | None, str]] = {}
        for out in outs:
            subject = out.turn.subject
            if out.visit is not None:
                for meter_id, signal, reason in out.visit.unread:
                    rows[meter_id] = (meter_id, day, now_ms, subject, signal, reason)
            elif out.turn.kind == METER and not out.well and out.outcome != COUNTERS:
                rows[subject] = (subject, day, now_ms, "", out.signal_dbm, out.error)
        columns = ("meter_id", "day", "at_ms", "source", "signal_dbm", "reason")
        # What came after the night says nothing of it, unless there is nothing else.
        due = day_bounds(local_day(now_ms))[0] + 60_000 * self._plan.window_end_min
        seen = "at_ms = excluded.at_ms, signal_dbm = excluded.signal_dbm"
        # What one answered tells more than that it gave no answer another time.
        told = f"{seen}, source = excluded.source, reason = excluded.reason"
        for silent, news in ((True, seen), (False, told)):
            clash = "DO NOTHING" if now_ms > due else f"DO UPDATE SET {news}"
            some = [row for row in rows.values() if is_silent(row[5]) == silent]
            self._store.upsert("link_seen", columns, some, f"(meter_id, day) {clash}")

    def _following(self, out: Outcome, whole: set[str], now_ms: int) -> int:
        """When its turn is next."""
        turn = out.turn
        if turn.kind != METER:
            if out.visit is not None:
                visit = out.visit
                return now_ms if visit.more else self._plan.visit_ms(now_ms, visit.missing)
            return self._again_ms(turn, now_ms)
        if out.came is None and out.well:
            return NEVER_MS
        if out.outcome == COUNTERS and not turn.attempts:
            return now_ms
        if out.came is not None and out.came.until_ms is not None and turn.subject in whole:
            return NEVER_MS
        if out.well:
            # It has said all that it has: in the next night it may have more.
            return now_ms + _DAY_MS
        return self._again_ms(turn, now_ms)

    def _again_ms(self, turn: Turn, now_ms: int) -> int:
        said = f"{self._seed} {turn.subject} {turn.attempts} {now_ms}"
        rng = random.Random(None if self._seed is None else said)
        return self._plan.again_ms(turn.attempts + 1, now_ms, rng)
