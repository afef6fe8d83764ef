"""Floods at the service port of a board: a client that speaks all the time and never listens.

The board's carrier (`drivers.links`), the meter's link and its server, and a UART at the pace of
its line both ways. For CPython and the MicroPython VM alike; there the heap is looked at too.
"""

import gc
import os

from dlms import (
    GET_LONG,
    GET_REGISTER,
    OPERATOR_KEYS,
    READER_KEYS,
    REGISTER_ANSWER,
    Cells,
    Model,
    Public,
    Raw,
    security,
)

from ams.cosem import mode_e
from ams.link import MeterLink
from drivers.links import Links

try:
    from hdlc_peer import Primary, address, frame, parameters
except ImportError:
    from openams.faultlab.hdlc_peer import Primary, address, frame, parameters

METER = address(1, 16)
STRANGER = address(16)
LLC = b"\xe6\xe6\x00"


class Uart:
    """Full duplex; 512 octets wait to be read, 544 to be sent."""

    room = 544

    def __init__(self):
        self.baud = 9600
        self._to_send = 0
        self._received = bytearray()
        self._credit_us = 0
        self.feed = b""  # what comes
        self._at = 0
        self.sent = bytearray()
        self.keeps = False
        self.count = 0

    def init(self, baud, bits, parity, stop):
        self.baud = baud

    def write(self, data):
        self._to_send += len(data)
        assert self._to_send <= self.room
        if self.keeps:
            self.sent.extend(data)
        self.count += len(data)

    def idle(self):
        return self._to_send == 0

    def held(self):
        return False

    def readinto(self, buffer):
        count = min(len(buffer), len(self._received))
        buffer[:count] = self._received[:count]
        self._received = self._received[count:]
        return count

    def pass_ms(self, ms):
        self._credit_us += ms * 1000
        octet_us = 10000000 // self.baud
        count = self._credit_us // octet_us
        self._credit_us -= count * octet_us
        self._to_send = max(0, self._to_send - count)
        for _ in range(count if self.feed else 0):
            if len(self._received) < 512:
                self._received.append(self.feed[self._at])
            self._at = (self._at + 1) % len(self.feed)


class Board:
    """Its service port rests at `baud`, or with an optical head at 300 Bd."""

    def __init__(self, baud, mode=mode_e.HDLC):
        self.uart = Uart()
        self.ms = 0
        model = Model()
        self.link = MeterLink(self, model, Cells(), security(), lambda *_: None)
        code = mode_e.BAUD_RATES.index(baud)
        model.set_up_link = lambda: self.link.service.set_up(mode, code, code)
        self.links = Links(self.link, self.uart)

    def run(self, ms, step=2):
        most = 0
        for _ in range(0, ms, step):
            self.uart.pass_ms(step)
            self.ms += step
            self.links.poll(self.ms)
            most = max(most, len(self.links._unsent))
        return most

    def once(self, data):
        """Says something once, and waits until the answer has left."""
        self.uart.feed = b""
        self.uart._received.extend(data)
        self.uart.keeps = True
        self.run(1200)
        self.uart.keeps = False
        sent, self.uart.sent = bytes(self.uart.sent), bytearray()
        return sent

    def entropy(self, count):
        return os.urandom(count)

    def log(self, text):
        pass

    def link_write(self, channel, data):
        return self.links.write(channel, data)

    def link_close(self, channel):
        self.links.close(channel)


# --- what comes all the time -----------------------------------------------------------------


def _say(control, info=b"", client=STRANGER):
    return frame(METER, client, control, info)


def _connected(board, info=512):
    assert board.once(_say(0x93, parameters(info, info, 1, 7)))[:1] == b"\x7e"
    public = Public(None)
    board.once(_say(0x10, LLC + public.aarq(info=public.initiate(), context=1, mechanism=None)))


def polls_of_a_long_answer(board):
    _connected(board)
    board.once(_say(0x32, LLC + b"\xc0\x01\xc1\x00\x0f\x00\x00\x28\x00\x00\xff\x02\x00"))
    return _say(0x31)


def polls_of_frames_of_an_octet(board):
    _connected(board, 1)
    board.once(_say(0x32, LLC[:1]))
    return _say(0x11)


def polls(board):
    _connected(board)
    return _say(0x51)


def connections(board):
    return _say(0x93, parameters(512, 512, 7, 7))


def disconnections(board):
    return _say(0x53)


def openings(board):
    """By who has no keys."""
    forged = Raw(None, 2, (bytes(16), bytes(16))).aarq()
    reader = address(2)
    return (
        _say(0x93, b"", reader)
        + _say(0x10, LLC + forged[:100], reader)
        + _say(0x10, LLC + forged, reader)
    )


def unnumbered(board):
    _connected(board)
    return _say(0x13) + _say(0x03, LLC + GET_REGISTER) + _say(0x13, LLC + GET_LONG)


def sign_ons(board):
    return b"/?!\r\n" * 3 + b"\x06252\r\n"


def noise(board):
    return bytes((k * 37 + 11) & 0xFF for k in range(251))


def flags_and_beginnings(board):
    return b"\x7e\xa7\xff\x03" + b"\x7e" * 40 + b"\x7e\xa0\x20\x02\x21\x21\x93" + _say(0x93)[:9]


def too_long(board):
    _connected(board)
    return _say(0x10, LLC + bytes(1500))


FLOODS = (
    polls_of_a_long_answer,
    polls_of_frames_of_an_octet,
    polls,
    connections,
    disconnections,
    openings,
    unnumbered,
    sign_ons,
    noise,
    flags_and_beginnings,
    too_long,
)


def flood(kind, baud, ms):
    """(most octets that waited to be sent, octets that the heap grew by, octets that were sent)"""
    board = Board(baud, mode_e.MODE_E if kind is sign_ons else mode_e.HDLC)
    board.uart.feed = kind(board)
    most = board.run(ms // 2)
    used = _used()
    count = board.uart.count
    most = max(most, board.run(ms // 2))
    count = board.uart.count - count
    grown = _used() - used
    # The operator comes to a quiet line, and is served.
    board.uart.feed = b""
    board.run(121000, 100)
    client = Raw(_Dialogue(board), 1, OPERATOR_KEYS).associate()
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    assert len(READER_KEYS) == 2 and board.link.server.faults == 0
    return most, grown, count


def _used():
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


class _Dialogue:
    """What `dlms.Raw` asks for its answers, over HDLC."""

    def __init__(self, board):
        self._board = board
        self._primary = Primary(self._line, 1, METER)
        assert self._primary.connect(parameters(128, 128))

    def _line(self, frames):
        out = self._board.once(b"".join(frames))
        found = []
        while out:
            size = ((out[1] & 7) << 8 | out[2]) + 2
            found.append(out[:size])
            out = out[size:]
        return found

    def request(self, apdu, sap, channel):
        return self._primary.exchange(apdu)
