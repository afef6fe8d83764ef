"""ADS131M08 on an RP2040 or RP2350: a PIO state machine reads each frame, DMA stores it, the core
takes part in nothing until it wants the samples.

The state machine waits for DRDY, clocks ten words of 24 bits out and pushes those that matter:
status, the channels that are on, CRC, each at the top of 32 bits, so that its sign is that of
the word. One DMA channel fills a ring; when it is full a second one sets it back to the begin.

`clk` is the pin after `cs`. DIN stays low meanwhile: that is the NULL command.

What is wrong with a frame makes a hole in the numbers of the samples, and what comes between two
holes counts when it is two cycles of the mains at least. A chip that was reset, has lost its
settings, says nothing or nothing that is right is set up anew.
"""

import time
from array import array

import rp2
import uctypes
from machine import Pin
from micropython import const

from ams import hal
from drivers import ads131m08

# Arguments of ads131m08.take_frames.
_AT = const(0)
_LEFT = const(1)
_CHANNELS = const(2)
_STATUS = const(3)
_SIZE = const(4)
_ZEROS = const(5)
# Four cycles a bit: 7.8 MHz, a frame in 33 us. At 150 MHz the divider has a fraction: single bits
# are as short as at 9.4 MHz, of the 25 that the ADC takes.
_MACHINE_HZ = const(31250000)
_AL2_WRITE_ADDR_TRIG = const(11)
_TABLE_OCTETS = const(1024)
_US_PER_SET = const(250)
# Good frames that have to come after a hole: two cycles of 50 Hz.
_SETTLE = const(160)
# Without a good frame for so long nothing is said of its rate, and as many as that at least are
# missing.
_QUIET_US = const(60000)
_QUIET_SETS = const(40)  # less what came unseen
# Without a good frame for so long it is set up anew, as often as this.
_SILENT_US = const(100000)
_ANEW_US = const(1000000)
# Frames are counted against the chip's own time, once a second. Two crystals differ by 200 ppm,
# and where a look falls between two frames by one.
_COUNTED_US = const(1000000)
_RATE_OFF = const(6)
# Frames that may be written while the oldest are being taken.
_MARGIN = const(8)
# So many spoilt ones, one behind the other, and the rest of what has come is not looked at.
_IN_A_ROW = const(8)


def program(channels, drdy_from_miso):
    """The state machine; side-set drives (cs, clk), IN reads DOUT at the falling edge."""

    @rp2.asm_pio(
        sideset_init=(rp2.PIO.OUT_HIGH, rp2.PIO.OUT_LOW),
        in_shiftdir=rp2.PIO.SHIFT_LEFT,
        autopush=True,
        push_thresh=32,
        fifo_join=rp2.PIO.JOIN_RX,
    )
    def read_frames():
        # ruff: noqa: F821
        # Side: bit 0 is cs, bit 1 the clock, at whose rising edge the next bit comes.
        wrap_target()
        wait(1, pin, drdy_from_miso).side(0b01)
        wait(0, pin, drdy_from_miso).side(0b01)
        set(x, channels).side(0b00)
        label("word")
        set(y, 22).side(0b10)[1]
        label("bit")
        in_(pins, 1).side(0b00)[1]
        jmp(y_dec, "bit").side(0b10)[1]
        in_(pins, 1).side(0b00)
        in_(null, 8).side(0b00)
        jmp(x_dec, "word").side(0b00)
        # Those that are off, then the CRC.
        set(x, 7 - channels).side(0b00)
        label("off")
        set(y, 23).side(0b00)
        label("off_bit")
        nop().side(0b10)[1]
        jmp(y_dec, "off_bit").side(0b00)[1]
        jmp(x_dec, "off").side(0b00)
        set(y, 22).side(0b10)[1]
        label("crc_bit")
        in_(pins, 1).side(0b00)[1]
        jmp(y_dec, "crc_bit").side(0b10)[1]
        in_(pins, 1).side(0b00)
        in_(null, 8).side(0b00)
        wrap()

    return read_frames


class Ads131m08Dma(hal.FrontEnd):
    """`channels` from the first on are sampled; `spi()` makes the bus for setting up; `room` are
    octets for ring and table of the CRC; `request` is the chip's number of what a state machine of
    PIO 0 has received, for DMA."""

    own_chip = True
    sample_rate_hz = ads131m08.SAMPLE_RATE_HZ
    SETS_MAX = 128  # of one read
    WELL_S = 10  # well for so long, and what was told is over

    def __init__(
        self, channels, spi, miso, cs, drdy, room, request, wait_ms=time.sleep_ms, machine_id=0
    ):
        self.channels = channels
        self._pins = miso, cs, drdy
        self.adc = ads131m08.Ads131m08(spi, Pin(cs, Pin.OUT, value=1), wait_ms, channels)
        view = memoryview(room)
        self._table = view[:_TABLE_OCTETS]
        ads131m08.fill_crc_table(self._table)
        octets = self._octets = 4 * (channels + 2)
        frames = self._frames = (len(room) - _TABLE_OCTETS) // octets
        self._ring = view[_TABLE_OCTETS : _TABLE_OCTETS + frames * octets]
        self._home = array("I", (uctypes.addressof(self._ring),))
        self.samples = array("i", bytes(4 * channels * self.SETS_MAX))
        self._args = array("i", bytes(4 * ads131m08.ARG_LENGTH))
        self._args[_CHANNELS] = channels
        # As the VM of the chip keeps a word in an array of signed ones.
        self._args[_STATUS] = self.adc.status << 16
        self._args[_SIZE] = frames * octets
        self._args[_ZEROS] = 3 * (ads131m08.CHANNELS - channels)
        self.index = 0  # number of the first set of `samples`
        self.behind = 0  # frames that wait behind those of the last read
        self.most_behind = 0
        self.fault = 0  # see hal
        self.spoilt = 0  # frames that did not pass
        self.overruns = 0  # times the ring was full
        self.begins = 0  # times it was set up
        self._skip = 0  # sets that are missing before the next ones
        self._settle = 0
        self._well_s = 0
        self._runs = False
        self._place = 0  # frame of the ring that DMA was in at the last look
        self._looked_us = self._good_us = self._tried_us = self._counted_us = time.ticks_us()
        self._counted = 0
        self._number = machine_id
        self._request = request + machine_id
        self._machine = self._data = self._back = None

    def begin(self):
        """Sets the chip up. False when it does not answer; `read` goes on trying."""
        self._tried_us = time.ticks_us()
        self._runs = self.adc.begin()
        self.begins += 1
        if not self._runs:
            self._tell(hal.FRONT_NO_ANSWER)
        return self._runs

    def start(self):
        if not self._runs:
            return
        miso, cs, drdy = self._pins
        if self._machine is None:
            self._data = rp2.DMA()
            self._back = rp2.DMA()
            self._machine = rp2.StateMachine(self._number)
        machine, data, back = self._machine, self._data, self._back
        # The pins go from the SPI to it, and nothing of an unfinished frame stays.
        machine.init(
            self._program(),
            freq=_MACHINE_HZ,
            in_base=Pin(miso),
            sideset_base=Pin(cs),
        )
        machine.restart()
        while machine.rx_fifo():
            machine.get()
        data.config(
            read=machine,
            write=self._ring,
            count=self._args[_SIZE] // 4,
            ctrl=data.pack_ctrl(
                inc_read=False,
                treq_sel=self._request,
                chain_to=back.channel,
                high_pri=True,
            ),
        )
        back.config(
            read=self._home,
            write=data.registers[_AL2_WRITE_ADDR_TRIG : _AL2_WRITE_ADDR_TRIG + 1],
            count=1,
            ctrl=back.pack_ctrl(inc_read=False, inc_write=False),
        )
        self._args[_AT] = self._place = 0
        data.active(1)
        machine.active(1)
        self._looked_us = self._good_us = time.ticks_us()
        if self.begins == 1:
            # What came before the meter was there is no hole.
            self._counted_us = self._looked_us

    _made = None  # its state machine's program

    def _program(self):
        if self._made is None:
            miso, _, drdy = self._pins
            self._made = program(self.channels, (drdy - miso) & 31)
        return self._made

    def stop(self):
        """Gives back what it took of the chip: another front end has room for its program."""
        if self._machine is not None:
            self._halt()
            rp2.PIO(self._number >> 2).remove_program(self._made)
            self._data.close()
            self._back.close()
            self._machine = self._data = self._back = None

    def _halt(self):
        if self._machine is not None:
            self._machine.active(0)
            self._data.active(0)
            self._back.active(0)

    def _anew(self):
        """The chip is set up anew; what it should have sampled meanwhile is missing."""
        self._halt()
        self.begin()
        self._skip += self.behind + max(self._missing(time.ticks_us()), 0)
        self.behind = 0
        self._settle = _SETTLE
        self.start()
        self._good_us = time.ticks_us()

    def _tell(self, fault):
        self._well_s = 0
        if not self.fault:
            self.fault = fault

    def _look(self, now_us):
        """Counts the frames that have come; what the ring turned meanwhile is told by time."""
        frames = self._frames
        words = self._octets >> 2
        place = (frames * words - self._data.count) // words
        came = place - self._place
        if came < 0:
            came += frames
        expected = time.ticks_diff(now_us, self._looked_us) // _US_PER_SET
        if expected > came:
            came += (expected - came + frames // 2) // frames * frames
        self._looked_us = now_us
        self._place = place if place < frames else 0
        self.behind += came
        self._counted += came
        self._count(now_us)

    def _missing(self, now_us):
        """How many frames less than the time asks for have come since the last time."""
        due = time.ticks_diff(now_us, self._counted_us) // _US_PER_SET
        missing = due - self._counted
        self._counted_us = time.ticks_add(self._counted_us, due * _US_PER_SET)
        self._counted = 0
        return missing

    def _count(self, now_us):
        if time.ticks_diff(now_us, self._counted_us) < _COUNTED_US:
            return
        missing = self._missing(now_us)
        if time.ticks_diff(now_us, self._good_us) > _QUIET_US:
            self._skip += max(missing, 0)
        elif not -_RATE_OFF <= missing <= _RATE_OFF:
            self._tell(hal.FRONT_RATE)
            # Nobody knows which: what is open is counted, this second is marked.
            self._skip += max(missing, 1)
        elif self.fault:
            self._well_s += 1
            if self._well_s > self.WELL_S:
                self.fault = 0

    def read(self):
        """Puts the next sets into `samples`; gives how many, 0 when there is nothing yet.

        The first is number `index`, until `taken` is called. At least every 100 ms.
        """
        now_us = time.ticks_us()
        if self._runs:
            self._look(now_us)
            if self.behind > self.most_behind:
                self.most_behind = self.behind
            if self.behind > self._frames - _MARGIN:
                # The oldest are being written over: it begins again with what comes.
                self.overruns += 1
                self._drop()
                self._good_us = now_us
            count = self._take(now_us)
            if count:
                return count
        if time.ticks_diff(now_us, self._good_us) > _SILENT_US:
            self._tell(hal.FRONT_SILENT)
            if time.ticks_diff(now_us, self._tried_us) > _ANEW_US:
                self._anew()
        return 0

    def _drop(self):
        self._skip += self.behind
        self._args[_AT] = self._place * self._octets
        self.behind = 0

    def _take(self, now_us):
        args = self._args
        in_a_row = 0
        while self.behind:
            count = min(self.behind, self._settle or self.SETS_MAX, self.SETS_MAX)
            args[_LEFT] = count
            left = ads131m08.take_frames(args, self._ring, self.samples, self._table)
            good = count - left
            self.behind -= good
            if good:
                if time.ticks_diff(now_us, self._good_us) > _QUIET_US:
                    missing = self._missing(now_us)
                    if missing > _QUIET_SETS:
                        self._skip += missing
                self._good_us = now_us
                in_a_row = 0
            if self._settle:
                self._skip += good
                self._settle -= good
                good = 0
            elif good:
                # Before the next hole.
                self.index += self._skip
                self._skip = 0
            if left:
                in_a_row += 1
                self._step_over()
                if in_a_row > _IN_A_ROW and not good:
                    # None is right: looking at each would take all the time there is.
                    self._drop()
            if good:
                return good
        return 0

    def _step_over(self):
        """A frame did not pass."""
        args = self._args
        adc = self.adc
        self.spoilt += 1
        self._settle = _SETTLE
        at = args[_AT]
        status = self._ring[at + 3] << 8 | self._ring[at + 2]
        whole = ads131m08.is_whole(args, self._ring, self._table)
        ads131m08.step(args)
        self.behind -= 1
        self._skip += 1
        # After a reset all channels are on: of some of them the CRC is not known here.
        if status in ads131m08.AFTER_RESET:
            self._tell(hal.FRONT_RESET)
        elif whole and (status ^ adc.status) & ~ads131m08.STATUS_DRDY:
            self._tell(hal.FRONT_SETTINGS)
        else:
            self._tell(hal.FRONT_SPOILT)
            return
        if time.ticks_diff(time.ticks_us(), self._tried_us) > _ANEW_US:
            self._anew()

    def taken(self, count):
        self.index += count
