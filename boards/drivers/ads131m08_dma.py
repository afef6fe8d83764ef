"""ADS131M08 on RP2040: a PIO state machine reads each frame, DMA stores it.

The core has nothing to do until it wants the samples. The state machine waits
for DRDY, clocks out ten words of 24 bits and pushes each, left-aligned, so that
its sign is that of the 32-bit word. One DMA channel fills a ring; when it is
full a second one sets it back to the begin.

`clk` must be the pin after `cs`. DIN stays low: that is the NULL command.
"""

import time
from array import array

import rp2
import uctypes
from machine import Pin
from micropython import const

from drivers.ads131m08 import (
    ARG_AT,
    ARG_CHANNELS,
    ARG_CHECK_EVERY,
    ARG_FRAMES,
    ARG_LENGTH,
    ARG_OUT,
    ARG_SIZE,
    ARG_STATUS,
    WORDS,
    take_frames,
)

_CYCLES_PER_BIT = const(4)
_AL2_WRITE_ADDR_TRIG = const(11)
_DREQ_PIO0_RX0 = const(4)
_DREQ_PIO1_RX0 = const(12)


def program(drdy_from_miso):
    """The state machine; side-set drives (cs, clk), IN reads DOUT, mode 1."""

    @rp2.asm_pio(
        sideset_init=(rp2.PIO.OUT_HIGH, rp2.PIO.OUT_LOW),
        in_shiftdir=rp2.PIO.SHIFT_LEFT,
        autopush=True,
        push_thresh=32,
        fifo_join=rp2.PIO.JOIN_RX,
    )
    def read_frames():
        # ruff: noqa: F821
        # Side: bit 0 is cs, bit 1 the clock.
        wrap_target()
        wait(1, pin, drdy_from_miso).side(0b01)
        wait(0, pin, drdy_from_miso).side(0b01)
        set(x, 9).side(0b00)
        label("word")
        set(y, 23).side(0b00)
        label("bit")
        nop().side(0b10)[1]
        in_(pins, 1).side(0b00)
        jmp(y_dec, "bit").side(0b00)
        in_(null, 8).side(0b00)
        jmp(x_dec, "word").side(0b00)
        wrap()

    return read_frames


class Ads131m08Dma:
    """The frames of `adc` (set up already). `poll` moves what came to a buffer of samples.

    `frames` is the length of the ring: so long the core may be away. The status
    of every frame is checked, the CRC of one in `check_every` (0: none): it is what
    costs the core most.
    """

    def __init__(
        self, adc, miso, cs, drdy, machine_id=0, bit_hz=8000000, frames=400, check_every=8
    ):
        self.adc = adc
        self.frames = frames
        self.index = 0  # number of the first set that `poll` gave
        self.spoilt = 0  # frames that did not pass
        self.overruns = 0  # times the ring was full
        self._size = frames * WORDS
        self._ring = array("I", bytes(4 * self._size))
        self._address = array("I", (uctypes.addressof(self._ring),))
        self._args = array("i", bytes(4 * ARG_LENGTH))
        self._args[ARG_CHANNELS] = adc.channels
        self._args[ARG_STATUS] = adc.status
        self._args[ARG_SIZE] = self._size
        self._args[ARG_CHECK_EVERY] = check_every
        self._ring_us = frames * 1000000 // adc.sample_rate_hz
        self._produced = 0  # frames that DMA had stored at the last look
        self._taken = 0  # frames that were moved or dropped
        self._looked_us = None
        self._machine = rp2.StateMachine(
            machine_id,
            program((drdy - miso) & 31),
            freq=_CYCLES_PER_BIT * bit_hz,
            in_base=Pin(miso),
            sideset_base=Pin(cs),
        )
        self._data = rp2.DMA()
        self._back = rp2.DMA()
        self._dreq = (_DREQ_PIO0_RX0 if machine_id < 4 else _DREQ_PIO1_RX0) + machine_id % 4

    def start(self):
        data, back = self._data, self._back
        ctrl = data.pack_ctrl(
            inc_read=False, inc_write=True, treq_sel=self._dreq, chain_to=back.channel
        )
        data.config(read=self._machine, write=self._ring, count=self._size, ctrl=ctrl)
        back.config(
            read=self._address,
            write=data.registers[_AL2_WRITE_ADDR_TRIG : _AL2_WRITE_ADDR_TRIG + 1],
            count=1,
            ctrl=back.pack_ctrl(inc_read=False, inc_write=False),
        )
        data.active(1)
        self._machine.active(1)
        self._looked_us = time.ticks_us()

    def stop(self):
        self._machine.active(0)
        self._data.active(0)
        self._back.active(0)

    def _look(self):
        """Counts the frames that have come; what the ring turned meanwhile is told by time."""
        now_us = time.ticks_us()
        place = (self._size - self._data.count) // WORDS % self.frames
        came = (place - self._produced) % self.frames
        passed_us = time.ticks_diff(now_us, self._looked_us)
        self._looked_us = now_us
        if passed_us > self._ring_us // 2:
            expected = passed_us * self.adc.sample_rate_hz // 1000000
            came += (expected - came + self.frames // 2) // self.frames * self.frames
        self._produced += came

    def poll(self, samples, most):
        """Moves up to `most` sets to `samples`; gives how many. Takes no heap beyond time."""
        self._look()
        waiting = self._produced - self._taken
        if waiting > self.frames - 2:
            # The oldest are being written over: begin again at the newest.
            self.overruns += 1
            self._taken = self._produced
            return 0
        args = self._args
        count = min(waiting, most)
        args[ARG_AT] = self._taken % self.frames * WORDS
        args[ARG_FRAMES] = count
        args[ARG_OUT] = 0
        good = take_frames(args, self._ring, samples, self.adc.table)
        self.index = self._taken
        self._taken += good
        if good < count:
            # The hole shows in the numbers: no energy is invented.
            self.spoilt += 1
            self._taken += 1
        return good
