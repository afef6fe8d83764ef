"""ADS131M08: eight 24-bit converters that sample at the same instant, over SPI (mode 1).

A frame has ten words of 24 bits: status, eight channels, CRC. What a command
answers comes with the next frame. At 8.192 MHz of clock and an oversampling
of 1024 there are 4000 frames a second, each announced by DRDY going low.

Here is the chip over a plain SPI bus. On RP2040 `drivers.ads131m08_dma` takes
the frames without the core.
"""

from array import array

import micropython
from micropython import const

from ams.hal import FrontEnd

WORDS = const(10)
FRAME_OCTETS = const(30)

REG_ID = const(0x00)
REG_STATUS = const(0x01)
REG_MODE = const(0x02)
REG_CLOCK = const(0x03)
REG_GAIN1 = const(0x04)
REG_GAIN2 = const(0x05)

_CMD_NULL = const(0x0000)
_CMD_RESET = const(0x0011)
_CMD_RREG = const(0xA000)
_CMD_WREG = const(0x6000)
_ANSWER_RESET = const(0xFF28)
_ANSWER_WREG = const(0x4000)
_ID = const(0x2800)  # eight channels
# 24-bit words, CRC-CCITT, interface time-out, and the reset flag cleared.
_MODE = const(0x0110)
_STATUS = const(0x0100)  # what MODE shows of itself in the status word
_CLOCK_HIGH_RESOLUTION = const(0x0002)
_OSR = {32000: 0, 16000: 1, 8000: 2, 4000: 3, 2000: 4, 1000: 5}

# Parameters of `take_frames`, in an array('i').
ARG_AT = const(0)  # word of the ring where the first frame begins
ARG_FRAMES = const(1)
ARG_CHANNELS = const(2)
ARG_STATUS = const(3)
ARG_SIZE = const(4)  # words of the ring
ARG_OUT = const(5)  # where in `out` the first sample goes
ARG_CHECK_EVERY = const(6)  # so many frames from one CRC to the next; 0: none
ARG_CHECK_NEXT = const(7)  # frames to the next, kept by `take_frames`
ARG_LENGTH = const(8)

# 1.2 V of reference over 2**23 codes, in picovolt.
LSB_PV = const(143051)


def make_crc_table():
    """CRC-16-CCITT by octet."""
    table = array("H", bytes(512))
    for octet in range(256):
        crc = octet << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
        table[octet] = crc
    return table


@micropython.viper
def frame_crc(frame: ptr8, count: int, table: ptr16) -> int:  # noqa: F821
    crc: int = 0xFFFF
    k: int = 0
    while k < count:
        crc = ((crc << 8) & 0xFFFF) ^ table[((crc >> 8) ^ frame[k]) & 0xFF]
        k += 1
    return crc


@micropython.viper
def take_octets(frame: ptr8, out: ptr32, at: int, channels: int):  # noqa: F821
    """The channels of a frame of octets, signed, to `out` from `at` on."""
    k: int = 3
    end: int = at + channels
    while at < end:
        v: int = frame[k] << 16 | frame[k + 1] << 8 | frame[k + 2]
        out[at] = (v ^ 0x800000) - 0x800000
        k += 3
        at += 1


@micropython.viper
def take_frames(args: ptr32, ring: ptr32, out: ptr32, table: ptr16) -> int:  # noqa: F821
    """Moves frames of left-aligned words from a ring to interleaved samples.

    Stops at the first spoilt one; gives how many were good.
    """
    at: int = args[0]
    frames: int = args[1]
    channels: int = args[2]
    status: int = args[3]
    size: int = args[4]
    o: int = args[5]
    every: int = args[6]
    next_check: int = args[7]
    done: int = 0
    while done < frames:
        if status != (ring[at] >> 16) & 0xFFFF:
            break
        if every != 0:
            if next_check == 0:
                next_check = every
                crc: int = 0xFFFF
                k: int = at
                end: int = at + 9
                while k < end:
                    w: int = ring[k]
                    crc = ((crc << 8) & 0xFFFF) ^ table[((crc >> 8) ^ (w >> 24)) & 0xFF]
                    crc = ((crc << 8) & 0xFFFF) ^ table[((crc >> 8) ^ (w >> 16)) & 0xFF]
                    crc = ((crc << 8) & 0xFFFF) ^ table[((crc >> 8) ^ (w >> 8)) & 0xFF]
                    k += 1
                if crc != (ring[k] >> 16) & 0xFFFF:
                    break
            next_check -= 1
        c: int = 1
        while c <= channels:
            v: int = (ring[at + c] >> 8) & 0xFFFFFF
            # A 64-bit VM loads without the sign: make it from bit 23.
            out[o] = (v ^ 0x800000) - 0x800000
            o += 1
            c += 1
        at += 10
        if at >= size:
            at = 0
        done += 1
    args[7] = next_check
    return done


class Ads131m08(FrontEnd):
    """`spi` is machine.SPI, `cs` and `drdy` pins, `wait_ms` waits.

    `gains` are the powers of two (0..7) of the amplifier of each channel.
    """

    full_scale = 0x7FFFFF

    def __init__(self, spi, cs, drdy, wait_ms, channels=6, sample_rate_hz=4000, gains=(0,) * 8):
        if sample_rate_hz not in _OSR:
            raise ValueError("ADS131M08: no such sample rate")
        self.channels = channels
        self.sample_rate_hz = sample_rate_hz
        self.table = make_crc_table()
        self._spi = spi
        self._cs = cs
        self._drdy = drdy
        self._wait_ms = wait_ms
        self._out = bytearray(FRAME_OCTETS)
        self._null = bytes(FRAME_OCTETS)
        self._in = bytearray(FRAME_OCTETS)
        mask = (1 << channels) - 1
        self.status = _STATUS | mask  # of a good frame
        clock = mask << 8 | _OSR[sample_rate_hz] << 2 | _CLOCK_HIGH_RESOLUTION
        self._config = (
            (REG_MODE, _MODE),
            (REG_CLOCK, clock),
            (REG_GAIN1, _nibbles(gains[:4])),
            (REG_GAIN2, _nibbles(gains[4:])),
        )
        self.crc_errors = 0
        self.status_errors = 0
        cs(1)

    # --- commands --------------------------------------------------------------

    def _frame(self, out):
        self._cs(0)
        self._spi.write_readinto(out, self._in)
        self._cs(1)

    def _command(self, word, data=0):
        """Sends a command and gives the answer, which is the first word of the next frame."""
        out = self._out
        for k in range(6):
            out[k] = 0
        out[0] = word >> 8
        out[1] = word & 0xFF
        out[3] = data >> 8
        out[4] = data & 0xFF
        self._frame(out)
        self._frame(self._null)
        return self._in[0] << 8 | self._in[1]

    def read_register(self, register):
        return self._command(_CMD_RREG | register << 7)

    def write_register(self, register, value):
        """False when the chip does not say that it took it."""
        return self._command(_CMD_WREG | register << 7, value) == _ANSWER_WREG | register << 7

    def begin(self):
        """Resets the chip and sets it up. False when there is none, or another."""
        self._command(_CMD_RESET)
        # The answer to a reset comes with the first frame after the registers are back.
        self._wait_ms(1)
        if self.read_register(REG_ID) & 0xFF00 != _ID:
            return False
        for register, value in self._config:
            if not self.write_register(register, value):
                return False
        for register, value in self._config:
            if self.read_register(register) != value:
                return False
        return True

    # --- samples -----------------------------------------------------------------

    def ready(self):
        return not self._drdy()

    def read(self, samples, at):
        """Reads one frame; its channels go to `samples` from `at` on. False when it is
        spoilt or not new. Takes no heap."""
        self._frame(self._null)
        frame = self._in
        crc = frame[27] << 8 | frame[28]
        if frame_crc(frame, 27, self.table) != crc:
            self.crc_errors += 1
            return False
        if frame[0] << 8 | frame[1] != self.status:
            self.status_errors += 1
            return False
        take_octets(frame, samples, at, self.channels)
        return True


def _nibbles(gains):
    word = 0
    for place in range(4):
        word |= gains[place] << 4 * place
    return word


def default_calibration(system, divider=991, burden_mohm=11200, turns=2000):
    """The record for voltage dividers of `divider` to one, and current transformers of
    `turns` with a burden: volts and amperes of a code, nothing corrected yet."""
    channels = []
    for _ in range({"1P2W": 1, "3P3W": 2, "3P4W": 3}[system]):
        channels.append({"kind": "voltage", "lsb_pv": LSB_PV * divider})
        channels.append({"kind": "current", "lsb_pa": LSB_PV * 1000 * turns // burden_mohm})
    return {
        "sample_rate_hz": 4000,
        "full_scale": 0x7FFFFF,
        "lowest_code": -0x800000,
        "starting_power_mva": 1000,
        "nominal_voltage_mv": 230000,
        "channels": channels,
    }
