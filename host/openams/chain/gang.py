"""A chain's head-end over NATS: who gives out turns, and any number of collectors, each with a
connection of its own. As `ams headend dispatch` and `ams headend collect --bus`, in one process."""

from __future__ import annotations

import asyncio
from collections import Counter

from openams.errors import BenchError
from openams.headend.bus.broker import RESULTS, WORK, Bus
from openams.headend.bus.dispatch import Dispatcher, Settings
from openams.headend.bus.gang import BusCollector
from openams.headend.collect.clock import Clock
from openams.headend.collect.plan import Plan
from openams.headend.collect.sessions import Roads
from openams.headend.store import Store
from openams.keys.keystore import Keystore

# A collector that was killed has its turns again so soon: it stands in virtual time, nobody waits.
_ACK_WAIT_S = 5.0


class Gang:
    """As a collector to who runs it. One after the other may be on the same bus: what was out when
    the one before was killed comes to this one."""

    def __init__(
        self,
        url: str,
        collectors: int,
        sessions: int,
        store: Store,
        readers: Keystore,
        clock: Clock,
        roads: Roads,
        plan: Plan,
        seed: int,
    ) -> None:
        self.counts = {"sessions": 0, "failed": 0, "rows": 0}
        self._buses = [Bus(url, f"chain-{k}", _ACK_WAIT_S) for k in range(collectors + 1)]
        self._dispatcher = Dispatcher(store, self._buses[0], clock, Settings("chain"), plan, seed)
        self._collectors = [
            BusCollector(bus, readers, clock, f"chain-{k}", sessions, roads, own_clock=False)
            for k, bus in enumerate(self._buses[1:], 1)
        ]
        self._running: list[asyncio.Task[None]] = []

    @property
    def busy(self) -> bool:
        return any(one.busy for one in self._collectors)

    async def run(self, until_ms: int) -> None:
        """Until a moment, and until all is here that is out then."""
        if not self._running:
            await asyncio.gather(*(bus.open() for bus in self._buses))
            self._running = [asyncio.ensure_future(one.run()) for one in self._collectors]
        before = Counter(self._dispatcher.counts)
        giving = asyncio.ensure_future(self._dispatcher.run(until_ms=until_ms))
        try:
            # A collector ends only by an error; without it what is out would never come.
            done, _ = await asyncio.wait(
                [giving, *self._running], return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                one.result()
        finally:
            giving.cancel()
            await asyncio.gather(giving, return_exceptions=True)
        for name in self.counts:
            self.counts[name] += self._dispatcher.counts[name] - before[name]

    async def drop(self, running: asyncio.Task[None]) -> None:
        """All of it dies, amid sessions: what they had is lost."""
        tasks = [running, *self._running]
        tasks += [task for one in self._collectors for task in one.drop()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    async def end(self) -> None:
        for one in self._collectors:
            one.stop()
        await asyncio.gather(*self._running)
        await self._close()

    async def _close(self) -> None:
        await asyncio.gather(*(bus.close() for bus in self._buses))


async def check_empty(url: str) -> None:
    """BenchError for a bus that has somebody's messages: they would be taken for ours."""
    bus = Bus(url, "chain")
    await bus.open()
    try:
        for name in (WORK, RESULTS):
            if count := await bus.waiting(name):
                raise BenchError(
                    f"{bus.name} has {count} messages in {name} already: name another bus, or none"
                )
    finally:
        await bus.close()
