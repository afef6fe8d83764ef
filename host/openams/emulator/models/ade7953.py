"""The ADE7953 as its bus and its terminals show it (datasheet Rev. B; pages in brackets).

Registers of 8 to 32 bits by their addresses, signed energies that clear when they are read
and run over from one end to the other, no-load detection, the record of the last access, the
checksum of the settings, write protection, unlocking, software reset and the time it takes.
`set_quantities` gives what is at the terminals, `advance` lets time pass. The sensors before
the chip may err (`sensor_gain`, `sensor_lag_urad`); `ripple` is that of twice the mains
frequency on what is measured, as a part of it.

By a seed, the same on every VM: `disturb` spoils single bits on the bus, `add_noise` lets the
readings scatter from one `advance` to the next.
"""

import math

from openams.emulator.models.spi import DisturbedSpiDevice, Random

# Reset values that are not 0 (pp. 60 to 62).
_RESET_VALUES = {
    0x004: 0x40,
    0x100: 0xFFFF,
    0x102: 0x8004,
    0x103: 0x3F,
    0x104: 0x3F,
    0x107: 0x300,
    0x203: 0xE419,
    0x204: 0xE419,
    0x224: 0xFFFFFF,
    0x225: 0xFFFFFF,
    0x22C: 0x100000,
    0x280: 0x400000,
    0x281: 0x400000,
    0x282: 0x400000,
    0x283: 0x400000,
    0x284: 0x400000,
    0x28C: 0x400000,
    0x28D: 0x400000,
    0x28E: 0x400000,
    0x28F: 0x400000,
    0x290: 0x400000,
}
_WRITABLE = frozenset(
    (0x000, 0x001, 0x004, 0x007, 0x008, 0x009, 0x040, 0x0FE, 0x800)
    + (0x100, 0x101, 0x102, 0x103, 0x104, 0x107, 0x108, 0x109, 0x110, 0x120)
    + (0x200, 0x201, 0x203, 0x204, 0x205, 0x224, 0x225, 0x22C, 0x22F)
    + tuple(range(0x280, 0x298))
)
# What the checksum is made of here; which registers those of the chip are matters to nobody who
# compares it with what it was.
_SUMMED = (0x001, 0x004, 0x007, 0x008, 0x009, 0x040, 0x101, 0x102, 0x108, 0x109, 0x120)
_SUMMED += (0x201, 0x203, 0x204, 0x205) + tuple(range(0x280, 0x298))
_RECORD = (0x0FD, 0x1FE, 0x0FF, 0x1FF, 0x2FF, 0x3FF)
# Active and reactive of channel A and B: register, its bit of running over, of half full.
_ENERGIES = ((0x21E, 3, 0), (0x220, 4, 1))
_FULL_RMS = 9032007  # [23]
_FULL_POWER = 4862401  # [37]
_FULL_HZ = 206900  # counts of energy a second [25]
_PERIOD_HZ = 223750  # [36]
_RESET_US = 100000  # [18]
# Without the setting of register 0x120 the accuracy is not that of the datasheet [18].
_NOT_OPTIMAL = 1.01
# Scatter of a reading: a part of it in 1e-6, and counts of the register.
_NOISE_PPM = 300
_NOISE_COUNTS = 20


def _width(address):
    return 1 if address in (0x702, 0x800) else (address >> 8) + 1


class Ade7953(DisturbedSpiDevice):
    spi_mode = 3

    def __init__(self, full_volts=350.371412, full_amperes=141.421356):
        """`full_volts`, `full_amperes`: what is full scale at the terminals, RMS."""
        DisturbedSpiDevice.__init__(self)
        self.sensor_gain = [1.0, 1.0, 1.0]  # voltage, current A, current B
        self.sensor_lag_urad = 0  # by which current A lags its voltage
        self.ripple = 0.0
        self.made = [0, 0]  # counts of active and reactive energy since the beginning, net
        self._full = (full_volts, full_amperes)
        self._true = (0, 0, 0, 0, 50000, 0)
        self._noise = None
        self._frame = bytearray(7)
        self._at = 0
        self._answer = 0
        self._us = 0
        self.power_up()
        self._busy_us = 0

    def power_up(self):
        """Supply came (back), or a software reset: nothing of before is left."""
        self._registers = dict(_RESET_VALUES)
        self._rest = [0, 0]
        self._power = [0, 0]
        self._interrupts = 1 << 20
        self._last = (0, 0, 0)  # operation, address, data
        self._unlocked = False
        self._busy_us = _RESET_US
        self._measure()

    # --- bus -----------------------------------------------------------------

    def select(self, active):
        # A frame that was cut short has no effect: nothing is written, nothing clears.
        self._at = 0

    def peek(self):
        if self._at < 3:
            return self._sent(0) if self.stuck is not None else 0
        octets = _width(self._address())
        place = octets - 1 - (self._at - 3)
        return self._sent(self._answer >> 8 * place & 0xFF if place >= 0 else 0)

    def _address(self):
        return self._frame[0] << 8 | self._frame[1]

    def put(self, octet):
        if self._at >= 7 or self._busy_us:
            return
        self._frame[self._at] = self._heard(octet)
        self._at += 1
        if self._at < 3:
            return
        address = self._address()
        reads = self._frame[2] & 0x80
        if self._at == 3:
            self._answer = self._load(address) if reads else 0
        if address > 0x3FF or self._at != 3 + _width(address):
            return
        if reads:
            self._loaded(address)
        else:
            value = 0
            for k in range(3, self._at):
                value = value << 8 | self._frame[k]
            self._store(address, value)

    def _load(self, address):
        if address in _RECORD:
            operation, last, data = self._last
            return operation if address == 0x0FD else last if address == 0x1FE else data
        if address == 0x37F:
            return self._checksum()
        register = address & 0x2FF if address >= 0x300 else address
        value = self._registers.get(register, 0)
        if register in (0x22D, 0x22E):
            value = self._interrupts
        elif self.ripple and register in (0x212, 0x214, 0x21A, 0x21C):
            wave = math.sin(2 * math.pi * 100 * (self._us % 10000) / 1e6)
            value = round(value * (1 + self.ripple * wave))
        elif register == 0x201:
            value |= self._signs()
        bits = 0xFFFFFFFF if address >= 0x300 else (1 << 8 * _width(address)) - 1
        return value & bits

    def _loaded(self, address):
        if address in _RECORD:
            return
        self._unlocked = False
        self._last = (0x35, address, self._answer)
        register = address & 0x2FF
        if address == 0x22E:
            self._interrupts = 0
        elif address >= 0x200 and self._registers[0x004] & 0x40 and 0x21E <= register <= 0x223:
            self._registers[register] = 0

    def _store(self, address, value):
        register = address & 0x2FF if address >= 0x300 else address
        unlocked, self._unlocked = self._unlocked, address == 0x0FE and value == 0xAD
        kind = 1 << min(_width(address) - 1, 2)
        if register not in _WRITABLE or (register == 0x120 and not unlocked):
            return
        if register != 0x040 and self._registers.get(0x040, 0) & kind:
            return
        self._last = (0xCA, address, value)
        if register == 0x102 and value & 0x80:
            self.power_up()
            return
        if register in (0x203, 0x204) and not self._registers.get(0x001, 0) >> register - 0x203 & 1:
            # A threshold is taken while its detection is off [40].
            return
        self._registers[register] = value & 0xFFFFFF
        self._measure()

    def _checksum(self):
        """CRC-32 of IEEE 802.3 as figure 75 has it: the least significant bits come first."""
        crc = 0xFFFFFFFF
        if not self._registers[0x102] & 0x100:
            return crc
        for register in _SUMMED:
            value = self._registers.get(register, 0)
            for _ in range(8 * _width(register)):
                feedback = (value ^ crc >> 31) & 1
                crc = crc << 1 & 0xFFFFFFFF
                if feedback:
                    crc ^= 0x04C11DB7
                value >>= 1
        return crc

    # --- terminals -------------------------------------------------------------

    def set_quantities(
        self, voltage_mv, current_ua, active_mw, reactive_mvar, frequency_mhz=50000, neutral_ua=0
    ):
        """The phase, and the current of the neutral (channel B)."""
        self._true = (voltage_mv, current_ua, active_mw, reactive_mvar, frequency_mhz, neutral_ua)
        self._measure()

    def add_noise(self, seed):
        self._noise = Random(seed)

    def _scattered(self, value):
        if self._noise is None or not value:
            return round(value)
        part = (self._noise.below(2001) - 1000) / 1000
        return round(value + part * (abs(value) * _NOISE_PPM * 1e-6 + _NOISE_COUNTS))

    def _gain(self, register):
        return self._registers[register] / 0x400000

    def _turn(self, frequency_mhz):
        """How much the current lags too much after the phase register, in radian."""
        phase = self._registers.get(0x108, 0)
        shift = (phase & 0x1FF) / 895000 * 2 * math.pi * frequency_mhz / 1000
        return self.sensor_lag_urad * 1e-6 + (-shift if phase & 0x200 else shift)

    def _measure(self):
        r = self._registers
        voltage, current, active, reactive, frequency, neutral = self._true
        gain_u = self.sensor_gain[0] * self._gain(0x281)
        if r.get(0x120) != 0x30:
            gain_u *= _NOT_OPTIMAL
        gain_i = self.sensor_gain[1] * self._gain(0x280)
        full_u, full_i = self._full
        turn = self._turn(frequency)
        p = active * math.cos(turn) - reactive * math.sin(turn)
        q = reactive * math.cos(turn) + active * math.sin(turn)
        scale = gain_u * gain_i * _FULL_POWER / (1000 * full_u * full_i)
        most = 0x7FFFFF
        p = max(min(self._scattered(p * scale * self._gain(0x282)), most), -most)
        q = max(min(self._scattered(q * scale * self._gain(0x283)), most), -most)
        r[0x212], r[0x214] = p, q
        u = self._scattered(voltage * gain_u / (1000 * full_u) * _FULL_RMS)
        i = self._scattered(current * gain_i / (1e6 * full_i) * _FULL_RMS)
        b = neutral * self.sensor_gain[2] * self._gain(0x28C) / (1e6 * full_i) * _FULL_RMS
        r[0x21C], r[0x21A] = min(max(u, 0), 0xFFFFFF), min(max(i, 0), 0xFFFFFF)
        r[0x21B] = min(max(round(b), 0), 0xFFFFFF)
        if voltage and frequency:
            # Without zero crossings it stays as it was.
            r[0x10E] = round(_PERIOD_HZ * 1000 / frequency) - 1
        self._power[0] = 0 if self._is_no_load(p, 0x203, 0) else p
        self._power[1] = 0 if self._is_no_load(q, 0x204, 1) else q

    def _is_no_load(self, power, register, bit):
        """Below full scale over Y, where the register is 65536 - Y / 1.4 [40]."""
        if self._registers.get(0x001, 0) >> bit & 1:
            return False
        return abs(power) * 1.4 * (65536 - self._registers[register]) < _FULL_POWER

    def _signs(self):
        """The bits of ACCMODE that only tell: signs, and no load [65]."""
        p, q = self._registers[0x212], self._registers[0x214]
        told = (p < 0) << 10 | (q < 0) << 12
        return told | (not self._power[0]) << 16 | (not self._power[1]) << 18

    def advance(self, us):
        """Lets time pass: energy is counted."""
        self._us += us
        if self._busy_us:
            self._busy_us = max(self._busy_us - us, 0)
            return
        if self._noise is not None:
            self._measure()
        unit = _FULL_POWER * 1000000
        for k in range(2):
            rest = self._rest[k] + self._power[k] * us * _FULL_HZ
            counts = abs(rest) // unit * (1 if rest > 0 else -1)
            self._rest[k] = rest - counts * unit
            if counts:
                self._count(k, counts)

    def _count(self, k, counts):
        register, over, half = _ENERGIES[k]
        self.made[k] += counts
        value = self._registers.get(register, 0) + counts
        if not -0x800000 <= value <= 0x7FFFFF:
            self._interrupts |= 1 << over
            value = (value + 0x800000) % 0x1000000 - 0x800000
        if abs(value) >= 0x400000:
            self._interrupts |= 1 << half
        self._registers[register] = value
