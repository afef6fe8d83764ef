"""Sessions with meters and concentrators: from a turn to what came of it, without the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from openams.client.errors import LateError, LinkError
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.headend.collect.concentrators import Door, HttpDoor, NonsenseError, visit
from openams.headend.collect.link import (
    NUMBERS,
    READER_SAP,
    CountersError,
    Opener,
    Reader,
    connect,
    opener_of,
)
from openams.headend.collect.reading import Got, Layouts, read
from openams.headend.collect.taking import Came
from openams.headend.collect.unasked import Titles
from openams.headend.collect.work import Outcome, Work
from openams.headend.days import day_date
from openams.headend.register import ConcentratorRow, MeterRow
from openams.headend.store.jobs import COUNTERS_A_SESSION, METER
from openams.keys.keystore import Keystore

# Of a lease a session has so much: who holds it then writes what came.
_OF_LEASE = 0.8


@dataclass
class Roads:
    """How meters and concentrators are reached: by their URLs, or as a field says."""

    timeout_s: float = 30.0
    # Of concentrators, by name.
    tokens: Mapping[str, str] = field(default_factory=dict)

    def meter(self, row: MeterRow) -> Opener:
        return opener_of(parse_url(row.url), self.timeout_s)

    async def reader(self, row: MeterRow, keystore: Keystore, share: range, first: int) -> Reader:
        """An association; its counters out of `share`, the first of them taken already."""
        return await connect(self.meter(row), keystore, row.meter_id, share, first)

    async def signal_dbm(self, row: MeterRow) -> int | None:
        """How the net hears a meter that gives no answer: where it can be asked."""
        return None

    def door(self, row: ConcentratorRow) -> Door:
        if row.concentrator_id not in self.tokens:
            raise BenchError(
                f"no token of concentrator {row.concentrator_id}: give it with --tokens"
            )
        return HttpDoor(row.url, self.tokens[row.concentrator_id], self.timeout_s)


class Sessions:
    """Of one process: many at a time, nobody waits for another's answer."""

    def __init__(self, keystore: Keystore, roads: Roads, now_ms: Callable[[], int]) -> None:
        self._keystore, self._roads, self._now_ms = keystore, roads, now_ms
        self._layouts: dict[str, Layouts] = {}
        self._titles = Titles(keystore)

    def numbered(self, works: Sequence[tuple[Work, int]]) -> list[int]:
        """The first counter of each session with a meter, taken in one change of the keystore: one
        wait for the disk. 0: it takes its own, and hears why there are none."""
        taken = [0] * len(works)
        places = [k for k, (work, _) in enumerate(works) if work.turn.kind == METER and work.days]
        try:
            given = self._keystore.reserve_all(
                [(works[k][0].turn.subject, READER_SAP, NUMBERS, False) for k in places],
                [_share(*works[k]).start for k in places],
            ) if places else []  # fmt: skip
        except BenchError:
            return taken
        for k, (first, _) in zip(places, given, strict=True):
            taken[k] = first
        return taken

    async def do(self, work: Work, lap: int = 0, first: int = 0) -> Outcome:
        """`lap`: how often the same turn was given out before, and nobody knows what came of it:
        those took counters, which are left out. `first`: of `numbered`."""
        out = Outcome(work.turn, work.worker, work.given_ms, days=work.days)
        session = self._meter if work.turn.kind == METER else self._concentrator
        began = time.monotonic()
        try:
            async with asyncio.timeout(_OF_LEASE * (work.until_ms - work.given_ms) / 1000):
                await session(work, out, lap, first)
        except TimeoutError:
            out.failed(LateError(f"{work.turn.kind} {work.turn.subject} has not ended in time"))
        except BenchError as error:
            out.failed(error)
            out.told |= isinstance(error, NonsenseError)
            if isinstance(error, LinkError) and isinstance(work.row, MeterRow):
                out.signal_dbm = await self._roads.signal_dbm(work.row)
        except Exception as error:
            # Whatever one meter made of it, the sessions of the others go on.
            out.failed(BenchError(f"the session broke: {type(error).__name__}: {error}"))
        out.took_ms = round(1000 * (time.monotonic() - began))
        return out

    async def _meter(self, work: Work, out: Outcome, lap: int, first: int) -> None:
        meter_id, row = work.turn.subject, work.row
        if not isinstance(row, MeterRow) or not row.url:
            raise BenchError(f"meter {meter_id} has no URL in the register any more")
        if not work.days:
            return
        got, share = Got(), _share(work, lap)
        if first >= share.stop:
            # The keystore was ahead before it was copied: no need to call.
            raise CountersError(meter_id, first)
        reader = await self._roads.reader(row, self._keystore, share, first)
        try:
            layouts = self._layouts.setdefault(meter_id, {})
            days = [day_date(day) for day in work.days]
            # What came before a link falls is kept, not that the meter has said all.
            out.came = Came(meter_id, got, "meter", work.days, None)
            await read(meter_id, reader, days, work.logs_ms, self._now_ms(), layouts, got)
            out.came = out.came._replace(until_ms=got.until_ms)
        finally:
            if got.rows and out.came is not None and out.came.until_ms is None:
                out.came = out.came._replace(until_ms=0)
            await reader.close()
            out.octets = reader.link.octets

    async def _concentrator(self, work: Work, out: Outcome, lap: int, first: int) -> None:
        out.road = "concentrator"
        if not isinstance(work.row, ConcentratorRow):
            raise BenchError(f"concentrator {work.turn.subject} is not in the register any more")
        out.visit = found = await visit(self._roads.door(work.row), work, self._now_ms())
        for one in found.pushes:
            # Who brings it says whose it is; the meter's own title and tag prove it.
            try:
                octets = bytes.fromhex(str(one.get("octets", "")))
                push = self._titles.opened(octets, str(one.get("meter_id", "")))
                one |= {"stamp": push.stamp, "values": push.values, "counter": push.counter}
            except (BenchError, ValueError) as error:
                one["refused"] = str(error)


def _share(work: Work, lap: int) -> range:
    """The reader's counters that are this session's alone, of those of its turn."""
    first = work.turn.counter + lap * COUNTERS_A_SESSION
    return range(first, first + COUNTERS_A_SESSION)
