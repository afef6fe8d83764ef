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
    from server_lab import Lab, Operator
except ImportError:
    from openams.faultlab.hdlc_peer import Heard, address, check, frame, parameters
    from openams.faultlab.server_lab import Lab, Operator

BLOCK = 1000
_WARM = 2
_LOOK = 100


class Random:
    """The same numbers on every VM."""

    def __init__(self, seed):
        self.state = (seed * 2654435761 + 88172645) & 0xFFFFFFFF or 1

    def below(self, count):
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return (x >> 3) % count

    def octets(self, count):
        return bytes(self.below(256) for _ in range(count))

    def choose(self, choices):
        return choices[self.below(len(choices))]


# Plain APDUs to begin with: one of each service and kind, right and nearly right.
APDUS = tuple(
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "601DA109060760857405080101BE10040E01000000065F1F0400FFFFFF0400",
        "601DA109060760857405080101BE10040E01000000065F1F0400001E1D000B",
        "6036A1090607608574050801018A0207808B0760857405080201AC0A80083132333435363738"
        "BE10040E01000000065F1F0400FFFFFF0400",
        "6200",
        "6203800100",
        "C001C100030100010800FF0200",
        "C001C100010000600100FF0200",
        "C001C1000F0000280000FF0200",
        "C001C1000F0000280000FF0100",
        "C001C1004000002B0001FF0500",
        "C001C100010000600100FF020101020412000809060000010000FF0F0212000009"
        "0C07E80A010200000000FFC400090C07E80A020300000000FFC4000100",
        "C001C100010000600100FF0201020204060000000106000000051200011200FF",
        "C002C100000001",
        "C002C1FFFFFFFF",
        "C003C102000301 00010800FF0200000301 00010800FF0300",
        "C003C1820100",
        "C101C100010000600100FF0200090568656C6C6F",
        "C101C100030100010800FF020006000000FF",
        "C102C100010000600100FF0200000000000105090A414243",
        "C103C1010000000205444546474849",
        "C104C102000100 00600100FF02000001 0000600100FF020002 0900 0900",
        "C105C10100010000600100FF02000000000001020109",
        "C301C100010000600100FF010100",
        "C301C100010000600100FF020109020102",
        "C302C100000001",
        "C303C101000100 00600100FF0101090100",
        "C304C100010000600100FF010000000001050909414243",
        "C305C1010001000060 0100FF0100000000010109",
        "C306C1010000000204 44454647",
        "C301C1000F0000280000FF01010911100000000100112233445566778899AABB",
        "C301C100400000 2B0000FF0101 1603",
        "C301C1004000002B0000FF02010101020216000918" + "00" * 24,
        "D8010203",
        "E0C00001000003C00181",
        "D920000000000100C100010000600100FF020000",
        "0F00000001000101",
        "C2000003010001080 0FF020600000001".replace(" ", ""),
        "DB084D4D4D0000BC614E1930000000010011223344556677889900112233445566778899AA",
        "C8193000000001001122334455667788990011223344556677889900",
        "2119300000000100112233445566778899001122334455667788990000",
    )
)
_LENGTHS = (0, 1, 2, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x84, 0x88, 0xFF)


def mutate(rng, data):
    """One to four changes of the kinds that find mistakes."""
    out = bytearray(data)
    for _ in range(1 + rng.below(4)):
        if not out:
            out = bytearray(rng.octets(1 + rng.below(4)))
        at = rng.below(len(out))
        kind = rng.below(9)
        if kind == 0:
            out[at] ^= 1 << rng.below(8)
        elif kind == 1:
            out[at] = rng.below(256)
        elif kind == 2:
            out[at] = rng.choose(_LENGTHS)
        elif kind == 3:
            out = out[:at]
        elif kind == 4:
            out = out[:at] + rng.octets(1 + rng.below(8)) + out[at:]
        elif kind == 5:
            out = out[:at] + out[at + 1 + rng.below(8) :]
        elif kind == 6:
            end = at + 1 + rng.below(16)
            out = out[:end] + bytes(out[at:end]) * (1 + rng.below(3)) + out[end:]
        elif kind == 7:
            other = rng.choose(APDUS)
            out = out[:at] + other[rng.below(len(other)) :]
        elif rng.below(20):
            out[at] = (out[at] + 1 + 254 * rng.below(2)) & 0xFF
        else:
            # Nested, or very long.
            out = out[:at] + bytes((1 + rng.below(2), 1)) * (50 * (1 + rng.below(9))) + out[at:]
    return bytes(out[:1500])


def nudge(rng, data):
    """One or two octets changed behind the first: mostly another value of the same form."""
    out = bytearray(data)
    for _ in range(1 + rng.below(2)):
        if len(out) > 1:
            out[1 + rng.below(len(out) - 1)] = rng.choose((0, 1, 0x7F, 0x80, 0xFF, rng.below(256)))
    return bytes(out)


def _apdu(rng):
    apdu = rng.choose(APDUS)
    return mutate(rng, apdu) if rng.below(4) else apdu


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
            info = b"" if control & 1 else b"\xe6\xe6\x00" + _apdu(rng)[:600]
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
            apdu = _apdu(rng)
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
        apdu = _apdu(rng)
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
            data = rng.choose(_VALUES)
            if rng.below(2):
                data = nudge(rng, data) if rng.below(2) else mutate(rng, data)
            self._sealed(rng, b"\xc3\x01\xc1" + method + b"\x01" + data)
            return 1
        if kind == 3:
            what = rng.choose(_SELECTIONS)
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
            value = rng.choose(_VALUES)
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


# Values of all types, as they are written and as methods take them.
_VALUES = tuple(
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "00", "0F00", "1600", "1602", "0300", "0301", "1100", "11FF", "1000FF", "12FFFF",
        "0600000384", "0600000E10", "05FFFFFFFF", "147FFFFFFFFFFFFFFF", "15FFFFFFFFFFFFFFFF",
        "0900", "090548656C6C6F", "0A0548656C6C6F", "0408A5", "0100", "0200",
        "090C07EA0B19FF0C0000FFFFC400", "090C07EA02300FFFFFFFFFFF8000", "0905FFFFFFFFFF",
        "0904FFFFFFFF", "010102020904000000000905FFFFFFFFFF", "02020906000A006A00FF120001",
        "0101020412000809060000010000FF0F02120000", "0203120008090600000100 00FF0F02",
        "02030600000000090C07E80A01FF00000000800000060000003C", "0203160009023132160 1",
        "0102020216000918" + "11" * 24 + "020216020918" + "22" * 24,
        "02020906 0001020304050600000064", "82FFFF", "0182FFFF", "1D0102030405", "0D00",
    )
)  # fmt: skip
_SELECTIONS = tuple(
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "01020402041200080906 0000010000FF0F02120000090C07E80A010200000000FFC400"
        "090C07EA0A020300000000FFC4000100",
        "01020402041200080906 0000010000FF0F02120000190707E80A0102000000 00FFC400"
        "1907EA0A020300000000FFC400010102041200030906 01000 10800FF0F02120000",
        "02020406000000010600000000120001120000",
        "020204060000000206000000031200021200 02",
        "0202040600000009060000000112FFFF12FFFF",
        "00",
        "FF00",
    )
)

TARGETS = {
    "hdlc": HdlcTarget,
    "wrapper": WrapperTarget,
    "server": ServerTarget,
    "meter": MeterTarget,
}


def make_lab(target, random):
    if target == "meter":
        return _import("meter_lab").MeterLab(random)
    return Lab(random)


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
        bench = TARGETS[target](lab)
        end = min(number + BLOCK, first + count)
        highest = 0
        try:
            while number < end:
                frames += bench.case(Random((seed * 1000003 + number) & 0xFFFFFFFF))
                if lab.server.faults:
                    raise AssertionError("fault in the server: %s" % lab.complaints)
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
