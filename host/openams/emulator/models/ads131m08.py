"""The ADS131M08 as its bus shows it: frames, commands, registers, CRC, DRDY.

`convert` gives it the codes of one sampling instant. Two of them wait inside
when nobody reads, as in the chip; the third pushes the oldest out.
The numbers are of the datasheet (SBAS950B), not of the driver.
"""

from openams.emulator.models.spi import DisturbedSpiDevice

_RESET_VALUES = {0x00: 0x2800, 0x02: 0x0510, 0x03: 0xFF0E, 0x06: 0x0600}
_READ_ONLY = (0x00, 0x01, 0x3E)
_LAST_REGISTER = 0x3E
_WORDS = 10


def _tables():
    tables = {}
    for polynomial in (0x1021, 0x8005):
        table = []
        for octet in range(256):
            crc = octet << 8
            for _ in range(8):
                crc = (crc << 1 ^ polynomial if crc & 0x8000 else crc << 1) & 0xFFFF
            table.append(crc)
        tables[polynomial] = table
    return tables


_TABLES = _tables()


def crc16(data, crc=0xFFFF, polynomial=0x1021):
    table = _TABLES[polynomial]
    for octet in data:
        crc = (crc << 8 & 0xFF00) ^ table[crc >> 8 ^ octet]
    return crc


class Ads131m08(DisturbedSpiDevice):
    spi_mode = 1

    def __init__(self):
        super().__init__()
        self.on_drdy = None
        self.drdy = 1
        self.dropped = 0  # conversions that nobody read in time
        self.resets = 0  # by the supply, as a dip of it does
        self.power_up()

    def power_up(self):
        self._registers = dict(_RESET_VALUES)
        for channel in range(8):
            self._registers[0x0C + 5 * channel] = 0x8000
        self._locked = False
        self._crc_error = False
        self._changed = False
        self._waiting = []
        self._codes = (0,) * 8
        self._answer = [0xFF28]
        self._out = b""
        self._in = bytearray()
        self._selected = False
        self._set_drdy(1)

    def register(self, address):
        return self._status() if address == 0x01 else self._registers.get(address, 0)

    def dip(self):
        """Its supply falls and is back: all it was set to is gone."""
        self.resets += 1
        self.power_up()

    def flip(self, address, bit):
        """A bit of a register turns over, as a burst does it."""
        self._registers[address] ^= 1 << bit
        self._changed = True

    def _set_drdy(self, level):
        if level != self.drdy:
            self.drdy = level
            if self.on_drdy:
                self.on_drdy(level)

    # --- conversions -------------------------------------------------------------

    def convert(self, codes):
        """A sampling instant: eight signed codes of 24 bits."""
        if len(self._waiting) == 2:
            self._waiting.pop(0)
            self.dropped += 1
        self._waiting.append(tuple(codes))
        if self.drdy == 0 and not self._selected:
            # Data that were not read: the pin goes up shortly, an edge for the new ones.
            self._set_drdy(1)
        self._set_drdy(0)

    def _enabled(self):
        return self._registers[0x03] >> 8

    def _status(self):
        mode = self._registers[0x02]
        status = 0x8000 if self._locked else 0
        status |= 0x2000 if self._changed and mode & 0x2000 else 0
        status |= 0x1000 if self._crc_error else 0
        status |= mode & 0x0F00  # CRC type, reset, word length
        if self._waiting or self._selected_new:
            status |= self._enabled() & 0xFF
        return status

    _selected_new = False

    # --- frames --------------------------------------------------------------------

    def select(self, active):
        if active == self._selected:
            return
        self._selected = active
        if active:
            self._begin_frame()
        else:
            self._end_frame()

    def _begin_frame(self):
        self._selected_new = bool(self._waiting)
        if self._waiting:
            self._codes = self._waiting.pop(0)
        words = self._answer
        if not words:
            words = [self._status()]
            # Shown once.
            self._changed = False
        if len(words) == 1:
            enabled = self._enabled()
            frame = bytearray((words[0] >> 8, words[0] & 0xFF, 0))
            for channel in range(8):
                code = self._codes[channel] if enabled >> channel & 1 else 0
                frame.extend((code >> 16 & 0xFF, code >> 8 & 0xFF, code & 0xFF))
        else:
            frame = bytearray()
            for word in words:
                frame.extend((word >> 8, word & 0xFF, 0))
        crc = crc16(frame, polynomial=0x8005 if self._registers[0x02] & 0x0800 else 0x1021)
        frame.extend((crc >> 8, crc & 0xFF, 0))
        self._answer = None
        self._out = frame
        self._in = bytearray()

    def peek(self):
        at = len(self._in)
        return self._sent(self._out[at] if self._selected and at < len(self._out) else 0)

    def put(self, octet):
        if not self._selected:
            return
        self._in.append(self._heard(octet))
        if len(self._in) == 3 * (_WORDS - 1):
            # All channels are out.
            self._selected_new = False
            if not self._waiting:
                self._set_drdy(1)

    def frame(self):
        """All octets of a frame while the NULL command comes in."""
        self.select(True)
        if self.stuck is None and self._bus is None:
            octets = bytes(self._out)
            self._in = bytearray(3 * (_WORDS - 1) - 1)
            self.put(0)
        else:
            octets = bytes([self.transfer(0) for _ in range(3 * _WORDS)])
        self.select(False)
        return octets

    def _end_frame(self):
        data = self._in
        self._selected_new = False
        if len(data) < 3:
            return
        word = data[0] << 8 | data[1]
        # A word is obeyed as soon as it is whole; the rest of the frame may be missing.
        self._obey(word, data[3:])

    def _obey(self, word, rest):
        if word == 0x0011:
            if len(rest) >= 3 * (_WORDS - 1):
                self.power_up()
        elif word == 0x0555:
            self._locked = True
            self._answer = [0x0555]
        elif word == 0x0655:
            self._locked = False
            self._answer = [0x0655]
        elif word >> 13 == 0b101:
            self._read(word)
        elif word >> 13 == 0b011:
            self._write(word, rest)

    def _read(self, word):
        address, more = word >> 7 & 0x3F, word & 0x7F
        if not more:
            self._answer = [self.register(address)]
            return
        self._answer = [0xE000 | word & 0x1FFF]
        for k in range(more + 1):
            self._answer.append(self.register(address + k))

    def _write(self, word, rest):
        address, more = word >> 7 & 0x3F, word & 0x7F
        taken = 0
        for k in range(more + 1):
            if self._locked or len(rest) < 3 * k + 2 or address + k > _LAST_REGISTER:
                break
            if address + k not in _READ_ONLY:
                self._registers[address + k] = rest[3 * k] << 8 | rest[3 * k + 1]
                self._changed = True
            taken += 1
        self._answer = [0x4000 | address << 7 | max(taken - 1, 0)]
