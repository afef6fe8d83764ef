"""One meter says what none would, in good associations: the collector, its store and the other
meters' days are none the worse for it."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import random
import struct
from dataclasses import asdict, is_dataclass, replace
from datetime import date, timedelta

import pytest

from openams.client import readout
from openams.client.client import session
from openams.client.errors import ClientError
from openams.client.links import parse_url
from openams.client.meterday import read_day
from openams.client.readout import PROFILES
from openams.headend.collect.collector import Roads
from openams.headend.collect.link import opener_of
from openams.headend.days import day_bounds, day_number
from openams.headend.evaluate import evaluate_days
from openams.meter_time import from_utc_ms
from tests.headend.registers import gsrn
from tests.headend.village import Transport, Village

MONDAY = date(2026, 1, 5)
SEEDS = 60


def stamp(year, month=1, day=1, hour=0, deviation=-60):
    return struct.pack(">HBBBBBBBhB", year, month, day, 1, hour, 0, 0, 0, deviation, 0)


NASTY = (
    None, True, -1, 0, 1, 900, 3600, 255, 1 << 31, 1 << 63, (1 << 64) - 1, -(1 << 63), 1.5,
    float("nan"), float("inf"), "", "x", "0" * 30, b"", b"\xff" * 12, bytes(12), b"\xff" * 6, b"x",
    [], [[]], [1, 2], [[1, 2], 3], [[[]]], [None] * 40, stamp(1), stamp(1, deviation=720),
    stamp(9999, 12, 31, 23), stamp(9999, 12, 31, 23, -720), stamp(2026, 2, 30), stamp(2030),
    stamp(2026, 1, 5, 7, -0x8000), stamp(1969), stamp(2026, deviation=32767),
)  # fmt: skip


def places(value, way=()):
    yield way
    if isinstance(value, list):
        for k, inner in enumerate(value):
            yield from places(inner, (*way, k))


def garbled(rng, value):
    """With something else in one or two places, or something twice, or something gone."""
    for _ in range(rng.randrange(1, 3)):
        way = rng.choice(list(places(value)))
        value = at(rng, value, way)
    return value


def at(rng, value, way):
    if not way:
        return rng.choice(NASTY)
    out, k = list(value), way[0]
    if len(way) > 1:
        out[k] = at(rng, out[k], way[1:])
        return out
    change = rng.randrange(4)
    if change == 0:
        del out[k]
    elif change == 1:
        out.insert(k, out[k])
    else:
        out[k] = rng.choice(NASTY)
    return out


class Lying(Roads):
    """The first meter of a village says `what(value)` for each value."""

    def __init__(self, village, what):
        super().__init__()
        self.village, self.what = village, what

    def meter(self, row):
        return opener_of(self.village.opener(row), 5.0)

    async def reader(self, row, *args):
        reader = await super().reader(row, *args)
        if row.meter_id != self.village.ids[0]:
            return reader
        get, get_all = reader.get, reader.get_all

        async def other(*asked, **options):
            return self.what(await get(*asked, **options))

        async def others(attributes):
            return [self.what(value) for value in await get_all(attributes)]

        reader.get, reader.get_all = other, others
        return reader


def night(village, what, until_day):
    collector = village.collector()
    collector._sessions._roads = Lying(village, what)
    asyncio.run(collector.run(until_ms=day_bounds(until_day)[0]))
    return collector


@pytest.mark.parametrize("part", range(4))
def test_the_others_are_read_and_evaluated_whatever_one_says(tmp_path, file_store, part):
    first = int(os.environ.get("OPENAMS_SEED", "0"))
    count = int(os.environ.get("OPENAMS_LIES", str(SEEDS))) // 4
    village = Village(tmp_path, file_store, 2)
    rng = random.Random(f"{first} {part}")
    failed = 0

    def what(value):
        return garbled(rng, value) if rng.random() < 0.25 else value

    for number in range(count):
        day = MONDAY + timedelta(days=number)
        collector = night(village, what, day + timedelta(days=2))
        failed += collector.counts["failed"]
        now = from_utc_ms(village.clock.now_ms())
        evaluate_days(village.store, day, now)
        states = dict(village.store.all(
            "SELECT subject, state FROM job WHERE kind = 'day' AND day = ?", day_number(day)
        ))  # fmt: skip
        assert states[village.ids[1]] == "complete", (part, number)
        (found,) = village.store.values(day, [gsrn(1)])
        wh, total = village.truth(1, day)
        assert (list(found.wh), found.total_wh) == (wh, total), (part, number)
        # What is stored of the other is of the days that there were.
        last = village.store.one("SELECT MAX(event_ms), MAX(at_ms) FROM seen")
        assert last[0] <= village.clock.now_ms() + 86_400_000
    assert failed
    broke = village.store.all("SELECT error FROM attempt WHERE error LIKE 'the session broke%'")
    assert broke == []


def test_a_session_that_breaks_is_its_own_end_and_no_others(tmp_path, file_store, monkeypatch):
    """Whatever has gone wrong in it: the collector goes on, and says what it was."""
    village = Village(tmp_path, file_store, 2)

    def what(value):
        raise RuntimeError("nobody thought of that")

    collector = night(village, what, MONDAY + timedelta(days=2))
    assert collector.counts["failed"] and collector.counts["failed"] < collector.counts["sessions"]
    errors = dict(village.store.all("SELECT subject, error FROM attempt"))
    assert errors[village.ids[0]] == "the session broke: RuntimeError: nobody thought of that"
    assert errors[village.ids[1]] == ""


def test_who_reads_a_meter_directly_gets_its_values_or_an_error_in_words(tmp_path):
    """As concentrators and `ams read`, `profile` and `events` do."""
    village = Village(tmp_path, None, 1)
    village.clock.advance_to(day_bounds(MONDAY + timedelta(days=1))[0] + 3_600_000)
    now = from_utc_ms(village.clock.now_ms())
    rng = random.Random(3)
    url = replace(
        parse_url("tcp://127.0.0.1:1"), opener=lambda sap, timeout_s: Transport(village, 0, sap)
    )
    wrong = 0
    with session(url, "reader", village.readers, village.ids[0], 5.0) as client:
        get, get_all = client.get, client.get_all
        asked = {}

        def remembered(key, ask):
            if key not in asked:
                asked[key] = ask()
            value = copy.deepcopy(asked[key])
            return garbled(rng, value) if rng.random() < 0.25 else value

        client.get = lambda *what: remembered(("one", *what), lambda: get(*what))
        client.get_all = lambda names: [
            remembered(("of all", name), lambda name=name: get_all([name])[0]) for name in names
        ]
        jobs = (
            lambda: read_day(client, MONDAY, now),
            lambda: readout.object_list(client),
            lambda: [
                readout.value_of(client, readout.guess(obis))
                for obis in ("0.0.42.0.0.255", "1.0.1.8.0.255", "0.0.1.0.0.255", "1.0.99.1.0.255")
            ],
            lambda: readout.newest_events(client, "standard", 5),
            lambda: list(readout.named_rows(
                client, PROFILES["daily"], readout.rows(client, PROFILES["daily"]),
                readout.columns(client, PROFILES["daily"]),
            )),
        )  # fmt: skip
        for number in range(int(os.environ.get("OPENAMS_LIES", "400"))):
            try:
                json.dumps(plain(jobs[number % len(jobs)]()), default=str)
            except ClientError:
                wrong += 1
    assert wrong > 20


def plain(value):
    return asdict(value) if is_dataclass(value) else value
