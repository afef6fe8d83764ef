"""ATM90E32AS: three-phase metering IC over SPI (mode 3, up to 1 MHz).

The IC measures and counts by itself; the meter takes its quantities and the
energy that its registers counted. Those registers clear when they are read,
so each count is taken exactly once: a reading that the bus may have spoilt is
settled with the IC's own record of it (LastSPIData).

Phases A, B, C are L1, L2, L3 on 3P4W. On 3P3W phase A carries U12 and I1,
phase C U32 and I3; U13 and I2 follow from them.
"""

from micropython import const

from ams.hal import MeteringIc
from ams.metrology.fixed import ONE, div_rounded, isqrt, rotation
from ams.registers import quantities as qu

METER_EN = const(0x00)
SAG_PEAK_DET_CFG = const(0x05)
ZX_CONFIG = const(0x07)
SAG_TH = const(0x08)
PHASE_LOSS_TH = const(0x09)
FREQ_LO_TH = const(0x0C)
FREQ_HI_TH = const(0x0D)
PL_CONST_H = const(0x31)
PL_CONST_L = const(0x32)
M_MODE0 = const(0x33)
M_MODE1 = const(0x34)
P_START_TH = const(0x35)
Q_START_TH = const(0x36)
S_START_TH = const(0x37)
P_PHASE_TH = const(0x38)
Q_PHASE_TH = const(0x39)
S_PHASE_TH = const(0x3A)
PHI_A = const(0x48)  # and 0x4A, 0x4C
U_GAIN_A = const(0x61)  # gain of voltage, current; two offsets; then phase B, C
SOFT_RESET = const(0x70)
EMM_STATE0 = const(0x71)
EMM_STATE1 = const(0x72)
LAST_SPI_DATA = const(0x78)
CFG_REG_ACC_EN = const(0x7F)
AP_ENERGY_T = const(0x80)  # forward active, net of the phases
AN_ENERGY_T = const(0x84)
RP_ENERGY_T = const(0x88)
RN_ENERGY_T = const(0x8C)
P_MEAN_A = const(0xB1)
Q_MEAN_A = const(0xB5)
LSB = const(0x10)  # from the high word of a power to its low word
U_RMS_A = const(0xD9)
I_RMS_A = const(0xDD)
FREQ = const(0xF8)
U_ANGLE_C = const(0xFF)

RESET_KEY = const(0x789A)
ACCESS_KEY = const(0x55AA)

_M_MODE0 = {"3P4W": 0x0087, "3P3W": 0x0185}  # 50 Hz, phases counted
_STATE0_U_REVERSED = const(0x0200)
_STATE0_P_NO_LOAD = const(0x0020)
_STATE1_PHASE_LOSS_A = const(0x0400)  # B and C below it
# Pulse constant register: 450e9 over the pulses per kWh. Energy counts 0.01 pulse.
_PL_CONST = 450000000000
_UWS_PER_KWH = 3600000000000
# One cycle of 2.048 MHz at 50 Hz, in nano-radian.
_DELAY_NRAD = const(153398)
_GAIN_ONE = const(0x8000)
_STUCK = const(0xFFFF)


def default_calibration(system):
    """The record of an IC whose gain registers stand at one: 10 mV, 1 mA a count."""
    channels = []
    for _ in range(2 if system == "3P3W" else 3):
        channels.append({"kind": "voltage", "lsb_pv": 10000000000})
        channels.append({"kind": "current", "lsb_pa": 1000000000})
    return {
        "sample_rate_hz": 8000,
        "full_scale": 65535,
        "lowest_code": 0,
        "starting_power_mva": 2000,
        "nominal_voltage_mv": 230000,
        "channels": channels,
    }


class Atm90e32(MeteringIc):
    """`spi` is machine.SPI, `cs` its select pin, `calibration` a checked `Calibration`.

    `gains` are the (voltage, current) gain registers of the board's dividers and
    transformers; the calibration corrects them. `wait_ms` waits.
    """

    def __init__(self, spi, cs, calibration, gains, wait_ms, pulses_per_kwh=3200, mode1=0):
        if calibration.system not in _M_MODE0:
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
        self.count_uws = _UWS_PER_KWH // (100 * pulses_per_kwh)
        if self.count_uws * 100 * pulses_per_kwh != _UWS_PER_KWH:
            raise ValueError("ATM90E32: pulses per kWh must divide 36e9")
        self._config = self._make_config(calibration, gains, pulses_per_kwh, mode1)
        self._check = 0  # which of them is compared next
        self._pending_active = 0  # read already, not handed out yet
        self._pending_reactive = 0
        self.active_uws = 0
        self.reactive_uvars = 0
        self.status = 0
        self.resets = 0  # times the IC had lost its settings
        self._has_lost = False  # and with them what it had counted
        self.disturbed = 0  # energy readings that had to be settled
        cs(1)

    def _make_config(self, calibration, gains, pulses_per_kwh, mode1):
        """The registers that are ours, in the order in which they are written."""
        starting = min(calibration.starting_power_mva * 25 // 8, 0xFFFF)  # 0.32 mW
        constant = _PL_CONST // pulses_per_kwh
        gain_u = _gain(gains[0], calibration.voltages[0])
        config = [
            (SAG_PEAK_DET_CFG, 0x143F),
            (ZX_CONFIG, 0xD654),
            (SAG_TH, _threshold(calibration.nominal_voltage_mv * 9 // 10, gain_u)),
            (PHASE_LOSS_TH, _threshold(calibration.nominal_voltage_mv // 2, gain_u)),
            (FREQ_LO_TH, 4750),
            (FREQ_HI_TH, 5250),
            (PL_CONST_H, constant >> 16),
            (PL_CONST_L, constant & 0xFFFF),
            (M_MODE0, _M_MODE0[self.system]),
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
        config.append((METER_EN, 1))
        return config

    # --- bus -----------------------------------------------------------------

    def _exchange(self):
        self._cs(0)
        self._spi.write_readinto(self._out, self._in)
        self._cs(1)

    def read(self, register):
        out = self._out
        out[0] = 0x80 | register >> 8
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

    def _signed32(self, register):
        """A power, high and low word, both of the same measurement. 0.32 mW a count."""
        high = self.read(register)
        while True:
            low = self.read(register + LSB)
            again = self.read(register)
            if again == high:
                break
            high = again
        value = high << 16 | low
        return value - (1 << 32) if high & 0x8000 else value

    def _counts(self, register):
        """Takes what an energy register counted: it is 0 after this. None: no answer."""
        value = self.read(register)
        kept = self.read(LAST_SPI_DATA)
        if kept != value:
            self.disturbed += 1
            # Reading the record does not change it: two alike are what it was.
            for _ in range(8):
                again = self.read(LAST_SPI_DATA)
                if again == kept:
                    break
                kept = again
            value = kept
        return None if value == _STUCK else value

    # --- life ----------------------------------------------------------------

    def begin(self):
        """Sets the IC up. One that runs with our settings already goes on, and what it
        counted meanwhile is counted. False when nothing answers."""
        if self._is_configured():
            return True
        self.resets += 1
        self.write(SOFT_RESET, RESET_KEY)
        self._wait_ms(2)
        self._configure()
        return self._is_configured()

    def _configure(self):
        self.write(CFG_REG_ACC_EN, ACCESS_KEY)
        for register, value in self._config:
            self.write(register, value)
        self.write(CFG_REG_ACC_EN, 0)

    def _is_configured(self):
        for register, value in self._config:
            if self.read(register) != value:
                return False
        return True

    def _repaired(self):
        """Looks whether the IC still has its settings, one of them at each call."""
        register, value = self._config[self._check]
        self._check = (self._check + 1) % len(self._config)
        if self.read(METER_EN) == 1 and self.read(register) == value:
            return True
        # Twice wrong: not the bus, but the IC or no IC at all.
        enabled = self.read(METER_EN)
        if enabled == 1 and self.read(register) == value:
            return True
        if enabled == _STUCK:
            return False
        if enabled == 0:
            # It has lost its supply: what it counted is gone, it starts anew.
            self._has_lost = True
            return self.begin()
        self._configure()
        return self._is_configured()

    # --- measurement ---------------------------------------------------------

    def poll(self, quantities):
        if not self._repaired() or not self._take_energy():
            return False
        self._read_phases(quantities)
        self._read_state(quantities)
        self.active_uws, self._pending_active = self._pending_active, 0
        self.reactive_uvars, self._pending_reactive = self._pending_reactive, 0
        return True

    def _take_energy(self):
        """Each register is counted as soon as it is read, whatever comes after."""
        return (
            self._take_active(AP_ENERGY_T, self.count_uws)
            and self._take_active(AN_ENERGY_T, -self.count_uws)
            and self._take_reactive(RP_ENERGY_T, self.count_uws)
            and self._take_reactive(RN_ENERGY_T, -self.count_uws)
        )

    def _take_active(self, register, unit_uws):
        counts = self._counts(register)
        if counts is None:
            return False
        self._pending_active += counts * unit_uws
        return True

    def _take_reactive(self, register, unit_uvars):
        counts = self._counts(register)
        if counts is None:
            return False
        self._pending_reactive += counts * unit_uvars
        return True

    def _read_phases(self, q):
        p = r = s = 0
        for place in self._places:
            u = self.read(U_RMS_A + place)  # 10 mV
            i = self.read(I_RMS_A + place)  # 1 mA
            active = self._signed32(P_MEAN_A + place) * 8 // 25
            reactive = self._signed32(Q_MEAN_A + place) * 8 // 25
            apparent = max(u * i // 100, isqrt(active * active + reactive * reactive))
            q.voltage_mv[place] = u * 10
            q.current_ua[place] = i * 1000
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
        q.total_active_power_mw = p
        q.total_reactive_power_mvar = r
        q.total_apparent_power_mva = s
        q.frequency_mhz = self.read(FREQ) * 10

    def _read_state(self, q):
        state0 = self.read(EMM_STATE0)
        state1 = self.read(EMM_STATE1)
        status = 0
        if state0 & _STATE0_P_NO_LOAD:
            status |= qu.STATUS_NO_LOAD
        lost = 0
        for place in self._places:
            if state1 & (_STATE1_PHASE_LOSS_A >> place):
                lost |= 1 << place
        if self.system == "3P3W":
            self._third(q, state0 & _STATE0_U_REVERSED)
            if q.voltage_mv[1] < 115000:
                lost |= 2
        status |= lost * qu.STATUS_PHASE_LOSS_L1
        if lost == 7:
            status |= qu.STATUS_NO_VOLTAGE
            q.frequency_mhz = 0
        if q.total_active_power_mw > 0 and self.system == "3P4W":
            for place in self._places:
                if q.active_power_mw[place] < -self._starting_mva:
                    status |= qu.STATUS_REVERSED_L1 << place
        if self._has_lost:
            self._has_lost = False
            status |= qu.STATUS_SAMPLES_MISSING
        self.status = status

    def _third(self, q, reversed_sequence):
        """U13 = U12 - U32 and I2 = -(I1 + I3), by the angle from U12 to U32."""
        cos, sin = _unit(self.read(U_ANGLE_C))
        if reversed_sequence:
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


def _gain(base, channel):
    """Gain register of a channel: `base` corrected by what calibration found."""
    nominal = 10000000000 if channel.scale > 5000000000 else 1000000000
    gain = div_rounded(base * channel.scale, nominal)
    if not 0 < gain <= 0xFFFF:
        raise ValueError("calibration: gain beyond the range of the ATM90E32")
    return gain


def _delay(lag_urad):
    """Delay register for a current that lags: bit 15 delays the voltage instead."""
    cycles = div_rounded(abs(lag_urad) * 1000, _DELAY_NRAD)
    if cycles > 0x3FF:
        raise ValueError("calibration: phase beyond the range of the ATM90E32")
    return cycles | 0x8000 if lag_urad > 0 else cycles


def _threshold(voltage_mv, gain):
    """Voltage threshold register: peak in 10 mV, before the gain, halved."""
    peak = voltage_mv * 141421 // 1000000
    return min(peak * _GAIN_ONE // (2 * gain), 0xFFFF)


def _unit(tenths):
    """(cos, sin) times 2**30 of an angle in 0.1 degree, folded to 0..180 degrees."""
    if tenths & 0x8000:
        tenths = 0x10000 - tenths
    tenths %= 3600
    if tenths > 1800:
        tenths = 3600 - tenths
    # An eighth of the angle is small enough for `rotation`; then double it thrice.
    cos, sin = rotation(tenths * 1745329 // 8000)
    for _ in range(3):
        cos, sin = (cos * cos - sin * sin) // ONE, 2 * cos * sin // ONE
    return cos, sin
