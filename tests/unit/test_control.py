"""Breaker: the table of docs/breaker.md, the relay, power cuts, alarms; who may command."""

from __future__ import annotations

import struct

import control_vm
import pytest
from breakerbench import Cells, Relay
from breakertable import COLUMNS, ROOT, TABLE
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.control import breaker as br
from ams.control import command as cm
from ams.control import relay as rl
from ams.control import transitions as tr
from ams.control.breaker import Breaker
from ams.control.guard import ARMED_MS, FRESH_MS, Guard, Policy
from ams.events import events as ev


class Rig:
    def __init__(self, cells=None, relay=None, never=False, mode=4):
        self.cells = cells or Cells()
        self.relay = relay or Relay()
        self.log = []
        self.breaker = Breaker(
            self.relay, self.cells, 1, lambda *entry: self.log.append(entry), never, mode
        )
        self.breaker.start(self.relay.now)

    def run(self, ms, flows=False):
        for _ in range(ms // 10):
            self.relay.now += 10
            self.breaker.poll(self.relay.now, flows)

    def codes(self):
        return [entry[0] for entry in self.log]


def rig_in(mode, state):
    """A breaker at rest in a mode and state."""
    cells = Cells()
    cells.data[1] = struct.pack("<BBBBBBH", 1, state, mode, 0, 0, 0, 0)
    return Rig(cells, Relay(state == tr.CONNECTED))


def test_the_table_is_whole():
    assert len({mode for mode, _, _ in TABLE}) == 6
    assert len(TABLE) == 6 * 2 + 3 + 6 + 6 + 6 + 2


@pytest.mark.parametrize("mode", range(7))
@pytest.mark.parametrize("state", range(3))
@pytest.mark.parametrize("event", COLUMNS)
def test_each_mode_state_and_event(mode, state, event):
    rig = rig_in(mode, state)
    reason = rig.breaker.event(event, 5, 0, 7)
    rig.run(1000)
    after = TABLE.get((mode, event, state))
    assert (reason == cm.OK) == (after is not None)
    assert rig.breaker.state == (state if after is None else after)
    assert rig.relay.contact == (rig.breaker.state == tr.CONNECTED) == rig.breaker.output_state
    moved = after is not None and (state == tr.CONNECTED) != (after == tr.CONNECTED)
    assert len(rig.relay.pulses) == moved
    assert len(rig.log) == (after is not None)
    if after is not None:
        assert rig.log[0][1:] == (5 << 16 | state << 8 | after, 7)
    again = Rig(rig.cells, rig.relay)
    assert (again.breaker.state, again.breaker.mode) == (rig.breaker.state, mode)
    assert not again.relay.pulses[moved:] and not again.log


PATHS = [str(ROOT / name) for name in ("tests", "tests/unit", "host/openams/faultlab")]


def test_table_cuts_and_orders_on_the_vm(micropython):
    """The same on the MicroPython VM: 7 modes x 3 states x 6 events, cuts, flipped bits."""
    table = [[mode, event, state, after] for (mode, event, state), after in TABLE.items()]
    script = f"import sys\nsys.path[:0] = {PATHS!r}\n"
    script += f"import control_vm\nprint(control_vm.run({table!r}))"
    assert micropython(script, heap_kib=1024).strip() == "(126, 40, 49)"


@pytest.mark.parametrize("torn", [None, "bytes", "bits"])
def test_a_power_cut_at_every_third_flash_operation(torn):
    """Orders and movements on a real journal: relay, contact and record agree afterwards."""
    total, count = control_vm.flash_cuts(60, 3, torn)
    assert 3 * count >= total > 300


@pytest.mark.campaign
@pytest.mark.parametrize("torn", [None, "bytes", "bits"])
def test_a_power_cut_at_each_flash_operation(torn):
    total, count = control_vm.flash_cuts(120, 1, torn)
    assert count == total > 600


def test_power_cuts_at_flash_operations_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport control_vm\n"
    script += "for torn in (None, 'bytes', 'bits'): print(control_vm.flash_cuts(60, 7, torn)[1])"
    counts = micropython(script, heap_kib=4096).split()
    assert len(counts) == 3 and all(int(count) > 40 for count in counts)


def test_the_coil_never_stays_on():
    rig = rig_in(4, 1)
    rig.relay.stuck = True
    rig.breaker.event(tr.REMOTE_DISCONNECT, 5, 0)
    on = 0
    for _ in range(400):
        rig.run(10)
        on = on + 10 if rig.relay.coil else 0
        assert on <= rl.PULSE_MS + 10
    assert len(rig.relay.pulses) == rl.ATTEMPTS
    assert rig.codes() == [ev.REMOTE_DISCONNECTION, ev.DISCONNECT_FAILURE]
    assert rig.breaker.alarms & br.ALARM_FAILED and rig.breaker.output_state
    rig.relay.stuck = False
    rig.run(br.AGAIN_MS + 2000)
    assert not rig.relay.contact and not rig.breaker.output_state


def test_closing_is_not_tried_for_ever():
    rig = rig_in(4, 0)
    rig.relay.stuck = True
    rig.breaker.event(tr.REMOTE_RECONNECT, 5, 0)
    rig.run(3 * br.AGAIN_MS)
    assert len(rig.relay.pulses) == rl.ATTEMPTS and rig.breaker.alarms & br.ALARM_FAILED


@pytest.mark.parametrize("feedback", [True, False])
@pytest.mark.parametrize("connect", [True, False])
def test_a_power_cut_at_every_moment_of_a_movement(connect, feedback):
    for cut_ms in range(0, 400, 10):
        rig = rig_in(4, 0 if connect else 1)
        rig.relay.has_feedback = feedback
        rig.breaker.event(tr.REMOTE_RECONNECT if connect else tr.REMOTE_DISCONNECT, 5, 0)
        rig.run(cut_ms)
        # The coil loses its current with everything else.
        rig.relay.set_coil(0)
        after = Rig(rig.cells, rig.relay)
        after.run(2000)
        assert after.breaker.state == (1 if connect else 0)
        assert after.relay.contact == connect and after.breaker.output_state == connect
        assert not after.breaker.moving and not after.breaker.alarms


def test_not_stored_is_not_done():
    rig = rig_in(4, 1)
    rig.cells.fails = True
    assert rig.breaker.event(tr.REMOTE_DISCONNECT, 5, 0) == cm.NOT_STORED
    rig.run(1000)
    assert rig.breaker.state == 1 and rig.relay.contact and not rig.relay.pulses
    assert rig.breaker.alarms & br.ALARM_NOT_STORED


@pytest.mark.parametrize("state", range(3))
def test_a_contact_that_was_moved_in_the_dark(state):
    cells = Cells()
    cells.data[1] = struct.pack("<BBBBBBH", 1, state, 4, 0, 0, 0, 0)
    rig = Rig(cells, Relay(state != tr.CONNECTED))
    rig.run(5000)
    assert ev.BREAKER_MISMATCH in rig.codes()
    if state == tr.CONNECTED:
        # Nothing comes back by itself.
        assert not rig.relay.contact and not rig.breaker.output_state
        assert rig.breaker.alarms & br.ALARM_MISMATCH
    else:
        assert not rig.relay.contact and not rig.breaker.alarms


@pytest.mark.parametrize("record", [b"", b"\x00" * 8, b"\xff" * 8, b"\x02" + bytes(7), b"\x01"])
@pytest.mark.parametrize("closed", [True, False])
def test_a_record_that_cannot_be_read_moves_nothing(record, closed):
    cells = Cells()
    cells.data[1] = record
    rig = Rig(cells, Relay(closed))
    rig.run(3000)
    assert rig.relay.contact == closed and not rig.relay.pulses
    assert rig.breaker.state == (1 if closed else 0)


def test_welded_contacts_are_found():
    rig = rig_in(4, 1)
    rig.relay.has_feedback = False
    rig.breaker.event(tr.REMOTE_DISCONNECT, 5, 0)
    rig.run(1000, flows=True)
    assert not rig.breaker.alarms
    rig.run(br.WRONG_MS + 100, flows=True)
    assert rig.breaker.alarms == br.ALARM_WELDED
    assert rig.codes().count(ev.BREAKER_WELDED) == 1
    rig.run(br.AGAIN_MS + 1000, flows=False)
    assert not rig.breaker.alarms and len(rig.relay.pulses) == 2


def test_no_voltage_behind_a_closed_one_and_voltage_behind_an_open_one():
    rig = rig_in(4, 1)
    rig.relay.voltage = False
    rig.run(br.WRONG_MS + 100)
    assert rig.breaker.alarms == br.ALARM_NO_VOLTAGE
    rig.relay.voltage = True
    rig.run(100)
    rig.breaker.event(tr.REMOTE_DISCONNECT, 5, rig.relay.now)
    rig.run(1000)
    assert rig.breaker.event(tr.REMOTE_RECONNECT, 5, rig.relay.now) == cm.VOLTAGE_AT_LOAD
    rig.relay.voltage = False
    assert rig.breaker.event(tr.REMOTE_RECONNECT, 5, rig.relay.now) == cm.OK


def test_a_critical_point_is_never_disconnected():
    for event in (tr.REMOTE_DISCONNECT, tr.MANUAL_DISCONNECT, tr.LOCAL_DISCONNECT):
        rig = Rig(never=True, mode=2)
        assert rig.breaker.event(event, 5, 0) == cm.INHIBITED
        rig.run(1000)
        assert rig.breaker.state == 1 and not rig.relay.pulses


# --- who may command --------------------------------------------------------------

TITLE = b"OAM\x00\x00\x00\x00\x01"
KEYS = (b"\x01" * 16, b"\x02" * 16)
NOW_S = 800_000_000


def guard(cells=None, **policy):
    return Guard(cells or Cells(), 2, Policy(policy), lambda: (TITLE, KEYS))


def order(action=cm.DISCONNECT, number=1, start=NOW_S - 10, end=NOW_S + 10, **more):
    title = more.get("title", TITLE)
    keys = more.get("keys", KEYS[:1])
    return cm.pack(title, action, number, start, end, keys, more.get("bound", cm.NO_DIGEST))


def test_hmac_is_that_of_the_library():
    import hashlib
    import hmac

    for key in (b"", b"k" * 16, b"k" * 64, b"k" * 65):
        assert cm.seal(key, b"body") == hmac.digest(key, b"body", hashlib.sha256)[:16]


def test_an_order_serves_once_also_after_a_restart():
    cells = Cells()
    first = guard(cells)
    data = order()
    assert first.arm(data, NOW_S, 0, True) == cm.OK
    assert first.permit(cm.DISCONNECT, 100, None) == cm.OK
    assert first.permit(cm.DISCONNECT, 200, None) == cm.NOT_ORDERED
    assert first.arm(data, NOW_S, 0, True) == cm.USED
    assert guard(cells).arm(data, NOW_S, 0, True) == cm.USED
    assert guard(cells).arm(order(number=2), NOW_S, 0, True) == cm.OK


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (order(title=b"OAM\x00\x00\x00\x00\x02"), cm.WRONG_METER),
        (order(start=NOW_S + 1), cm.TOO_EARLY),
        (order(end=NOW_S - 1), cm.EXPIRED),
        (order(number=0), cm.USED),
        (order(action=9), cm.UNKNOWN_ACTION),
        (order(keys=KEYS[1:]), cm.BAD_SEAL),
        (order(keys=(KEYS[0], b"\x09" * 16)), cm.BAD_SEAL),
        (order(keys=()), cm.BAD_FORM),
        (order() + b"\x00", cm.BAD_FORM),
        (order()[:-1], cm.BAD_FORM),
        (b"", cm.BAD_FORM),
    ],
)
def test_what_is_refused(data, reason):
    cells = Cells()
    g = guard(cells)
    assert g.arm(data, NOW_S, 0, True) == reason
    assert g.permit(cm.DISCONNECT, 0, None) == cm.NOT_ORDERED
    assert not cells.sets


def test_each_flipped_bit_is_refused():
    data = order()
    g = guard()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert g.arm(flipped, NOW_S, 0, True) == cm.BAD_SEAL


def test_what_ended_before_an_order_that_was_spent_stays_ended():
    """Whatever becomes of the own time of orders: where that is lost the flash knows better."""
    cells = Cells()
    g = guard(cells)
    old = order(number=2, end=NOW_S - 100, start=0)
    assert g.arm(old, NOW_S, 0, True) == cm.EXPIRED
    assert g.arm(order(), NOW_S, 0, True) == cm.OK
    assert g.permit(cm.DISCONNECT, 0, None) == cm.OK and g.spend(NOW_S) == cm.OK
    assert g.arm(old, NOW_S - 1000, 0, True) == cm.EXPIRED
    assert guard(cells).arm(old, NOW_S - 1000, 0, True) == cm.EXPIRED
    assert g.arm(order(number=3), NOW_S, 0, False) == cm.CLOCK_INVALID


def test_two_persons():
    g = guard(two_person=True)
    assert g.arm(order(), NOW_S, 0, True) == cm.SECOND_SEAL_MISSING
    assert g.permit(cm.DISCONNECT, 0, 0) == cm.NOT_ORDERED
    assert g.arm(order(keys=KEYS), NOW_S, 0, True) == cm.OK
    assert g.permit(cm.DISCONNECT, 0, None) == cm.OK
    # Both seals by one person are not two persons.
    assert g.arm(order(number=2, keys=(KEYS[0], KEYS[0])), NOW_S, 0, True) == cm.BAD_SEAL


def test_armed_for_a_minute_and_for_one_thing():
    g = guard(interactive=False)
    g.arm(order(), NOW_S, 0, True)
    assert g.permit(cm.DISCONNECT, ARMED_MS + 1, 0) == cm.NOT_ORDERED
    g.arm(order(number=2), NOW_S, 0, True)
    assert g.permit(cm.RECONNECT, 1, 0) == cm.NOT_ORDERED
    bound = cm.digest(4, b"\x06\x00\x00\x10\x00")
    g.arm(order(cm.SET_LIMITER, 3, bound=bound), NOW_S, 0, True)
    other = cm.digest(4, b"\x06\x00\x00\x00\x00")
    assert g.permit(cm.SET_LIMITER, 1, 0, other) == cm.NOT_ORDERED
    g.arm(order(cm.SET_LIMITER, 4, bound=bound), NOW_S, 0, True)
    assert g.permit(cm.SET_LIMITER, 1, 0, bound) == cm.OK


def test_interactive_while_fresh():
    g = guard()
    assert g.permit(cm.DISCONNECT, 0, FRESH_MS + 1) == cm.NOT_ORDERED
    assert g.permit(cm.DISCONNECT, 5, None) == cm.NOT_ORDERED
    assert g.permit(cm.DISCONNECT, 10, 0) == cm.OK
    g = guard(critical=True)
    assert g.permit(cm.DISCONNECT, 10, 0) == cm.INHIBITED
    assert g.permit(cm.RECONNECT, 10, 0) == cm.OK


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 1500), st.booleans(), st.booleans()), max_size=80),
    st.integers(1, 14),
)
def test_no_hour_has_more_movements_than_the_policy(steps, per_hour):
    """Over power cuts; and while it is connected one is left to cut it off."""
    cells = Cells()
    g = guard(cells, per_hour=per_hour)
    now_ms, connected, moved = 10**12, True, []
    for seconds, connect, cut in steps:
        now_ms += 1000 * seconds
        if cut:
            g = guard(cells, per_hour=per_hour)
        if connect == connected or not g.may_move(connect, now_ms):
            assert connect == connected or connect or per_hour == 1
            continue
        g.moved(now_ms)
        moved.append(now_ms)
        connected = connect
    for at in moved:
        assert sum(at - 3_600_000 <= other <= at for other in moved) <= per_hour


def test_movements_that_a_lost_clock_kept_do_not_count_for_ever():
    cells = Cells()
    g = guard(cells, per_hour=2)
    g.moved(10**12)
    g.moved(10**12)
    again = guard(cells, per_hour=2)
    assert not again.may_move(False, 10**11)
    assert again.may_move(True, 10**11 + 3_700_000)


class Bench:
    """A guard and what it is asked, over resets."""

    def __init__(self, **policy):
        self.policy = policy
        self.cells = Cells()
        self.reset()

    def reset(self):
        self.guard = guard(self.cells, **self.policy)

    def serve(self, data, action, own_s=NOW_S):
        reason = self.guard.arm(data, own_s, 0, True)
        if reason == cm.OK:
            reason = self.guard.permit(action, 1, None)
        return self.guard.spend(own_s) if reason == cm.OK else reason


ORDERS = st.lists(
    st.tuples(
        st.sampled_from([cm.DISCONNECT, cm.RECONNECT]),
        st.integers(1, 12),
        st.sampled_from([1, 2]),
        st.sampled_from(["serve", "lapse", "reset", "anew"]),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(ORDERS, st.booleans())
def test_whatever_is_armed_is_armed_once(orders, two_person):
    """Spent or lapsed, with both seals or one of them, over resets and new beginnings."""
    bench = Bench(two_person=two_person, interactive=False)
    now_s = NOW_S
    armed = set()
    for action, number, seals, what in orders:
        now_s += 1
        if what == "anew":
            data = order(cm.ANEW, 0, now_s - 1, now_s, keys=KEYS)
            assert bench.guard.arm(data, now_s, 0, True, None, now_s) in (cm.BEGUN_ANEW, cm.USED)
            continue
        # Few different orders, so that the same ones come again.
        data = order(action, number, NOW_S - 10, NOW_S + 10_000, keys=KEYS[:seals])
        reason = bench.guard.arm(data, now_s, 0, True)
        body = data[: cm.BODY_SIZE]
        if reason == cm.OK:
            assert body not in armed
            armed.add(body)
        if what == "serve" and reason == cm.OK:
            assert bench.guard.permit(action, 1, None) == cm.OK
            assert bench.guard.spend(now_s) == cm.OK
        if what == "reset":
            bench.reset()


def test_many_that_lapse_are_remembered_or_used_up():
    """One person may arm and leave as many as he likes: none of them comes again."""
    g = Bench(interactive=False)
    lapsed = [order(number=number, end=NOW_S + 9999) for number in range(1, 40)]
    for data in lapsed:
        assert g.guard.arm(data, NOW_S, 0, True) == cm.OK
    g.reset()
    for data in lapsed:
        assert g.guard.arm(data, NOW_S, 0, True) == cm.USED
    assert g.serve(order(number=40), cm.DISCONNECT) == cm.OK
    # Alone one of two fills his own places, and nobody else's.
    g = Bench(two_person=True)
    reasons = [
        g.guard.arm(order(cm.RECONNECT, number, end=NOW_S + 9999), NOW_S, 0, True)
        for number in range(1, 40)
    ]
    assert reasons == [cm.OK] * 16 + [cm.TOO_MANY] * 23
    assert g.serve(order(cm.RECONNECT, 1, keys=KEYS, end=NOW_S + 1), cm.RECONNECT) == cm.OK
    assert g.guard.arm(order(cm.RECONNECT, 99), NOW_S, 0, True) == cm.TOO_MANY
    assert (
        g.guard.arm(order(cm.RECONNECT, 99, end=NOW_S + 20_000), NOW_S + 10_000, 0, True) == cm.OK
    )


def test_what_cannot_be_noted_as_used_is_not_armed():
    cells = Cells()
    g = guard(cells)
    cells.fails = True
    assert g.arm(order(), NOW_S, 0, True) == cm.NOT_STORED
    assert g.permit(cm.DISCONNECT, 0, None) == cm.NOT_ORDERED


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_random_octets_arm_nothing(data):
    g = guard()
    assert g.arm(data, NOW_S, 0, True) in (cm.BAD_FORM, cm.BAD_SEAL)
