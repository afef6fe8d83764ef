"""Mutated frames into the links and the server: nothing escapes, the heap stays as it is.

Cases are numbered. Each is made of (seed, number) alone; a block of BLOCK cases begins with new
links and a new server, so case N replays from the first of its block. Runs on CPython and on
MicroPython, as a script: arguments are target, seed, first case, count; prints a line of JSON.
"""

import gc
import json
import struct
import sys

from ams.cosem.hdlc import HdlcLink
from ams.cosem.wrapper import WrapperLink

try:
    from hdlc_peer import Heard, address, check, frame, parameters
    from mutation import APDUS, SELECTIONS, VALUES, Random, mutate, nudge, some_apdu
    from server_lab import Lab, Operator
except ImportError:
    from openams.faultlab.hdlc_peer import Heard, address, check, frame, parameters
    from openams.faultlab.mutation import (
        APDUS,
        SELECTIONS,
        VALUES,
        Random,
        mutate,
        nudge,
        some_apdu,
    )
    from openams.faultlab.server_lab import Lab, Operator

BLOCK = 1000
_WARM = 2
_LOOK = 100


class HdlcTarget:
    """A service port: a connection, one or two mutated frames, and whether it still answers."""

    def __init__(self, lab):
        self._out = []
        self._server = lab.server
        self.link = HdlcLink(lab.server, self._write)
        self._now_ms = 0

    def _write(self, view):
        self._out.append(bytes(view))

    def _feed(self, data, pause_ms=1):
        self._now_ms += pause_ms
        self.link.feed(data, self._now_ms)
        for answer in self._out:
            Heard(answer)  # raises, where it is no frame
        count = len(self._out)
        self._out.clear()
        return count

    def case(self, rng):
        server = rng.choose((b"\x03", b"\x02\x21", b"\x00\x02\x00\x21"))
        client = address(16)
        if rng.below(4):
            asked = parameters(32 + rng.below(600), 32 + rng.below(600), 1 + rng.below(7), 1)
            self._feed(frame(server, client, 0x93, asked if rng.below(2) else b""))
            if rng.below(2):
                self._feed(frame(server, client, 0x10, b"\xe6\xe6\x00" + APDUS[0]))
        sent = 0
        for _ in range(1 + rng.below(3)):
            control = rng.choose((0x10, 0x32, 0x54, 0x12, 0x93, 0x53, 0x11, 0x31, 0x15, 0x00))
            info = b"" if control & 1 else b"\xe6\xe6\x00" + some_apdu(rng)[:600]
            kind = rng.below(3)
            if kind == 0:
                # The checks are right, what is checked is not.
                body = mutate(rng, server + client + bytes((control,)))
                if len(info) > 3 and rng.below(2):
                    info = mutate(rng, info)
                data = self._checked(body, info, rng)
            else:
                data = frame(server, client, control, info, rng.below(8) == 0)
                if kind == 1:
                    data = mutate(rng, data)
            self._feed(data)
            sent += 1
        self.link.tick(self._now_ms)
        return sent

    def _checked(self, head, info, rng):
        length = 2 + len(head) + 2 + (len(info) + 2 if info else 0)
        if rng.below(8) == 0:
            length += rng.below(5) - 2
        form = 0xA000 | (0x0800 if rng.below(4) == 0 else 0) | length & 0x7FF
        body = struct.pack(">H", form) + head
        if info:
            body += check(body) + info
        return b"\x7e" + body + check(body) + b"\x7e"

    def alive(self):
        """After all that the port takes a connection like a new one."""
        self.link.drop()
        self._now_ms += 1000
        assert self._feed(frame(b"\x03", address(16), 0x93)) == 1, "no answer to SNRM"
        assert self._feed(frame(b"\x03", address(16), 0x10, b"\xe6\xe6\x00" + APDUS[0])) == 1
        self.link.drop()


class WrapperTarget:
    """A TCP channel, in the same way."""

    def __init__(self, lab):
        self._out = bytearray()
        self._closed = True
        self.link = WrapperLink(lab.server, 1)
        self._now_ms = 0

    def _write(self, view):
        self._out += view

    def _close(self):
        self._closed = True

    def _open(self):
        if self._closed:
            self._closed = False
            self.link.open(self._write, self._close, self._now_ms)

    def _feed(self, data):
        self._now_ms += 1
        at = 0
        while at < len(data) and not self._closed:
            count = self.link.feed(data, self._now_ms, at)
            assert count or self._closed, "neither taken nor closed"
            at += count
        count = 0
        while self._out:
            version, server, client, size = struct.unpack(">HHHH", self._out[:8])
            assert version == 1 and len(self._out) >= 8 + size, "no wrapper"
            self._out = self._out[8 + size :]
            count += 1
        return count

    def case(self, rng):
        self._open()
        if rng.below(2):
            self._feed(b"\x00\x01\x00\x10\x00\x01\x00\x1f" + APDUS[0])
        count = 1 + rng.below(3)
        for _ in range(count):
            self._open()
            apdu = some_apdu(rng)
            size = len(apdu) if rng.below(4) else rng.below(2000)
            data = struct.pack(">HHHH", 1, rng.choose((16, 16, 16, 1, 2)), 1, size) + apdu
            if rng.below(2):
                data = mutate(rng, data)
            self._feed(data)
        self.link.tick(self._now_ms)
        if rng.below(2) and not self._closed:
            self.link.closed()
            self._closed = True
        return count

    def alive(self):
        if not self._closed:
            self.link.closed()
            self._closed = True
        self._open()
        assert self._feed(b"\x00\x01\x00\x10\x00\x01\x00\x1f" + APDUS[0]) == 1, "no answer"


class ServerTarget:
    """APDUs straight into the server: of the public, and ciphered by an operator's keys."""

    def __init__(self, lab):
        self._lab = lab
        self._operator = Operator(lab, 2)
        self._now_ms = 0
        self._public = False

    def _ask(self, channel, sap, apdu):
        answer = self._lab.server.request(
            channel, sap, 1, memoryview(bytearray(apdu)), self._now_ms
        )
        return None if answer is None else bytes(answer)

    def case(self, rng):
        # Minutes pass, so that the lock-out does not close what is to be tried.
        self._now_ms += 60000
        apdu = some_apdu(rng)
        kind = rng.below(4)
        if kind == 0:
            self._ask(1, 16, APDUS[0])
            self._ask(1, 16, apdu)
        elif kind == 1:
            self._ask(2, 1, mutate(rng, self._operator.seal(0xDB, apdu)))
        elif kind == 2 and rng.below(4) == 0:
            self._ask(2, 1, mutate(rng, self._operator.aarq(rng.octets(8 + rng.below(57)))))
        else:
            self._sealed(rng, apdu)
        return 1

    def _sealed(self, rng, apdu):
        """Right in its ciphering, so that what is inside gets all the way down."""
        tag = {0xC0: 0xC8, 0xC1: 0xC9, 0xC3: 0xCB}.get(apdu[0] if apdu else 0, 0xDB)
        answer = self._ask(2, 1, self._operator.seal(rng.choose((tag, 0xDB)), apdu))
        if answer is None:
            return None
        if answer[0] != 0xD8:
            return self._operator.unseal(answer)
        # Perhaps not associated any more.
        self._now_ms += 3600000
        self._lab.server.disconnected(2)
        self._operator.open(self._now_ms)
        return None

    def alive(self):
        self._now_ms += 86400000
        self._lab.server.disconnected(2)
        self._operator.open(self._now_ms)
        asked = self._operator.seal(0xC8, APDUS[5])
        answer = self._operator.unseal(self._ask(2, 1, asked))
        assert bytes(answer) == b"\xc4\x01\xc1\x00\x06\x00\x01\xe2\x40", "no answer to the operator"


class MeterTarget(ServerTarget):
    """A whole meter: its own objects, read, written and called with all but right values."""

    def __init__(self, lab):
        super().__init__(lab)
        self._read, self._write, self._call = lab.targets()
        self._operator.open(self._now_ms)

    def case(self, rng):
        self._now_ms += 60000
        kind = rng.below(8)
        if kind == 0:
            return super().case(rng)
        if kind < 3:
            method = rng.choose(self._call if rng.below(8) else self._read)
            data = rng.choose(VALUES)
            if rng.below(2):
                data = nudge(rng, data) if rng.below(2) else mutate(rng, data)
            self._sealed(rng, b"\xc3\x01\xc1" + method + b"\x01" + data)
            return 1
        if kind == 3:
            what = rng.choose(SELECTIONS)
            what = nudge(rng, what) if rng.below(2) else mutate(rng, what)
            profile = rng.choose([row for row in self._read if row[:2] == b"\x00\x07"])
            self._sealed(rng, b"\xc0\x01\xc1" + profile[:8] + b"\x02\x01" + what)
            return 1
        attribute = rng.choose(self._write if kind > 4 else self._read)
        value = self._sealed(rng, b"\xc0\x01\xc1" + attribute + b"\x00")
        if not value or value[:2] != b"\xc4\x01" or value[3]:
            return 1
        # What it said, changed or not, as a new value.
        value = bytes(value[4:904])
        way = rng.below(4)
        if way == 0:
            value = mutate(rng, value)
        elif way == 1:
            value = rng.choose(VALUES)
        elif way == 2:
            value = nudge(rng, value)
        self._sealed(rng, b"\xc1\x01\xc1" + attribute + b"\x00" + value)
        return 2

    def alive(self):
        self._now_ms += 86400000
        self._lab.server.disconnected(2)
        self._operator.open(self._now_ms)
        asked = self._operator.seal(0xC8, bytes.fromhex("C001C100080000010000FF0200"))
        answer = self._operator.unseal(self._ask(2, 1, asked))
        assert bytes(answer[:4]) == b"\xc4\x01\xc1\x00", "no clock for the operator"
        grown = self._lab.minute() + self._lab.minute()
        assert 199990 < grown < 200010, "6 kW for two minutes are not %d mWh" % grown


TARGETS = {
    "hdlc": HdlcTarget,
    "wrapper": WrapperTarget,
    "server": ServerTarget,
    "meter": MeterTarget,
}


def make_lab(target, random):
    if target == "meter":
        return _import("meter_lab").MeterLab(random)
    if target == "keyed":
        return _import("roles_lab").RolesLab(random)
    return Lab(random)


def make_bench(target, lab, number):
    """`number` of the block: without the breaker's client in every second nobody may move it."""
    if target == "keyed":
        keyed = _import("keyed_fuzz")
        return keyed.Keyed(lab, keyed.ROLES[: 4 - (number // BLOCK) % 2])
    return TARGETS[target](lab)


def _import(name):
    try:
        return __import__(name)
    except ImportError:
        return __import__("openams.faultlab." + name, None, None, ("",))


def run(target, seed, first, count):
    """Cases first to first + count - 1; gives figures, or what failed at which case."""
    frames = 0
    heaps = []
    number = first - first % BLOCK
    while number < first + count:
        random = Random(seed ^ number * 40503)
        lab = make_lab(target, random.octets)
        bench = make_bench(target, lab, number)
        end = min(number + BLOCK, first + count)
        highest = 0
        try:
            while number < end:
                frames += bench.case(Random((seed * 1000003 + number) & 0xFFFFFFFF))
                if lab.server.faults or target == "keyed" and bench.has_faults():
                    raise AssertionError("a fault of the meter's own: %s" % lab.complaints)
                number += 1
                if number % _LOOK == 0:
                    highest = max(highest, _heap())
            bench.alive()
        except Exception as error:
            return {"failed": number, "why": "%s: %s" % (type(error).__name__, error)}
        heaps.append(highest)
    # The first blocks make what is made at first use; from then on nothing may grow.
    warm = max(heaps[:_WARM])
    return {"frames": frames, "heap_highest": max(heaps), "heap_grown": max(heaps) - warm}


def _heap():
    """Octets in use, of a VM that tells."""
    if not hasattr(gc, "mem_alloc"):
        return 0
    gc.collect()
    return gc.mem_alloc()


def main(argv):
    target, seed, first, count = argv[1], int(argv[2]), int(argv[3]), int(argv[4])
    print(json.dumps(run(target, seed, first, count)))


if __name__ == "__main__":
    main(sys.argv)
