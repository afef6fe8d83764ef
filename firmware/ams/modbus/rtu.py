"""Modbus RTU on a serial line (MODBUS over Serial Line V1.02, 2.5.1): frames by silence and CRC.

Who polls seldom cannot see each silence. A gap is held against a frame only when it surely was
one: when a poll found nothing that long after the octets before. The other way round a pause
that a late poll cannot have seen may have been there: then the request that came last is looked
for behind what others on the line said.
"""

import sys
from array import array

import micropython
from micropython import const

from ams.modbus.slave import BROADCAST, PDU

_LONGEST = const(256)
_PIECE = const(64)
_REQUEST = const(8)  # that reads: unit, function, address, quantity, CRC
_WRAP = const(0x3FFFFFFF)
# Above this rate the silences are fixed.
_FAST = const(19200)
_FAST_T15_US = const(750)
_FAST_T35_US = const(1750)

# CRC-16 of Modbus, reflected polynomial 0xA001, by nibble.
_NIBBLES = array(
    "H",
    (
        0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
        0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
    ),
)  # fmt: skip


@micropython.viper
def crc_viper(data, start: int, end: int) -> int:
    """CRC of data[start:end]; the caller answers for the bounds."""
    d = ptr8(data)  # noqa: F821
    table = ptr16(_NIBBLES)  # noqa: F821
    crc: int = 0xFFFF
    at = start
    while at < end:
        crc ^= int(d[at])
        crc = (crc >> 4) ^ int(table[crc & 15])
        crc = (crc >> 4) ^ int(table[crc & 15])
        at += 1
    return crc


def crc_plain(data, start, end):
    """The same in plain Python."""
    crc = 0xFFFF
    for at in range(start, end):
        crc ^= data[at]
        crc = (crc >> 4) ^ _NIBBLES[crc & 15]
        crc = (crc >> 4) ^ _NIBBLES[crc & 15]
    return crc


crc16 = crc_viper if sys.implementation.name == "micropython" else crc_plain


class RtuLine:
    """`uart` is a hal.Uart that nobody else has; `line` (baud, parity, stop). Times are ticks in us
    that wrap as time.ticks_us does."""

    def __init__(self, slave, uart, line):
        self._slave = slave
        self._uart = uart
        baud, parity, stop = line
        uart.init(baud, 8, parity, stop)
        # A character has a start bit, eight, and parity and stop bits: eleven at the most.
        self._character_us = 11000000 // baud
        self._t15_us = _FAST_T15_US if baud > _FAST else self._character_us * 3 // 2
        self._t35_us = _FAST_T35_US if baud > _FAST else self._character_us * 7 // 2
        self._frame = bytearray(_LONGEST)
        self._piece = memoryview(bytearray(_PIECE))
        self._out = memoryview(slave.frame)
        self._got = 0
        self._spoilt = False  # too long, or with a hole
        self._blind = False  # a pause may have passed unseen
        self._seen_us = 0  # by then the last octet was there
        self._empty_us = None  # the last poll that found nothing after that
        self._sending = False

    def poll(self, now_us, is_open=True):
        """Often: an answer waits for the call. Whether it said something."""
        uart = self._uart
        if self._sending:
            # A transceiver gives back what it sends.
            while uart.readinto(self._piece):
                pass
            if not uart.idle():
                return False
            self._sending = False
        count = uart.readinto(self._piece)
        while count:
            self._take(count, now_us)
            count = uart.readinto(self._piece)
        if not self._got:
            return False
        if self._seen_us == now_us:
            return False
        self._empty_us = now_us
        if (now_us - self._seen_us) & _WRAP < self._t35_us:
            return False
        return self._end(is_open)

    def _take(self, count, now_us):
        if self._got and self._seen_us != now_us:
            most_us = ((now_us - self._seen_us) & _WRAP) - count * self._character_us
            if self._empty_us is not None:
                least_us = (self._empty_us - self._seen_us) & _WRAP
                if least_us > self._t15_us:
                    self._spoilt = True
            if most_us >= self._t35_us:
                self._blind = True
        self._seen_us = now_us
        self._empty_us = None
        got = self._got
        frame = self._frame
        piece = self._piece
        for k in range(count):
            if got == _LONGEST:
                self._spoilt = True
                break
            frame[got] = piece[k]
            got += 1
        self._got = got

    def _end(self, is_open):
        """A silence: what came before it is a frame, if it is one."""
        size = self._got
        start = 0
        good = not self._spoilt and size >= 4 and crc16(self._frame, 0, size) == 0
        if not good and self._blind and size > _REQUEST:
            start = size - _REQUEST
            good = crc16(self._frame, start, size) == 0
        self._got = 0
        self._spoilt = self._blind = False
        unit = self._frame[start]
        if not good or not is_open or unit == BROADCAST or not self._slave.has(unit):
            return False
        self._say(unit, self._slave.serve(unit, self._frame, start + 1, size - start - 3))
        return True

    def _say(self, unit, size):
        out = self._slave.frame
        out[PDU - 1] = unit
        crc = crc16(out, PDU - 1, PDU + size)
        out[PDU + size] = crc & 0xFF
        out[PDU + size + 1] = crc >> 8
        self._sending = True
        self._uart.write(self._out[PDU - 1 : PDU + size + 2])
