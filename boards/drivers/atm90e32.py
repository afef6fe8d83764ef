"""ATM90E32AS: three-phase metering IC over SPI (mode 3, up to 1 MHz).

The IC measures and counts by itself; the meter takes its quantities and the
energy that its registers counted. Nothing that the bus says is believed at once:

- What it measures counts when it comes twice in a row.
- Energy registers clear when they are read: what came is held against the IC's own
  record of what it sent (LastSPIData). Each is read again, and must be next to empty:
  else the IC has heard another address.
- A register whose value is known is read before and after. While the line is dead,
  none that clears is read; what a line that died meanwhile has cleared is marked as
  missing, never taken for zero.

Phases A, B, C are L1, L2, L3 on 3P4W. On 3P3W phase A carries U12 and I1,
phase C U32 and I3; U13 and I2 follow from them.
"""

from micropython import const

from ams.hal import MeteringIc
from ams.metrology import phases
from ams.metrology import quantities as qu
from ams.metrology.fixed import ONE, div_rounded, isqrt, rotation

SYSTEMS = ("3P3W", "3P4W")
SPI_HZ = const(1000000)
SPI_POLARITY = const(1)
SPI_PHASE = const(1)

# --- register table: datasheet, "Register", by its groups ------------------------
# All registers have 16 bits. Three in a row are of phases A, B, C.

# Special registers.
SOFT_RESET = const(0x70)  # takes RESET_KEY
EMM_STATE0 = const(0x71)
STATE0_U_REVERSED = const(0x0200)  # order of the voltage phases is wrong
LAST_SPI_DATA = const(0x78)  # what was read or written last; reading it does not change it
CFG_REG_ACC_EN = const(0x7F)  # takes ACCESS_KEY: the registers below can be written

# Status and special configuration.
METER_EN = const(0x00)
METER_ON = const(1)
SAG_PEAK_DET_CFG = const(0x05)
SAG_PEAK_DEFAULT = const(0x143F)  # periods of peak (high octet) and sag detection, as at reset
ZX_CONFIG = const(0x07)  # sources of the zero-crossing pins, which are not wired: free for a mark
SAG_TH = const(0x08)  # voltage peak before the gain, 10 mV, halved
PHASE_LOSS_TH = const(0x09)  # the same
FREQ_LO_TH = const(0x0C)  # 10 mHz
FREQ_HI_TH = const(0x0D)

# Configuration.
PL_CONST_H = const(0x31)  # PL_CONST over the pulses per kWh, high and low word
PL_CONST_L = const(0x32)
PL_CONST = 450000000000
M_MODE0 = const(0x33)
M_MODE0_3P3W = const(0x0100)
M_MODE0_50_HZ = const(0)  # bit 12: 60 Hz
M_MODE0_DEFAULT = const(0x0080)  # CF2 is reactive energy
M_MODE0_A = const(0x04)  # phases that count in the sums
M_MODE0_B = const(0x02)
M_MODE0_C = const(0x01)
M_MODE1 = const(0x34)  # gains of the amplifiers
P_START_TH = const(0x35)  # POWER_UW
Q_START_TH = const(0x36)
S_START_TH = const(0x37)
P_PHASE_TH = const(0x38)  # the same of one phase
Q_PHASE_TH = const(0x39)
S_PHASE_TH = const(0x3A)

# Calibration.
PHI_A = const(0x48)  # and 0x4A, 0x4C: cycles of 2.048 MHz, DELAY_NRAD each at 50 Hz
PHI_MOST = const(0x3FF)
PHI_VOLTAGE = const(0x8000)  # the voltage is delayed, not the current
DELAY_NRAD = const(153398)
U_GAIN_A = const(0x61)  # gain of voltage, current; two offsets; then phase B, C
GAIN_ONE = const(0x8000)
GAIN_MOST = const(0xFFFF)

# Energy, cleared when it is read: 0.01 pulse.
AP_ENERGY_T = const(0x80)  # forward active, net of the phases
AN_ENERGY_T = const(0x84)
RP_ENERGY_T = const(0x88)
RN_ENERGY_T = const(0x8C)
COUNTS_PER_PULSE = const(100)

# Measurement.
P_MEAN_A = const(0xB1)  # signed 32 bits, high word here, low word LSB further on
Q_MEAN_A = const(0xB5)
LSB = const(0x10)
POWER_UW = const(320)  # of a count of the 32 bits
U_RMS_A = const(0xD9)  # 10 mV
I_RMS_A = const(0xDD)  # 1 mA
FREQ = const(0xF8)  # 10 mHz
U_ANGLE_B = const(0xFE)  # by which it lags A, 0.1 degrees
U_ANGLE_C = const(0xFF)

RESET_KEY = const(0x789A)
ACCESS_KEY = const(0x55AA)
# A frame: address, of which the top bit says that it is read, and 16 bits of data.
READ = const(0x80)

# --- units ------------------------------------------------------------------------

_MV_PER_COUNT = const(10)
_UA_PER_COUNT = const(1000)
_MHZ_PER_COUNT = const(10)
_TENTHS = const(3600)  # of a turn
_HALF_TURN = const(1800)
_SIGN = const(0x8000)
_TURN = const(0x10000)
# What it measures a frequency of, in its counts; the mains is told good from 47.5 to 52.5 Hz.
_FREQ_LEAST = const(4500)
_FREQ_MOST = const(6500)
_FREQ_LO = const(4750)
_FREQ_HI = const(5250)
# What calibration records of the channels are of: 10 mV, 1 mA a count.
_VOLT_PV = const(10000000000)
_AMPERE_PA = const(1000000000)
_MODE = {
    "3P4W": M_MODE0_50_HZ | M_MODE0_DEFAULT | M_MODE0_A | M_MODE0_B | M_MODE0_C,
    "3P3W": M_MODE0_50_HZ | M_MODE0_DEFAULT | M_MODE0_3P3W | M_MODE0_A | M_MODE0_C,
}
# What says that the line and the IC are alive: no bit that the IC mishears makes an energy
# register of its address.
_ALIVE = const(0xD654)
_UWS_PER_KWH = 3600000000000
_STUCK = const(0xFFFF)
_TRIES = const(5)
_BETWEEN_MS = const(25)
_RESET_MS = const(2)
_SURGE_PERCENT = const(130)
# Twice what its register of the current holds: power is counted beyond that.
_FULL_UA = const(131070000)


def default_calibration(system):
    """The record of an IC whose gain registers stand at one: 10 mV, 1 mA a count."""
    channels = []
    for _ in range(2 if system == "3P3W" else 3):
        channels.append({"kind": "voltage", "lsb_pv": _VOLT_PV})
        channels.append({"kind": "current", "lsb_pa": _AMPERE_PA})
    return {
        "sample_rate_hz": 8000,
        "full_scale": 65535,
        "lowest_code": 0,
        "starting_power_mva": 2000,
        "nominal_voltage_mv": 230000,
        "channels": channels,
    }


def make(spi, select, calibration, wait_ms, gains=(GAIN_ONE, GAIN_ONE)):
    """The driver, as `drivers.metering_ic` asks for it."""
    return Atm90e32(spi, select, calibration, gains, wait_ms)


class Atm90e32(MeteringIc):
    """`spi` is machine.SPI, `cs` its select pin, `calibration` a checked `Calibration`.

    `gains` are the (voltage, current) gain registers of the board's dividers and
    transformers; the calibration corrects them. `wait_ms` waits.
    """

    def __init__(self, spi, cs, calibration, gains, wait_ms, pulses_per_kwh=3200, mode1=0):
        if calibration.system not in SYSTEMS:
            raise ValueError("ATM90E32: system must be 3P3W or 3P4W")
        self._spi = spi
        self._cs = cs
        self._wait_ms = wait_ms
        self._out = bytearray(4)
        self._in = bytearray(4)
        self.system = calibration.system
        self._starting_mva = calibration.starting_power_mva
        self._places = (0, 2) if self.system == "3P3W" else (0, 1, 2)
        # Micro-watt-seconds of one count of an energy register.
        self.count_uws = _UWS_PER_KWH // (COUNTS_PER_PULSE * pulses_per_kwh)
        if self.count_uws * COUNTS_PER_PULSE * pulses_per_kwh != _UWS_PER_KWH:
            raise ValueError("ATM90E32: pulses per kWh must divide 36e9")
        self._config = self._make_config(calibration, gains, pulses_per_kwh, mode1)
        self._check = 0  # which of them is compared next
        self._pending_active = 0  # counts that are read already, not handed out yet
        self._pending_reactive = 0
        self._nominal_mv = calibration.nominal_voltage_mv
        # No more counts than this come in a second.
        most_mw = self._nominal_mv * _SURGE_PERCENT // 100 * (_FULL_UA // 1000) // 1000
        self._most_counts = len(self._places) * most_mw * 1000 // self.count_uws + 1
        self._limit = _STUCK  # of a reading, by the time since the last
        self._u = [0, 0, 0]  # 10 mV, as read last
        self._i = [0, 0, 0]  # 1 mA
        self._p = [0, 0, 0]  # 0.32 mW
        self._q = [0, 0, 0]
        self._frequency = 0  # 10 mHz
        self._angle_b = self._angle_c = 0  # 0.1 degrees
        self._reversed_sequence = False
        self._permille = [0, 0, 0]  # of the nominal voltage
        self._points = [[0, 0], [0, 0], [0, 0]]
        self._open = 0  # wires, see metrology.phases
        self.active_uws = 0
        self.reactive_uvars = 0
        self.status = 0
        self.resets = 0  # times the IC had lost its settings
        self._has_lost = False  # something of what it had counted
        self.disturbed = 0  # readings that were not what the IC had sent
        cs(1)

    def _make_config(self, calibration, gains, pulses_per_kwh, mode1):
        """The registers that are ours, in the order in which they are written."""
        starting = min(calibration.starting_power_mva * 1000 // POWER_UW, 0xFFFF)
        constant = PL_CONST // pulses_per_kwh
        gain_u = _gain(gains[0], calibration.voltages[0])
        config = [
            (SAG_PEAK_DET_CFG, SAG_PEAK_DEFAULT),
            (ZX_CONFIG, _ALIVE),
            (SAG_TH, _threshold(calibration.nominal_voltage_mv * 9 // 10, gain_u)),
            (PHASE_LOSS_TH, _threshold(calibration.nominal_voltage_mv // 2, gain_u)),
            (FREQ_LO_TH, _FREQ_LO),
            (FREQ_HI_TH, _FREQ_HI),
            (PL_CONST_H, constant >> 16),
            (PL_CONST_L, constant & 0xFFFF),
            (M_MODE0, _MODE[self.system]),
            (M_MODE1, mode1),
            (P_START_TH, starting),
            (Q_START_TH, starting),
            (S_START_TH, starting),
            (P_PHASE_TH, starting // 10),
            (Q_PHASE_TH, starting // 10),
            (S_PHASE_TH, starting // 10),
        ]
        for k in range(len(self._places)):
            place = self._places[k]
            u, i = calibration.voltages[k], calibration.currents[k]
            config.append((PHI_A + 2 * place, _delay(i.phase_urad - u.phase_urad)))
            config.append((U_GAIN_A + 4 * place, _gain(gains[0], u)))
            config.append((U_GAIN_A + 1 + 4 * place, _gain(gains[1], i)))
        config.append((METER_EN, METER_ON))
        return config

    # --- bus -----------------------------------------------------------------

    def _exchange(self):
        self._cs(0)
        self._spi.write_readinto(self._out, self._in)
        self._cs(1)

    def read(self, register):
        out = self._out
        out[0] = READ | register >> 8
        out[1] = register & 0xFF
        out[2] = out[3] = 0
        self._exchange()
        return self._in[2] << 8 | self._in[3]

    def write(self, register, value):
        out = self._out
        out[0] = register >> 8
        out[1] = register & 0xFF
        out[2] = value >> 8
        out[3] = value & 0xFF
        self._exchange()

    def _twice(self, register):
        """A register as it comes twice in a row; None when it does not."""
        value = self.read(register)
        for _ in range(_TRIES):
            again = self.read(register)
            if again == value:
                return value
            self.disturbed += 1
            value = again
        return None

    def _signed32(self, register):
        """A power, high and low word, both of the same measurement. 0.32 mW a count."""
        high = self.read(register)
        low = self.read(register + LSB)
        for _ in range(_TRIES):
            before, low_before = high, low
            high = self.read(register)
            low = self.read(register + LSB)
            if high == before and low == low_before:
                if high & _SIGN:
                    high -= _TURN
                return high << 16 | low
            self.disturbed += 1
        return None

    def _holds(self, register, value):
        """Whether a register has this value: the bus is given three chances to say so."""
        for _ in range(3):
            if self.read(register) == value:
                return True
        return False

    def _answers(self):
        """Whether there is an IC: it repeats what it was told, whatever its state."""
        for value in (ACCESS_KEY, 0):
            self.write(CFG_REG_ACC_EN, value)
            if not self._holds(LAST_SPI_DATA, value):
                return False
        return True

    # --- life ----------------------------------------------------------------

    def begin(self):
        """Sets the IC up. One that runs with our settings already goes on, and what it
        counted meanwhile is counted. False when nothing answers."""
        if self._is_configured():
            return True
        if not self._answers():
            # A reset that it hears all the same would cost it what it has counted.
            return False
        self.resets += 1
        self.write(SOFT_RESET, RESET_KEY)
        self._wait_ms(_RESET_MS)
        self._configure()
        return self._is_configured()

    def _configure(self):
        self.write(CFG_REG_ACC_EN, ACCESS_KEY)
        for register, value in self._config:
            self.write(register, value)
        self.write(CFG_REG_ACC_EN, 0)

    def _is_configured(self):
        for register, value in self._config:
            if not self._holds(register, value):
                return False
        return True

    def _is_there(self):
        """Whether the line is alive and the IC as we set it up; else it is set up again."""
        if self._holds(ZX_CONFIG, _ALIVE):
            return True
        return self._answers() and self._repair()

    def _repair(self):
        """It answers, but not as it was set up: False when that cannot be mended."""
        if not self._holds(METER_EN, METER_ON):
            # It has been without supply: what it counted is gone, it starts anew.
            self._has_lost = True
            return self.begin()
        self._configure()
        return self._is_configured()

    def _repaired(self):
        """Looks whether the IC still has its settings, one of them at each call."""
        register, value = self._config[self._check]
        self._check = (self._check + 1) % len(self._config)
        return self._holds(register, value) or (self._answers() and self._repair())

    # --- measurement ---------------------------------------------------------

    def poll(self, quantities):
        if not self._is_there() or not self._take_energy():
            return False
        if not self._measure() or not self._repaired() or not self._holds(ZX_CONFIG, _ALIVE):
            # What a dying line or IC has said is not what was measured.
            return False
        self._publish(quantities)
        self.status = self._state(quantities)
        self.active_uws = self._pending_active * self.count_uws
        self.reactive_uvars = self._pending_reactive * self.count_uws
        self._pending_active = self._pending_reactive = 0
        return True

    def _take_energy(self):
        """Each register is counted as soon as it is read, whatever comes after."""
        self._limit = _STUCK
        if self.elapsed_ms:
            self._limit = min((self.elapsed_ms * 5 // 4 + 50) * self._most_counts // 1000, _STUCK)
        p = self._p[0] + self._p[1] + self._p[2]
        q = self._q[0] + self._q[1] + self._q[2]
        self._pending_active += self._counts(AP_ENERGY_T, p)
        self._pending_active -= self._counts(AN_ENERGY_T, -p)
        self._pending_reactive += self._counts(RP_ENERGY_T, q)
        self._pending_reactive -= self._counts(RN_ENERGY_T, -q)
        if self._holds(ZX_CONFIG, _ALIVE):
            return True
        self._has_lost = True
        return False

    def _counts(self, register, power):
        """Takes what an energy register counted: it is 0 after this. `power`: as was read last."""
        first = self._cleared(register, power)
        if first == _STUCK:
            # Full, and what came after is lost; or a line that is dead.
            self._has_lost = True
            return first if self._holds(ZX_CONFIG, _ALIVE) else 0
        second = self._cleared(register, 0)
        # What comes in the time of a collection of garbage.
        between = 2 + max(self._expected(power, _BETWEEN_MS), first >> 4)
        if first < self._limit and second <= between:
            return first + second
        # The first was of another register, and may have cleared that one.
        self._has_lost = True
        return second if second < self._limit else 0

    def _cleared(self, register, power):
        value = self.read(register)
        kept = self.read(LAST_SPI_DATA)
        if kept == value:
            return value
        self.disturbed += 1
        # Reading the record does not change it: two alike are what it was.
        for _ in range(8):
            again = self.read(LAST_SPI_DATA)
            if again == kept:
                break
            kept = again
        if kept == value:
            return value
        # A bit of the answer was wrong; or the IC has heard another address for the record,
        # which is gone then, and the answer was right. What is not sure is missing.
        wrong = kept ^ value
        sure = not wrong & (wrong - 1)
        if sure and self.elapsed_ms:
            expected = self._expected(power, self.elapsed_ms)
            sure = 4 * abs(value - expected) >= abs(kept - expected)
        if sure:
            return kept
        self._has_lost = True
        return min(value, kept)

    def _expected(self, power, ms):
        """Counts of so much power, in its own unit, in so long; none of the other direction."""
        return _milliwatts(max(power, 0)) * ms // self.count_uws

    def _measure(self):
        """Reads what it measures; False when the bus does not carry it."""
        for place in self._places:
            u = self._twice(U_RMS_A + place)
            i = self._twice(I_RMS_A + place)
            p = self._signed32(P_MEAN_A + place)
            q = self._signed32(Q_MEAN_A + place)
            if u is None or i is None or p is None or q is None:
                return False
            self._u[place] = u
            self._i[place] = i
            self._p[place] = p
            self._q[place] = q
        frequency = self._twice(FREQ)
        angle_c = self._twice(U_ANGLE_C)
        angle_b = state = 0
        if self.system == "3P3W":
            state = self._twice(EMM_STATE0)
        else:
            angle_b = self._twice(U_ANGLE_B)
        if frequency is None or angle_c is None or angle_b is None or state is None:
            return False
        self._frequency = frequency
        self._angle_b = angle_b
        self._angle_c = angle_c
        self._reversed_sequence = state & STATE0_U_REVERSED != 0
        return True

    def _publish(self, q):
        p = r = s = 0
        for place in self._places:
            u = self._u[place]
            i = self._i[place]
            active = _milliwatts(self._p[place])
            reactive = _milliwatts(self._q[place])
            apparent = max(u * i // 100, isqrt(active * active + reactive * reactive))
            q.voltage_mv[place] = u * _MV_PER_COUNT
            q.current_ua[place] = i * _UA_PER_COUNT
            q.active_power_mw[place] = active
            q.reactive_power_mvar[place] = reactive
            q.apparent_power_mva[place] = apparent
            q.power_factor_permille[place] = div_rounded(1000 * active, apparent) if apparent else 0
            p += active
            r += reactive
            s += apparent
        if self.system == "3P3W":
            # Two elements are no phases: the vector sum is what S means here.
            s = isqrt(p * p + r * r)
            self._third(q)
        q.total_active_power_mw = p
        q.total_reactive_power_mvar = r
        q.total_apparent_power_mva = s
        # The range in which it measures one.
        frequency = self._frequency
        is_one = _FREQ_LEAST <= frequency <= _FREQ_MOST
        q.frequency_mhz = frequency * _MHZ_PER_COUNT if is_one else 0

    def _state(self, q):
        """STATUS_ bits of what was read."""
        status = self._loads(q)
        if 10 * max(q.voltage_mv) < self._nominal_mv:
            status |= qu.STATUS_NO_VOLTAGE
            q.frequency_mhz = 0
        self._look_for_open(q)
        status |= (self._open & phases.ALL) * qu.STATUS_PHASE_LOSS_L1
        if self._open & phases.NEUTRAL:
            status |= qu.STATUS_NEUTRAL_LOST
        if self._has_lost:
            self._has_lost = False
            status |= qu.STATUS_SAMPLES_MISSING
        return status

    def _look_for_open(self, q):
        u = self._permille
        for place in range(3):
            u[place] = 1000 * q.voltage_mv[place] // self._nominal_mv
        if self.system == "3P3W":
            self._open = phases.open_of_sides(u, q.current_ua, self._open)
            return
        b = _tenths(self._angle_b)
        c = _tenths(self._angle_c)
        even = 1120 <= b <= 1280 and 2320 <= c <= 2480 or 1120 <= c <= 1280 and 2320 <= b <= 2480
        if even and min(u) > 850 and max(u) < 1150:
            self._open = 0
            return
        points = self._points
        points[0][0] = u[0]
        _place(points[1], u[1], b)
        _place(points[2], u[2], c)
        self._open = phases.open_of_phases(u, points, q.current_ua, self._open)

    def _loads(self, q):
        """Bits of load and direction; active energy comes in lumps, so power says the latter."""
        least = self._starting_mva
        total = q.total_active_power_mw
        status = 0
        if _below(total, q.total_reactive_power_mvar, least):
            status = qu.STATUS_NO_LOAD
        for place in self._places:
            power = q.active_power_mw[place]
            if not _below(power, q.reactive_power_mvar[place], least):
                status = 0
                break
        counts = self._pending_active
        # A lump may be of before: two are of this time.
        self.exporting = counts < -1 or (total < 0 and counts <= 1)
        if total > 0 and self.system == "3P4W":
            for place in self._places:
                if q.active_power_mw[place] < -least:
                    status |= qu.STATUS_REVERSED_L1 << place
        return status

    def _third(self, q):
        """U13 = U12 - U32 and I2 = -(I1 + I3), by the angle from U12 to U32."""
        cos, sin = _unit(self._angle_c)
        if self._reversed_sequence:
            sin = -sin
        u1, u3 = q.voltage_mv[0], q.voltage_mv[2]
        q.voltage_mv[1] = isqrt(max(0, u1 * u1 + u3 * u3 - 2 * u1 * u3 * cos // ONE))
        i1, i3 = q.current_ua[0], q.current_ua[2]
        s1, s3 = q.apparent_power_mva[0], q.apparent_power_mva[2]
        if not s1 or not s3:
            q.current_ua[1] = max(i1, i3)
            return
        # The current's angle against U12, from the powers: I = (P - jQ) / U.
        p1, r1 = q.active_power_mw[0], q.reactive_power_mvar[0]
        p3, r3 = q.active_power_mw[2], q.reactive_power_mvar[2]
        x3 = (p3 * cos + r3 * sin) // ONE
        y3 = (p3 * sin - r3 * cos) // ONE
        product = i1 * i3 * (p1 * x3 - r1 * y3) // (s1 * s3)
        q.current_ua[1] = isqrt(max(0, i1 * i1 + i3 * i3 + 2 * product))


def _milliwatts(counts):
    """Of a power in POWER_UW: a fraction that keeps small integers."""
    return counts * 8 // 25


def _below(active, reactive, least):
    """Whether an apparent power is below the starting power."""
    if not (-least < active < least and -least < reactive < least):
        return False
    return active * active + reactive * reactive < least * least


def _tenths(angle):
    """An angle register, signed or not, as 0 to 359.9 degrees."""
    return (angle - _TURN if angle & _SIGN else angle) % _TENTHS


def _cosine(length, quarters):
    """length * cos of an angle in quarter degrees, to 0.3 % of the length, in small integers."""
    quarters %= 1440
    if quarters > 720:
        quarters = 1440 - quarters
    if quarters > 360:
        return -_cosine(length, 720 - quarters)
    square = quarters * quarters
    # Bhaskara's fraction.
    return length * (518400 - 4 * square) // (518400 + square)


def _place(point, length, tenths):
    """Puts a voltage that lags the first by so much into the plane."""
    quarters = tenths * 2 // 5
    point[0] = _cosine(length, quarters)
    point[1] = _cosine(length, quarters + 360)


def _gain(base, channel):
    """Gain register of a channel: `base` corrected by what calibration found."""
    nominal = _VOLT_PV if channel.scale > _VOLT_PV // 2 else _AMPERE_PA
    gain = div_rounded(base * channel.scale, nominal)
    if not 0 < gain <= GAIN_MOST:
        raise ValueError("calibration: gain beyond the range of the ATM90E32")
    return gain


def _delay(lag_urad):
    """Delay register for a current that lags: bit 15 delays the voltage instead."""
    cycles = div_rounded(abs(lag_urad) * 1000, DELAY_NRAD)
    if cycles > PHI_MOST:
        raise ValueError("calibration: phase beyond the range of the ATM90E32")
    return cycles | PHI_VOLTAGE if lag_urad > 0 else cycles


def _threshold(voltage_mv, gain):
    """Voltage threshold register: peak in 10 mV, before the gain, halved."""
    peak = voltage_mv * 141421 // 1000000
    return min(peak * GAIN_ONE // (2 * gain), 0xFFFF)


def _unit(tenths):
    """(cos, sin) times 2**30 of an angle in 0.1 degree, folded to 0..180 degrees."""
    tenths = _tenths(tenths)
    if tenths > _HALF_TURN:
        tenths = _TENTHS - tenths
    # An eighth of the angle is small enough for `rotation`; then double it thrice.
    cos, sin = rotation(tenths * 1745329 // 8000)
    for _ in range(3):
        cos, sin = (cos * cos - sin * sin) // ONE, 2 * cos * sin // ONE
    return cos, sin
