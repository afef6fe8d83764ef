"""The ATM90E32AS as its bus and its terminals show it.

The registers of metering and calibration, energy that clears when it is read,
LastSPIData, soft reset and the write lock. `set_quantities` gives what is at
the terminals, `advance` lets time pass. The sensors before the chip may err
(`sensor_gain`, `sensor_lag_urad`), which is what its calibration corrects.

By a seed, the same on every VM: `disturb` spoils single bits on the bus, `add_noise` lets
the readings scatter from one `advance` to the next.
"""

import math

from openams.emulator.models.spi import DisturbedSpiDevice, Random

_RESET_VALUES = {
    0x31: 0x0861,
    0x32: 0xC468,
    0x33: 0x0087,
    0x61: 0x8000,
    0x62: 0x8000,
    0x65: 0x8000,
    0x66: 0x8000,
    0x69: 0x8000,
    0x6A: 0x8000,
}
_LAST_SPI_DATA = 0x78
_ACCESS = 0x7F
_ENERGY = range(0x80, 0xB0)
# Total registers: forward and reverse active, forward and reverse reactive.
_TOTALS = (0x80, 0x84, 0x88, 0x8C)


# Scatter of a reading: a part of it in 1e-6, and counts of the register.
_NOISE_PPM = 300
_NOISE_COUNTS = 2


def _word(value):
    return int(value) & 0xFFFF


class Atm90e32(DisturbedSpiDevice):
    spi_mode = 3

    def __init__(self):
        DisturbedSpiDevice.__init__(self)
        self.sensor_gain = [1.0] * 6  # U and I of A, B, C in turn
        self.sensor_lag_urad = [0] * 3  # by which the current lags its voltage
        self.writes_refused = 0
        self._true = ([0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], 0, 0, 0)
        self._noise = None
        self._frame = bytearray(4)
        self._at = 0
        self._answer = 0
        self.power_up()

    def power_up(self):
        """Supply came (back), or a soft reset: nothing of before is left."""
        self._registers = dict(_RESET_VALUES)
        self._energy = {}
        self._rest = {}
        self._last = 0
        self._measure()

    # --- bus -----------------------------------------------------------------

    def select(self, active):
        # A frame that was cut short has no effect: nothing is written, nothing clears.
        self._at = 0

    def peek(self):
        if self._at == 2:
            return self._sent(self._answer >> 8)
        if self._at == 3:
            return self._sent(self._answer & 0xFF)
        return self._sent(0) if self.stuck is not None else 0

    def put(self, octet):
        if self._at >= 4:
            return
        octet = self._heard(octet)
        self._frame[self._at] = octet
        self._at += 1
        frame = self._frame
        address = (frame[0] & 0x03) << 8 | frame[1]
        if self._at == 2:
            self._answer = self._load(address) if frame[0] & 0x80 else 0
        elif self._at == 4:
            if frame[0] & 0x80:
                self._loaded(address)
            else:
                self._store(address, frame[2] << 8 | frame[3])

    def _load(self, address):
        if address == _LAST_SPI_DATA:
            return self._last
        if address in _ENERGY:
            return min(self._energy.get(address, 0), 0xFFFF)
        return self._registers.get(address, 0)

    def _loaded(self, address):
        if address == _LAST_SPI_DATA:
            return
        self._last = self._answer
        if address in _ENERGY and address in self._energy:
            # What does not fit in the register is lost, as in the chip.
            self._energy[address] = 0

    def _store(self, address, value):
        self._last = value
        if address == 0x70:
            if value == 0x789A:
                self.power_up()
        elif address == _ACCESS or self._registers.get(_ACCESS) == 0x55AA:
            if address < 0x80:
                self._registers[address] = value
                self._measure()
        else:
            self.writes_refused += 1

    # --- terminals -------------------------------------------------------------

    def set_quantities(
        self,
        voltage_mv,
        current_ua,
        active_mw,
        reactive_mvar,
        frequency_mhz=50000,
        angle_c=240.0,
        angle_b=120.0,
    ):
        """Three of each, at places A, B, C; the angles in degrees by which U lags that of A."""
        self._true = (
            voltage_mv, current_ua, active_mw, reactive_mvar, frequency_mhz, angle_c, angle_b
        )  # fmt: skip
        self._measure()

    def add_noise(self, seed):
        self._noise = Random(seed)

    def _scattered(self, value):
        if self._noise is None or not value:
            return value
        part = (self._noise.below(2001) - 1000) / 1000
        return value + part * (abs(value) * _NOISE_PPM * 1e-6 + _NOISE_COUNTS)

    def _gain(self, place, current):
        """Sensor and gain register together."""
        register = self._registers.get(0x61 + 4 * place + current, 0)
        return self.sensor_gain[2 * place + current] * register / 0x8000

    def _lag(self, place):
        """How much the current lags too much after the delay register, in radian."""
        phi = self._registers.get(0x48 + 2 * place, 0)
        delay = (phi & 0x3FF) * 2 * math.pi * 50 / 2048000
        return self.sensor_lag_urad[place] * 1e-6 + (-delay if phi & 0x8000 else delay)

    def _measure(self):
        r = self._registers
        mode = r.get(0x33, 0)
        self._power = [0, 0]
        lost = sags = 0
        voltage, current, active, reactive, frequency, angle_c, angle_b = self._true
        for place in range(3):
            gain_u, gain_i = self._gain(place, 0), self._gain(place, 1)
            u = voltage[place] * gain_u / 10
            i = current[place] * gain_i / 1000
            turn = self._lag(place)
            p = (active[place] * math.cos(turn) - reactive[place] * math.sin(turn)) * gain_u
            q = (reactive[place] * math.cos(turn) + active[place] * math.sin(turn)) * gain_u
            p *= gain_i / 0.32
            q *= gain_i / 0.32
            r[0xD9 + place] = _word(min(max(round(self._scattered(u)), 0), 0xFFFF))
            r[0xDD + place] = _word(min(max(round(self._scattered(i)), 0), 0xFFFF))
            for base, value in ((0xB1, p), (0xB5, q)):
                whole = int(round(self._scattered(value))) & 0xFFFFFFFF
                r[base + place] = whole >> 16
                r[base + 0x10 + place] = whole & 0xFFFF
            s = u * i / 100 / 0.32
            r[0xBD + place] = _word(round(1000 * p / s)) if s else 0
            peak = u * math.sqrt(2) * 0x8000 / (2 * max(r.get(0x61 + 4 * place, 0), 1))
            lost |= (peak < r.get(0x09, 0)) << (10 - place)
            sags |= (peak < r.get(0x08, 0)) << (14 - place)
            if mode & (4 >> place):
                if abs(p) >= r.get(0x38, 0):
                    self._power[0] += int(round(p))
                if abs(q) >= r.get(0x39, 0):
                    self._power[1] += int(round(q))
        r[0xF8] = _word(frequency / 10)
        r[0xFD] = 0
        r[0xFE] = _word(round(angle_b * 10))
        r[0xFF] = _word(round(angle_c * 10))
        self._state(lost, sags)

    def _state(self, lost, sags):
        r = self._registers
        reverse = 0
        no_load = 0
        for k, (threshold, bit) in enumerate(((r.get(0x35, 0), 0x20), (r.get(0x36, 0), 0x40))):
            if abs(self._power[k]) < threshold or not self._power[k]:
                self._power[k] = 0
                no_load |= bit
        if self._power[0] < 0:
            reverse |= 0x08
        if self._power[1] < 0:
            reverse |= 0x80
        sequence = 0x0200 if self._true[5] in (120.0, 300.0) else 0
        r[0x71] = no_load | sequence
        r[0x72] = lost | sags | reverse

    def advance(self, us):
        """Lets time pass: energy is counted."""
        if self._noise is not None:
            self._measure()
        if not self._registers.get(0x00):
            return
        constant = (self._registers.get(0x31, 0) << 16 | self._registers.get(0x32, 0)) or 1
        for k in range(2):
            power = self._power[k]  # 0.32 mW
            if not power:
                continue
            register = _TOTALS[2 * k + (power < 0)]
            # A count is constant * 0.08 uWs; 0.32 mW for 1 us are 0.00032 uWs.
            rest = self._rest.get(register, 0) + abs(power) * us * 32
            unit = constant * 8000
            self._energy[register] = self._energy.get(register, 0) + rest // unit
            self._rest[register] = rest % unit
