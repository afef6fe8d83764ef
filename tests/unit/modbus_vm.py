"""The Modbus slave on serial lines and TCP connections, on either VM.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

from ams.clock.local import LocalClock
from ams.metrology.quantities import STATUS_NEUTRAL_LOST, STATUS_PHASE_LOSS_L1, Quantities
from ams.metrology.transformers import Transformers
from ams.modbus.binary32 import float_bits
from ams.modbus.modbus_port import ModbusPort
from ams.modbus.rtu import RtuLine, crc16, crc_plain
from ams.modbus.slave import PDU
from ams.modbus.tcp_server import IDLE_MS, PLACES, TcpServer
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity

UNITS = {"1": "sunspec", "2": "sdm630", "3": "sunspec-float"}
LINE = (9600, None, 1)
CHARACTER_US = 11000000 // 9600


class Cells:
    def __init__(self):
        self.kept = {}

    def get(self, key, default=None):
        return self.kept.get(key, default)

    def set(self, key, value):
        self.kept[key] = value


class Named:
    pass


class Faults:
    def __init__(self):
        self.taken = []

    def take(self, part, error):
        self.taken.append((part, repr(error)))


def make_meter(system="3P4W", transformers=None):
    ratios = Transformers(transformers)
    meter = Named()
    meter.quantities = Quantities(system, ratios)
    meter.energy = EnergyRegisters(LocalClock(), ratios)
    meter.identity = Identity("7359990000000017", "OAMS-3")
    meter.calibration = Named()
    meter.calibration.nominal_voltage_mv = 230000
    meter.faults = Faults()
    return meter


def make_port(meter=None, units=None, cells=None):
    meter = meter or make_meter()
    port = ModbusPort(meter, {"units": units or UNITS}, cells or Cells())
    port.open_first()
    return port


def ask(slave, unit, pdu):
    size = slave.serve(unit, pdu, 0, len(pdu))
    return bytes(slave.frame[PDU : PDU + size])


def read(first, count, function=3):
    return bytes((function, first >> 8, first & 0xFF, count >> 8, count & 0xFF))


def words(answer):
    assert answer[1] == len(answer) - 2
    return [answer[k] << 8 | answer[k + 1] for k in range(2, len(answer), 2)]


def with_crc(frame):
    crc = crc_plain(frame, 0, len(frame))
    return bytes(frame) + bytes((crc & 0xFF, crc >> 8))


# --- the slave -------------------------------------------------------------------------


def check_functions_other_than_reading_are_exception_1():
    slave = make_port().slave
    for function in range(256):
        if function not in (3, 4):
            for pdu in (bytes((function,)), bytes((function, 0, 0, 0, 1))):
                assert ask(slave, 1, pdu) == bytes((function | 0x80, 1))


def check_addresses_that_there_are_not_are_exception_2():
    slave = make_port().slave
    end = 40000 + 72 + 105 + 2
    for first, count in ((39999, 2), (end, 1), (end - 1, 2), (0, 1), (65535, 1), (65535, 125)):
        for function in (3, 4):
            wanted = bytes((function | 0x80, 2))
            assert ask(slave, 1, read(first, count, function)) == wanted, (first, count)
    assert ask(slave, 2, read(0x17D, 2, 4)) == b"\x84\x02"
    assert ask(slave, 2, read(0x1D, 2, 3)) == b"\x83\x02"
    assert len(ask(slave, 1, read(end - 1, 1))) == 4
    assert len(ask(slave, 2, read(0x17C, 2, 4))) == 6


def check_quantities_and_lengths_that_cannot_be_are_exception_3():
    slave = make_port().slave
    for count in (0, 126, 0x8001, 0xFFFF):
        assert ask(slave, 1, read(40000, count)) == b"\x83\x03", count
    for pdu in (b"\x03", read(40000, 1)[:4], read(40000, 1) + b"\0", b"\x04" + bytes(251)):
        assert ask(slave, 1, pdu) == bytes((pdu[0] | 0x80, 3))


def check_every_part_of_an_answer_is_as_in_the_whole():
    """Any start and count show the same registers: none is torn where an answer begins or ends."""
    meter = make_meter()
    q = meter.quantities
    q.voltage_mv[:] = [230123, 229456, 231789]
    q.current_ua[:] = [10123456, 2345678, 987654]
    q.active_power_mw[:] = [2329000, -538000, 229000]
    q.total_active_power_mw = 2020000
    q.frequency_mhz = 50013
    meter.energy.mwh[:] = [123456789012, 987654321098, 1234567, 7654321, 1, 2000, 3999999, 70000]
    slave = make_port(meter).slave
    for unit, function, base, size in (
        (1, 3, 40000, 72 + 107),
        (3, 4, 40000, 72 + 126),
        (2, 4, 0, 382),
        (2, 3, 0, 30),
    ):
        whole = []
        for first in range(0, size, 125):
            count = min(125, size - first)
            whole += words(ask(slave, unit, read(base + first, count, function)))
        for first in range(size):
            for count in (1, 2, 3, 7):
                if first + count <= size:
                    part = words(ask(slave, unit, read(base + first, count, function)))
                    assert part == whole[first : first + count], (unit, first, count)


def check_a_fault_of_our_own_is_an_exception_and_told():
    meter = make_meter()
    slave = make_port(meter).slave
    meter.quantities.voltage_mv = None
    assert ask(slave, 1, read(40072, 20)) == b"\x83\x04"
    assert len(meter.faults.taken) == 1
    assert ask(slave, 1, read(40000, 2)) == b"\x03\x04SunS"


def check_what_flows_out_is_negative_and_counts_as_export():
    meter = make_meter("1P2W")
    q = meter.quantities
    q.voltage_mv[0], q.current_ua[0] = 230000, 4350000
    q.active_power_mw[0] = q.total_active_power_mw = -1000499
    q.reactive_power_mvar[0] = q.total_reactive_power_mvar = 250500
    q.apparent_power_mva[0] = q.total_apparent_power_mva = 1031383
    q.power_factor_permille[0] = -970
    meter.energy.mwh[1] = 1999999
    slave = make_port(meter).slave
    got = words(ask(slave, 1, read(40070, 107)))
    assert got[:2] == [201, 105]
    assert got[2:7] == [435, 435, 0x8000, 0x8000, 0xFFFE]
    assert got[7:11] == [2300, 2300, 0x8000, 0x8000] and got[11:15] == [0x8000] * 4
    assert got[18:20] == [0x10000 - 1000] * 2 and got[22] == 0  # W, W_SF
    assert got[33] == 0x10000 - 970, got[33]
    assert got[38:40] == [0, 1999] and got[46:48] == [0, 0]  # Wh exported, imported


def check_energies_count_on_from_zero_when_32_bits_are_full():
    meter = make_meter()
    slave = make_port(meter).slave
    meter.energy.mwh[0] = ((1 << 32) + 5) * 1000 + 999
    assert words(ask(slave, 1, read(40116, 2))) == [0, 5]
    meter.energy.mwh[0] = ((1 << 32) - 1) * 1000
    assert words(ask(slave, 1, read(40116, 2))) == [0xFFFF, 0xFFFF]


def check_behind_transformers_scale_factors_hold_what_flows():
    meter = make_meter("3P3W", {"ct": [600, 5], "vt": [11000, 110]})
    meter.calibration.nominal_voltage_mv = 110000
    q = meter.quantities
    q.voltage_mv[:] = [110000, 110000, 110000]
    q.current_ua[:] = [5000000, 5000000, 5000000]
    q.total_active_power_mw = 952628
    meter.energy.mwh[0] = 123456789  # steps of a Wh: the point is large
    slave = make_port(meter).slave
    got = words(ask(slave, 1, read(40070, 107)))

    def scaled(at, factor):
        value = got[at] - (0x10000 if got[at] & 0x8000 else 0)
        exponent = got[factor] - (0x10000 if got[factor] & 0x8000 else 0)
        return value * 10**exponent if exponent >= 0 else value / 10**-exponent

    assert got[0] == 204
    assert abs(scaled(3, 6) - 600) < 2, scaled(3, 6)
    assert abs(scaled(12, 15) - 11000) < 20
    assert abs(scaled(18, 22) - 11431536) < 600
    assert got[22] == 3 and (got[46] << 16 | got[47]) == 123456 and got[54] == 3  # kWh
    # Power beyond all sense stops, it does not come out on the other side.
    q.total_active_power_mw = -(10**15)
    assert words(ask(slave, 1, read(40088, 1))) == [0x8001]


def check_events_are_the_bits_of_sunspec():
    meter = make_meter()
    slave = make_port(meter).slave
    q = meter.quantities
    q.voltage_mv[:] = [230000, 230000, 230000]

    def evt():
        got = words(ask(slave, 1, read(40175, 2)))
        return got[0] << 16 | got[1]

    assert evt() == 0
    q.voltage_mv[1] = 206999
    assert evt() == 0x08
    q.voltage_mv[1] = 253001
    assert evt() == 0x40
    q.voltage_mv[1] = 230000
    q.status = STATUS_PHASE_LOSS_L1 << 2 | STATUS_NEUTRAL_LOST
    assert evt() == 0x10004


def check_settings_that_cannot_be_are_refused_in_one_line():
    for config in (
        {"units": {"0": "sunspec"}},
        {"units": {"248": "sunspec"}},
        {"units": {"x": "sunspec"}},
        {"units": ["sunspec"]},
        {"units": {"1": "em24"}},
        {"rtu": {"baud": 9601}},
        {"rtu": {"parity": "mark"}},
        {"rtu": {"stop": 3}},
    ):
        try:
            ModbusPort(make_meter(), config, Cells())
        except ValueError as error:
            assert str(error).startswith("modbus: ") and "\n" not in str(error)
        else:
            raise AssertionError(config)


def check_the_operator_s_word_outlives_a_power_cut():
    cells = Cells()
    port = ModbusPort(make_meter(), {"units": UNITS}, cells)
    assert not port.is_open
    port.open_first()
    assert port.is_open  # left so at the works
    port.set_open(False)
    port = ModbusPort(make_meter(), {"units": UNITS}, cells)
    port.open_first()
    assert not port.is_open  # that counts from now on
    port.set_open(True)
    assert ModbusPort(make_meter(), {"units": UNITS}, cells).is_open


# --- RS-485 ----------------------------------------------------------------------------


class Uart:
    def __init__(self):
        self.waiting = b""
        self.said = b""
        self.settings = None
        self.busy = False

    def init(self, *settings):
        self.settings = settings

    def readinto(self, buffer):
        piece, self.waiting = self.waiting[: len(buffer)], self.waiting[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def write(self, data):
        self.said += bytes(data)

    def idle(self):
        return not self.busy


class Wire:
    """A line whose octets come at times; polled every `poll_us`."""

    def __init__(self, poll_us=100, line=LINE, port=None):
        self.port = port or make_port()
        self.uart = Uart()
        self.rtu = RtuLine(self.port.slave, self.uart, line)
        self.poll_us = poll_us
        self.now_us = 0x3FFFF000  # soon they wrap

    def wait(self, us):
        for _ in range(us // self.poll_us):
            self.now_us += self.poll_us
            self.rtu.poll(self.now_us & 0x3FFFFFFF, self.port.is_open)

    def say(self, data, gap_us=CHARACTER_US):
        """Each octet by itself, `gap_us` from one to the next."""
        for k in range(len(data)):
            self.uart.waiting += data[k : k + 1]
            self.wait(gap_us)

    def answer(self, wait_us=20000):
        self.wait(wait_us)
        said, self.uart.said = self.uart.said, b""
        return said


REQUEST = with_crc(b"\x01" + read(40000, 2))
ANSWER = with_crc(b"\x01\x03\x04SunS")


def check_a_request_on_the_line_is_answered_after_the_silence():
    wire = Wire()
    assert wire.uart.settings == (9600, 8, None, 1)
    wire.say(REQUEST)
    assert wire.uart.said == b""  # 3.5 characters of silence are not over
    assert wire.answer() == ANSWER
    assert crc16(ANSWER, 0, len(ANSWER)) == 0


def check_exceptions_go_over_the_line():
    wire = Wire()
    wire.say(with_crc(b"\x01\x06\x00\x00\x00\x01"))
    assert wire.answer() == with_crc(b"\x01\x86\x01")


def check_the_line_is_silent_to_what_is_not_for_it():
    for frame in (
        REQUEST[:-1] + bytes((REQUEST[-1] ^ 1,)),
        with_crc(b"\x00" + read(40000, 2)),  # everybody
        with_crc(b"\x07" + read(40000, 2)),  # another unit
        REQUEST[:-1],
        REQUEST[:3],
        with_crc(b"\x01")[:3],
        bytes(300),
        with_crc(b"\x01\x10" + bytes(260)),  # too long for any frame
    ):
        wire = Wire()
        wire.say(frame)
        assert wire.answer() == b"", frame
        wire.say(REQUEST)
        assert wire.answer() == ANSWER, frame


def check_a_pause_inside_spoils_a_frame_and_a_longer_one_ends_it():
    for gap_us, answered in ((CHARACTER_US * 2, False), (CHARACTER_US * 5 // 4, True)):
        wire = Wire()
        wire.say(REQUEST[:4])
        wire.wait(gap_us - CHARACTER_US)
        wire.say(REQUEST[4:])
        assert (wire.answer() == ANSWER) == answered, gap_us
    wire = Wire()
    wire.say(REQUEST[:4])
    wire.wait(6 * CHARACTER_US)
    wire.say(REQUEST)
    assert wire.answer() == ANSWER


def check_above_19200_baud_the_silences_are_fixed():
    wire = Wire(poll_us=50, line=(115200, 0, 1))
    assert wire.uart.settings == (115200, 8, 0, 1)
    wire.say(REQUEST[:4], 95)
    wire.wait(600)
    wire.say(REQUEST[4:], 95)
    wire.wait(1600)
    assert wire.uart.said == b""
    wire.wait(200)
    assert wire.uart.said == ANSWER
    wire.uart.said = b""
    wire.say(REQUEST[:4], 95)
    wire.wait(900)
    wire.say(REQUEST[4:], 95)
    wire.wait(4000)
    assert wire.uart.said == b""


def check_who_polls_seldom_misses_no_request():
    """Polls as an ESP32 has them: a frame is seen in pieces of any size, however late."""
    for poll_us in (5000, 13000, 40000):
        for late in range(0, poll_us, 1700):
            wire = Wire(poll_us=100)
            octets = REQUEST
            sent = 0
            us = -late
            done = False
            # The octets come at their pace whatever the polls do.
            for _ in range(3 * poll_us // 100 + 200):
                us += 100
                while sent < len(octets) and us >= sent * CHARACTER_US:
                    wire.uart.waiting += octets[sent : sent + 1]
                    sent += 1
                if us % poll_us < 100:
                    wire.now_us += poll_us
                    wire.rtu.poll(wire.now_us & 0x3FFFFFFF)
                    done = done or wire.uart.said == ANSWER
            wire.wait(2 * poll_us + 20000)
            assert wire.uart.said == ANSWER, (poll_us, late)


def check_behind_the_talk_of_others_a_late_poll_finds_its_request():
    """Another slave's answer and our request wait together: the pause between was not seen."""
    wire = Wire(poll_us=30000)
    others = with_crc(b"\x09\x03\x06\x00\x01\x00\x02\x00\x03")
    wire.uart.waiting += others[:5]
    wire.wait(30000)
    wire.uart.waiting += others[5:] + REQUEST
    assert wire.answer(90000) == ANSWER
    # Where each silence is seen it is one frame with a wrong check.
    wire = Wire()
    wire.say(others + REQUEST)
    assert wire.answer() == b""


def check_its_own_echo_is_no_request():
    wire = Wire()
    wire.uart.busy = True
    wire.say(REQUEST)
    assert wire.answer() == ANSWER
    wire.uart.waiting += ANSWER
    wire.wait(3000)
    wire.uart.busy = False
    wire.wait(20000)
    assert wire.uart.waiting == b"" and wire.uart.said == b""
    wire.say(REQUEST)
    assert wire.answer() == ANSWER


def check_a_closed_port_says_nothing():
    wire = Wire()
    wire.port.set_open(False)
    wire.say(REQUEST)
    assert wire.answer() == b""
    wire.port.set_open(True)
    wire.say(REQUEST)
    assert wire.answer() == ANSWER


# --- TCP -------------------------------------------------------------------------------


class Peer:
    def __init__(self, room=None):
        self.waiting = b""
        self.said = b""
        self.ended = False
        self.closed = False
        self.room = room  # octets that it takes, None: all

    def readinto(self, buffer):
        assert len(buffer)
        if not self.waiting:
            return 0 if self.ended else None
        piece, self.waiting = self.waiting[: len(buffer)], self.waiting[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def write(self, data):
        if self.ended:
            raise OSError(104)
        count = len(data) if self.room is None else min(self.room, len(data))
        self.said += bytes(data[:count])
        if self.room is not None:
            self.room -= count
        return count

    def close(self):
        self.closed = True


class Net:
    def __init__(self, port=None):
        self.port = port or make_port()
        self.server = TcpServer(self.port.slave, self.port.units[0][0])
        self.coming = []
        self.now_ms = 0x3FFFFF00  # soon they wrap
        self.full = False

    def accept(self):
        if self.full:
            raise OSError(23)
        return self.coming.pop(0) if self.coming else None

    def poll(self, ms=1):
        self.now_ms += ms
        while self.server.poll(self, self.now_ms & 0x3FFFFFFF, self.port.is_open):
            pass

    def join(self, **more):
        peer = Peer(**more)
        self.coming.append(peer)
        self.poll()
        return peer

    def ask(self, peer, data):
        peer.waiting += data
        self.poll()
        said, peer.said = peer.said, b""
        return said


def adu(pdu, unit=1, number=0x1234):
    head = bytes((number >> 8, number & 0xFF, 0, 0, 0, len(pdu) + 1, unit))
    return head + pdu


TCP_REQUEST = adu(read(40000, 2))
TCP_ANSWER = adu(b"\x03\x04SunS")


def check_a_connection_is_answered_under_its_own_number():
    net = Net()
    peer = net.join()
    assert net.ask(peer, TCP_REQUEST) == TCP_ANSWER
    assert net.ask(peer, adu(read(40000, 2), number=0xFFFE)) == adu(b"\x03\x04SunS", number=0xFFFE)
    # A unit that there is not, everybody, and who knows of no units.
    assert net.ask(peer, adu(read(40000, 2), unit=9)) == adu(b"\x83\x0b", unit=9)
    assert net.ask(peer, adu(read(40000, 2), unit=0)) == b""
    assert net.ask(peer, adu(read(40000, 2), unit=255)) == adu(b"\x03\x04SunS", unit=255)


def check_a_request_may_come_in_any_pieces_and_several_in_one():
    for size in range(1, 13):
        net = Net()
        peer = net.join()
        for at in range(0, 24, size):
            peer.waiting += (TCP_REQUEST + TCP_REQUEST)[at : at + size]
            net.poll()
        assert peer.said == TCP_ANSWER * 2, size
    net = Net()
    peer = net.join()
    assert net.ask(peer, TCP_REQUEST * 20) == TCP_ANSWER * 20


def check_longer_and_shorter_requests_leave_the_next_one_whole():
    net = Net()
    peer = net.join()
    for pdu in (
        b"\x03",
        b"\x03\x00",
        read(40000, 2) + b"\x00",
        b"\x04" + bytes(252),
    ):
        wanted = adu(bytes((pdu[0] | 0x80, 3)))
        for size in (1, 7, 300):
            data = adu(pdu) + TCP_REQUEST
            for at in range(0, len(data), size):
                peer.waiting += data[at : at + size]
                net.poll()
            said, peer.said = peer.said, b""
            assert said == wanted + TCP_ANSWER, (pdu, size)
    assert net.ask(peer, adu(b"\x10" + bytes(252)) + TCP_REQUEST) == adu(b"\x90\x01") + TCP_ANSWER


def check_what_is_no_modbus_ends_the_connection():
    for head in (b"GET / HTTP/1.1\r\n", bytes(12), b"\0\1\0\0\0\1\1\3", b"\0\1\0\0\1\0\1\3"):
        net = Net()
        peer = net.join()
        other = net.join()
        assert net.ask(peer, head) == b"" and peer.closed, head
        assert net.ask(other, TCP_REQUEST) == TCP_ANSWER


def check_who_does_not_read_is_read_no_further_and_costs_the_others_nothing():
    net = Net()
    peer = net.join(room=5)
    other = net.join()
    peer.waiting = TCP_REQUEST * 3
    net.poll()
    assert peer.said == TCP_ANSWER[:5] and peer.waiting == TCP_REQUEST * 2
    assert net.ask(other, adu(read(40000, 125))) != b""
    peer.room = 8
    net.poll()
    assert peer.said == TCP_ANSWER
    peer.room = None
    net.poll()
    assert peer.said == TCP_ANSWER * 3


def check_connections_are_few_and_the_silent_go():
    net = Net()
    peers = [net.join() for _ in range(PLACES)]
    for peer in peers[1:]:
        assert net.ask(peer, TCP_REQUEST) == TCP_ANSWER
    # The one that has said nothing gives way, then the one that was silent for longest.
    last = net.join()
    assert peers[0].closed and net.ask(last, TCP_REQUEST) == TCP_ANSWER
    assert net.ask(peers[1], TCP_REQUEST) == TCP_ANSWER
    net.join()
    assert peers[2].closed and not peers[1].closed and not last.closed
    # Comers that say nothing displace each other, not who talks.
    for _ in range(20):
        net.join()
    assert not peers[1].closed and not last.closed and not peers[3].closed
    net.poll(IDLE_MS // 2)
    assert net.ask(last, TCP_REQUEST) == TCP_ANSWER
    net.poll(IDLE_MS // 2 + 2000)
    assert peers[1].closed and not last.closed
    net.poll(IDLE_MS + 1)
    assert last.closed
    net.full = True
    net.poll()


def check_a_client_that_went_leaves_its_place():
    net = Net()
    for _ in range(3 * PLACES):
        peer = net.join()
        peer.waiting = TCP_REQUEST[:5]
        peer.ended = True
        net.poll()
        assert peer.closed
    peer = net.join()
    peer.waiting = TCP_REQUEST
    peer.ended = True  # before the answer
    net.poll()
    assert peer.closed
    assert net.ask(net.join(), TCP_REQUEST) == TCP_ANSWER


def check_a_closed_port_ends_connections_and_takes_none():
    net = Net()
    peer = net.join()
    assert net.ask(peer, TCP_REQUEST) == TCP_ANSWER
    net.port.set_open(False)
    assert net.ask(peer, TCP_REQUEST) == b"" and peer.closed
    assert net.join().closed
    net.port.set_open(True)
    assert net.ask(net.join(), TCP_REQUEST) == TCP_ANSWER


def check_floats_are_those_of_ieee_754():
    for value, places, bits in (
        (0, 3, 0),
        (1, 0, 0x3F800000),
        (-2500, 3, 0xC0200000),
        (1, 1, 0x3DCCCCCD),
        (16777217, 0, 0x4B800000),  # a tie, to even
        (16777219, 0, 0x4B800002),
        (33554431, 0, 0x4C000000),  # rounds up to the next power
        (230123, 3, 0x43661F7D),
        (10**40, 0, 0x7F800000),
        (123456789012345678, 6, 0x51E5F4C9),
    ):
        assert float_bits(value, places) == bits, (value, places, hex(float_bits(value, places)))


CHECKS = [name for name in sorted(globals()) if name.startswith("check_")]


def frames_take_no_heap():
    """On MicroPython: a frame that is not for us, and one read, while the heap is locked."""
    import micropython

    wire = Wire()
    other = with_crc(b"\x07" + read(40000, 2))
    uart = wire.uart
    rtu = wire.rtu
    piece = rtu._piece
    for k in range(8):
        piece[k] = other[k]
    net = Net()
    caller = net.server._callers[0]
    slave = wire.port.slave
    pdu = read(40000, 70)
    uart.readinto = lambda buffer: 0
    rtu.poll(1)
    serve, take, end, measure = slave.serve, rtu._take, rtu._end, net.server._measure
    wanted = net.server._wanted
    caller.head[:] = TCP_REQUEST
    caller.got = 6
    micropython.heap_lock()
    take(8, 1000)
    end(True)
    serve(1, pdu, 0, 5)
    measure(caller)
    wanted(caller)
    micropython.heap_unlock()
    return True


def main():
    for name in CHECKS:
        try:
            globals()[name]()
        except Exception:
            print(name)
            raise
    print(len(CHECKS), frames_take_no_heap())
