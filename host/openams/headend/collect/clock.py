"""The time of a collector: the computer's, or one that is given, in which nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Protocol

from openams.headend.store import GoneError, Store
from openams.meter_time import to_utc_ms

# How often it is asked about anew where a clock was set amid the question.
_LOOKS = 3
OFF_MS = 2_000


class Clock(Protocol):
    def now_ms(self) -> int: ...

    async def wait(self, until_ms: int, tasks: Collection[asyncio.Future[Any]]) -> None:
        """Until then, or until one of the tasks is done."""


def ahead_ms(before: int, there: int, after: int) -> int | None:
    """How far a clock is ahead of another that said `there` between two looks at the first.

    None where they are further apart than an answer takes: it was set, or asleep, meanwhile, and
    by half of that it would be wrong."""
    return (before + after) // 2 - there if abs(after - before) <= OFF_MS else None


class WallClock:
    # However far away the next thing is: whoever else writes to the store is seen.
    _LONGEST_S = 5.0

    def now_ms(self) -> int:
        return to_utc_ms(datetime.now(UTC))

    async def wait(self, until_ms: int, tasks: Collection[asyncio.Future[Any]]) -> None:
        seconds = min(max(0.0, (until_ms - self.now_ms()) / 1000), self._LONGEST_S)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(seconds)


class StoreClock(WallClock):
    """The computer's time, put right by the database's: who shares a store has one time, by which
    turns are leased and meters' clocks are judged. One that is off is a notice.

    A file has no clock of its own: who shares it is on one computer.
    """

    _LOOK_S = 60.0

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._off_ms = 0
        self._looked_s: float | None = None

    def now_ms(self) -> int:
        if self._looked_s is None or time.monotonic() - self._looked_s >= self._LOOK_S:
            self._looked_s = time.monotonic()
            # While it is away, as it was.
            with contextlib.suppress(GoneError):
                self._look()
        return super().now_ms() - self._off_ms

    def _look(self) -> None:
        for _ in range(_LOOKS):
            before = super().now_ms()
            there = self._store.database.clock_ms()
            after = super().now_ms()
            if there is None:
                return
            off_ms = ahead_ms(before, there, after)
            if off_ms is not None:
                break
        else:
            return
        self._off_ms = off_ms
        if abs(self._off_ms) >= OFF_MS:
            text = (
                f"its clock is {self._off_ms / 1000:+.0f} s off that of the database: it goes by "
                "that one; set its clock (NTP)"
            )
            self._store.notice("collector-clock", self._name, text, there)


class VirtualClock:
    """It stands still while anything is done, and then goes to the next thing."""

    def __init__(self, utc_ms: int) -> None:
        self._utc_ms = utc_ms
        self._waited = asyncio.Event()

    def now_ms(self) -> int:
        return self._utc_ms

    def advance_to(self, utc_ms: int) -> None:
        self._utc_ms = max(self._utc_ms, utc_ms)

    async def step(self, at_most_s: float) -> None:
        """Until somebody waits for something, or so long: whoever watches takes no time of those
        that do the work."""
        self._waited.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waited.wait(), at_most_s)

    async def wait(self, until_ms: int, tasks: Collection[asyncio.Future[Any]]) -> None:
        self._waited.set()
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        else:
            self.advance_to(until_ms)
            await asyncio.sleep(0)
