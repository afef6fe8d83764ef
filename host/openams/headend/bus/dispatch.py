"""Who stands between the store and the bus: gives turns out, writes what came of them.

All that it knows is in the store. Any number of them may run. A turn is leased in the store before
it goes out, and ends in the transaction that has what it brought; a message is written once, by its
number. If the bus loses all it has, leases end, and the turns are given out anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openams.headend.bus import broker
from openams.headend.bus.broker import Bus, BusError, TooLongError
from openams.headend.bus.parcel import ParcelError, pack_work, read_outcome
from openams.headend.collect.clock import Clock
from openams.headend.collect.collector import Planner
from openams.headend.collect.plan import Plan
from openams.headend.collect.work import Outcome, Work, prepared, shown
from openams.headend.collect.writing import Writer
from openams.headend.store import GoneError, Store, StoreError
from openams.headend.store.jobs import NEVER_MS

if TYPE_CHECKING:
    from nats.aio.msg import Msg

# Numbers of messages are kept as long as the bus may bring one again.
_FORGET_MS = 15 * 86_400_000
_AGAIN_S = 2.0
# Clocks of collectors: leases and days go by that of the dispatcher.
CLOCK_OFF_MS = 2_000
_AT_ONCE = 500


@dataclass(frozen=True)
class Settings:
    name: str = "dispatch"
    ahead: int = 1000  # turns that are out at a time
    permits: int = 8
    lease_s: int = 600
    back_days: int = 40


class Dispatcher:
    def __init__(
        self,
        store: Store,
        bus: Bus,
        clock: Clock,
        settings: Settings,
        plan: Plan | None = None,
        seed: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.store, self.bus, self.clock, self.settings = store, bus, clock, settings
        self.counts = {"sessions": 0, "failed": 0, "rows": 0, "again": 0, "refused": 0}
        plan = plan or Plan()
        self._planner = Planner(store, plan, settings.back_days)
        self._writer = Writer(store, plan, seed)
        self._say = say
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    async def run(self, until_ms: int | None = None, idle: bool = False) -> None:
        """Until `stop`, or a moment; `idle`: until nothing is due or out any more."""
        await self.bus.hear(broker.TIME, self._time)
        while not self._stopping:
            now = self.clock.now_ms()
            ending = until_ms is not None and now >= until_ms
            try:
                if not ending:
                    self._planner.plan(now)
                    await self._give(now)
                out = self.store.leased(now)
                came = await self._take(1.0 if out else 0.02)
                upcoming = self.store.next_turn()
            except (GoneError, BusError) as error:
                self._say(str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            if came or out:
                continue
            if ending or (idle and (upcoming is None or upcoming > now)):
                return
            following = min(NEVER_MS if upcoming is None else upcoming, now + 3_600_000)
            if until_ms is not None:
                following = min(following, until_ms)
            await self.clock.wait(max(following, now + 1), [])

    async def _time(self, message: Msg) -> None:
        await message.respond(json.dumps({"now_ms": self.clock.now_ms()}).encode())

    # --- out ---------------------------------------------------------------------------------

    async def _give(self, now_ms: int) -> None:
        chosen = self.settings
        free = chosen.ahead - self.store.leased(now_ms, chosen.name)
        if free <= 0:
            return
        lease_ms = 1000 * chosen.lease_s
        turns = self.store.take_turns(chosen.name, now_ms, free, chosen.permits, lease_ms)
        if not turns:
            return
        works = prepared(self.store, turns, chosen.name, now_ms, now_ms + lease_ms)
        gone = await asyncio.gather(*map(self._out, works), return_exceptions=True)
        back = [work.turn for work, error in zip(works, gone, strict=True) if error]
        if back:
            # Whether one went out is not known; then it is done twice, and written once.
            self.store.free_turns(chosen.name, back)
            raise next(error for error in gone if error)

    async def _out(self, work: Work) -> None:
        while True:
            try:
                return await self.bus.give(broker.TURNS, pack_work(work), number_of(work))
            except TooLongError:
                if not work.asked:
                    raise
                # The rest is asked for when these are here.
                work = replace(work, asked=work.asked[: len(work.asked) // 2])

    # --- in ----------------------------------------------------------------------------------

    async def _take(self, wait_s: float) -> int:
        """Writes what has come: in one transaction, and only then the bus may forget it."""
        messages = await self.bus.pull(broker.CAME, _AT_ONCE, wait_s)
        read: list[tuple[str, Outcome, Msg]] = []
        for message in messages:
            try:
                out = read_outcome(message.data)
            except ParcelError as error:
                # Its turn's lease ends: it is asked again.
                await self._thrown(message, "parcel", f"{error}; it is thrown away")
                continue
            number = shown((message.headers or {}).get("Nats-Msg-Id"))
            read.append((number or f"seq {message.metadata.sequence.stream}", out, message))
        if read:
            await self._write(read)
        return len(messages)

    async def _write(self, read: Sequence[tuple[str, Outcome, Msg]]) -> None:
        messages = [message for _, _, message in read]
        try:
            self._written({number: out for number, out, _ in read})
        except GoneError:
            await self.bus.later(*messages)
            raise
        except Exception as error:
            if len(read) > 1:
                # One of them is wrong: the others are not to wait for it.
                for one in read:
                    await self._write([one])
                return
            ((_, out, message),) = read
            why = error if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
            text = f"what came of it cannot be written: {why}"
            await self._thrown(message, out.turn.subject, text)
            return
        await self.bus.answered(*messages)

    async def _thrown(self, message: Msg, subject: str, text: str) -> None:
        self.store.notice("bus", shown(subject), shown(text, 1000), self.clock.now_ms())
        self.counts["refused"] += 1
        await self.bus.refused(message)

    def _written(self, outs: dict[str, Outcome]) -> None:
        now = self.clock.now_ms()
        there = self.store.written(list(outs))
        new = {number: out for number, out in outs.items() if number not in there}
        self.counts["again"] += len(there)
        if not new:
            return

        def numbers() -> None:
            self.store.add_written(new, now, now - _FORGET_MS)
            self._clocks(new.values(), now)

        self._writer.write(list(new.values()), now, numbers)
        for out in new.values():
            self.counts["sessions"] += 1
            self.counts["failed"] += not out.well
            self.counts["rows"] += out.rows

    def _clocks(self, outs: Iterable[Outcome], now_ms: int) -> None:
        off = {out.by: out.clock_off_ms for out in outs if abs(out.clock_off_ms) >= CLOCK_OFF_MS}
        for name, clock_off_ms in off.items():
            text = (
                f"its clock is {clock_off_ms / 1000:+.0f} s off that of who gives out the work: "
                "it goes by that one; set its clock (NTP)"
            )
            self.store.notice("collector-clock", name, text, now_ms)


def number_of(work: Work) -> str:
    """Of a turn each time that it is given out."""
    return f"{work.turn.kind} {work.turn.subject} {work.until_ms}"
