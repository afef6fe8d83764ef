"""Who moves the breaker and who does not: gurux-dlms against the whole meter in this process."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from breakerbench import Cells
from cosem_objects import Bench as WholeMeter
from dlms import TITLE, security
from gurux import Gurux
from gurux_dlms.enums import DataType, ObjectType
from gurux_dlms.objects import GXDLMSData, GXDLMSDisconnectControl, GXDLMSLimiter
from meterbench import MeterBench

from ams.clock.local import STATUS_INVALID
from ams.control import command as cm
from ams.control.guard import Guard, Policy
from ams.control.supply import LOCAL_DISCONNECT, LOCAL_RECONNECT
from ams.cosem.access import BREAKER
from ams.cosem.axdr import Reader
from ams.crypto.keywrap import wrap
from ams.events import events as ev
from openams.control.orders import Order, countersigned, digest, seconds
from openams.meter_time import from_utc_ms

ORDER = "0.0.96.3.128.255"


def move(client: Gurux, reconnect: bool = False) -> int:
    thing = GXDLMSDisconnectControl("0.0.96.3.10.255")
    frame = thing.remoteReconnect(client.client) if reconnect else thing.remoteDisconnect(
        client.client
    )  # fmt: skip
    return int(client.ask(frame).error)


def give(client: Gurux, order: bytes, name: str = ORDER) -> int:
    thing = GXDLMSData(name)
    thing.value = order
    thing.setDataType(2, DataType.OCTET_STRING)
    return int(client.ask(client.client.write(thing, 2)).error)


def test_gurux_with_the_breakers_keys_disconnects_and_reconnects():
    bench = MeterBench()
    client = bench.gurux("breaker")
    assert move(client) == 0
    bench.run(500)
    assert not bench.relay.contact and bench.meter.control.breaker.state == 0
    thing = GXDLMSDisconnectControl("0.0.96.3.10.255")
    assert client.read(thing, 2) is False
    assert move(client, True) == 0
    bench.run(500)
    assert bench.relay.contact and bench.relay.pulses == [1, 2]
    codes = bench.codes()
    assert ev.REMOTE_DISCONNECTION in codes and ev.REMOTE_CONNECTION in codes


def test_gurux_with_a_sealed_order_where_nothing_else_goes():
    bench = MeterBench(interactive=False)
    client = bench.gurux("breaker")
    assert move(client) == 3
    assert give(client, bench.order()) == 0 and move(client) == 0
    assert move(client, True) == 3
    bench.run(500)
    assert not bench.relay.contact and bench.refusals() == [cm.NOT_ORDERED, cm.NOT_ORDERED]


def test_two_persons_must_seal():
    bench = MeterBench(two_person=True)
    client = bench.gurux("breaker")
    assert give(client, bench.order()) == 3 and move(client) == 3
    both = countersigned(bench.order(number=2), bench.seal_keys[1])
    assert give(client, both) == 0 and move(client) == 0
    bench.run(500)
    assert not bench.relay.contact


@pytest.mark.parametrize("name", ["operator", "reader", "update"])
def test_other_clients_cannot(name):
    bench = MeterBench()
    client = bench.gurux(name)
    assert move(client) == 3 and move(client, True) == 3
    assert give(client, bench.order()) == 3
    limiter = GXDLMSLimiter("0.0.17.0.0.255")
    limiter.minOverThresholdDuration = 0
    assert int(client.ask(client.client.write(limiter, 6)).error) == 3
    bench.run(500)
    assert bench.relay.contact and not bench.relay.pulses
    assert bench.refusals() == [cm.NOT_ALLOWED] * 4


def test_the_public_client_reads_the_state_and_moves_nothing():
    bench = MeterBench()
    client = Gurux(bench).open()
    thing = GXDLMSDisconnectControl("0.0.96.3.10.255")
    assert client.read(thing, 3) == 1
    assert move(client) == 3
    bench.run(500)
    assert bench.relay.contact and bench.refusals() == [cm.NOT_ALLOWED]


@pytest.mark.parametrize("keys_of", ["another meter", "operator", "reader", "update"])
def test_wrong_keys_open_nothing(keys_of):
    bench = MeterBench()
    keys = MeterBench(2).keys["breaker"] if keys_of == "another meter" else bench.keys[keys_of]
    with pytest.raises(Exception):  # noqa: B017 - whatever gurux says
        bench.gurux("breaker", keys)
    bench.run(500)
    assert bench.relay.contact and not bench.relay.pulses
    assert {ev.AUTHENTICATION_FAILED, ev.DECRYPTION_FAILED} & set(bench.codes())


def test_a_replay_moves_nothing():
    bench = MeterBench()
    client = bench.gurux("breaker")
    move(client)
    bench.run(500)
    recorded = list(bench.frames)
    move(client, True)
    bench.run(500)
    assert bench.relay.contact
    for frame in recorded:
        bench.wrapper(frame)
    for frame in recorded:
        bench.wrapper(frame, 2)
    bench.run(500)
    assert bench.relay.contact and bench.relay.pulses == [1, 2]
    assert ev.REPLAY_ATTACK in bench.codes()


def test_orders_that_are_refused():
    bench = MeterBench(interactive=False)
    other = MeterBench(2)
    client = bench.gurux("breaker")
    now = bench.now_s
    cases = [
        (bench.order(end=now - 1), cm.EXPIRED),
        (bench.order(start=now + 100, end=now + 200), cm.TOO_EARLY),
        (bench.order(title=other.title), cm.WRONG_METER),
        (bench.order(key=other.seal_keys[0]), cm.BAD_SEAL),
        (other.order(), cm.BAD_SEAL),
        (bench.order(number=0), cm.USED),
        (b"", cm.BAD_FORM),
        (bench.order()[:-1], cm.BAD_FORM),
    ]
    for order, _ in cases:
        assert give(client, order) == 3
        assert move(client) == 3
    reasons = bench.refusals()
    assert reasons[0::2] == [reason for _, reason in cases]
    assert set(reasons[1::2]) == {cm.NOT_ORDERED}
    assert bench.relay.contact and not bench.relay.pulses


def test_bit_flips_in_each_field():
    bench = MeterBench(interactive=False)
    client = bench.gurux("breaker")
    good = bench.order()
    for at in range(len(good)):
        flipped = bytearray(good)
        flipped[at] ^= 1 << at % 8
        assert give(client, bytes(flipped)) == 3, at
    assert move(client) == 3
    assert bench.relay.contact and not bench.relay.pulses
    assert give(client, good) == 0 and move(client) == 0


def test_the_clock_set_back_revives_nothing():
    bench = MeterBench(interactive=False)
    client = bench.gurux("breaker")
    order = bench.order(end=bench.now_s + 5)
    bench.run(7000)
    assert give(client, order) == 3
    bench.meter.set_clock(bench.board.clock.ms, bench.meter.utc_ms - 6000)
    assert give(client, order) == 3
    assert bench.refusals() == [cm.EXPIRED, cm.EXPIRED]


def test_a_clock_that_went_back_without_supply_revives_nothing():
    """An order that was kept back until it had expired, and a clock chip that somebody has set."""
    key = bytes(range(16))
    meter = WholeMeter(security=security(breaker=key.hex()))
    meter.hold(300)
    now = seconds(from_utc_ms(meter.meter.utc_ms))
    meter.raw_ms -= 3_600_000
    meter.power_up()
    control = meter.meter.control
    order = Order(TITLE, "disconnect", 1, now - 7200, now - 600).sealed(key)
    assert not meter.meter.clock.status & STATUS_INVALID
    assert control.arm(order, 5) == cm.EXPIRED


def test_a_used_order_is_used_after_a_restart_too():
    cells = Cells()
    bench = MeterBench()
    order = bench.order()

    def secrets() -> Any:
        return bench.title, bench.seal_keys

    first = Guard(cells, 2, Policy({}), secrets)
    assert first.arm(order, bench.now_s, 0, True) == cm.OK
    again = Guard(cells, 2, Policy({}), secrets)
    assert again.arm(order, bench.now_s, 0, True) == cm.USED


@pytest.mark.parametrize("policy", ["critical", "inhibit"])
def test_no_key_disconnects_what_must_stay(policy):
    bench = MeterBench(**{policy: True})
    client = bench.gurux("breaker")
    assert give(client, bench.order()) in (0, 3)
    assert move(client) == 3
    bench.meter.control._local(2)
    bench.run(1000)
    assert bench.relay.contact and not bench.relay.pulses


def test_the_limiter_is_set_by_the_breakers_client_alone():
    bench = MeterBench(interactive=False)
    client = bench.gurux("breaker")
    value = b"\x06\x00\x00\x00\x05"
    limiter = GXDLMSLimiter("0.0.17.0.0.255")
    limiter.minOverThresholdDuration = 5
    assert int(client.ask(client.client.write(limiter, 6)).error) == 3
    assert give(client, bench.order("set-limiter", bound=digest(6, value))) == 0
    limiter.minOverThresholdDuration = 6
    assert int(client.ask(client.client.write(limiter, 6)).error) == 3
    assert give(client, bench.order("set-limiter", 2, bound=digest(6, value))) == 0
    limiter.minOverThresholdDuration = 5
    assert int(client.ask(client.client.write(limiter, 6)).error) == 0
    assert bench.meter.control.limiter.settings.min_over_s == 5
    assert ev.LIMITER_CHANGED in bench.codes()


def test_who_may_nothing_cannot_fill_the_control_log():
    bench = MeterBench()
    stranger = Gurux(bench, channel=2).open()
    bench.gurux("operator")
    frame = GXDLMSDisconnectControl("0.0.96.3.10.255").remoteDisconnect(stranger.client)
    for _ in range(400):
        assert int(stranger.ask(frame).error) == 3
    assert bench.refusals() == [cm.NOT_ALLOWED] * 5
    # Another's attempt is entered all the same, and so is what moves.
    assert move(bench.gurux("reader")) == 3
    assert len(bench.refusals()) == 6
    assert move(bench.gurux("breaker")) == 0
    assert ev.REMOTE_DISCONNECTION in bench.codes()
    # Later it says how often there were more.
    bench.board.clock.ms += 3_600_000
    bench.run(100)
    assert int(stranger.ask(frame).error) == 3
    entries = bench.meter.events.entries()
    extra = [entry[3] for entry in entries if entry[1] == ev.CONTROL_REFUSED][-1]
    assert extra == 395 << 8 | cm.NOT_ALLOWED


def test_refusals_leave_room_for_what_happens():
    """Somebody with the breaker's keys makes noise first and moves then: it is in the log."""
    bench = MeterBench()
    client = bench.gurux("breaker")
    for _ in range(300):
        assert give(client, b"noise") == 3
    assert move(client) == 0
    assert bench.codes()[-1] == ev.REMOTE_DISCONNECTION


def test_an_armed_order_is_spent_by_the_association_that_armed_it():
    """Whoever has the client's keys and no seal cannot call it off, nor be the one who moves."""
    bench = MeterBench(interactive=False)
    operator = bench.gurux("breaker")
    bench.counters["breaker"] += 10_000
    thief = Gurux(bench, 5, bench.keys["breaker"], bench.counters["breaker"], channel=2).open()
    operator.client.ciphering.invocationCounter = 50_000
    assert give(operator, bench.order()) == 0
    thief.client.ciphering.invocationCounter = 60_000
    assert move(thief) == 3 and move(thief, True) == 3
    assert bench.relay.contact
    operator.client.ciphering.invocationCounter = 70_000
    assert move(operator) == 0
    assert bench.refusals() == [cm.NOT_ORDERED] * 2


SCHEDULE = "0.0.15.0.1.255"
EVERY_MINUTE = bytes.fromhex("01 01 02 02 09 04 FFFF0000 09 05 FFFFFFFFFF")


def schedule(client: Gurux, times: bytes = EVERY_MINUTE, name: str = SCHEDULE) -> int:
    """Sets the times of a schedule of the breaker; gives the result."""
    write = client.client._GXDLMSClient__write
    frame = write(name, times, DataType.ARRAY, ObjectType.ACTION_SCHEDULE, 4)
    return int(client.ask(frame).error)


@pytest.mark.parametrize("policy", ["interactive", "two_person"])
def test_a_schedule_is_no_way_around_the_seals(policy):
    """Times that disconnect every minute, by a client that has the keys and no order."""
    bench = MeterBench(**{policy: policy == "two_person"})
    client = bench.gurux("breaker")
    assert schedule(client) == 3
    bench.run(61_000)
    assert bench.relay.contact and not bench.relay.pulses
    assert bench.refusals() == [cm.NOT_ORDERED]
    # With an order for just these times it can be set, on the schedule that it names.
    order = bench.order("set-breaker", bound=digest(4 + 16 * 1, EVERY_MINUTE))
    if policy == "two_person":
        assert give(client, order) == 3
        order = countersigned(order, bench.seal_keys[1])
    assert give(client, order) == 0
    assert schedule(client, name="0.0.15.0.5.255") == 3
    again = bench.order("set-breaker", 2, bound=digest(4 + 16 * 1, EVERY_MINUTE))
    if policy == "two_person":
        again = countersigned(again, bench.seal_keys[1])
    assert give(client, again) == 0 and schedule(client) == 0
    bench.run(61_000)
    assert not bench.relay.contact


def test_schedules_move_no_oftener_than_requests():
    bench = MeterBench(mode=6)
    client = bench.gurux("breaker")
    assert schedule(client) == 0 and schedule(client, name="0.0.15.0.5.255") == 0
    bench.run(500)
    control = bench.meter.control
    for _ in range(20):
        control.scheduled(LOCAL_DISCONNECT)
        bench.run(300)
        control.scheduled(LOCAL_RECONNECT)
        bench.run(300)
    assert 0 < len(bench.relay.pulses) <= 12
    assert set(bench.refusals()) <= {cm.TOO_MANY, cm.NO_TRANSITION}
    # What moves nothing uses nothing up.
    quiet = MeterBench()
    for _ in range(20):
        quiet.meter.control.scheduled(LOCAL_RECONNECT)
    assert move(quiet.gurux("breaker")) == 0


def rekey(bench: MeterBench, client: Gurux, key: bytes, place: int = 0) -> int:
    """A new breaker key, wrapped as whoever records a rotation under known keys has it."""
    return give(client, wrap(bench.meter.link.keyring.kek(), key), f"0.0.128.5.{place}.255")


def test_no_change_of_keys_revives_an_order():
    """The same key once more, another and the first again: what was used stays used."""
    bench = MeterBench(interactive=False)
    client = bench.gurux("breaker")
    used = bench.order()
    assert give(client, used) == 0 and move(client) == 0
    bench.run(500)
    for keys in ((bench.seal_keys[0],), (bytes(range(16)), bench.seal_keys[0])):
        for key in keys:
            assert rekey(bench, client, key) == 0
        assert give(client, used) == 3
    assert bench.refusals() == [cm.USED, cm.USED]
    assert give(client, bench.order("reconnect", 2)) == 0 and move(client, True) == 0


def test_a_clock_that_was_set_far_ahead_ends_no_order():
    bench = MeterBench(interactive=False)
    client = bench.gurux("breaker")
    meter, year_ms = bench.meter, 366 * 86_400_000
    order = bench.order()
    meter.set_clock(bench.board.clock.ms, meter.utc_ms + 10 * year_ms)
    assert give(client, bench.order(number=7)) == 3
    meter.set_clock(bench.board.clock.ms, meter.utc_ms - 10 * year_ms)
    assert bench.refusals() == [cm.TOO_EARLY]
    assert give(client, order) == 0 and move(client) == 0


@pytest.mark.parametrize("place", [0, 2])
def test_no_key_of_something_else_becomes_the_one_that_seals(place):
    """Wrapped keys do not say what they are for: who has seen one go to a client could send it
    here, and seal with what he knows."""
    bench = MeterBench(interactive=False)
    client = bench.gurux("breaker" if place == 0 else "update")
    keyring = bench.meter.link.keyring
    secrets = ("breaker", "breaker_second", "update")
    before = [keyring.secret(name) for name in secrets]
    others = [*bench.keys["breaker"], *bench.keys["reader"], keyring.kek(), bench.seal_keys[1]]
    for key in others:
        assert rekey(bench, client, key, place) == 12
    assert [keyring.secret(name) for name in secrets] == before
    assert rekey(bench, client, bytes(range(16)), place) == 0


def test_an_emergency_beyond_all_time_is_kept_at_its_end():
    """A moment of 2136 has more seconds than its field: it must not wrap into the past."""
    bench = MeterBench()
    bench.gurux("breaker")
    late = bytes.fromhex("0858 0C 1F FF 17 3B 3B 63 8000 FF".replace(" ", ""))
    value = b"\x02\x03\x12\x00\x01\x09\x0c" + late + b"\x06\xff\xff\xff\xff"
    association = bench.meter.link.server.associations[1]
    ln = bytes((0, 0, 17, 0, 0, 255))
    bench.meter.model.set(71, ln, 8, BREAKER, Reader(value), association)
    settings = bench.meter.control.limiter.settings
    assert settings.emergency_start_s == 0xFFFFFFFF
    assert settings.copy().emergency_start_s == 0xFFFFFFFF


def random_orders(count: int, seed: int) -> None:
    """Random orders, and good ones with random changes, at the last gate before the relay."""
    bench = MeterBench(interactive=False)
    rng = random.Random(seed)
    good = bench.order(number=1)
    guard = bench.meter.control.guard
    for number in range(count):
        kind = number % 3
        if kind == 0:
            data = rng.randbytes(rng.choice((49, 65, rng.randrange(80))))
        else:
            changed = bytearray(good)
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(good))] = rng.randrange(256)
            data = bytes(changed) + (rng.randbytes(16) if kind == 2 else b"")
        if data == good:
            continue
        reason = guard.arm(data, bench.now_s, 0, True)
        assert reason in (cm.BAD_FORM, cm.BAD_SEAL), f"seed {seed}, order {number}: {reason}"
    assert guard._armed is None and guard.last_number == 0
    assert guard.arm(good, bench.now_s, 0, True) == cm.OK


def test_random_orders():
    random_orders(20_000, int(os.environ.get("OPENAMS_SEED", "1")))


@pytest.mark.campaign
def test_a_million_random_orders():
    random_orders(1_000_000, int(os.environ.get("OPENAMS_SEED", "1")))
