"""The course of a chain in virtual time: nights are collected, days evaluated, sent and explained,
while the field has its faults and the head-end is killed now and then.
"""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from openams.chain import company
from openams.chain.gang import Gang, check_empty
from openams.chain.part import Change, Setup
from openams.chain.parts import Part, ask_all, make_parts
from openams.chain.roads import FieldRoads, OrderClock, order_url
from openams.errors import BenchError
from openams.field.faults import Rates
from openams.field.meters import FieldPlan, make_plan
from openams.headend.causes import nobody_in
from openams.headend.collect.clock import VirtualClock
from openams.headend.collect.collector import Collector, Settings
from openams.headend.collect.orders import Doer
from openams.headend.collect.plan import Plan
from openams.headend.collect.taking import take_alarm
from openams.headend.days import day_bounds
from openams.headend.elhub.build import first_deadline, ready_deadline
from openams.headend.elhub.inprocess import LocalHub
from openams.headend.routine import Routine
from openams.headend.store import Store, open_store
from openams.keys.handover import give_readers
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms, to_utc_ms

# The company's own keystores protect nothing that is worth it.
_ROUNDS = 1 << 4
_HOUR_MS = 3_600_000
DAYS_MOST = 400
METERS_MOST = 1_000_000
# After D+5 of the last day: Elhub's silence is consent after half an hour.
_AFTER_MS = _HOUR_MS
# How many nights of a hundred the head-end is killed in and begins again at once.
_KILLS = 40
# Of each collector, at a time.
_SESSIONS = 100
# Sessions of one minute are beside one another, so that all processes of the field have work.
_SLOT_S = 60
# How often it is looked whether the moment of a kill has come, where nothing happens.
_LOOK_S = 0.002


@dataclass(frozen=True)
class Wanted:
    """`store` None: a file that is thrown away. `rates` None: nothing goes wrong. `parts`:
    processes of the field. `bus`: of NATS, with so many `collectors`; None: one beside the store.
    """

    meters: int = 200
    days: int = 3
    seed: int = 1
    start: date = date(2026, 1, 12)
    store: str | None = None
    rates: Rates | None = field(default_factory=Rates)
    parts: int = 1
    bus: str | None = None
    collectors: int = 1

    @property
    def last(self) -> date:
        return self.start + timedelta(days=self.days - 1)

    def check(self) -> None:
        if not 1 <= self.meters <= METERS_MOST:
            raise BenchError(f"--meters is 1 to {METERS_MOST}")
        if not 1 <= self.days <= DAYS_MOST:
            raise BenchError(f"--days is 1 to {DAYS_MOST}")
        if not 1 <= self.parts <= 64:
            raise BenchError("--workers is 1 to 64")
        if not 1 <= self.collectors <= 64:
            raise BenchError("--collectors is 1 to 64")
        if self.bus is None and self.collectors > 1:
            raise BenchError("several collectors share a bus: name it with --bus nats://HOST")
        if not date(2010, 1, 1) <= self.start <= date(2080, 1, 1):
            raise BenchError("--start lies from 2010 to 2079")
        if self.rates is not None:
            self.rates.check()


@dataclass(frozen=True)
class Down:
    """A time in which no head-end runs."""

    begin_ms: int
    end_ms: int


@dataclass
class Progress:
    """What a run tells while it goes on."""

    now: datetime
    begin: datetime
    end: datetime
    doing: str = ""
    sessions: int = 0
    failed: int = 0
    evaluated: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        return min(1.0, (self.now - self.begin) / (self.end - self.begin))


Told = Callable[[Progress, Store], None]


class Course:
    """One run. Use `opened`."""

    def __init__(
        self,
        wanted: Wanted,
        folder: Path,
        store: Store,
        setup: Setup,
        parts: list[Part],
        told: Told,
    ) -> None:
        self.wanted, self.store, self.setup, self.parts = wanted, store, setup, parts
        self.plan: FieldPlan = setup.plan
        self.began = time.monotonic()
        self.first = wanted.start
        self.last = wanted.last
        self.clock = VirtualClock(self.plan.begin_ms)
        self.plan_end_ms = day_bounds(self.last)[1]
        self.end_ms = to_utc_ms(ready_deadline(self.last)) + _AFTER_MS
        self._told = told
        self.progress = Progress(
            self.now(), from_utc_ms(self.plan.begin_ms), from_utc_ms(self.end_ms)
        )
        self._places = _places(self.plan, parts)
        self.changes: list[Change] = sorted(
            change for part in parts for change in part.ask_now("changes")
        )
        self._visits = sorted(visit for part in parts for visit in part.ask_now("visits"))
        for change in self.changes:
            self._places[change.new.meter_id] = self._places[change.old.meter_id]
        annual_kwh: dict[str, float] = {}
        for of_part in ask_all(parts, "annual_kwh"):
            annual_kwh |= of_part
        register = company.tables(self.plan, annual_kwh)
        store.import_register(register, self.plan.begin_ms, "chain")
        direct = [number for part in parts for number in part.ask_now("direct")]
        self._readers = Keystore(folder / "readers.keys", b"collector", _ROUNDS)
        give_readers(setup.keys, self._readers, direct)
        self.hub = LocalHub(store, self.now, self.first, folder / "elhub.db")
        order_clock = OrderClock(self.clock.now_ms)
        self._doer = Doer(
            store, setup.keys, 30.0, wanted.seed, order_url(self.part_of, order_clock),
            order_clock.now_ms,
        )  # fmt: skip
        self.downs = _downs(wanted, self.plan)
        for down in self.downs:
            parts[0].ask_now("order", "head-end-down", down.begin_ms, down.end_ms, [])
        self._kills = _kills(wanted)
        self._begin_headend()

    def now(self) -> datetime:
        return from_utc_ms(self.clock.now_ms())

    def part_of(self, name: str) -> Part:
        return self._places[name]

    def _begin_headend(self) -> None:
        """A head-end as its processes begin: all that it knows is in its store."""
        self._collector = self._make_collector()
        self._routine = Routine(self.store, self.hub.delivery, self._say)

    def _make_collector(self) -> Collector | Gang:
        wanted, plan = self.wanted, Plan(direct=False, last=self.last)
        roads = FieldRoads(self.part_of, self.clock.now_ms)
        common = self.store, self._readers, self.clock
        if wanted.bus is not None:
            return Gang(wanted.bus, wanted.collectors, _SESSIONS, *common, roads, plan, wanted.seed)
        settings = Settings("collector", sessions=_SESSIONS, permits=8, slot_s=_SLOT_S)
        return Collector(*common, settings, roads, plan, wanted.seed)

    def _say(self, text: str) -> None:
        self.progress.doing = text
        self._tell()

    def _tell(self) -> None:
        progress = self.progress
        progress.now = self.now()
        self._told(progress, self.store)

    # --- time ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until all deadlines of the last day are over."""
        if self.wanted.bus is not None:
            await check_empty(self.wanted.bus)
        while (now := self.clock.now_ms()) < self.end_ms:
            down = next((one for one in self.downs if one.begin_ms <= now < one.end_ms), None)
            if down is not None:
                self._say("the head-end is down")
                self.clock.advance_to(min(down.end_ms, self.end_ms))
                self._begin_headend()
                continue
            stop, killed = self._next(now)
            self._say("collecting")
            if killed:
                await self._killed(stop)
            else:
                await self._collector.run(until_ms=stop)
            self._count(self._collector)
            self.clock.advance_to(stop)
            self._fitters(stop)
            if killed:
                self._begin_headend()
            self._work(stop)
        if isinstance(self._collector, Gang):
            await self._collector.end()

    def _next(self, now: int) -> tuple[int, bool]:
        """The next moment at which the collector is not alone, and whether it is killed then."""
        moments = [self.end_ms, self._routine.next_ms(now)]
        kills = [*self._kills, *(down.begin_ms for down in self.downs)]
        kills = [at for at in kills if at > now]
        changes = [change.at_ms for change in self.changes if change.at_ms > now]
        stop = min([*moments, *kills, *changes])
        return stop, stop in kills

    async def _killed(self, at_ms: int) -> None:
        """The collector's process dies, in the midst of sessions if there are any then."""
        collector = self._collector
        task = asyncio.ensure_future(collector.run(until_ms=at_ms + _HOUR_MS))
        while not task.done() and self.clock.now_ms() < at_ms + 600_000:
            if self.clock.now_ms() >= at_ms and collector.busy:
                break
            await self.clock.step(_LOOK_S)
        await collector.drop(task)

    def _count(self, collector: Collector | Gang) -> None:
        self.progress.sessions += collector.counts["sessions"]
        self.progress.failed += collector.counts["failed"]
        collector.counts = dict.fromkeys(collector.counts, 0)

    # --- what is done --------------------------------------------------------------------------

    def _fitters(self, now: int) -> None:
        """What fitters report up to now: meters that were changed, with what the old one showed;
        doors that nobody opened."""
        while self.changes and self.changes[0].at_ms <= now:
            change = self.changes.pop(0)
            part = self.part_of(change.old.meter_id)
            shown = part.ask_now("display", change.old.meter_id, change.at_ms)
            company.changed(self.store, change.at_ms, change.old, change.new, shown)
        while self._visits and self._visits[0][0] <= now:
            at_ms, meter_id = self._visits.pop(0)
            nobody_in(self.store, meter_id, at_ms)

    def _work(self, now: int) -> None:
        for part in self.parts:
            for meter_id, at_ms in part.ask_now("gasps", now):
                take_alarm(self.store, meter_id, at_ms, "modem", {"kind": "power-lost"})
        if now > to_utc_ms(first_deadline(self.first)):
            while self._doer.work(now):
                pass
        did = self._routine.step(now)
        self.progress.evaluated += did.evaluated
        self.progress.causes += did.causes
        for figures in did.delivered:
            for name in ("messages", "series", "corrections", "accepted", "rejected", "parked"):
                self.progress.delivered[name] += getattr(figures, name)
        self._tell()

    def memory_mib(self) -> float:
        """The most that the processes had, together."""
        here: float = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        beside = [part.ask_now("memory_mib") for part in self.parts] if len(self.parts) > 1 else []
        return round(float(here + sum(beside)), 1)


def _places(plan: FieldPlan, parts: list[Part]) -> dict[str, Part]:
    out: dict[str, Part] = {}
    for number, part in enumerate(parts):
        mine = plan.part(number, len(parts))
        out |= {spec.meter_id: part for spec in mine.meters}
        out |= {master.master_id: part for master in mine.masters}
    return out


def _downs(wanted: Wanted, plan: FieldPlan) -> list[Down]:
    """When the head-end stands still: so that it misses its share of the days by that.

    From some time of a night on it reads nobody: those whose turn would come then are missing at
    seven.
    """
    rates = wanted.rates
    if rates is None or not (share := rates.shares.get("headend", 0.0)):
        return []
    rng = random.Random(f"head-end {wanted.seed}")
    goal = rates.missing * share / sum(rates.shares.values()) * wanted.meters * wanted.days
    count = int(goal) + (rng.random() < goal % 1)
    turns = Plan()
    out: list[Down] = []
    for _ in range(1000):
        if count <= 0 or len(out) == wanted.days:
            break
        day = wanted.start + timedelta(days=rng.randrange(wanted.days))
        due = to_utc_ms(first_deadline(day))
        if any(one.begin_ms < due <= one.end_ms for one in out):
            continue
        last = sorted(turns.first_ms(one.meter_id, day) for one in plan.meters if one.direct)
        begin = last[-min(count, len(last))] - 1000 if last else day_bounds(day)[1] + 1000
        count -= min(count, len(last)) if last else len(plan.meters)
        out.append(Down(begin, due + rng.randrange(_HOUR_MS, 4 * _HOUR_MS)))
    return sorted(out, key=lambda one: one.begin_ms)


def _kills(wanted: Wanted) -> list[int]:
    """Moments at which the head-end's process is killed and begins again at once."""
    if wanted.rates is None:
        return []
    rng = random.Random(f"kills {wanted.seed}")
    out = []
    for k in range(wanted.days):
        if rng.randrange(100) < _KILLS:
            night = day_bounds(wanted.start + timedelta(days=k))[1]
            out.append(night + rng.randrange(5 * 60_000, 4 * _HOUR_MS))
    return out


@contextmanager
def opened(wanted: Wanted, folder: Path, told: Told) -> Iterator[Course]:
    """A course that may run; all of it lies in `folder`, but for a store that is named."""
    wanted.check()
    begin_ms = day_bounds(wanted.start)[0]
    plan = make_plan(wanted.meters, wanted.seed, begin_ms=begin_ms)
    days = wanted.days + 6
    with ExitStack() as stack:
        store = stack.enter_context(open_store(wanted.store or folder / "headend.db"))
        if store.meters():
            raise BenchError(
                f"{store.name} has a register already: name another store, or none, with --store"
            )
        keys = Keystore(folder / "company.keys", b"company", _ROUNDS)
        keys.ensure([spec.meter_id for spec in plan.meters])
        setup = Setup(
            plan, keys, folder, wanted.rates, days, wanted.start, wanted.last, wanted.parts
        )
        parts = make_parts(setup)
        for part in parts:
            stack.callback(part.close)
        course = Course(wanted, folder, store, setup, parts, told)
        stack.callback(course.hub.close)
        yield course
