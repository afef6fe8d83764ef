"""The breaker on either VM: every mode, state and event against the table that is handed over.

`run(table, cuts)`: table is a list of [mode, event, state, state after]; prints nothing, gives
the number of cases, raises AssertionError at the first that differs.
"""

import struct

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab
from breakerbench import Cells, Relay

from ams.control import command as cm
from ams.control.breaker import Breaker
from ams.control.guard import Guard, Policy
from ams.storage import layout
from ams.storage.cells import Cells as Cells_of
from ams.storage.journal import Journal

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


KEYS = (b"\x01" * 16, b"\x02" * 16)


class Life:
    """Orders and movements on a flash that can be cut."""

    def __init__(self, flash, relay):
        self.flash = flash
        self.relay = relay
        cells = Cells_of(Journal(flash, 0, 3, layout.CONTROL))
        policy = Policy({"interactive": False, "per_hour": 1000})
        self.guard = Guard(cells, 2, policy, lambda: (TITLE, KEYS))
        self.breaker = make_with(cells, relay)
        self.executed = 0  # number of the last order that moved something
        self.wanted = self.breaker.state

    def move(self, number):
        disconnect = self.breaker.state == 1
        action = cm.DISCONNECT if disconnect else cm.RECONNECT
        order = cm.pack(TITLE, action, number, 0, 1000, KEYS[:1])
        if self.guard.arm(order, 500, self.relay.now, True) != cm.OK:
            return False
        assert self.guard.permit(action, self.relay.now, None) == cm.OK
        assert self.guard.spend(500) == cm.OK
        self.executed = number
        self.wanted = 0 if disconnect else 1
        assert self.breaker.event(0 if disconnect else 3, 5, self.relay.now, number) == cm.OK
        run_for(self.breaker, self.relay, 300)
        return True


def make_with(cells, relay):
    breaker = Breaker(relay, cells, 1, lambda code, detail, extra: None)
    breaker.start(relay.now)
    return breaker


def live(life, moves, first=1):
    try:
        for number in range(first, first + moves):
            life.move(number)
    except flash_lab.PowerCut:
        life.relay.set_coil(0)
        return True
    return False


def flash_cuts(moves, step, torn):
    """A cut at every `step`-th flash operation, and one more in the recovery."""
    flash = flash_lab.LabFlash(3)
    live(Life(flash, Relay()), moves)
    total = flash.operations
    count = 0
    for cut in range(0, total, step):
        flash = flash_lab.LabFlash(3)
        flash.random = flash_lab.Random(cut + 1)
        relay = Relay()
        try:
            life = Life(flash, relay)
            flash.cut_at, flash.torn = cut, torn
            assert live(life, moves) or cut >= flash.operations
            executed = life.executed
        except flash_lab.PowerCut:
            executed = 0
        for again in (cut % 5, None):
            base = {number: bytes(data) for number, data in flash.own.items()}
            flash = flash_lab.LabFlash(3, base)
            flash.random = flash_lab.Random(cut + 2)
            if again is not None:
                flash.cut_at, flash.torn = again, torn
            try:
                life = Life(flash, relay)
                run_for(life.breaker, relay, 1000)
            except flash_lab.PowerCut:
                relay.set_coil(0)
                for number, data in base.items():
                    flash.own.setdefault(number, bytearray(data))
                continue
            for number, data in base.items():
                flash.own.setdefault(number, bytearray(data))
        breaker = life.breaker
        where = (cut, torn)
        assert not breaker.moving and not breaker.alarms, where
        assert relay.contact == (breaker.state == 1) == breaker.output_state, where
        # What moved is used: it cannot move anything again.
        assert life.guard.last_number >= executed, where
        old = cm.pack(TITLE, cm.DISCONNECT, executed, 0, 1000, KEYS[:1])
        assert life.guard.arm(old, 500, 0, True) == cm.USED, where
        count += 1
    return total, count


def run(table):
    return transitions(table), power_cuts(), orders()
