"""A collection centre that runs by itself: it collects, evaluates and delivers by the clock.

One process: sessions in its loop, evaluation and delivery in a thread of their own with their own
connection to the store. Whatever dies begins where the store says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from openams.client.client import public_session
from openams.client.data import parse_date_time
from openams.client.links import parse_url
from openams.client.names import CLOCK
from openams.errors import BenchError
from openams.headend.collect.clock import WallClock
from openams.headend.collect.collector import Collector, Roads, Settings
from openams.headend.elhub.deliver import Delivery
from openams.headend.routine import Did, Routine
from openams.headend.store import GoneError, Store, open_store
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms, local_text, to_utc_ms

# How often, in seconds of the computer, the routine looks whether something is due.
_LOOK_S = 0.5
_GONE_S = 5.0


Now = Callable[[], datetime]
# Of a store: what sends its values, and what ends it.
Deliveries = Callable[[Store, Now], tuple[Delivery | None, Callable[[], None]]]


class PacedClock(WallClock):
    """The computer's time, or another one that passes so many times as fast: of a field."""

    def __init__(self, begin_ms: int | None = None, speed: float = 1.0) -> None:
        self._begin_ms, self._speed = begin_ms, speed
        self._began = time.monotonic()

    def now_ms(self) -> int:
        if self._begin_ms is None:
            return super().now_ms()
        return self._begin_ms + round(1000 * self._speed * (time.monotonic() - self._began))

    async def wait(self, until_ms: int, tasks: Collection[Any]) -> None:
        now = self.now_ms()
        await super().wait(now + round(max(0, until_ms - now) / self._speed), tasks)


def shown_ms(url: str, timeout_s: float) -> int:
    """The time that a meter shows, to anybody: that of its field."""
    with public_session(parse_url(url), timeout_s) as client:
        shown = parse_date_time(client.get(8, CLOCK, 2))
    if shown is None:
        raise BenchError(f"the meter at {url} does not know what time it is")
    return to_utc_ms(shown)


class Daemon:
    """`delivery`: made for the routine's store; what it gives back ends it."""

    def __init__(
        self,
        store_url: str,
        keystore: Keystore,
        clock: PacedClock,
        settings: Settings,
        roads: Roads,
        delivery: Deliveries,
        say: Callable[[str], None],
    ) -> None:
        self._store_url, self._keystore, self._clock = store_url, keystore, clock
        self._settings, self._roads, self._delivery, self._say = settings, roads, delivery, say
        self._end = threading.Event()
        self._collector: Collector | None = None
        self.error: BenchError | None = None

    def stop(self) -> None:
        self._end.set()
        if self._collector is not None:
            self._collector.stop()

    async def run(self) -> None:
        """Until `stop`."""
        thread = threading.Thread(target=self._routine, daemon=True)
        with open_store(self._store_url) as store:
            self._collector = Collector(
                store, self._keystore, self._clock, self._settings, self._roads, say=self._say
            )
            thread.start()
            if self._end.is_set():
                self._collector.stop()
            try:
                await self._collector.run()
            finally:
                self._end.set()
                thread.join()
        if self.error is not None:
            raise self.error

    def _routine(self) -> None:
        while not self._end.is_set():
            try:
                with open_store(self._store_url) as store:
                    self._work(store)
            except GoneError as error:
                self._say(str(error))
                self._end.wait(_GONE_S)
            except BenchError as error:
                self.error = error
                self.stop()

    def _work(self, store: Store) -> None:
        delivery, close = self._delivery(store, lambda: from_utc_ms(self._clock.now_ms()))
        try:
            routine = Routine(store, delivery)
            due = self._clock.now_ms()
            while not self._end.is_set():
                now = self._clock.now_ms()
                if now >= due:
                    self._told(now, routine.step(now))
                    due = routine.next_ms(now)
                self._end.wait(_LOOK_S)
        finally:
            close()

    def _told(self, now: int, did: Did) -> None:
        """A line of what there was to do."""
        sent = did.delivered[-1] if did.delivered else None
        parts = [f"{did.evaluated[name]} {name}" for name in ("values", "estimated")
                 if did.evaluated["values"]]  # fmt: skip
        if sent is not None:
            names = ("messages", "series", "corrections", "accepted", "rejected", "parked")
            parts += [f"{getattr(sent, name)} {name}" for name in names if getattr(sent, name)]
            if sent.error:
                parts.append(sent.error)
        parts += [f"{count} missing by {cause}" for cause, count in sorted(did.causes.items())]
        if parts:
            self._say(f"{local_text(now)} {', '.join(parts)}")
