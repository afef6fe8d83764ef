"""Evaluation over the bus: a day's points in parts, each part of whichever engine is free.

An engine has the store. A part that is done twice changes nothing the second time; who asks counts
each part once, and gives out again what nobody has done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING

from openams.errors import BenchError
from openams.headend.bus import broker
from openams.headend.bus.broker import Bus, BusError
from openams.headend.bus.parcel import (
    ParcelError,
    pack_counts,
    pack_days,
    read_counts,
    read_days,
)
from openams.headend.days import day_date, day_number
from openams.headend.evaluate import AT_ONCE, evaluate_days, points_of
from openams.headend.store import GoneError, Store
from openams.meter_time import from_utc_ms, to_utc_ms

if TYPE_CHECKING:
    from nats.aio.msg import Msg

# A part that nobody has done is given out again after so many times what an engine has for one.
_PARTS_WAIT = 3
_AGAIN_S = 1.0


class Engine:
    def __init__(self, store: Store, bus: Bus, say: Callable[[str], None] = lambda _: None) -> None:
        self.store, self.bus = store, bus
        self.counts: Counter[str] = Counter()
        self._say = say
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    async def run(self, idle_s: float | None = None) -> None:
        """Until `stop`; `idle_s`: until nothing has come for so long."""
        quiet_s = time.monotonic()
        while not self._stopping:
            try:
                messages = await self.bus.pull(broker.DAYS, 1, 0.5)
                for message in messages:
                    await self._one(message)
            except (BusError, GoneError) as error:
                self._say(str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            if messages:
                quiet_s = time.monotonic()
            elif idle_s is not None and time.monotonic() - quiet_s >= idle_s:
                return

    async def _one(self, message: Msg) -> None:
        try:
            day, at_ms, gsrns, reply, part = read_days(message.data)
        except ParcelError as error:
            self._say(str(error))
            await self.bus.refused(message)
            return
        said = ""
        counts: Counter[str] = Counter()
        try:
            counts = evaluate_days(self.store, day_date(day), from_utc_ms(at_ms), gsrns)
        except GoneError:
            await self.bus.later(message)
            raise
        except BenchError as error:
            said = str(error)
        except Exception as error:
            # Whatever a part's points made of it, the other parts are done.
            said = f"evaluation broke: {type(error).__name__}: {error}"
        self.counts += counts
        # In this order: who asks counts a part once, and waits long for one that nobody tells of.
        await self.bus.say(reply, pack_counts(part, counts, said))
        await self.bus.answered(message)


async def evaluate_over(
    store: Store, bus: Bus, day: date, at: datetime, gsrns: Iterable[str] | None = None
) -> Counter[str]:
    """Gives a day's points out to engines and waits for all of them; counts what came of them."""
    points = [one.gsrn for one in points_of(store, day, gsrns)]
    parts = [points[k : k + AT_ONCE] for k in range(0, len(points), AT_ONCE)]
    done: dict[int, dict[str, int]] = {}
    errors: list[str] = []
    news = asyncio.Event()
    inbox = bus.inbox()

    async def heard(message: Msg) -> None:
        try:
            part, counts, error = read_counts(message.data)
        except ParcelError:
            return
        if part >= len(parts):
            return
        done[part] = counts
        if error:
            errors.append(error)
        news.set()

    await bus.hear(inbox, heard)
    given_s = 0.0
    lap = 0
    while len(done) < len(parts) and not errors:
        if time.monotonic() - given_s >= _PARTS_WAIT * bus.ack_wait_s or not lap:
            lap += 1
            for number, some in enumerate(parts):
                if number not in done:
                    data = pack_days(day_number(day), to_utc_ms(at), some, inbox, number)
                    await bus.give(broker.DAYS, data, f"{inbox} {number} {lap}")
            given_s = time.monotonic()
        news.clear()
        try:
            await asyncio.wait_for(news.wait(), _AGAIN_S)
        except TimeoutError:
            continue
    if errors:
        raise BenchError(errors[0])
    return sum((Counter(counts) for counts in done.values()), Counter())
