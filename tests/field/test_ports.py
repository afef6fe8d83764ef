"""What a client sees at a meter's TCP port: of a meter that is well, and of each kind of fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fieldbench import (
    BEGIN_MS,
    DAY_MS,
    HOUR_MS,
    ONE,
    answering,
    keystore,
    one,
    reading,
    served,
)

from openams.client import data as axdr
from openams.client.client import Client, session
from openams.client.errors import ClientError, LateError, LinkError, ServiceError
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.field.channel import ChannelLink, NoAnswer
from openams.field.faults import KINDS
from openams.field.field import Field
from openams.field.gateways import Gateways
from openams.field.meters import MeterSpec, make_plan
from openams.field.serve import Ports
from openams.gs1 import meter_number

NOW_MS = BEGIN_MS + 30 * HOUR_MS + 20_000
IMPORT = (3, "1.0.1.8.0.255", 2)
CLOCK = (8, "0.0.1.0.0.255", 2)
PROFILE = (7, "1.0.99.1.0.255", 2)


def looked_at(
    kind: str, tmp_path: Path, look: Callable[[Client], Any], spec: MeterSpec | None = None
) -> tuple[Any, Any, Field]:
    """(before the fault, in it) of what `look` sees; what is raised is seen too."""
    store = keystore(tmp_path)
    seen = []
    with Field(one("heating"), store, tmp_path / "field.db") as field:
        begin = NOW_MS - 1000 if kind != "hour-repeated" else NOW_MS - 21_000
        field.order(kind, begin, NOW_MS + HOUR_MS, [ONE])
        with served(field, ONE) as urls:
            for at in (begin - 1000, NOW_MS):
                field.advance_to(at)
                try:
                    # Silence is waited for; what answers may take its time.
                    wait_s = 0.3 if kind in SILENT and at == NOW_MS else 10
                    with reading(store, urls[ONE], ONE, wait_s) as client:
                        seen.append(look(client))
                except BenchError as error:
                    seen.append(error)
        return seen[0], seen[1], field


def all_of_it(client: Client) -> tuple[int, int, int]:
    """Registers, minutes of the clock, entries of the profile."""
    clock = client.get(*CLOCK)
    return client.get(*IMPORT), 60 * clock[5] + clock[6], len(client.get(*PROFILE))


SILENT = (
    "out-of-coverage", "neighbour-lost", "plc-noise", "module-hang", "no-access", "main-fuse-off",
    "moved-out", "power-cut",
)  # fmt: skip


@pytest.mark.parametrize("kind", SILENT)
def test_no_answer_comes(kind: str, tmp_path: Path) -> None:
    before, seen, _ = looked_at(kind, tmp_path, all_of_it)
    assert before[2] >= 29
    assert isinstance(seen, LateError), seen


def test_who_was_changed_refuses(tmp_path: Path) -> None:
    _, seen, _ = looked_at("meter-changed", tmp_path, all_of_it)
    assert isinstance(seen, LinkError) and not isinstance(seen, LateError)


def test_a_reset_ends_the_connection_each_time(tmp_path: Path) -> None:
    _, seen, _ = looked_at("meter-reset", tmp_path, all_of_it)
    assert isinstance(seen, LinkError) and "closed" in str(seen)


def test_a_fault_of_the_flash_leaves_the_registers_and_takes_the_profile(tmp_path: Path) -> None:
    def registers_then_profile(client: Client) -> Any:
        value = client.get(*IMPORT)
        try:
            return value, client.get(*PROFILE)
        except ServiceError as error:
            return value, error

    before, seen, _ = looked_at("firmware-fault", tmp_path, registers_then_profile)
    assert len(before[1]) >= 29
    assert seen[0] > before[0]
    assert isinstance(seen[1], ServiceError), seen


def test_a_wrong_clock_is_shown(tmp_path: Path) -> None:
    before, seen, _ = looked_at("clock-wrong", tmp_path, all_of_it)
    assert (seen[1] - before[1]) % 1440 == 60
    assert seen[0] > before[0]


def test_an_hour_is_repeated_and_then_caught_up(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    begin = BEGIN_MS + 30 * HOUR_MS
    with Field(one("heating"), store, tmp_path / "field.db") as field:
        field.order("hour-repeated", begin, begin + HOUR_MS, [ONE])
        seen = []
        with served(field, ONE) as urls:
            for minutes in (0, 40, 61):
                field.advance_to(begin + minutes * 60_000)
                with reading(store, urls[ONE], ONE) as client:
                    seen.append(all_of_it(client))
        assert seen[0] == seen[1]
        assert seen[2][0] > seen[1][0] and seen[2][1] == seen[1][1] + 61
        field.settle()
        assert field.ledger.differing() == []


def test_a_long_answer_is_torn_and_a_short_one_is_not(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    with Field(one(), store) as field:
        field.advance_to(NOW_MS)
        field.order("torn-block", NOW_MS, NOW_MS + HOUR_MS, [ONE])
        with served(field, ONE) as urls, reading(store, urls[ONE], ONE) as client:
            assert client.get(*IMPORT) > 0
            with pytest.raises(LinkError, match="closed"):
                client.get(*PROFILE)


def test_a_counter_is_refused_once(tmp_path: Path) -> None:
    """A stranger with the reader's keys was here: the client is told where to go on."""
    store = keystore(tmp_path)
    with Field(one(), store) as field:
        field.order("counter-refused", NOW_MS, NOW_MS + HOUR_MS, [ONE])
        with served(field, ONE) as urls:
            field.advance_to(NOW_MS - 1000)
            with reading(store, urls[ONE], ONE) as client:
                client.get(*IMPORT)
            used = store.reserve(ONE, 2, 1)
            field.advance_to(NOW_MS)
            # openams.client catches up by itself, and has then used a million numbers more.
            with reading(store, urls[ONE], ONE) as client:
                client.get(*IMPORT)
            assert store.reserve(ONE, 2, 1) > used + (1 << 19)


def test_kinds_that_a_client_sees_are_all_here() -> None:
    elsewhere = {"concentrator-down", "store-lost", "head-end-down"}
    here = {
        *SILENT, "meter-changed", "meter-reset", "firmware-fault", "clock-wrong", "hour-repeated",
        "torn-block", "counter-refused",
    }  # fmt: skip
    assert set(KINDS) == here | elsewhere


def test_a_meter_that_is_asleep_answers_and_its_day_is_the_ledgers(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    with Field(one("prosumer", period_s=900), store, tmp_path / "f.db", awake=1) as field:
        with served(field, ONE) as urls:
            field.advance_to(BEGIN_MS + DAY_MS + HOUR_MS)
            with reading(store, urls[ONE], ONE) as client:
                rows = client.get(*PROFILE)
        field.settle()
        (day, *_) = field.ledger.days(ONE)
        true = [(row["import_mwh"], row["export_mwh"]) for row in day.intervals(15)]
        read = [tuple(row[2:4]) for row in rows if any(row[2:4])]
        assert len(true) == 96
        assert read[:96] == true or [tuple(row[-4:-2]) for row in rows][-100:-4] == true


def test_who_hangs_up_leaves_room_for_others(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    with Field(one(), store) as field:
        field.advance_to(NOW_MS)
        for _ in range(10):
            channel = field.call(ONE)
            assert ChannelLink(channel, 16).channel is channel
            channel.close()
        open_ones = [field.call(ONE) for _ in range(4)]
        with pytest.raises(ClientError, match="no connection left"):
            field.call(ONE)
        for channel in open_ones:
            channel.close()
        assert field.call(ONE).utc_ms > NOW_MS


def test_a_call_takes_the_time_of_its_link(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    with Field(one(), store) as field:
        field.advance_to(NOW_MS)
        client = Client(field.opener(ONE)(16, 5.0), 16)
        link = client._transport
        assert isinstance(link, ChannelLink)
        began = link.channel.utc_ms
        client.associate()
        client.get(*CLOCK)
        assert 200 <= link.channel.utc_ms - began < 1000
        client.close()
        field.order("module-hang", NOW_MS, NOW_MS + HOUR_MS, [ONE])
        with pytest.raises(NoAnswer):
            field.call(ONE)


def test_ports_that_are_taken_are_told(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    with Field(one(), store) as field, Ports(field, [ONE]) as ports:
        taken = int(ports.urls[ONE].rpartition(":")[2])
        with pytest.raises(BenchError, match="cannot open a port"):
            Ports(field, [ONE], first=taken)
    with Field(one(), store) as field, pytest.raises(BenchError, match="no meter"):
        field.call(meter_number(5))


def test_what_a_meter_says_unasked_is_heard_when_its_link_is_up(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    heard: list[tuple[str, int, bytes]] = []
    with Field(one(), store, on_push=lambda *said: heard.append(said)) as field:
        field.advance_to(BEGIN_MS + HOUR_MS)
        with (
            served(field, ONE) as urls,
            session(parse_url(urls[ONE]), "operator", store, ONE, 5) as client,
        ):
            where = axdr.structure(axdr.enum(0), axdr.octets(b"head-end:4061"), axdr.enum(0))
            client.set(40, "0.0.25.9.0.255", 3, where)
            # Half past midnight, each day.
            daily = axdr.octets(b"\x00\x1e\x00\x00"), axdr.octets(b"\xff\xff\xff\xff\xff")
            client.set(22, "0.0.15.0.4.255", 4, axdr.array(axdr.structure(*daily)))
        field.advance_to(BEGIN_MS + DAY_MS + HOUR_MS)
        first = len(heard)
        assert first >= 1, "the daily push did not come"
        number, at, octets = heard[0]
        assert number == ONE and octets[:2] == b"\x00\x01"
        # To the reader, from the meter.
        assert octets[2:6] == b"\x00\x01\x00\x02"
        assert (at - BEGIN_MS) % DAY_MS < HOUR_MS
        field.order(
            "out-of-coverage", BEGIN_MS + DAY_MS + 2 * HOUR_MS, BEGIN_MS + 3 * DAY_MS, [ONE]
        )
        field.advance_to(BEGIN_MS + 2 * DAY_MS + HOUR_MS)
        assert len(heard) == first


def test_a_meter_is_read_through_its_concentrators_port_until_that_is_down(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    plan = make_plan(4, begin_ms=BEGIN_MS, shares={"mesh": 1}, per_master=2, mix={"heating": 1})
    begin = BEGIN_MS + 2 * HOUR_MS
    with Field(plan, store) as field:
        field.order("concentrator-down", begin, begin + HOUR_MS, detail="C0002")
        field.advance_to(begin - 1000)
        hidden = [meter.meter_id for meter in plan.meters]
        with Ports(field, [], speed=None, hidden=hidden) as ports, Gateways(field, ports) as ways:
            assert len(set(ways.ports.values())) == 2
            with answering(ports):
                for number in (hidden[0], hidden[3]):
                    with reading(store, ways.url(number), number) as client:
                        assert client.get(*IMPORT) > 0
                # Behind another concentrator there is no such meter.
                wrong = ways.url(hidden[0]).replace(hidden[0], hidden[3])
                with pytest.raises(BenchError), reading(store, wrong, hidden[3]):
                    pass
            field.advance_to(begin)
            ways.look()
            with (
                pytest.raises(LinkError, match="no meter at"),
                reading(store, ways.url(hidden[3]), hidden[3]),
            ):
                pass
            field.advance_to(begin + HOUR_MS)
            ways.look()
            with answering(ports), reading(store, ways.url(hidden[3]), hidden[3]) as client:
                assert client.get(*IMPORT) > 0
