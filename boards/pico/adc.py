"""One-phase front end: the chip's own ADC, voltage and current in turn, by DMA.

The ADC converts U, I, U, I ... at 32 kS/s into a ring; a second DMA channel
winds the first back, so that it never ends and the core has no part in it.
A timer makes sets of 4 kS/s out of it whatever else the core does, a quarter of the size, into
a second ring: half a second, longer than any sector takes to be erased. Each set is made from
eight conversions:

    conversion   u0  i1  u2  i3  u4  i5  u6  i7  u8 = u0 of the next set
    weight U      1       2       2       2       1
    weight I          2       2       2       2

Both centres lie on conversion 4: the multiplexer costs no phase, at any
frequency. Codes are 8 times those of the ADC, 0 to 32760 with zero in the middle.
"""

import time
from array import array

import chip
import machine
import micropython
import rp2
import uctypes
from flash import IN_SLICES
from micropython import const
from ring import room

from ams.hal import FrontEnd

_ADC_CS = chip.ADC
_ADC_FCS = chip.ADC + 0x08
_ADC_FIFO = chip.ADC + 0x0C
_ADC_DIV = chip.ADC + 0x10
_CS_EN = const(1)
_CS_START_MANY = const(8)
_CS_ROUND_ROBIN_0_1 = const(0x30000)
_FCS_EN = const(1)
_FCS_DREQ = const(8)
_FCS_OVER = const(0x800)
_FCS_CLEAR = const(0xC00)
_FCS_THRESHOLD_1 = const(0x1000000)
_AL2_WRITE_ADDR_TRIG = const(0x2C)

_SETS_PER_S = const(4000)
_PER_SET = const(8)  # conversions
# 48 MHz / 1500 = 32 kS/s.
_DIVIDER = const(1500)
# Conversions. Where the flash is busy for a millisecond at a time: 64 ms, more than the core ever
# goes without a step of the code. Where sectors are erased as a whole: 256 ms, for the 45 ms of an
# erase; with the RAM of an RP2350 512 ms, for the longest.
_RING = 2048 if IN_SLICES else 16384 if chip.RP2350 else 8192
_SETS = 2048 if IN_SLICES else 256
_GATHER_MS = const(16)


@micropython.viper
def _make_sets(ring: ptr16, first: int, count: int, mask: int, out: ptr32, to: int, last: int):  # noqa: F821
    """Eight conversions a set; `first` is a multiple of eight. U in the low half of a word.

    `mask` and `last` keep the places in the rings.
    """
    at = first
    for _ in range(count):
        u = int(ring[at + 2]) + int(ring[at + 4]) + int(ring[at + 6])
        i = int(ring[at + 1]) + int(ring[at + 3]) + int(ring[at + 5]) + int(ring[at + 7])
        u = (u << 1) + int(ring[at])
        at = (at + 8) & mask
        out[to] = u + int(ring[at]) | i << 17
        to = (to + 1) & last


@micropython.viper
def _take_sets(sets: ptr32, at: int, count: int, last: int, out: ptr32):  # noqa: F821
    to = 0
    for _ in range(count):
        both = int(sets[at])
        at = (at + 1) & last
        out[to] = both & 0xFFFF
        out[to + 1] = both >> 16 & 0xFFFF
        to += 2


def reserve():
    """The two rings."""
    rings = memoryview(room(2 * _RING + 4 * _SETS))
    return rings[: 2 * _RING], rings[2 * _RING :]


class AdcFrontEnd(FrontEnd):
    """`read` gives what has come since the last time; call it at least every 500 ms."""

    sample_rate_hz = _SETS_PER_S
    channels = 2
    full_scale = 8 * 4095
    lowest_code = 0
    SETS_MAX = 200  # of one read

    def __init__(self, voltage_pin=26, current_pin=27):
        # Powers up the ADC and frees the pins of their digital side.
        self._adcs = (machine.ADC(voltage_pin), machine.ADC(current_pin))
        self._ring, self._sets = reserve()
        self._base = uctypes.addressof(self._ring)
        self._home = array("I", [self._base])
        self._data = rp2.DMA()
        self._rewind = rp2.DMA()
        self.samples = array("i", bytes(4 * 2 * self.SETS_MAX))
        self.index = 0  # number of the first set of `samples`
        self.overruns = 0
        self._at = 0  # conversion that the next set begins with
        self._polled_us = 0
        self._put = self._got = 0  # sets that went into their ring, and came out of it
        self._hole = None  # (sets that go before it, how many are missing)
        self._gathers = False
        self._timer = None
        # Made once: a method that is looked up anew takes heap.
        self._call = self._due

    def start(self):
        mem32 = machine.mem32
        mem32[_ADC_CS] = _CS_EN
        mem32[_ADC_FCS] = _FCS_CLEAR
        while mem32[_ADC_FCS] >> 16 & 15:
            mem32[_ADC_FIFO]
        mem32[_ADC_FCS] = _FCS_EN | _FCS_DREQ | _FCS_THRESHOLD_1
        mem32[_ADC_DIV] = (_DIVIDER - 1) << 8
        data = self._data
        rewind = self._rewind
        rewind.config(
            read=self._home,
            write=chip.DMA + 64 * data.channel + _AL2_WRITE_ADDR_TRIG,
            count=1,
            ctrl=rewind.pack_ctrl(inc_read=False, inc_write=False),
        )
        data.config(
            read=_ADC_FIFO,
            write=self._ring,
            count=_RING,
            ctrl=data.pack_ctrl(
                size=1,
                inc_read=False,
                treq_sel=chip.ADC_REQUEST,
                chain_to=rewind.channel,
                high_pri=True,
            ),
            trigger=True,
        )
        self._at = 0
        mem32[_ADC_CS] = _CS_EN | _CS_ROUND_ROBIN_0_1 | _CS_START_MANY
        self._polled_us = time.ticks_us()
        if self._timer is None:
            self._timer = machine.Timer(
                period=_GATHER_MS, mode=machine.Timer.PERIODIC, callback=self._call
            )

    def stop(self):
        """Gives back what it took of the chip: another one may come after it, in the same rings."""
        if self._timer is not None:
            self._timer.deinit()
            self._timer = None
        self._halt()
        self._data.close()
        self._rewind.close()

    def _halt(self):
        machine.mem32[_ADC_CS] = _CS_EN
        self._data.active(0)
        self._rewind.active(0)

    def _lost(self, sets):
        """A hole of `sets`: the meter sees it in the numbers."""
        self.overruns += 1
        if self._hole is not None:
            # What is between two of them goes with them.
            before, missing = self._hole
            sets += missing + self._put - before
            self._put = before
        self._hole = self._put, sets

    def _due(self, timer):
        """By the timer, between two steps of the code: also of `gather`."""
        if not self._gathers:
            self.gather()

    def gather(self):
        """Makes sets of what was converted since the last time."""
        self._gathers = True
        try:
            self._gather()
        finally:
            self._gathers = False

    def _gather(self):
        now = time.ticks_us()
        passed = time.ticks_diff(now, self._polled_us)
        if machine.mem32[_ADC_FCS] & _FCS_OVER:
            # Conversions were dropped: which channel is which is no longer known.
            self._halt()
            self._lost(passed // 250 + 1)
            self.start()
            return
        ready = ((self._data.write - self._base) // 2 - self._at) & (_RING - 1)
        expected = passed * 32 // 1000
        if expected - ready > _RING // 2:
            # The DMA has lapped: what is left in the ring is of the last lap.
            laps = (expected - ready + _RING // 2) // _RING
            self._lost(laps * (_RING // _PER_SET))
        # The set needs the first conversion of its successor.
        count = (ready - 1) // _PER_SET if ready else 0
        room = _SETS - (self._put - self._got)
        if count > room:
            count = room
        if count:
            _make_sets(
                self._ring, self._at, count, _RING - 1,
                self._sets, self._put & (_SETS - 1), _SETS - 1,
            )  # fmt: skip
        self._polled_us = time.ticks_add(now, -((ready - count * _PER_SET) * 1000 // 32))
        self._at = (self._at + count * _PER_SET) & (_RING - 1)
        self._put += count

    def read(self):
        """Puts the next sets into `samples`; gives how many, 0 when there is nothing yet.

        The first is number `index`, until `taken` is called.
        """
        if not self._gathers:
            self.gather()
        # No call of the timer may come between what is looked at here.
        self._gathers = True
        hole = self._hole
        count = self._put - self._got
        if hole is not None:
            count = hole[0] - self._got
            if not count:
                self.index += hole[1]
                self._hole = None
                count = self._put - self._got
        if count > self.SETS_MAX:
            count = self.SETS_MAX
        if count:
            _take_sets(self._sets, self._got & (_SETS - 1), count, _SETS - 1, self.samples)
            self._got += count
        elif self._hole is None:
            # All were taken: small numbers for ever.
            self._got = self._put = self._put & (_SETS - 1)
        self._gathers = False
        return count

    def taken(self, count):
        self.index += count
