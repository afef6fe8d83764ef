"""Sub-meters and lines as the field has them, on either VM.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

try:
    import flash_lab
    from mbus_slave import MBus, MBusSlave
except ImportError:
    from openams.emulator.models.mbus_slave import MBus, MBusSlave
    from openams.faultlab import flash_lab

from ams.mbus import records, submeters, vif
from ams.mbus.capture import MBusPort
from ams.mbus.master import Master
from ams.mbus.records import Malformed, Records
from ams.mbus.submeters import SubMeters

WATER = bytes.fromhex("0C13785634120B3B010000")  # 12345.678 m3, 0.001 m3/h
HEAT = bytes.fromhex("0406102700000259581B025DE803")


class Line:
    """A bus at 2400 Bd; `late_ms` and `pause_ms` of what joins it, pieces of `piece` octets."""

    def __init__(self, *slaves, late_ms=60, pause_ms=10, piece=2, **more):
        self.bus = MBus(list(slaves), **more)
        self.now_ms = 0
        self.sent = 0
        self.late_ms = late_ms
        self.pause_ms = pause_ms
        self.piece = piece
        self.coming = []  # (when, octets)

    def write(self, data):
        self.sent += 1
        end_ms = self.now_ms + len(data) * 5
        answer = self.bus.put(bytes(data))
        self.coming = []
        if self.bus.echo:
            self.coming.append((end_ms, answer[: len(data)]))
            answer = answer[len(data) :]
        at_ms = end_ms + self.late_ms
        for at in range(0, len(answer), self.piece):
            self.coming.append((at_ms, answer[at : at + self.piece]))
            at_ms += self.pause_ms

    def run(self, thing, until, limit_ms=600000):
        end = self.now_ms + limit_ms
        while not until():
            assert self.now_ms < end, "no end"
            self.now_ms += 10
            while self.coming and self.coming[0][0] <= self.now_ms:
                thing.feed(self.coming.pop(0)[1], self.now_ms)
            thing.tick(self.now_ms)


def ask(line, start, *arguments):
    master = Master(line.write)
    out = []
    getattr(master, start)(*arguments, out.append, line.now_ms)
    line.run(master, lambda: not master.busy)
    return out[0]


class Port:
    def __init__(self, *slaves, **more):
        self.line = Line(*slaves, **more)
        self.table = SubMeters()
        self.log = []
        self.port = MBusPort(
            self.line.write, self.table, lambda: 1000 + self.line.now_ms, log=self.log.append
        )

    def capture(self, channel=0, ms=4000):
        self.port.capture(channel)
        end = self.line.now_ms + ms
        self.line.run(self.port, lambda: self.line.now_ms >= end, ms + 1000)
        return self.table.meters[channel]

    def install(self, channel, address):
        self.port.install(channel, address)
        return self.capture(channel)


def shown(meter):
    return [(v.value, v.scaler, v.unit, v.mark) for v in meter.values if v.utc_ms is not None]


# --- the line ------------------------------------------------------------------------


def check_a_converter_that_gives_back_what_it_sends():
    """At once, or in one piece with the answer; in every kind of job."""
    numbers = (0x12345678, 0x12345679, 0x22222222)
    for more in ({}, {"late_ms": 0}, {"late_ms": 0, "piece": 300}, {"noise": b"\x00"}):
        slaves = [MBusSlave(k + 1, number, [WATER, HEAT]) for k, number in enumerate(numbers)]
        answer = ask(Line(*slaves, echo=True, **more), "read", 2)
        assert answer.error is None and len(answer.records) == 5, more
        assert answer.header.identification == numbers[1]
        answer = ask(Line(*slaves, echo=True, **more), "read_secondary", numbers[2])
        assert answer.error is None and answer.header.identification == numbers[2]
        found = ask(Line(*slaves, echo=True, **more), "search")
        assert sorted(h.identification for h in found) == sorted(numbers), more
        # Nobody is there: our own octets are nobody's.
        assert ask(Line(*slaves, echo=True, **more), "read", 9).error == "no answer"
        assert not ask(Line(*slaves, echo=True, **more), "reset", 9)
        assert ask(Line(*slaves, echo=True, **more), "reset", 1)


def check_what_a_line_does_to_an_answer():
    for more in (
        {"noise": b"\x00"}, {"noise": b"\xff"}, {"noise": b"\xfe\xff\x00"},
        {"late_ms": 187}, {"late_ms": 350},
        {"piece": 16, "pause_ms": 120}, {"piece": 1, "pause_ms": 20},
        {"piece": 64, "pause_ms": 200},
    ):  # fmt: skip
        answer = ask(Line(MBusSlave(5, 1, [WATER, HEAT]), **more), "read", 5)
        assert answer.error is None and len(answer.records) == 5, more


def check_what_is_no_answer_is_none():
    """More than a line's own noise, and answers that come twice."""
    slave = MBusSlave(5, 1, [WATER])
    assert ask(Line(slave, noise=bytes(9)), "read", 5).error == "no answer"
    twins = (MBusSlave(5, 1, [WATER]), MBusSlave(5, 2, [HEAT]))
    assert ask(Line(*twins), "read", 5).error == "no answer"


def check_who_acknowledges_no_reset_answers_all_the_same():
    class Terse(MBusSlave):
        def _short(self, control, address):
            answer = MBusSlave._short(self, control, address)
            return b"" if control == 0x40 else answer

    line = Line(Terse(5, 1, [WATER, HEAT]))
    answer = ask(line, "read", 5)
    assert answer.error is None and len(answer.records) == 5
    # And who is not there costs no more than before.
    line = Line(MBusSlave(5, 1, [WATER]))
    assert ask(line, "read", 6).error == "no answer" and line.sent == 3


def check_a_line_that_spoils_at_random():
    """Echo or none, late, in pieces, with wrong bits: every readout is right or says it is not."""
    random = flash_lab.Random(7)
    right = 0
    for _ in range(60):
        slave = MBusSlave(5, 1, [WATER, HEAT])
        line = Line(
            slave,
            echo=bool(random.below(2)),
            noise=bytes(random.below(3)),
            late_ms=random.below(200),
            piece=1 + random.below(40),
            pause_ms=10 + random.below(60),
        )
        put = line.bus.put

        def spoil(data, put=put):
            answer = bytearray(put(data))
            if answer and random.below(6) == 0:
                answer[random.below(len(answer))] ^= 1 << random.below(8)
            return bytes(answer)

        line.bus.put = spoil
        answer = ask(line, "read", 5)
        if answer.error is None:
            right += 1
            assert [r.value for r in answer.records] == [12345678, 1, 10000, 7000, 1000]
    assert right > 45


# --- who answers ---------------------------------------------------------------------


def check_headers_of_every_kind():
    for ci in (0x72, 0x7A, 0x78):
        port = Port(MBusSlave(5, 0x11, [WATER, HEAT], ci=ci))
        meter = port.install(0, 5)
        assert shown(meter)[:2] == [(12345678, -3, vif.M3, 0), (1, -3, vif.M3_PER_H, 0)], ci
        assert len(shown(meter)) == 4 and (meter.failures, meter.alarm) == (0, 0) and not port.log
        assert meter.identification_number == (0x11 if ci == 0x72 else 0)
        slave = port.line.bus.slaves[0]
        slave.status = 0x14
        meter = port.capture()
        # Without a header there is no status either.
        assert meter.alarm == (0 if ci == 0x78 else 0x14)
        slave.silent = True
        meter = port.capture()
        assert meter.alarm & submeters.ALARM_NO_ANSWER and meter.failures == 1
        assert shown(meter)[0][0] == 12345678
    # Highest octet first: header, numbers, dates, floats.
    big = bytes.fromhex("0C13123456780413000F4240052B447A0000")
    port = Port(MBusSlave(5, 0x12345678, [big], manufacturer=0x2C2D, ci=0x76))
    meter = port.install(0, 5)
    assert meter.identification_number == 0x12345678 and meter.manufacturer_id == 0x2C2D
    assert shown(meter) == [
        (12345678, -3, vif.M3, 0), (1000000, -3, vif.M3, 0), (1, 3, vif.WATT, 0)
    ]  # fmt: skip


def check_what_has_no_records_is_said_in_words():
    for ci, config, text in (
        (0x72, 0x0500, "encrypted, mode 5"),
        (0x7A, 0x0700, "encrypted, mode 7"),
        (0x73, 0, "CI 73, the fixed data structure"),
        (0x70, 0, "application error"),
        (0xB7, 0, "CI B7"),
    ):
        port = Port(MBusSlave(5, 0x11, [WATER], ci=ci, config=config))
        meter = port.install(0, 5)
        assert not shown(meter) and meter.alarm == submeters.ALARM_NO_ANSWER, ci
        assert port.log and text in port.log[0], port.log
    # What an older meter has there is a signature; two fillers say that it is in the clear.
    for config, telegram in ((0xB627, WATER), (0xFFFF, WATER), (0x0500, b"\x2f\x2f" + WATER)):
        meter = Port(MBusSlave(5, 0x11, [telegram], config=config)).install(0, 5)
        assert len(shown(meter)) == 2, config


# --- what a value is -----------------------------------------------------------------


def decoded(text):
    return list(Records(bytes.fromhex(text.replace(" ", ""))))


def check_a_vife_makes_it_another_quantity():
    """(record, unit as COSEM shows it, changed)"""
    for text, unit, changed in (
        ("0413 01000000", vif.M3, False),
        ("049300 01000000", vif.M3, False),  # no error
        ("049374 01000000", vif.M3, False),  # times 0.01
        ("04BE50 01000000", vif.SECOND, True),  # how long the flow was above its lower limit
        ("04BE5B 01000000", vif.DAY, True),
        ("04933C 01000000", vif.M3, True),  # backwards
        ("04933B 01000000", vif.M3, True),
        ("049322 01000000", vif.M3_PER_H, True),  # a volume per hour
        ("048622 01000000", vif.WATT, True),  # an energy per hour
        ("049323 01000000", vif.M3_PER_D, True),
        ("04933E 01000000", vif.M3_BASE, True),  # at base conditions
        ("049328 01000000", vif.NONE, True),  # by the pulse
        ("04852D 01000000", vif.NONE, True),  # an energy by the m3
        ("048533 01000000", vif.NONE, True),
        ("04AB41 01000000", vif.NONE, True),  # how often a limit was passed
        ("04AB48 01000000", vif.WATT, True),  # the limit
        ("0493FF01 01000000", vif.NONE, True),  # the manufacturer's own
        ("04FDC8FF01 01000000", vif.NONE, True),
    ):
        (record,) = decoded(text)
        assert record.changed == changed and not record.error, text
        shows = vif.changed_unit(record.vib, record.unit) if changed else record.unit
        assert shows == unit, (text, shows)
        assert record.is_plain != changed


def check_an_error_of_a_record_is_no_value():
    for code in range(0x20):
        (record, other) = decoded(f"0493{code:02X} 01000000 0406 02000000")
        if code in (0, 0x12, 0x13, 0x14, 0x1D, 0x1E, 0x1F):
            assert not record.error and record.value == 1, code
        else:
            assert record.error == code and record.value is None and record.changed, code
            assert not record.is_plain
        assert other.value == 2 and other.is_plain
    # In the extension tables too, and not among the manufacturer's own.
    assert decoded("04FDC915 01000000")[0].error == 0x15
    assert decoded("04FB8118 01000000")[0].error == 0x18
    assert decoded("0493FF15 01000000")[0].error == 0
    assert decoded("04FF15 01000000")[0].error == 0


def check_what_is_not_plain_is_not_taken_for_it():
    plain = "0413 40420F00"
    for other in (
        "34 13 01000000",  # in error
        "14 13 01000000", "24 13 01000000",  # the most, the least
        "44 13 01000000", "840113 01000000",  # of a day before
        "049315 00000000",  # none
        "04BE50 01000000",
        "0C78 78563412", "02FD17 0000", "01FD0E 05",
        "0D13 05 3534333231", "08 13", "0B13 0A00EE",
    ):  # fmt: skip
        octets = bytes.fromhex((other + plain).replace(" ", ""))
        meter = Port(MBusSlave(1, 0x11, [octets])).install(0, 1)
        assert shown(meter) == [(1000000, -3, vif.M3, 0)], (other, shown(meter))


def check_what_is_asked_for_is_marked():
    octets = bytes.fromhex("04BE50010000003413020000000493150000000004130A000000")
    port = Port(MBusSlave(1, 0x11, [octets]))
    port.table.meters[0].define(
        [(b"\x04", b"\xbe\x50"), (b"\x34", b"\x13"), (b"\x04", b"\x93\x15"), (b"\x04", b"\x13")]
    )
    meter = port.install(0, 1)
    other, wrong = submeters.MARK_OTHER, submeters.MARK_ERROR
    assert shown(meter) == [
        (1, 0, vif.SECOND, other),
        (2, -3, vif.M3, wrong),
        (None, -3, vif.M3, other | wrong),
        (10, -3, vif.M3, 0),
    ], shown(meter)


def check_a_value_keeps_its_place():
    """Volumes by tariff: one that the meter has no value for gives its place to no other."""
    first = bytes.fromhex("0413010000008410130200000084201303000000")
    slave = MBusSlave(1, 0x11, [first])
    port = Port(slave)
    meter = port.install(0, 1)
    assert [v[0] for v in shown(meter)] == [1, 2, 3]
    when = [v.utc_ms for v in meter.values]
    slave.telegrams = [bytes.fromhex("34130B0000008420131500000084101314000000")]
    port.capture()
    wrong = submeters.MARK_ERROR
    assert [(v[0], v[3]) for v in shown(meter)] == [(1, wrong), (20, 0), (21, 0)]
    assert meter.values[0].utc_ms == when[0] and meter.values[1].utc_ms > when[1]
    slave.telegrams = [first]
    port.capture()
    assert [(v[0], v[3]) for v in shown(meter)] == [(1, 0), (2, 0), (3, 0)]
    # Another meter begins anew.
    slave.identification = 0x22
    slave.telegrams = [HEAT]
    port.capture()
    assert [v[0] for v in shown(meter)] == [10000, 7000, 1000]


def check_lengths_of_every_kind():
    text = "0D7803433231"  # 12C, sent backwards
    assert decoded(text)[0].value == b"12C"
    assert decoded("0D13C4 78563412")[0].value == 12345678
    assert decoded("0D13C2 3412")[0].value == 1234
    assert decoded("0D13D2 3412")[0].value == -1234
    assert decoded("0D13E3 010000")[0].value == 1
    assert decoded("0D13E3 FFFFFF")[0].value == -1
    assert decoded("0D13F1" + "00" * 20)[0].value == bytes(20)
    for size, count in ((0xF5, 48), (0xF6, 64)):
        (long, after) = decoded(f"0D13{size:02X}" + "07" * count + "041301000000")
        assert long.value == b"\x07" * count and after.value == 1
    for size in (0xF7, 0xFA, 0xFF):
        try:
            decoded(f"0D13{size:02X}" + "00" * 80)
        except Malformed:
            continue
        raise AssertionError(size)
    assert decoded("066D 0C080AF42500")[0].value == (2023, 5, 20, 10, 8, 12)


def check_all_that_comes_is_read_or_called_malformed():
    random = flash_lab.Random(5)
    for _ in range(1500):
        ci = (0x72, 0x7A, 0x78, 0x76, 0x70, 0x73, random.below(256))[random.below(7)]
        data = bytes([random.below(256) for _ in range(random.below(60))])
        try:
            _, _, found = records.opened(ci, data)
            for record in found:
                vif.changed_unit(record.vib, record.unit)
                assert record.value is None or not record.error
        except Malformed:
            pass


def main():
    done = 0
    for name in sorted(globals()):
        if name.startswith("check_"):
            globals()[name]()
            done += 1
    print(done)
