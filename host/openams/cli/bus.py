"""Processes of the head-end on a bus: `ams headend dispatch`, `engine`, and `--bus` of others."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from openams.cli.common import BusOption, JsonObjectOption, StoreOption
from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.keys.opening import open_keystore
from openams.meter_time import NORWAY, to_utc_ms
from openams.terminal import say

if TYPE_CHECKING:
    from openams.headend.bus.broker import Bus
    from openams.headend.store import Store

T = TypeVar("T")


class Stops(Protocol):
    def stop(self) -> None: ...


def said(text: str) -> None:
    say(f"ams: {text}", error=True)


def ends(running: Stops) -> None:
    """Ctrl-C and SIGTERM end it once what is under way has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.stop())


def _over(url: str | None, name: str, doing: Callable[[Bus], Awaitable[T]]) -> T:
    from openams.headend.bus.broker import Bus

    if url is None:
        raise BenchError("name the bus with --bus or OPENAMS_BUS, like nats://127.0.0.1:4222")

    async def run() -> T:
        bus = Bus(url, name)
        await bus.open()
        try:
            return await doing(bus)
        finally:
            await bus.close()

    return asyncio.run(run())


def _text(counts: Mapping[str, int], as_json: bool) -> str:
    return json.dumps(counts) if as_json else ", ".join(f"{n} {k}" for k, n in counts.items())


def collected(
    url: str, keys: Keystore, name: str, sessions: int, timeout: float, tokens: Mapping[str, str],
    once: bool, as_json: bool,
) -> str:  # fmt: skip
    """A collector's work over the bus; what came of it in words."""
    from openams.headend.bus.gang import BusCollector
    from openams.headend.collect.clock import WallClock
    from openams.headend.collect.sessions import Roads

    async def run(bus: Bus) -> dict[str, int]:
        roads = Roads(timeout, tokens)
        collector = BusCollector(bus, keys, WallClock(), name, sessions, roads, said)
        ends(collector)
        await collector.run(idle_s=2.0 if once else None)
        return collector.counts

    return _text(_over(url, name, run), as_json)


def evaluated(
    store: Store, url: str, day: date, at: datetime, points: Sequence[str] | None
) -> Counter[str]:
    from openams.headend.bus.engine import evaluate_over

    return _over(url, "evaluate", lambda bus: evaluate_over(store, bus, day, at, points))


def dispatch(
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing is due or out any more.")
    ] = False,
    day: Annotated[
        str | None, typer.Option("--day", metavar="DATE", help="Make this local day due at once.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of this one; each has its own.")] = "dispatch",
    ahead: Annotated[int, typer.Option(help="Turns that are out at a time.")] = 1000,
    permits: Annotated[int, typer.Option(help="At a time in a segment of the net.")] = 8,
    lease: Annotated[
        int, typer.Option(help="Seconds after which a turn that is lost is given out anew.")
    ] = 600,
    bus_url: BusOption = None,
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Give out what is due to collectors on a bus, and write what they bring, until Ctrl-C."""
    from openams.headend.bus.dispatch import Dispatcher, Settings
    from openams.headend.collect.clock import StoreClock
    from openams.headend.collect.plan import Plan, plan_day
    from openams.headend.store import open_store, store_url

    if not 1 <= ahead <= 20_000 or not 1 <= permits <= 10_000 or not 1 <= lease <= 3600:
        raise BenchError("--ahead is 1 to 20000, --permits 1 to 10000, --lease 1 to 3600 seconds")
    with open_store(store_url(store)) as opened:
        if day is not None:
            now = to_utc_ms(datetime.now(UTC))
            plan_day(opened, Plan(), _date(day), now)
            opened.run("UPDATE turn SET next_ms = ? WHERE next_ms > ?", now, now)

        async def run(bus: Bus) -> dict[str, int]:
            settings = Settings(name, ahead, permits, lease)
            dispatcher = Dispatcher(opened, bus, StoreClock(opened, name), settings, say=said)
            ends(dispatcher)
            await dispatcher.run(idle=once)
            return dispatcher.counts

        counts = _over(bus_url, name, run)
    say(_text(counts, as_json))


def engine(
    once: Annotated[bool, typer.Option("--once", help="End when nothing comes any more.")] = False,
    bus_url: BusOption = None,
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Validate and estimate what ams headend evaluate --bus gives out, until Ctrl-C."""
    from openams.headend.bus.engine import Engine
    from openams.headend.store import open_store, store_url

    with open_store(store_url(store)) as opened:

        async def run(bus: Bus) -> dict[str, Any]:
            engine = Engine(opened, bus, said)
            ends(engine)
            await engine.run(idle_s=2.0 if once else None)
            return dict(engine.counts)

        counts = _over(bus_url, "engine", run)
    say(_text(counts, as_json))


def listen(
    host: Annotated[str, typer.Option(help="Where meters call.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: a free one.")] = 4060,
    store: StoreOption = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Take what meters send unasked, alarms and values, until Ctrl-C: ciphered for the reader."""
    from openams.headend.collect.clock import WallClock
    from openams.headend.collect.unasked import Ears
    from openams.headend.store import open_store, store_url

    keys = open_keystore(keystore, passphrase_file)
    with open_store(store_url(store)) as opened:
        ears = Ears(opened, keys, WallClock(), said)

        async def run() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, ears.stop)
            await ears.run(host, port)

        asyncio.run(run())
    say(_text(ears.counts, as_json))


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BenchError(f"--day {text!r} is no date: write it like 2026-01-31") from None
    if day >= datetime.now(NORWAY).date() + timedelta(days=1):
        raise BenchError(f"--day {text} is still to come")
    return day
