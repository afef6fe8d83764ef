"""What comes over the bus is not what one of ours has written: it is thrown away in words, by who
gives out work, by who collects and by who evaluates, and all of them go on."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import os
import random
from collections import Counter
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

from openams.headend.bus import parcel
from openams.headend.bus.broker import TooLongError
from openams.headend.bus.dispatch import Dispatcher, Settings
from openams.headend.bus.engine import Engine, evaluate_over
from openams.headend.bus.gang import BusCollector
from openams.headend.bus.parcel import ParcelError
from openams.headend.collect.sessions import Sessions
from openams.headend.collect.work import Outcome, Seqs, Visit, prepared
from openams.headend.days import day_bounds
from openams.headend.evaluate import evaluate_days
from openams.headend.store.jobs import CONCENTRATOR, Turn
from openams.meter_time import from_utc_ms
from tests.headend.test_hostile_concentrator import NASTY as OTHERS
from tests.headend.village import Village

MONDAY = date(2026, 1, 5)
SEED = int(os.environ.get("OPENAMS_SEED", "0"))
COUNT = int(os.environ.get("OPENAMS_LIES", "100"))
NASTY = (
    *OTHERS, (1 << 63) - 1, -(1 << 63), (1 << 62) + 1, (1 << 47) + 1, (1 << 32) - 1, 1 << 32,
    20261399, 99999999, 20260105, float("-inf"), "day", "meter", "concentrator", [0] * 9,
)  # fmt: skip


def places(value, way=()):
    yield way
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*way, key))


def changed(rng, data):
    """A parcel with something else in one to three places of its head, or other rows."""
    head, blobs = parcel._unpacked(data)
    head = copy.deepcopy(head)
    for _ in range(rng.randrange(1, 4)):
        way = rng.choice([way for way in places(head) if way] or [("x",)])
        inner = head
        for key in way[:-1]:
            inner = inner[key]
        if rng.random() < 0.2:
            inner.pop(way[-1], None) if isinstance(inner, dict) else inner.pop(way[-1])
        else:
            inner[way[-1]] = copy.deepcopy(rng.choice(NASTY))
    if blobs and rng.random() < 0.3:
        rows = [
            row._replace(**{rng.choice(row._fields): rng.choice((-1, 0, 1 << 40, -(1 << 40)))})
            for row in parcel.unpack_rows(blobs[0])
        ]
        blobs = [parcel.pack_rows(rows), *blobs[1:]]
    sizes, form = head.pop("blobs", []), head.pop("format", 1)
    packed = parcel._packed(head, blobs)
    if sizes == [len(blob) for blob in blobs] and form == 1:
        return packed
    return parcel._packed({**head, "blobs": sizes, "format": form}, blobs)


_streams = itertools.count()


class Message:
    def __init__(self, data, number="", delivered=1):
        self.data, self.headers = data, {"Nats-Msg-Id": number} if number else None
        self.metadata = SimpleNamespace(
            num_delivered=delivered, sequence=SimpleNamespace(stream=next(_streams))
        )


class FakeBus:
    """Without a server: what is given is kept, what is pulled is said by a test."""

    ack_wait_s, name = 30.0, "nats://test"

    def __init__(self):
        self.waiting, self.said, self.done, self.given = [], [], Counter(), []

    async def pull(self, subject, most, wait_s):
        await asyncio.sleep(0)
        some, self.waiting = self.waiting[:most], self.waiting[most:]
        return some

    async def give(self, subject, data, number):
        self.given.append((subject, data, number))

    async def say(self, subject, data):
        self.said.append((subject, data))

    async def answered(self, *messages):
        self.done["answered"] += len(messages)

    async def refused(self, message):
        self.done["refused"] += 1

    async def later(self, *messages, delay_s=2.0):
        self.done["later"] += len(messages)

    async def working(self, message):
        pass

    async def ask(self, subject, wait_s):
        return None

    async def hear(self, subject, heard):
        self.heard = heard

    def inbox(self):
        return "inbox"


def made(folder, store):
    """A village after its first day, and what a session of each of its meters brought."""
    village = Village(folder, store, 2)
    village.clock.advance_to(day_bounds(MONDAY)[0] + 1)
    village.collector()._planner.plan(village.clock.now_ms())
    village.clock.advance_to(day_bounds(MONDAY)[1] + 8 * 3_600_000)
    now = village.clock.now_ms()
    village.collector()._planner.plan(now)
    turns = store.take_turns("dispatch", now, 9, 9, 3_600_000)
    works = prepared(store, turns, "dispatch", now, now + 3_600_000)
    sessions = Sessions(village.readers, village.roads(), village.clock.now_ms)
    outs = [asyncio.run(sessions.do(work)) for work in works]
    assert [out.outcome for out in outs] == ["ok", "ok"], outs
    assert all(out.came.got.rows for out in outs)
    return village, works, outs


def visit_of(outs):
    """As if a concentrator had brought them."""
    turn = Turn(CONCENTRATOR, "C0001", "", 0, 0)
    seen = [{"seq": 3, "meter_id": outs[0].turn.subject, "kind": "keys"}]
    visit = Visit(
        Seqs("s1", 1, 2, 3), [out.came for out in outs], seen, list(seen),
        unread=[(outs[0].turn.subject, -90, "no answer")],
    )  # fmt: skip
    return Outcome(turn, "dispatch", outs[0].began_ms, 5, (), None, visit)


def test_what_came_is_written_or_thrown_away_and_the_others_are_written(tmp_path, store):
    village, _, outs = made(tmp_path, store)
    rng, bus = random.Random(SEED), FakeBus()
    dispatcher = Dispatcher(store, bus, village.clock, Settings())
    good = [parcel.pack_outcome(out) for out in (*outs, visit_of(outs))]
    for number in range(COUNT):
        some = [
            Message(changed(rng, rng.choice(good)), f"bad {number} \0\ud800 {k}") for k in (0, 1)
        ]
        bus.waiting = [*some, Message(rng.randbytes(rng.randrange(99))), Message(good[number % 3])]
        assert asyncio.run(dispatcher._take(0)) == 4
    assert bus.done["answered"] + bus.done["refused"] == 4 * COUNT
    assert bus.done["refused"] > COUNT and dispatcher.counts["sessions"] >= COUNT
    # Nothing that was believed stops what comes after it.
    village.clock.advance_to(village.clock.now_ms() + 86_400_000)
    now = village.clock.now_ms()
    dispatcher._planner.plan(now)
    store.run("UPDATE turn SET next_ms = 0, lease_ms = 0")
    turns = store.take_turns("dispatch", now, 99, 99, 1000)
    assert set(village.ids) <= {turn.subject for turn in turns}
    assert all(turn.counter < 1 << 32 for turn in turns)
    evaluate_days(store, MONDAY, from_utc_ms(now))
    assert store.notices()


def test_whoever_has_a_meters_turn_brings_nothing_of_another(tmp_path, file_store):
    village, _, (mine, other) = made(tmp_path, file_store)
    for out in (
        replace(mine, came=other.came),
        replace(mine, came=mine.came._replace(meter_id=other.turn.subject)),
    ):
        with pytest.raises(ParcelError):
            parcel.read_outcome(parcel.pack_outcome(out))


def test_a_collector_goes_on_whatever_work_comes(tmp_path, file_store):
    village, works, _ = made(tmp_path, file_store)
    rng, bus = random.Random(SEED), FakeBus()
    collector = BusCollector(
        bus, village.readers, village.clock, "c", 8, village.roads(), own_clock=False
    )
    before = [village.readers.get(one).client(2).current.next_counter for one in village.ids]
    count = max(20, COUNT // 5)
    for number in range(count):
        data = changed(rng, parcel.pack_work(works[number % 2]))
        bus.waiting += [Message(data, delivered=1 + number % 4), Message(rng.randbytes(number))]
    asyncio.run(collector.run(idle_s=0.0))
    after = [village.readers.get(one).client(2).current.next_counter for one in village.ids]
    good = [replace(work, turn=work.turn._replace(counter=max(after))) for work in works]
    bus.waiting = [Message(parcel.pack_work(work)) for work in good]
    asyncio.run(collector.run(idle_s=0.0))
    assert bus.done["refused"] >= count
    last = [parcel.read_outcome(data) for _, data, _ in bus.given if data][-2:]
    assert [out.outcome for out in last] == ["ok", "ok"], [out.error for out in last]
    assert all(first <= then < first + (1 << 25) for first, then in zip(before, after, strict=True))


@pytest.mark.parametrize("answer", [
    b"", b"[", b"[" * 100_000, b"{}", b'{"now_ms": 1e999}', b'{"now_ms": NaN}', b'{"now_ms": []}',
    b'{"now_ms": "x"}', b"\xff", b'{"now_ms": ' + b"9" * 9999 + b"}", b'{"now_ms": ' + b"9" * 40
    + b"}",
])  # fmt: skip
def test_a_time_that_is_none_is_not_taken(tmp_path, file_store, answer):
    village = Village(tmp_path, file_store, 1)
    bus = FakeBus()

    async def ask(subject, wait_s):
        return answer

    bus.ask = ask
    collector = BusCollector(bus, village.readers, village.clock, "c", 1, village.roads())
    asyncio.run(collector._set_clock())
    assert collector._off_ms == 0


def test_what_is_too_long_for_the_bus_is_told_and_asked_for_in_parts(tmp_path, file_store):
    village, works, _ = made(tmp_path, file_store)

    class Narrow(FakeBus):
        async def give(self, subject, data, number):
            if len(data) > 600:
                raise TooLongError("too long")
            await super().give(subject, data, number)

    bus = Narrow()
    collector = BusCollector(
        bus, village.readers, village.clock, "c", 8, village.roads(), own_clock=False
    )
    work = replace(works[0], turn=works[0].turn._replace(counter=1 << 20))
    bus.waiting = [Message(parcel.pack_work(work))]
    asyncio.run(collector.run(idle_s=0.0))
    ((_, data, _),) = bus.given
    assert "too long" in parcel.read_outcome(data).error and bus.done["answered"] == 1
    rng = random.Random(1)
    asked = tuple((f"{rng.randrange(10**16):016}", 20260105) for _ in range(500))
    dispatcher = Dispatcher(file_store, bus, village.clock, Settings())
    asyncio.run(dispatcher._out(replace(works[0], asked=asked)))
    assert 0 < len(parcel.read_work(bus.given[-1][1]).asked) < 500


def test_an_engine_goes_on_whatever_it_is_asked_for(tmp_path, store):
    village, _, outs = made(tmp_path, store)
    rng, bus = random.Random(SEED), FakeBus()
    now = village.clock.now_ms()
    engine = Engine(store, bus)
    good = parcel.pack_days(20260105, now, [village.points[0], "x"], "reply", 0)
    for number in range(COUNT):
        bus.waiting += [Message(changed(rng, good)), Message(rng.randbytes(number % 99))]
    bus.waiting.append(Message(good))
    asyncio.run(engine.run(idle_s=0.0))
    assert sum(bus.done.values()) == 2 * COUNT + 1
    assert parcel.read_counts(bus.said[-1][1])[2] == ""


def test_an_engine_that_breaks_at_a_part_does_the_next(tmp_path, file_store, monkeypatch):
    village = Village(tmp_path, file_store, 1)
    bus = FakeBus()

    def breaks(*what):
        raise RuntimeError("nobody thought of that")

    monkeypatch.setattr("openams.headend.bus.engine.evaluate_days", breaks)
    data = parcel.pack_days(20260105, village.clock.now_ms(), village.points, "reply", 0)
    bus.waiting = [Message(data), Message(data)]
    asyncio.run(Engine(file_store, bus).run(idle_s=0.0))
    assert bus.done["answered"] == 2
    assert "nobody thought of that" in parcel.read_counts(bus.said[0][1])[2]


def test_parts_that_nobody_gave_out_are_not_counted(tmp_path, file_store):
    village = Village(tmp_path, file_store, 2)

    class Busy(FakeBus):
        async def give(self, subject, data, number):
            part = parcel.read_days(data)[4]
            for other, count in ((part + 7, 100), (part, 3)):
                await self.heard(Message(parcel.pack_counts(other, {"values": count})))

    at = from_utc_ms(village.clock.now_ms() + 2 * 86_400_000)
    counts = asyncio.run(evaluate_over(file_store, Busy(), MONDAY, at))
    assert counts == {"values": 3}


def test_words_of_parcels_are_kept_as_stores_keep_them(tmp_path, store):
    """Half a character, and a zero, where a store is asked to keep them."""
    for text in ("\ud800", "a\0b"):
        try:
            store.notice("bus", text, text, 1)
        except Exception as error:
            assert type(error).__name__ == "StoreError", error
    with pytest.raises(ParcelError):
        parcel.read_outcome(parcel._packed({"turn": json.loads('["meter", "\\ud800", "", 0, 0]')}))
