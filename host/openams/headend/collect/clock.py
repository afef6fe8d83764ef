"""The time of a collector: the computer's, or one that is given, in which nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Protocol

from openams.meter_time import to_utc_ms


class Clock(Protocol):
    def now_ms(self) -> int: ...

    async def wait(self, until_ms: int, tasks: Collection[asyncio.Future[Any]]) -> None:
        """Until then, or until one of the tasks is done."""


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


class VirtualClock:
    """It stands still while anything is done, and then goes to the next thing."""

    def __init__(self, utc_ms: int) -> None:
        self._utc_ms = utc_ms

    def now_ms(self) -> int:
        return self._utc_ms

    def advance_to(self, utc_ms: int) -> None:
        self._utc_ms = max(self._utc_ms, utc_ms)

    async def wait(self, until_ms: int, tasks: Collection[asyncio.Future[Any]]) -> None:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        else:
            self.advance_to(until_ms)
            await asyncio.sleep(0)
