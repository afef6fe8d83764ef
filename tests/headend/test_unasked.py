"""What a meter sends unasked, from the real firmware to the store: once, and from no one else."""

from __future__ import annotations

import asyncio
import json
import os
import random
from dataclasses import replace

from openams.client import data as axdr
from openams.client.client import session
from openams.client.links import parse_url
from openams.field.channel import ChannelLink
from openams.field.field import Field
from openams.field.meters import make_plan
from openams.headend.collect.clock import StoreClock, VirtualClock, WallClock
from openams.headend.collect.concentrators import take_visits
from openams.headend.collect.plan import Plan
from openams.headend.collect.sessions import Roads, Sessions
from openams.headend.collect.unasked import Ears
from openams.headend.collect.work import Work
from openams.headend.collect.writing import Writer
from openams.headend.register import ConcentratorRow
from openams.headend.store import GoneError, open_store
from openams.headend.store.jobs import CONCENTRATOR, Turn
from openams.keys import handover
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms, to_utc_ms
from tests.headend.village import FAST

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DESTINATION = (40, "0.0.25.9.0.255", 3)
SCHEDULE = (22, "0.0.15.0.4.255", 4)


def said_by_a_meter(folder):
    """(keystore of a collector, meters, octets of a daily push as they go over TCP)"""
    from datetime import UTC, datetime

    begin = to_utc_ms(datetime(2026, 1, 10, 23, tzinfo=UTC))
    plan = make_plan(2, begin_ms=begin, shares={"cellular": 1}, mix={"heating": 1})
    ids = [meter.meter_id for meter in plan.meters]
    keys = Keystore(folder / "all", b"a", FAST)
    heard = []
    with Field(plan, keys, on_push=lambda *said: heard.append(said)) as field:
        field.advance_to(begin + HOUR_MS)
        url = replace(
            parse_url("tcp://127.0.0.1:4059"),
            opener=lambda sap, timeout_s: ChannelLink(field.call(ids[0]), sap),
        )
        with session(url, "operator", keys, ids[0], 5) as client:
            where = axdr.structure(axdr.enum(0), axdr.octets(b"head-end:4061"), axdr.enum(0))
            client.set(*DESTINATION, where)
            daily = axdr.octets(b"\x00\x1e\x00\x00"), axdr.octets(b"\xff\xff\xff\xff\xff")
            client.set(*SCHEDULE, axdr.array(axdr.structure(*daily)))
        field.advance_to(begin + DAY_MS + HOUR_MS)
    readers = Keystore(folder / "readers", b"b", FAST)
    handover.give_readers(keys, readers, ids)
    (number, _, octets), *_ = heard
    assert number == ids[0]
    return readers, ids, octets


def framed(message):
    return b"\x00\x01\x00\x01\x00\x02" + len(message).to_bytes(2, "big") + message


def test_taken_once_and_no_stranger_and_no_other_meters_title(file_store, tmp_path):
    readers, ids, octets = said_by_a_meter(tmp_path)
    message = octets[8:]
    other = bytes.fromhex(readers.get(ids[1]).system_title)
    changed = bytearray(message)
    changed[-20] ^= 1
    said = [
        octets,
        octets,  # again: it is the same
        framed(message[:2] + other + message[10:]),
        framed(bytes(changed)),
        framed(message[:2] + b"STRANGER" + message[10:]),
        framed(b"\x0f\x00\x00\x00\x01\x00\x06\x00\x00\x00\x07"),  # in clear
        b"\xff" * 8,
    ]

    async def run():
        ears = Ears(file_store, readers, VirtualClock(7))
        serving = asyncio.ensure_future(ears.run("127.0.0.1", 0))
        while not ears.port:
            await asyncio.sleep(0.01)
        for one in said:
            _, writer = await asyncio.open_connection("127.0.0.1", ears.port)
            writer.write(one)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        while sum(ears.counts.values()) < len(said):
            await asyncio.sleep(0.01)
        ears.stop()
        await serving
        return ears.counts

    assert asyncio.run(run()) == {"taken": 1, "again": 1, "refused": 5}
    (row,) = file_store.all("SELECT meter_id, source, body FROM alarm")
    assert row[:2] == (ids[0], "push")
    assert json.loads(row[2])["values"]
    told = {(subject, times) for _, _, kind, subject, _, times in file_store.notices()}
    assert told == {(ids[1], 1), (ids[0], 1), ("unknown", 3)}


def test_a_concentrator_brings_a_push_as_another_meters(file_store, tmp_path):
    readers, ids, octets = said_by_a_meter(tmp_path)
    pushes = [
        {"seq": 1, "meter_id": ids[0], "octets": octets[8:].hex()},
        {"seq": 2, "meter_id": ids[1], "octets": octets[8:].hex()},
    ]

    class Door:
        async def get(self, path):
            if "pushes" in path:
                return {"pushes": pushes}
            return {"store_id": "s", "days": [], "alarms": [], "meters": [], "more": False}

        async def post(self, path, order):
            return {}

    class Through(Roads):
        def door(self, row):
            return Door()

    turn = Turn(CONCENTRATOR, "C0001", "", 0)
    work = Work(turn, "c", 0, 60_000, ConcentratorRow("C0001", "mesh", "http://127.0.0.1:1"))
    out = asyncio.run(Sessions(readers, Through(), lambda: 7).do(work))
    assert out.well, out.error
    with file_store.transaction():
        take_visits(file_store, {"C0001": out.visit}, 7)
    rows = dict(file_store.all("SELECT meter_id, body FROM alarm"))
    assert json.loads(rows[ids[0]])["values"] and "values" not in json.loads(rows[ids[1]])
    ((_, _, kind, subject, text, _),) = file_store.notices()
    assert (kind, subject) == ("push", ids[1]) and ids[0] in text


def test_a_concentrator_that_answers_nonsense_loses_nothing_and_is_told(file_store, tmp_path):
    class Door:
        days = [{"meter_id": "7" * 16, "day": "never", "period_s": 3600, "complete": True}]

        async def get(self, path):
            return {"store_id": "s", "days": self.days, "next": 9, "alarms": [], "pushes": []}

        async def post(self, path, order):
            raise AssertionError("nothing is acknowledged or asked")

    class Through(Roads):
        def door(self, row):
            return Door()

    file_store.add_turns([(CONCENTRATOR, "C0001", "", 0)])
    (turn,) = file_store.take_turns("c", 1, 1, 8, 1000)
    work = Work(turn, "c", 0, 60_000, ConcentratorRow("C0001", "mesh", "http://127.0.0.1:1"))
    out = asyncio.run(Sessions(None, Through(), lambda: 7).do(work))
    assert (out.outcome, out.visit) == ("link", None)
    Writer(file_store, Plan(), random.Random(1)).write([out], 7)
    ((_, _, kind, subject, text, _),) = file_store.notices()
    assert (kind, subject) == ("refused", "C0001") and "a day that is none" in text
    assert file_store.all("SELECT day_seq FROM concentrator_seen") == []
    assert file_store.next_turn() > 7, "it is asked again"


def test_who_shares_a_store_goes_by_its_clock(postgres, file_store, monkeypatch):
    true = WallClock.now_ms
    monkeypatch.setattr(WallClock, "now_ms", lambda self: true(self) + 3_600_000)
    with open_store(postgres.store_url("clocks")) as store:
        assert abs(StoreClock(store, "fast").now_ms() - true(None)) < 5_000
        ((_, _, kind, subject, text, _),) = store.notices()
    assert (kind, subject) == ("collector-clock", "fast") and "+3600 s" in text
    # A file has no clock but the computer's own.
    assert StoreClock(file_store, "fast").now_ms() - true(None) > 3_000_000
    assert file_store.notices() == []


def test_a_clock_that_is_set_while_the_store_is_asked_is_looked_at_again(postgres, monkeypatch):
    true, asked = WallClock.now_ms, []

    def stepped(self):
        asked.append(1)
        return true(self) + (3_600_000 if len(asked) > 1 else 0)

    monkeypatch.setattr(WallClock, "now_ms", stepped)
    with open_store(postgres.store_url("stepped")) as store:
        assert abs(StoreClock(store, "stepped").now_ms() - true(None)) < 5_000


# --- whatever comes ----------------------------------------------------------------------------


def sealed(readers, meter_id, counter, plain, control=0x30):
    """As that meter with its keys would send it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    keys = readers.get(meter_id)
    pair = keys.client(2).current
    title, number = bytes.fromhex(keys.system_title), counter.to_bytes(4, "big")
    aad = bytes((control,)) + bytes.fromhex(pair.authentication)
    body = AESGCM(bytes.fromhex(pair.encryption)).encrypt(title + number, plain, aad)[:-4]
    content = bytes((control,)) + number + body
    return b"\xdb\x08" + title + axdr.length(len(content)) + content


STAMP = axdr.date_time(from_utc_ms(HOUR_MS))
BODIES = (
    b"", b"\x00", b"\x01\x84\xff\xff\xff\xff" + bytes(99), b"\x02\x7f" * 9, b"\x01\x01" * 20,
    b"\x09\x84\xff\xff\xff\xff", b"\x04\x84\xff\xff\xff\xff\x00", b"\x0c\x03\xed\xa0\x80",
    b"\x0a\x04a\0b\x1b", b"\x17\x7f\xc0\x00\x00", b"\x18\x7f\xf0" + bytes(6), b"\x14" + b"\xff" * 8,
    b"\x15" + b"\xff" * 8, b"\x09\x0c" + b"\xff" * 12, b"\x13", b"\xff" * 40,
    b"\x02\x01\x06\0\0\0\x07",
)  # fmt: skip


def test_whatever_a_meter_sends_the_next_message_is_taken(store, tmp_path):
    """By one that has the keys, and says what none would; by strangers, torn and in pieces."""
    ids = ["7359990000000006", "7359990000000013"]
    keys, readers = Keystore(tmp_path / "all", b"a", FAST), Keystore(tmp_path / "r", b"b", FAST)
    keys.new_all(ids)
    handover.give_readers(keys, readers, ids)
    rng = random.Random(int(os.environ.get("OPENAMS_SEED", "0")))
    ears = Ears(store, readers, VirtualClock(7))

    def said(number):
        stamp = rng.choice(
            (b"", STAMP, b"\xff" * 12, b"\x27\x0f" + STAMP[2:], STAMP[:7], bytes(12))
        )
        head = rng.choice((b"\x0f", b"\x0f", b"\x0f", b"\x0e", b"")) + bytes(4)
        length = bytes((rng.choice((len(stamp), len(stamp), 255)),))
        plain = head + length + stamp + rng.choice(BODIES)
        control = rng.choice((0x30, 0x30, 0x30, 0xB0, 0x20, 0x10, 0x00, 0x70))
        octets = bytearray(sealed(readers, ids[0], number // 2, plain, control))
        for _ in range(rng.choice((0, 0, 1))):
            octets[rng.randrange(len(octets))] = rng.randrange(256)
        return bytes(octets[: rng.choice((None, None, None, rng.randrange(30)))])

    async def all_of_it():
        for number in range(int(os.environ.get("OPENAMS_LIES", "600"))):
            await ears._heard(said(number))
        before = ears.counts["taken"]
        good = b"\x0f" + bytes(4) + b"\x00" + b"\x02\x01\x06\0\0\0\x07"
        await ears._heard(sealed(readers, ids[1], 9, good))
        return ears.counts["taken"] - before

    assert asyncio.run(all_of_it()) == 1
    assert ears.counts["taken"] > 1 and ears.counts["refused"] > 20
    for (body,) in store.all("SELECT body FROM alarm"):
        json.loads(body)
    kinds = {(kind, subject) for _, _, kind, subject, _, _ in store.notices()}
    assert kinds <= {("push", ids[0]), ("push", "unknown")}


def test_a_flood_of_strangers_is_a_change_of_the_store_now_and_then(file_store, tmp_path):
    ears = Ears(file_store, Keystore(tmp_path / "r", b"b", FAST), VirtualClock(7))
    before = file_store.one("SELECT total_changes()")[0]

    async def all_of_it():
        for number in range(500):
            await ears._heard(b"\xdb\x08" + number.to_bytes(8, "big") + bytes(30))
        ears.stop()
        await ears.run("127.0.0.1", 0)

    asyncio.run(all_of_it())
    assert ears.counts["refused"] == 500
    ((_, _, _, subject, _, times),) = file_store.notices()
    assert (subject, times) == ("unknown", 500)
    assert file_store.one("SELECT total_changes()")[0] - before < 10


def test_a_store_that_is_away_while_a_stranger_calls_breaks_nothing(file_store, tmp_path):
    readers = Keystore(tmp_path / "r", b"b", FAST)
    broken, said = [], []

    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda loop, told: broken.append(told))
        ears = Ears(file_store, readers, VirtualClock(7), said.append)

        def notice(*what):
            raise GoneError("the database has gone")

        file_store.notice = notice
        serving = asyncio.ensure_future(ears.run("127.0.0.1", 0))
        while not ears.port:
            await asyncio.sleep(0.01)
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", ears.port)
            writer.write(b"\xff" * 8)
            assert await reader.read() == b""
            writer.close()
        ears.stop()
        await serving

    asyncio.run(run())
    # Once while they call, and once at the end.
    assert broken == [] and said.count("the database has gone") == 2
