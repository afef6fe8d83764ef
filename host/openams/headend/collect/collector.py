"""The collector: takes turns as they come, has sessions beside one another, writes what they bring.

All that it knows is in the store. It may be killed at any moment: a turn that it had is free when
its lease ends, and what a meter said and was not written is asked again.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from openams.client.errors import LateError, LinkError, RefusedError
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.headend.collect.clock import Clock
from openams.headend.collect.concentrators import Door, Visit, take_visit, visit
from openams.headend.collect.link import Opener, connect, opener_of
from openams.headend.collect.plan import Plan, due_days, plan_day
from openams.headend.collect.reading import Got, Layouts, read
from openams.headend.collect.taking import give_up_old, settle_days, take
from openams.headend.days import day_date, local_day
from openams.headend.register import ConcentratorRow, MeterRow
from openams.headend.store import GoneError, Store
from openams.headend.store.jobs import (
    CONCENTRATOR,
    DAY,
    METER,
    NEVER_MS,
    OPEN,
    Attempt,
    Job,
    Turn,
)
from openams.keys.keystore import Keystore

_DAY_MS = 86_400_000
# Logs are asked for from a little before the last event that is known.
_LOG_FROM_MS = 60_000
# After the store has gone: so long until it is tried again.
_STORE_AGAIN_MS = 2_000


@dataclass(frozen=True)
class Settings:
    name: str = ""
    sessions: int = 100  # at a time
    permits: int = 8  # in a segment of the net, of all collectors
    timeout_s: float = 30.0  # for an answer
    lease_s: int = 600  # for a session
    back_days: int = 40  # a head-end that stood still goes so far back by itself


@dataclass
class Roads:
    """How meters and concentrators are reached: by their URLs, or as a field says."""

    timeout_s: float = 30.0
    doors: dict[str, Door] = field(default_factory=dict)

    def meter(self, row: MeterRow) -> Opener:
        return opener_of(parse_url(row.url), self.timeout_s)

    def door(self, row: ConcentratorRow) -> Door:
        if row.concentrator_id not in self.doors:
            raise BenchError(
                f"no token of concentrator {row.concentrator_id}: give it with --tokens"
            )
        return self.doors[row.concentrator_id]


@dataclass
class Outcome:
    """A session that has ended, well or not: what came before it fell is kept."""

    turn: Turn
    began_ms: int
    took_ms: int
    jobs: list[Job] = field(default_factory=list)
    got: Got = field(default_factory=Got)
    visit: Visit | None = None
    road: str = ""
    octets: int = 0
    error: BenchError | None = None


class Collector:
    def __init__(
        self,
        store: Store,
        keystore: Keystore,
        clock: Clock,
        settings: Settings,
        roads: Roads,
        plan: Plan | None = None,
        seed: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.store, self.keystore, self.clock = store, keystore, clock
        self.settings, self.roads, self.plan = settings, roads, plan or Plan()
        self.name = settings.name or f"{socket.gethostname()}"
        self.counts = {"sessions": 0, "failed": 0, "rows": 0}
        self._rng = random.Random(seed)
        self._say = say
        self._planned: date | None = None
        self._layouts: dict[str, Layouts] = {}
        self._tasks: dict[asyncio.Task[Outcome], Turn] = {}
        self._done: list[Outcome] = []
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    async def run(self, until_ms: int | None = None, idle: bool = False) -> None:
        """Until `stop`, or a moment; `idle`: until nothing is due any more."""
        self.store.give_back(self.name)
        while not self._stopping or self._tasks:
            now = self.clock.now_ms()
            ending = self._stopping or (until_ms is not None and now >= until_ms)
            try:
                self._flush(now)
                if not ending:
                    self._plan(now)
                    self._begin(now)
                upcoming = self.store.next_turn()
            except GoneError as error:
                self._say(str(error))
                await self.clock.wait(now + _STORE_AGAIN_MS, [])
                continue
            if not self._tasks and (ending or (idle and (upcoming is None or upcoming > now))):
                return
            following = min(NEVER_MS if upcoming is None else upcoming, now + 3_600_000)
            if until_ms is not None:
                following = min(following, until_ms)
            await self.clock.wait(max(following, now + 1), self._tasks)

    # --- what is due -------------------------------------------------------------------------

    def _plan(self, now_ms: int) -> None:
        """Once a day, the day that has ended, and those before it that nobody planned."""
        last = local_day(now_ms) - timedelta(days=1)
        if self._planned == last:
            return
        for day in due_days(self.store, now_ms, last, self.settings.back_days):
            plan_day(self.store, self.plan, day, now_ms)
        give_up_old(self.store, self.plan, now_ms)
        self._planned = last

    def _begin(self, now_ms: int) -> None:
        free = self.settings.sessions - len(self._tasks) - len(self._done)
        if free <= 0:
            return
        lease_ms = 1000 * self.settings.lease_s
        turns = self.store.take_turns(self.name, now_ms, free, self.settings.permits, lease_ms)
        meters = [turn.subject for turn in turns if turn.kind == METER]
        jobs: dict[str, list[Job]] = {}
        for job in self.store.jobs(DAY, states=OPEN, subjects=meters) if meters else []:
            jobs.setdefault(job.subject, []).append(job)
        for turn in turns:
            if turn.kind == METER:
                session = self._meter(turn, jobs.get(turn.subject, []), now_ms)
            else:
                session = self._concentrator(turn, now_ms)
            self._tasks[asyncio.ensure_future(session)] = turn

    # --- sessions ----------------------------------------------------------------------------

    async def _meter(self, turn: Turn, jobs: list[Job], now_ms: int) -> Outcome:
        out = Outcome(turn, now_ms, 0, jobs, road="direct")
        began = time.monotonic()
        try:
            async with asyncio.timeout(0.8 * self.settings.lease_s):
                await self._session(out, now_ms)
        except TimeoutError:
            out.error = LateError(f"meter {turn.subject} has not ended in time")
        except BenchError as error:
            out.error = error
        out.took_ms = round(1000 * (time.monotonic() - began))
        return out

    async def _session(self, out: Outcome, now_ms: int) -> None:
        meter_id = out.turn.subject
        row = self.store.meter(meter_id)
        if row is None or not row.url:
            raise BenchError(f"meter {meter_id} has no URL in the register any more")
        if not out.jobs:
            return
        seen = self.store.one("SELECT event_ms FROM seen WHERE meter_id = ?", meter_id)
        # The first time from the day before the first open one: a cut may have begun there.
        logs_ms = (seen[0] - _LOG_FROM_MS) if seen and seen[0] else out.jobs[0].due_ms - 2 * _DAY_MS
        reader = await connect(self.roads.meter(row), self.keystore, meter_id)
        try:
            days = [day_date(job.day) for job in out.jobs]
            layouts = self._layouts.setdefault(meter_id, {})
            await read(meter_id, reader, days, logs_ms, now_ms, layouts, out.got)
        finally:
            await reader.close()
            out.octets = reader.link.octets

    async def _concentrator(self, turn: Turn, now_ms: int) -> Outcome:
        out = Outcome(turn, now_ms, 0, road="concentrator")
        began = time.monotonic()
        try:
            row = next(
                one for one in self.store.concentrators() if one.concentrator_id == turn.subject
            )
            async with asyncio.timeout(0.8 * self.settings.lease_s):
                out.visit = await visit(self.store, self.roads.door(row), turn.subject)
        except StopIteration:
            out.error = BenchError(f"concentrator {turn.subject} is not in the register any more")
        except TimeoutError:
            out.error = LateError(f"concentrator {turn.subject} has not ended in time")
        except BenchError as error:
            out.error = error
        out.took_ms = round(1000 * (time.monotonic() - began))
        return out

    # --- what they brought -------------------------------------------------------------------

    def _flush(self, now_ms: int) -> None:
        """All sessions that have ended, in one transaction: one wait for the disk."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            self._done.append(task.result())
        if not self._done:
            return
        # Tables of days are made outside of it.
        self.store.database.open_days({job.day for out in self._done for job in out.jobs})
        with self.store.transaction():
            for out in self._done:
                self._take(out, now_ms)
        for out in self._done:
            self.counts["sessions"] += 1
            self.counts["failed"] += out.error is not None
            self.counts["rows"] += len(out.got.rows) if out.visit is None else out.visit.rows
        self._done = []

    def _take(self, out: Outcome, now_ms: int) -> None:
        turn, well = out.turn, out.error is None
        rows = len(out.got.rows)
        if isinstance(out.error, GoneError):
            # No fault of the meter's: its turn is free again.
            self.store.run(
                "UPDATE turn SET lease_by = '', lease_ms = 0 WHERE kind = ? AND subject = ? "
                "AND lease_by = ?",
                turn.kind, turn.subject, self.name,
            )  # fmt: skip
            return
        if turn.kind == METER:
            following = self._take_meter(out, now_ms)
        else:
            following = now_ms + 1000 * self.plan.concentrator_s
            if out.visit is not None:
                rows = out.visit.rows
                take_visit(self.store, turn.subject, out.visit, now_ms)
                if out.visit.more:
                    following = now_ms
            elif not well:
                following = self.plan.again_ms(turn.subject, turn.attempts + 1, now_ms, self._rng)
        self.store.end_turns(self.name, [(turn.kind, turn.subject, following, well)])
        self.store.add_attempts([Attempt(
            turn.subject, out.began_ms, self.name, out.road, outcome_of(out.error), rows,
            out.octets, out.took_ms, "" if well else str(out.error),
        )])  # fmt: skip

    def _take_meter(self, out: Outcome, now_ms: int) -> int:
        """Writes what came of a meter; when its turn is next."""
        meter_id, got = out.turn.subject, out.got
        if got.rows or got.readings or got.events or got.ahead_ms is not None:
            take(self.store, meter_id, got, "meter", now_ms)
        if out.error is None or got.rows:
            until = got.until_ms if out.error is None else 0
            if settle_days(self.store, meter_id, out.jobs, until, now_ms):
                return NEVER_MS
        if out.error is None:
            # It has said all that it has: in the next night it may have more.
            return now_ms + _DAY_MS
        if isinstance(out.error, RefusedError) or "is not this meter" in str(out.error):
            self.store.notice("refused", meter_id, str(out.error), now_ms)
        return self.plan.again_ms(meter_id, out.turn.attempts + 1, now_ms, self._rng)


def outcome_of(error: BenchError | None) -> str:
    """In one word, for the figures: what a client saw."""
    if error is None:
        return "ok"
    if isinstance(error, LateError):
        return "late"
    if isinstance(error, LinkError):
        return "link"
    return "refused" if isinstance(error, RefusedError) else "error"


__all__ = ["CONCENTRATOR", "Collector", "Outcome", "Roads", "Settings"]
