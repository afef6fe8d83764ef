"""Collection by the head-end: meter-days a second and processor time of each process.

    .venv/bin/python tools/bench/collect.py [--meters N] [--json FILE]

Links are stand-ins (standins.py): the field's cost is not in it. PostgreSQL and NATS are servers of
its own, as the tests have them. Wall time is of this machine as it is now; processor time holds
whatever else it does.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import standins

from openams.headend.bus.broker import Bus
from openams.headend.bus.dispatch import Dispatcher
from openams.headend.bus.dispatch import Settings as Giving
from openams.headend.bus.gang import BusCollector
from openams.headend.collect.clock import VirtualClock
from openams.headend.collect.collector import Collector, Settings
from openams.headend.days import day_number
from openams.headend.evaluate import HISTORY_DAYS, evaluate_days
from openams.headend.store import open_store
from openams.meter_time import from_utc_ms

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
NatsServer = importlib.import_module("tests.headend.natsserver").NatsServer
Server = importlib.import_module("tests.headend.postgres").Server
# Points that have a history.
_SOME = 500
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Of a process, those it has started, and those of them that have ended, s."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        own = int(path.parent.name)
        if own == pid or int(fields[1]) == pid:
            total += sum(map(int, fields[11:13])) / _TICKS
            if own == pid:
                total += sum(map(int, fields[13:15])) / _TICKS
    return total


def filled(store: Any, meters: int, minutes: int) -> VirtualClock:
    faults = store.import_register(standins.register(meters, False, minutes), 1)
    assert not faults, faults[:3]
    return VirtualClock(standins.last_midnight(1) + 600_000)


def whole(store: Any, meters: int) -> None:
    states = dict(store.count_days(day_number(standins.FIRST)))
    assert states == {"complete": meters}, states


def alone(url: str, postgres: int, meters: int, roads: standins.StandInRoads) -> dict[str, float]:
    """One collector with the store; then the day's evaluation."""
    with open_store(url) as store:
        clock = filled(store, meters, roads.minutes)
        size = size_of(store)
        collector = Collector(store, None, clock, Settings("c", back_days=0), roads, seed=1)

        def used(name: str) -> dict[str, float]:
            return {
                f"{name}_wall" if name == "evaluate" else "wall": time.perf_counter(),
                name: time.process_time(),
                f"{name}_postgres" if name == "evaluate" else "postgres": cpu_of(postgres),
            }

        before = used("collector")
        asyncio.run(collector.run(until_ms=clock.now_ms() + 60_000))
        out = {name: value - before[name] for name, value in used("collector").items()}
        whole(store, meters)
        counts = evaluate_days(store, standins.FIRST, from_utc_ms(clock.now_ms()))
        assert counts["revisions"] == meters
        out["octets"] = (size_of(store) - size) / meters
        # Once more, of some, with the weeks before it, as on any later day.
        some = [standins.gsrn(k) for k in range(min(meters, _SOME))]
        history(store, some)
        before = used("evaluate")
        counts = evaluate_days(store, standins.FIRST, from_utc_ms(clock.now_ms()), some)
        assert counts["revisions"] == len(some)
        out |= {
            name: (value - before[name]) * meters / len(some)
            for name, value in used("evaluate").items()
        }
    return out


def history(store: Any, points: list[str]) -> None:
    """Six weeks of values before the day, and the day itself as if nobody had evaluated it."""
    for back in range(1, HISTORY_DAYS + 1):
        day = standins.FIRST - timedelta(days=back)
        store.put_revisions(
            one._replace(day=day, number=1)
            for gsrn in points
            for one in store.revisions(standins.FIRST, gsrn, 1)
        )
    for table in ("value_day", "revision"):
        for gsrn in points:
            store.run(
                f"DELETE FROM {table} WHERE day = ? AND gsrn = ?",
                day_number(standins.FIRST), gsrn,
            )  # fmt: skip


def _gang(url: str, name: str, roads: standins.StandInRoads, now_ms: int, ready: Any) -> None:
    async def run() -> None:
        bus = Bus(url, name)
        await bus.open()
        collector = BusCollector(bus, None, VirtualClock(now_ms), name, 20, roads)  # type: ignore[arg-type]
        ready.release()
        await collector.run()

    asyncio.run(run())


def over_bus(
    url: str, postgres: int, nats: Any, meters: int, roads: standins.StandInRoads, collectors: int
) -> dict[str, float]:
    nats.empty()
    with open_store(url) as store:
        clock = filled(store, meters, roads.minutes)
        fork = multiprocessing.get_context("fork")
        ready = fork.Semaphore(0)
        gang = [
            fork.Process(target=_gang, args=(nats.url, f"c{k}", roads, clock.now_ms(), ready))
            for k in range(collectors)
        ]
        for one in gang:
            one.start()
        for _ in gang:
            ready.acquire()

        async def run() -> dict[str, float]:
            bus = Bus(nats.url, "dispatch")
            await bus.open()
            giving = Giving(ahead=2000, back_days=0)
            dispatcher = Dispatcher(store, bus, clock, giving, seed=1)
            before = used()
            await dispatcher.run(until_ms=clock.now_ms() + 60_000)
            out = {name: value - before[name] for name, value in used().items()}
            await bus.close()
            return out

        def used() -> dict[str, float]:
            return {
                "wall": time.perf_counter(),
                "dispatch": time.process_time(),
                "collector": sum(cpu_of(one.pid or 0) for one in gang),
                "nats": cpu_of(nats.process.pid),
                "postgres": cpu_of(postgres),
            }

        out = asyncio.run(run())
        for one in gang:
            one.kill()
            one.join()
        whole(store, meters)
    return out


def size_of(store: Any) -> float:
    """Octets of all tables with their indexes."""
    if store.database.dialect == "sqlite":
        store.run("PRAGMA wal_checkpoint(TRUNCATE)")
        return float(store.database.path.stat().st_size)
    return float(store.one(
        "SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables"
    )[0])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meters", type=int, default=4000)
    parser.add_argument("--minutes", type=int, choices=(15, 60), default=60)
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    meters = chosen.meters
    roads = standins.StandInRoads(meters, [standins.FIRST], chosen.minutes)
    found: dict[str, dict[str, float]] = {}

    def tell(name: str, out: dict[str, float]) -> None:
        found[name] = {key: round(value, 3) for key, value in out.items()}
        each = ", ".join(
            f"{key} {1e6 * value / meters:.0f}"
            for key, value in out.items()
            if "wall" not in key and key != "octets" and value
        )
        print(f"{name:<22} {meters / out['wall']:>6.0f} meter-days/s; processor us each: {each}")

    with tempfile.TemporaryDirectory() as folder:
        tell("sqlite", alone(f"sqlite:///{Path(folder) / 'h.db'}", 0, meters, roads))
    server, nats = Server(), NatsServer()
    try:
        for name in ("postgresql", *(f"postgresql, nats, {n}" for n in (1, 2, 4))):
            url, pid = server.store_url(f"b{len(found)}"), server.process.pid
            if "nats" in name:
                count = int(name.rpartition(" ")[2])
                tell(name, over_bus(url, pid, nats, meters, roads, count))
            else:
                tell(name, alone(url, pid, meters, roads))
    finally:
        server.close()
        nats.close()
    each = ", ".join(f"{found[name]['octets']:.0f} in {name}" for name in ("sqlite", "postgresql"))
    print(f"octets a meter-day, raw, values and jobs: {each}")
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"meters": meters, "minutes": chosen.minutes, "runs": found}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    main()
