"""Sessions with meters: processor time of the collector alone, the real firmware at the other end.

    .venv/bin/python tools/bench/sessions.py [--days N] [--json FILE]

One meter is asked for its day, again and again, in one process; the time in the meter is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import itertools
import json
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from openams.headend.collect.sessions import Sessions
from openams.headend.collect.work import Work
from openams.headend.days import day_bounds, day_number
from openams.headend.register import MeterRow
from openams.headend.store.jobs import COUNTERS_A_TURN, METER, Turn

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
Village = importlib.import_module("tests.headend.village").Village
DAY = date(2026, 1, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--minutes", type=int, choices=(15, 60), default=60)
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        village = Village(Path(folder), None, 1, DAY, 60 * chosen.minutes)
        now = day_bounds(DAY + timedelta(days=1))[0] + 3_600_000
        village.clock.advance_to(now)
        inside, asked = 0.0, 0
        feed, channel, hang_up = village.feed, village.channel, village.hang_up

        def timed(work: Any) -> Any:
            def outside(*arguments: Any) -> Any:
                nonlocal inside
                began = time.process_time()
                try:
                    return work(*arguments)
                finally:
                    inside += time.process_time() - began

            return outside

        village.feed, village.channel = timed(feed), timed(channel)
        village.hang_up = timed(hang_up)
        village.played(0)
        row = MeterRow(village.ids[0], "aidon", "cellular", "", "tcp://127.0.0.1:4059", "")
        sessions = Sessions(village.readers, village.roads(), village.clock.now_ms)
        turns = itertools.count()

        def work() -> Work:
            """A turn has counters that are its own."""
            turn = Turn(METER, village.ids[0], "", 0, next(turns) * COUNTERS_A_TURN)
            return Work(turn, "c", now, now + 600_000, row, (day_number(DAY),), now - 86_400_000)

        async def run(count: int) -> int:
            octets = 0
            for k in range(count):
                # As a collector that has a hundred of them due.
                if k % 100 == 0:
                    works = [(work(), 0) for _ in range(min(100, count - k))]
                    firsts = sessions.numbered(works)
                out = await sessions.do(works[k % 100][0], 0, firsts[k % 100])
                assert out.well and out.rows == 24 * 60 // chosen.minutes, out.error
                octets += out.octets
            return octets

        asyncio.run(run(5))
        inside, before = 0.0, village.asked[0]
        began, cpu = time.perf_counter(), time.process_time()
        octets = asyncio.run(run(chosen.sessions))
        both = time.process_time() - cpu
        took = both - inside
        wall = time.perf_counter() - began
        asked = village.asked[0] - before
    found = {
        "minutes": chosen.minutes, "sessions": chosen.sessions, "cpu_s": round(took, 3),
        "octets": octets, "exchanges": asked, "wall_s": round(wall, 3),
    }  # fmt: skip
    print(
        f"{1e6 * took / chosen.sessions:.0f} us of the collector a session, "
        f"{asked / chosen.sessions:.1f} exchanges, {octets / chosen.sessions:.0f} octets; "
        f"{chosen.sessions / both:.0f} sessions a second with the meter on the same core"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
