"""A collector on the bus: takes turns, has their sessions, gives back what came. It has readers'
keys and no store; any number of them share the work, and who dies leaves his to the others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from openams.errors import BenchError
from openams.headend.bus import broker
from openams.headend.bus.broker import Bus, BusError, TooLongError
from openams.headend.bus.dispatch import number_of
from openams.headend.bus.parcel import ParcelError, pack_outcome, read_work
from openams.headend.collect.clock import Clock, ahead_ms
from openams.headend.collect.reading import ALWAYS
from openams.headend.collect.sessions import Roads, Sessions
from openams.headend.collect.work import Outcome, Work
from openams.keys.keystore import Keystore

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_CLOCK_EVERY_S = 60.0
_AGAIN_S = 1.0
_SOON_S = 0.02


class BusCollector:
    """`own_clock` False: `clock` is that of who gives out the work."""

    def __init__(
        self,
        bus: Bus,
        keystore: Keystore,
        clock: Clock,
        name: str,
        sessions: int,
        roads: Roads,
        say: Callable[[str], None] = lambda _: None,
        own_clock: bool = True,
    ) -> None:
        self.bus, self.clock, self.name = bus, clock, name
        self.counts = {"sessions": 0, "failed": 0, "rows": 0, "late": 0}
        self._most = sessions
        self._off_ms = 0
        self._clock_s = 0.0
        self._sessions = Sessions(keystore, roads, self.now_ms)
        self._tasks: set[asyncio.Task[None]] = set()
        self._say = say
        self._own_clock = own_clock
        self._stopping = False

    @property
    def busy(self) -> bool:
        """Whether sessions are under way."""
        return bool(self._tasks)

    def drop(self) -> list[asyncio.Task[None]]:
        """As if its process died: its sessions end where they are, and nobody hears of it. What is
        to be waited for."""
        for task in self._tasks:
            task.cancel()
        return list(self._tasks)

    def stop(self) -> None:
        self._stopping = True

    def now_ms(self) -> int:
        """By the clock of who gives out the work: this computer's own may be off."""
        return self.clock.now_ms() - self._off_ms

    async def run(self, idle_s: float | None = None) -> None:
        """Until `stop`; `idle_s`: until nothing has come for so long."""
        quiet_s = time.monotonic()
        while not self._stopping or self._tasks:
            await self._set_clock()
            free = self._most - len(self._tasks)
            if self._stopping or free <= 0:
                await asyncio.wait(self._tasks, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                messages = await self.bus.pull(broker.TURNS, free, 0.5)
            except BusError as error:
                self._say(str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            if messages and not self._clock_s:
                # Nobody said the time before; who gave these out may.
                await self._set_clock()
            for message, work, lap, first in await self._read(messages):
                task = asyncio.ensure_future(self._one(message, work, lap, first))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if messages or self._tasks:
                quiet_s = time.monotonic()
            elif idle_s is not None and time.monotonic() - quiet_s >= idle_s:
                return

    async def _set_clock(self) -> None:
        """How far this clock is ahead of the dispatcher's; while nobody says, as it was."""
        if not self._own_clock or (
            self._clock_s and time.monotonic() - self._clock_s < _CLOCK_EVERY_S
        ):
            return
        while not self._stopping:
            before = self.clock.now_ms()
            answer = await self.bus.ask(broker.TIME, 1.0)
            after = self.clock.now_ms()
            if answer is None:
                return
            try:
                there = int(json.loads(answer)["now_ms"])
                if not ALWAYS[0] <= there <= ALWAYS[1]:
                    return
                off_ms = ahead_ms(before, there, after)
            except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
                return
            if off_ms is not None:
                self._off_ms = off_ms
                self._clock_s = time.monotonic()
                return
            # Turns would be thrown away whose lease has not ended.
            await asyncio.sleep(_SOON_S)

    async def _read(self, messages: Sequence[Msg]) -> list[tuple[Msg, Work, int, int]]:
        """Messages with their work, how often it was given out before, and its first counter."""
        found: list[tuple[Msg, Work, int]] = []
        for message in messages:
            try:
                work = read_work(message.data)
            except ParcelError as error:
                self._say(str(error))
                await self.bus.refused(message)
                continue
            if self.now_ms() >= work.until_ms:
                # Its lease has ended: it is another's, or given out anew.
                self.counts["late"] += 1
                await self.bus.answered(message)
                continue
            found.append((message, work, message.metadata.num_delivered - 1))
        firsts = self._sessions.numbered([(work, lap) for _, work, lap in found])
        return [(*one, first) for one, first in zip(found, firsts, strict=True)]

    async def _one(self, message: Msg, work: Work, lap: int, first: int) -> None:
        alive = asyncio.ensure_future(self._alive(message))
        try:
            out = await self._sessions.do(work, lap, first)
            out.by, out.clock_off_ms = self.name, self._off_ms
            self.counts["sessions"] += 1
            self.counts["failed"] += not out.well
            self.counts["rows"] += out.rows
            if await self._give(work, out, lap):
                await self.bus.answered(message)
        finally:
            alive.cancel()

    async def _alive(self, message: Msg) -> None:
        while True:
            await asyncio.sleep(self.bus.ack_wait_s / 3)
            await self.bus.working(message)

    async def _give(self, work: Work, out: Outcome, lap: int) -> bool:
        """Until the bus has it, or the turn is no longer ours: then it is asked again."""
        data, number = pack_outcome(out), f"{number_of(work)} {lap}"
        while self.now_ms() < work.until_ms:
            try:
                await self.bus.give(broker.CAME, data, number)
                return True
            except TooLongError as error:
                # It is told all the same: who gives it out is not to wait for its lease.
                out.came = out.visit = None
                out.failed(BenchError(f"what it brought: {error}"))
                data = pack_outcome(out)
            except BusError as error:
                self._say(str(error))
                await asyncio.sleep(_AGAIN_S)
        return False
