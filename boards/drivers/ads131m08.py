"""ADS131M08 (SBAS950B): eight 24-bit converters that sample at the same instant, SPI mode 1.

A frame has ten words of 24 bits: status, eight channels, CRC. What a command
answers comes with the next frame. DRDY falls with each conversion; its own crystal of
8.192 MHz and an oversampling of 1024 make 4000 a second.

Here is the chip over a plain SPI bus, and what its frames are checked and taken by.
`drivers.ads131m08_dma` takes the frames on an RP2040 without the core.
"""

from micropython import const

SYSTEMS = ("1P2W", "3P3W", "3P4W")
SPI_HZ = const(4000000)
SPI_POLARITY = const(0)
SPI_PHASE = const(1)
_FRAME_OCTETS = const(30)
CHANNELS = const(8)
SAMPLE_RATE_HZ = const(4000)

# Registers, each of 16 bits (table 8-12, which has the values after a reset as well).
_REG_ID = const(0x00)  # 11:8 number of channels
_REG_MODE = const(0x02)
_REG_CLOCK = const(0x03)  # 15:8 channels that are on, 4:2 OSR, 1:0 power mode
_REG_GAIN1 = const(0x04)  # four bits a channel: binary logarithm of the gain
_REG_GAIN2 = const(0x05)

# STATUS, the first word of each frame: locked (15), resynchronised (14), a register has changed
# since the last frame (13), a bad CRC came in (12), CRC type (11), it was reset and MODE not
# written since (10), length of a word (9:8), channels that have something new (7:0).
STATUS_WANTED = const(0x0100)
STATUS_DRDY = const(0x00FF)
# First words of the frames of a chip that was reset: its answer, then the status.
AFTER_RESET = (0xFF28, 0x05FF)

# MODE: CRC over the registers (13), CCITT (11 clear), reset flag cleared (10), words of 24 bits
# (9:8 = 1), interface time-out (4).
_MODE_WANTED = const(0x2110)
# CLOCK: OSR 1024 (4:2 = 3), high resolution (1:0 = 2).
_CLOCK_WANTED = const(0x000E)

# Commands (table 8-11).
_CMD_RESET = const(0x0011)
_CMD_RREG = const(0xA000)
_CMD_WREG = const(0x6000)
_ANSWER_WREG = const(0x4000)
_ID = const(0x2800)
_RESET_MS = const(1)  # 5 us until its registers are back

# 1.2 V of reference over 2**23 codes, in picovolt.
_LSB_PV = const(143051)
# What its filter (sinc of third order over 250 us, section 8.3.7) takes of 50 Hz, in 10**-9:
# (sin(x) / x)**-3 - 1, x = pi * 50 / 4000.
_FILTER_PPB = const(771399)

# Arguments of `take_frames`, in an array('i'); `drivers.ads131m08_dma` has the same numbers.
_AT = const(0)  # octet of the ring where the next frame begins
_LEFT = const(1)  # frames that are to be taken
_CHANNELS = const(2)
_STATUS = const(3)  # the first word of a good frame
_SIZE = const(4)  # octets of the ring
_ZEROS = const(5)  # octets of channels that are off, which the ring has not
# Behind them is room for what a loop in a chip's own instructions keeps.
ARG_LENGTH = const(9)


def fill_crc_table(table):
    """CRC-16-CCITT by octet, in the upper half of each of 256 words, the lowest octet first."""
    table[0] = table[1] = table[2] = table[3] = 0
    for octet in range(1, 256):
        half = 4 * (octet >> 1)
        crc = table[half + 3] << 9 | table[half + 2] << 1
        if crc & 0x10000:
            crc ^= 0x11021
        if octet & 1:
            crc ^= 0x1021
        at = 4 * octet
        table[at] = table[at + 1] = 0
        table[at + 2] = crc & 0xFF
        table[at + 3] = crc >> 8


def take_frames(args, ring, out, table):
    """Frames of a ring to interleaved samples; gives how many are left when one is spoilt.

    In the ring: words of 32 bits, 24 of the chip above eight zeros: status, channels, CRC.
    `ring` and `table` are octets. Plain: the twin of what a board has for it.
    """
    channels = args[_CHANNELS]
    o = 0
    while args[_LEFT]:
        at = args[_AT]
        if _word(ring, at) != args[_STATUS] or not is_whole(args, ring, table):
            break
        for _ in range(channels):
            at += 4
            value = _word(ring, at) >> 8
            out[o] = (value ^ 0x800000) - 0x800000
            o += 1
        step(args)
        args[_LEFT] -= 1
    return args[_LEFT]


def step(args):
    """To the next frame."""
    at = args[_AT] + 4 * (args[_CHANNELS] + 2)
    args[_AT] = at if at < args[_SIZE] else 0


def is_whole(args, ring, table):
    """Whether the CRC of the frame is right."""
    crc = 0xFFFF0000
    at = args[_AT]
    for _ in range(args[_CHANNELS] + 1):
        crc = _crc_of_word(crc, _word(ring, at), 3, table)
        at += 4
    return _crc_of_word(crc, 0, args[_ZEROS], table) == _word(ring, at) & 0xFFFF0000


def _word(octets, at):
    return octets[at + 3] << 24 | octets[at + 2] << 16 | octets[at + 1] << 8 | octets[at]


def _crc_of_word(crc, word, octets, table):
    for _ in range(octets):
        crc = (crc << 8 & 0xFFFFFFFF) ^ _word(table, ((crc ^ word) >> 24) * 4)
        word = word << 8 & 0xFFFFFFFF
    return crc


class Ads131m08:
    """`spi` makes the bus, `cs` a pin as `machine.Pin`; `channels` of them, from the first, are on.

    `gains` are the powers of two (0..7) of the amplifier of each channel.
    """

    def __init__(self, spi, cs, wait_ms, channels, gains=(0,) * CHANNELS):
        self._spi = spi
        self._cs = cs
        self._wait_ms = wait_ms
        self._out = bytearray(_FRAME_OCTETS)
        self._in = bytearray(_FRAME_OCTETS)
        mask = (1 << channels) - 1
        self.status = STATUS_WANTED | mask  # of a good frame
        self._config = (
            (_REG_MODE, _MODE_WANTED),
            (_REG_CLOCK, mask << 8 | _CLOCK_WANTED),
            (_REG_GAIN1, _nibbles(gains[:4])),
            (_REG_GAIN2, _nibbles(gains[4:])),
        )

    def _frame(self, word=0, data=0):
        """One frame with a command; gives the first word of what comes with it."""
        out = self._out
        out[0] = word >> 8
        out[1] = word & 0xFF
        out[3] = data >> 8
        out[4] = data & 0xFF
        self._cs(0)
        self._bus.write_readinto(out, self._in)
        self._cs(1)
        return self._in[0] << 8 | self._in[1]

    def _command(self, word, data=0):
        self._frame(word, data)
        return self._frame()

    def read_register(self, register):
        return self._command(_CMD_RREG | register << 7)

    def write_register(self, register, value):
        """False when the chip does not say that it took it."""
        return self._command(_CMD_WREG | register << 7, value) == _ANSWER_WREG | register << 7

    def begin(self):
        """Resets the chip and sets it up. False when there is none, or another."""
        # It may have been somebody else's.
        self._cs.init(self._cs.OUT, value=1)
        self._bus = self._spi()
        self._frame(_CMD_RESET)
        self._wait_ms(_RESET_MS)
        self._frame()
        if self.read_register(_REG_ID) & 0xFF00 != _ID:
            return False
        for register, value in self._config:
            if not self.write_register(register, value):
                return False
        for register, value in self._config:
            if self.read_register(register) != value:
                return False
        # Their change shows in the next status, which is taken here, with what has waited.
        self._frame()
        self._frame()
        return True


def _nibbles(gains):
    word = 0
    for place in range(4):
        word |= gains[place] << 4 * place
    return word


def default_calibration(system, divider=991, burden_mohm=11200, turns=2000, neutral=False):
    """The record for voltage dividers of `divider` to one, and current transformers of
    `turns` with a burden: volts and amperes of a code, nothing corrected but the chip's filter.
    `neutral`: of 3P4W, one more transformer behind them."""
    voltage = {"kind": "voltage", "lsb_pv": _LSB_PV * divider, "gain_ppb": _FILTER_PPB}
    lsb = _LSB_PV * 1000 * turns // burden_mohm
    current = {"kind": "current", "lsb_pa": lsb, "gain_ppb": _FILTER_PPB}
    channels = []
    for _ in range({"1P2W": 1, "3P3W": 2, "3P4W": 3}[system]):
        channels += [dict(voltage), dict(current)]
    if neutral:
        channels.append(dict(current))
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "full_scale": 0x7FFFFF,
        "lowest_code": -0x800000,
        "starting_power_mva": 1000,
        "nominal_voltage_mv": 230000,
        "channels": channels,
    }
