"""The collector: takes turns as they come, has sessions beside one another, writes what they bring.

All that it knows is in the store. It may be killed at any moment: a turn that it had is free when
its lease ends, and what a meter said and was not written is asked again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from openams.headend.collect.clock import Clock
from openams.headend.collect.plan import Plan
from openams.headend.collect.sessions import Roads, Sessions
from openams.headend.collect.taking import give_up_old, plan_new
from openams.headend.collect.work import Outcome, prepared
from openams.headend.collect.writing import Writer
from openams.headend.days import local_day
from openams.headend.store import GoneError, Store
from openams.headend.store.jobs import CONCENTRATOR, NEVER_MS
from openams.keys.keystore import Keystore

# After the store has gone: so long until it is tried again.
_STORE_AGAIN_MS = 2_000
# Turns that have come and find no room: one of the sessions must end, or another collector's.
_FULL_MS = 200


@dataclass(frozen=True)
class Settings:
    name: str = ""
    sessions: int = 100  # at a time
    permits: int = 8  # in a segment of the net, of all collectors
    timeout_s: float = 30.0  # for an answer
    lease_s: int = 600  # for a session
    back_days: int = 40  # a head-end that stood still goes so far back by itself
    # Turns that come within so long begin together: in virtual time, where each would be alone.
    slot_s: int = 0


class Planner:
    """Once a day, the day that has ended, and those before it that nobody planned; and of those the
    meters that the register has got since."""

    def __init__(self, store: Store, plan: Plan, back_days: int) -> None:
        self._store, self._plan, self._back_days = store, plan, back_days
        self._planned: date | None = None
        self._changes = 0

    def plan(self, now_ms: int) -> None:
        last = local_day(now_ms) - timedelta(days=1)
        row = self._store.one("SELECT max(change_id) FROM register_change")
        changes = row[0] or 0
        if self._planned == last and self._changes == changes:
            return
        # Before the first meter was on a point nothing was due.
        row = self._store.one("SELECT min(from_ms) FROM relation")
        first = local_day(row[0]) if row and row[0] is not None else None
        for day in (last - timedelta(days=k) for k in range(self._back_days, -1, -1)):
            if first is None or day < first or (self._plan.last and day > self._plan.last):
                continue
            plan_new(self._store, self._plan, day, now_ms)
        if self._planned != last:
            give_up_old(self._store, self._plan, now_ms)
        self._planned, self._changes = last, changes


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
        self._say = say
        self._planner = Planner(store, self.plan, settings.back_days)
        self._sessions = Sessions(keystore, roads, clock.now_ms)
        self.writer = Writer(store, self.plan, seed)
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._done: list[Outcome] = []
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    @property
    def busy(self) -> bool:
        """Whether sessions are under way."""
        return bool(self._tasks)

    async def drop(self, running: asyncio.Task[None]) -> None:
        """As if its process died, in whose `run` it is: connections end where they are, what came
        by them is lost, and its turns stay leased."""
        tasks = [running, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self, until_ms: int | None = None, idle: bool = False) -> None:
        """Until `stop`, or a moment; `idle`: until nothing is due any more."""
        self.store.give_back(self.name)
        while not self._stopping or self._tasks:
            now = self.clock.now_ms()
            ending = self._stopping or (until_ms is not None and now >= until_ms)
            try:
                self._flush(now)
                if not ending:
                    self._planner.plan(now)
                    self._begin(now)
                upcoming = self.store.next_turn()
            except GoneError as error:
                self._say(str(error))
                await self.clock.wait(now + _STORE_AGAIN_MS, [])
                continue
            if not self._tasks and (ending or (idle and (upcoming is None or upcoming > now))):
                return
            await self.clock.wait(self._following(now, upcoming, until_ms), self._tasks)

    def _following(self, now_ms: int, upcoming: int | None, until_ms: int | None) -> int:
        """When there is something to do next, if no session ends before."""
        following = min(NEVER_MS if upcoming is None else upcoming, now_ms + 3_600_000)
        if following <= now_ms:
            following = now_ms + _FULL_MS
        if self.settings.slot_s:
            slot_ms = 1000 * self.settings.slot_s
            following = -(-following // slot_ms) * slot_ms
        return max(now_ms + 1, following if until_ms is None else min(following, until_ms))

    # --- sessions ----------------------------------------------------------------------------

    def _begin(self, now_ms: int) -> None:
        free = self.settings.sessions - len(self._tasks) - len(self._done)
        if free <= 0:
            return
        until = now_ms + 1000 * self.settings.lease_s
        turns = self.store.take_turns(
            self.name, now_ms, free, self.settings.permits, 1000 * self.settings.lease_s
        )
        works = prepared(self.store, turns, self.name, now_ms, until) if turns else []
        firsts = self._sessions.numbered([(work, 0) for work in works])
        for work, first in zip(works, firsts, strict=True):
            self._tasks.add(asyncio.ensure_future(self._sessions.do(work, 0, first)))

    def _flush(self, now_ms: int) -> None:
        """All sessions that have ended, in one transaction: one wait for the disk."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            self._done.append(task.result())
        if not self._done:
            return
        self.writer.write(self._done, now_ms)
        for out in self._done:
            self.counts["sessions"] += 1
            self.counts["failed"] += not out.well
            self.counts["rows"] += out.rows
        self._done = []


__all__ = ["CONCENTRATOR", "Collector", "Planner", "Roads", "Settings"]
