"""The head-end's processes over NATS JetStream: the same values as by one process, once each."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.client.errors import LinkError
from openams.headend.bus import broker
from openams.headend.bus.broker import Bus
from openams.headend.bus.dispatch import Dispatcher, Settings
from openams.headend.bus.engine import Engine, evaluate_over
from openams.headend.bus.gang import BusCollector
from openams.headend.bus.parcel import ParcelError, pack_work, read_outcome, read_work
from openams.headend.collect.clock import VirtualClock
from openams.headend.collect.work import Work
from openams.headend.days import day_bounds, day_number
from openams.headend.evaluate import evaluate_days
from openams.headend.store import open_store
from openams.headend.store.jobs import Turn
from openams.meter_time import from_utc_ms
from tests.headend.village import Village
from tests.interop.helpers import ams

MONDAY = date(2026, 1, 5)
DAYS = 1
# One of them is away in the first night, one falls amid its session: so nights have retries.
COUNT = 5


def after(days):
    return MONDAY + timedelta(days=days)


def made(folder, store):
    """The same village each time: its houses and its links by number and time alone."""
    village = Village(folder, store, COUNT)
    night = day_bounds(after(1))[0]
    village.down = lambda number, utc_ms: number == 1 and utc_ms < night + 2 * 3_600_000
    plain, whole_ms = village.before, night + 3 * 3_600_000

    def before(number, exchanges):
        if number == 2 and exchanges > 7 and village.clock.now_ms() < whole_ms:
            raise LinkError("the connection has fallen")
        plain(number, exchanges)

    village.before = before
    return village


async def over_the_bus(village, url, collectors, until, engines=0):
    """Dispatcher, collectors and engines in one process, in the village's time."""
    buses = []

    async def bus(name):
        buses.append(Bus(url, name))
        await buses[-1].open()
        return buses[-1]

    dispatcher = Dispatcher(village.store, await bus("dispatch"), village.clock, Settings(), seed=1)
    gang = [
        BusCollector(
            await bus(f"c{k}"), village.readers, village.clock, f"c{k}", 4, village.roads()
        )
        for k in range(collectors)
    ]
    engine = Engine(village.store, await bus("engine"))
    running = [asyncio.ensure_future(one.run()) for one in (*gang, engine)]
    try:
        await dispatcher.run(until_ms=until)
        counts = [
            await evaluate_over(
                village.store, buses[0], after(day), from_utc_ms(village.clock.now_ms())
            )
            for day in range(DAYS)
        ]
    finally:
        for one in (*gang, engine):
            one.stop()
        await asyncio.gather(*running)
        for one in buses:
            await one.close()
    return dispatcher, gang, counts


def values(store):
    """All that a run is for: what was collected, and what values came of it."""
    rows = store.all("SELECT day, meter_id, part, rows FROM collected")
    return (
        {(day, gsrn.gsrn, gsrn.series): (gsrn.wh, gsrn.states, gsrn.total_wh)
         for day in range(DAYS) for gsrn in store.values(after(day))},
        sorted((day, meter_id, part, bytes(blob)) for day, meter_id, part, blob in rows),
        [dict(store.count_days(day_number(after(day)))) for day in range(DAYS)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(empty_file, tmp_path_factory):
    """What one collector makes of the village, on SQLite."""
    folder = tmp_path_factory.mktemp("alone")
    with open_store(folder / "headend.db") as store:
        village = made(folder, store)
        village.collect(after(DAYS + 1))
        for day in range(DAYS):
            evaluate_days(store, after(day), from_utc_ms(village.clock.now_ms()))
        found = values(store)
        truth = [[village.truth(number, after(d)) for d in range(DAYS)] for number in range(COUNT)]
        assert found[2] == [{"complete": COUNT}] * DAYS
        totals = sum(total for one in truth for _, total in one)
        assert sum(sum(wh) for wh, _, _ in found[0].values()) == totals
    return found


def test_on_postgresql_alone(alone, postgres, tmp_path):
    with open_store(postgres.store_url("alone")) as store:
        village = made(tmp_path, store)
        village.collect(after(DAYS + 1))
        for day in range(DAYS):
            evaluate_days(store, after(day), from_utc_ms(village.clock.now_ms()))
        assert values(store) == alone


@pytest.mark.parametrize("collectors", [1, 2, 4])
def test_equal_to_the_last_wh_with_any_number_of_collectors(
    alone, postgres, nats, tmp_path, collectors
):
    with open_store(postgres.store_url(f"bus{collectors}")) as store:
        village = made(tmp_path, store)
        dispatcher, gang, counts = asyncio.run(
            over_the_bus(village, nats.url, collectors, day_bounds(after(DAYS + 1))[0])
        )
        assert values(store) == alone
        assert [one["revisions"] for one in counts] == [COUNT] * DAYS
        assert dispatcher.counts["sessions"] == sum(one.counts["sessions"] for one in gang)
        assert store.leased(village.clock.now_ms()) == 0


# --- what goes wrong --------------------------------------------------------------------------


class Late(VirtualClock):
    """A collector's computer whose clock is off that of everybody else."""

    def __init__(self, village, off_ms):
        self.village, self.off_ms = village, off_ms

    def now_ms(self):
        return self.village.clock.now_ms() + self.off_ms


def test_a_collectors_clock_that_is_set_while_it_asks_for_the_time_is_asked_about_again(
    nats, file_store, tmp_path
):
    """By half of what it was set it would be off, and throw away turns that are its own."""
    village = made(tmp_path, file_store)
    clock = VirtualClock(village.clock.now_ms() - 3_600_000)
    asked = []

    async def run():
        bus, other = Bus(nats.url, "dispatch"), Bus(nats.url, "c1")
        await bus.open()
        await other.open()

        async def answer(message):
            asked.append(clock.now_ms())
            clock.advance_to(village.clock.now_ms() - 500)
            await message.respond(json.dumps({"now_ms": village.clock.now_ms()}).encode())

        await bus.hear(broker.TIME, answer)
        collector = BusCollector(other, village.readers, clock, "c1", 4, village.roads())
        await collector.run(idle_s=1)
        await bus.close()
        await other.close()
        return collector.now_ms()

    assert asyncio.run(run()) == village.clock.now_ms() and len(asked) == 2


def test_nonsense_a_collector_that_died_a_bus_that_lost_all_and_a_clock_that_is_off(
    alone, nats, file_store, tmp_path
):
    village = made(tmp_path, file_store)
    night = day_bounds(after(1))[0]

    async def first():
        """All that is due goes out; one turn is taken by who dies with it; then the bus's disk
        is new."""
        bus = Bus(nats.url, "dispatch")
        await bus.open()
        village.clock.advance_to(night + 5 * 3_600_000)
        dispatcher = Dispatcher(file_store, bus, village.clock, Settings(lease_s=600))
        giving = asyncio.ensure_future(dispatcher.run())
        dead = Bus(nats.url, "dead")
        await dead.open()
        taken = await dead.pull(broker.TURNS, 2, 20)
        assert taken and read_work(taken[0].data).worker == "dispatch"
        await dead.give(broker.CAME, b"nonsense", "n")
        await dead.give(broker.TURNS, b"\0" * 40, "m")
        while not dispatcher.counts["refused"]:
            await asyncio.sleep(0.02)
        dispatcher.stop()
        nats.lose()
        nats.start()
        await giving
        await bus.close()
        await dead.close()
        assert file_store.leased(village.clock.now_ms()) == COUNT

    async def second():
        bus, other = Bus(nats.url, "dispatch"), Bus(nats.url, "c1")
        await bus.open()
        await other.open()
        # The leases of what is lost have ended.
        village.clock.advance_to(night + 6 * 3_600_000)
        dispatcher = Dispatcher(file_store, bus, village.clock, Settings(lease_s=600), seed=1)
        collector = BusCollector(
            other, village.readers, Late(village, 3_600_000), "late", 4, village.roads()
        )
        running = asyncio.ensure_future(collector.run())
        await dispatcher.run(until_ms=day_bounds(after(DAYS + 1))[0])
        collector.stop()
        await running
        await bus.close()
        await other.close()

    asyncio.run(first())
    asyncio.run(second())
    evaluate_days(file_store, MONDAY, from_utc_ms(village.clock.now_ms()))
    assert values(file_store)[0] == alone[0] and values(file_store)[2] == alone[2]
    assert {row[2] for row in file_store.all("SELECT day, meter_id, part FROM collected")} == {1}
    kinds = {(kind, subject) for _, _, kind, subject, _, _ in file_store.notices()}
    assert kinds == {("bus", "parcel"), ("collector-clock", "late")}
    # The meters' own clocks are right, and nobody says otherwise.
    assert {row[0] for row in file_store.all("SELECT action FROM clock_check")} == {"none"}


def test_what_came_is_written_once_however_often_it_comes(nats, file_store, tmp_path):
    village = made(tmp_path, file_store)
    until = day_bounds(after(DAYS + 1))[0]
    taken = []

    class Doubled(Dispatcher):
        def _written(self, outs):
            super()._written(outs)
            taken.append(outs)
            super()._written(outs)

    async def run():
        bus, other = Bus(nats.url, "dispatch"), Bus(nats.url, "c1")
        await bus.open()
        await other.open()
        dispatcher = Doubled(file_store, bus, village.clock, Settings(), seed=1)
        collector = BusCollector(other, village.readers, village.clock, "c1", 4, village.roads())
        running = asyncio.ensure_future(collector.run())
        await dispatcher.run(until_ms=until)
        collector.stop()
        await running
        await bus.close()
        await other.close()
        return dispatcher.counts

    counts = asyncio.run(run())
    sessions = sum(len(outs) for outs in taken)
    assert counts["sessions"] == counts["again"] == sessions
    assert file_store.one("SELECT count(*) FROM attempt")[0] == sessions
    assert {row[0] for row in file_store.all("SELECT part FROM collected")} == {1}


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_octets_that_are_no_parcel(data, place, octet):
    """Nonsense, and a parcel of ours with an octet that is another."""
    work = Work(Turn("meter", "7" * 16, "", 0, 1), "d", 1, 2, None, (20260105,), 0)
    good = pack_work(work)
    assert read_work(good) == work
    bad = bytearray(good)
    bad[place % len(bad)] = octet
    for read in (read_work, read_outcome):
        for some in (data, bytes(bad)):
            try:
                read(some)
            except ParcelError:
                continue
            assert bytes(bad) == good or read is read_work


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dispatch",), "--bus"),
        (("dispatch", "--bus", "http://x"), "no URL of a bus"),
        (("dispatch", "--bus", "nats://127.0.0.1:1", "--lease", "0"), "--lease"),
        (("engine", "--bus", "nats://u:secret@127.0.0.1:1"), "no bus at nats://127.0.0.1:1"),
    ],
)
def test_a_bus_that_is_not_there_is_one_line(tmp_path, arguments, says):
    done = ams("headend", *arguments, "--store", tmp_path / "s.db", ok=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and says in done.stderr
    assert "secret" not in done.stderr
