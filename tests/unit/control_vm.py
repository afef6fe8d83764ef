"""The breaker on either VM: every mode, state and event against the table that is handed over.

`run(table, cuts)`: table is a list of [mode, event, state, state after]; prints nothing, gives
the number of cases, raises AssertionError at the first that differs.
"""

import struct

from breakerbench import Cells, Relay

from ams.control import command as cm
from ams.control.breaker import Breaker
from ams.control.guard import Guard, Policy

TITLE = b"OAM\x00\x00\x00\x00\x01"


def make(cells, relay):
    breaker = Breaker(relay, cells, 1, lambda code, detail, extra: None)
    breaker.start(relay.now)
    return breaker


def run_for(breaker, relay, ms):
    for _ in range(ms // 10):
        relay.now += 10
        breaker.poll(relay.now)


def transitions(table):
    wanted = {(mode, event, state): after for mode, event, state, after in table}
    count = 0
    for mode in range(7):
        for state in range(3):
            for event in range(6):
                cells = Cells()
                cells.data[1] = struct.pack("<BBBBBBH", 1, state, mode, 0, 0, 0, 0)
                relay = Relay(state == 1)
                breaker = make(cells, relay)
                reason = breaker.event(event, 5, 0)
                run_for(breaker, relay, 600)
                after = wanted.get((mode, event, state))
                assert (reason == cm.OK) == (after is not None), (mode, state, event)
                assert breaker.state == (state if after is None else after), (mode, state, event)
                assert relay.contact == (breaker.state == 1), (mode, state, event)
                moved = after is not None and (state == 1) != (after == 1)
                assert len(relay.pulses) == (1 if moved else 0), (mode, state, event)
                count += 1
    return count


def power_cuts():
    count = 0
    for connect in (False, True):
        for cut in range(0, 400, 20):
            cells = Cells()
            cells.data[1] = struct.pack("<BBBBBBH", 1, 0 if connect else 1, 4, 0, 0, 0, 0)
            relay = Relay(not connect)
            breaker = make(cells, relay)
            breaker.event(3 if connect else 0, 5, 0)
            run_for(breaker, relay, cut)
            relay.set_coil(0)
            breaker = make(cells, relay)
            run_for(breaker, relay, 1000)
            assert breaker.state == (1 if connect else 0), (connect, cut)
            assert relay.contact == connect and not breaker.alarms, (connect, cut)
            count += 1
    return count


def orders():
    keys = (b"\x01" * 16, b"\x02" * 16)
    guard = Guard(Cells(), 2, Policy({"interactive": False}), lambda: (TITLE, keys))
    good = cm.pack(TITLE, cm.DISCONNECT, 1, 100, 200, keys[:1])
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert guard.arm(bad, 150, 0, True) == cm.BAD_SEAL, bit
    assert guard.arm(good, 250, 0, True) == cm.EXPIRED
    assert guard.arm(good, 150, 0, True) == cm.OK
    assert guard.permit(cm.DISCONNECT, 10, None) == cm.OK
    assert guard.arm(good, 150, 0, True) == cm.USED
    return len(good)


def run(table):
    return transitions(table), power_cuts(), orders()
