"""ADE7953: single-phase metering IC over SPI (mode 3, up to 1 MHz here).

The IC measures and counts by itself; the meter takes its quantities and the energy that its
registers counted. Nothing that the bus says is believed at once: after every access the IC is
asked what the last one was that it has heard, and what it has sent (its record). So

- a value counts when the record says that it was of this register, and this value;
- an energy register, which clears when it is read, is counted by the record, once, whatever
  the bus made of it. A line that dies in between is asked for the record when it is back:
  until then nothing else is read, which would put another record in its place;
- the checksum of the IC over its settings says within one poll that one of them has changed.

Channel A is the phase; channel B (neutral) is not read.

The register table: names, addresses, bits and units of the datasheet (Rev. B, tables 13 to 25;
pages in the comments). An address says how long a register is: 8 bits from 0x000, 16 from 0x100,
24 from 0x200, 32 from 0x300 (there the same ones as from 0x200, and CRC).
"""

from micropython import const

from ams.hal import MeteringIc
from ams.metrology import quantities as qu
from ams.metrology.fixed import div_rounded, isqrt

SYSTEMS = ("1P2W",)
SPI_HZ = const(1000000)  # 5 MHz at most (p. 6)
SPI_POLARITY = const(1)
SPI_PHASE = const(1)

# --- register table -------------------------------------------------------------

DISNOLOAD = const(0x001)  # no-load detection off: bit 0 active, 1 reactive, 2 apparent (p. 40)
NO_NO_LOAD = const(0x07)
LCYCMODE = const(0x004)  # p. 63
RSTREAD = const(0x40)  # energy registers clear when they are read
PGA_V = const(0x007)  # 0: gain 1, 500 mV peak at the pins (p. 19)
PGA_IA = const(0x008)
WRITE_PROTECT = const(0x040)  # bit 0: 8-bit registers, 1: 16, 2: 24 and 32 (p. 57)
PROTECT_ALL = const(0x07)
UNLOCK = const(0x0FE)  # takes UNLOCK_KEY, for the write that follows (p. 18)
LINECYC = const(0x101)  # half cycles of a mode that is not used: free for a mark
CONFIG = const(0x102)  # p. 63; reset value 0x8004
HPFEN = const(0x0004)  # high-pass filters on
SWRST = const(0x0080)  # software reset
CRC_ENABLE = const(0x0100)  # the checksum is kept
PHCALA = const(0x108)  # sign and magnitude, 1.117 us a count; bit 9: current is advanced
PHCALA_ADVANCE = const(0x200)
PHCALA_MOST = const(0x1FF)
PERIOD = const(0x10E)  # periods of 223.75 kHz, less one (p. 36)
OPTIMUM = const(0x120)  # must be OPTIMUM_VALUE for the accuracy of table 1 (p. 18)
ACCMODE = const(0x201)  # 0: signed energies; bits above 9 only tell (p. 65)
AP_NOLOAD = const(0x203)  # 65536 - Y / 1.4: full scale / Y is no load (p. 40)
VAR_NOLOAD = const(0x204)
AWATT = const(0x212)  # signed, full scale FULL_POWER (p. 37)
AVAR = const(0x214)  # positive: the current lags (p. 28)
IRMSA = const(0x21A)  # unsigned, full scale FULL_RMS (p. 23)
VRMS = const(0x21C)
AENERGYA = const(0x21E)  # signed, ENERGY_HZ counts a second at full scale (p. 25)
RENERGYA = const(0x220)
RSTIRQSTATA = const(0x22E)  # IRQSTATA, cleared when it is read (p. 66)
AEOFA = const(0x08)  # AENERGYA has run over
VAREOFA = const(0x10)  # RENERGYA has run over
RESET = const(0x100000)  # a reset has ended
AIGAIN = const(0x280)  # GAIN_ONE is 1; 0.5 to 1.5 (p. 60)
AVGAIN = const(0x281)
AWGAIN = const(0x282)
AVARGAIN = const(0x283)
AIRMSOS = const(0x286)  # offsets, 0 after a reset
VRMSOS = const(0x288)
AWATTOS = const(0x289)
AVAROS = const(0x28A)
CRC = const(0x37F)  # over the settings (p. 58)
# The record: of the last access that was heard, reading it does not change it (p. 57).
LAST_OP = const(0x0FD)
LAST_ADD = const(0x1FE)
LAST_RWDATA = const(0x0FF)  # of an 8-bit register; with the top bits of the address for others
OP_READ = const(0x35)
OP_WRITE = const(0xCA)

UNLOCK_KEY = const(0xAD)
OPTIMUM_VALUE = const(0x30)
GAIN_ONE = const(0x400000)
FULL_RMS = const(9032007)  # 353.55 mV RMS
FULL_POWER = const(4862401)
ENERGY_HZ = const(206900)
PERIOD_HZ = const(223750)
# 1.117 us at 50 Hz, in nano-radian.
PHCALA_NRAD = const(350916)
# Bits that come before the data of a frame: address, then READ or WRITE.
READ = const(0x80)
WRITE = const(0x00)

# --- units ------------------------------------------------------------------------

# The gain registers make round units of the counts: 40 uV, 16 uA, 10 mW.
_UV_PER_COUNT = const(40)
_UA_PER_COUNT = const(16)
_MW_PER_COUNT = const(10)
_PAIR_PER_MV = const(50)  # of the sum of two readings
# Seconds of one count of power that are one count of energy, times ENERGY_HZ: FULL_POWER.
_COUNT_UWS = (FULL_POWER * _MW_PER_COUNT * 1000 + ENERGY_HZ // 2) // ENERGY_HZ
# Reading them clears what is in them.
_CLEARED = (AENERGYA, RENERGYA, RSTIRQSTATA)
# In LINECYC: neither the reset value nor what a dead line says.
_MARK = const(0xA5C3)
_TURN = const(0x1000000)  # of a 24-bit register
_SIGN = const(0x800000)
_TRIES = const(5)
_READY_MS = const(120)  # after a reset; 100 are promised (p. 18)
# What is measured has a ripple of twice the mains frequency: two readings half its period apart
# have none. The bus takes the rest of the 5 ms.
_APART_MS = const(4)
# Polls in which a record that may yet come is waited for.
_PATIENCE = const(3)


def default_calibration(system="1P2W"):
    """The record of the wiring table: divider 990 kOhm to 1 kOhm, transformer 2000 to one with
    5 Ohm: 350 V and 141 A RMS are full scale."""
    return {
        "sample_rate_hz": 7000,
        # RMS counts go to FULL_RMS; a record says no more than this.
        "full_scale": 8388607,
        "lowest_code": 0,
        "starting_power_mva": 2000,
        "nominal_voltage_mv": 230000,
        "channels": [
            {"kind": "voltage", "lsb_pv": 38792199},
            {"kind": "current", "lsb_pa": 15657800},
        ],
    }


def make(spi, select, calibration, wait_ms):
    """The driver, as `drivers.metering_ic` asks for it."""
    return Ade7953(spi, select, calibration, wait_ms)


class Ade7953(MeteringIc):
    """`spi` is machine.SPI, `cs` its select pin, `calibration` a checked `Calibration` whose
    channels are volts and amperes a count at gains of one. `wait_ms` waits."""

    def __init__(self, spi, cs, calibration, wait_ms):
        if calibration.system not in SYSTEMS:
            raise ValueError("ADE7953: system must be 1P2W")
        self._spi = spi
        self._cs = cs
        self._wait_ms = wait_ms
        # A frame each for registers of one to four octets.
        self._out = [bytearray(3 + octets) for octets in range(5)]
        self._in = [bytearray(3 + octets) for octets in range(5)]
        self._starting_mva = calibration.starting_power_mva
        self._nominal_mv = calibration.nominal_voltage_mv
        self._config = _config(calibration)
        self._check = 0  # which of them is compared next
        self._crc = 0
        self._before = 0  # the address of the last access that is settled
        self._asked = 0  # that of one whose record has not been seen; 0: none
        self._patience = _PATIENCE
        self._data = 0  # what the record says
        self._flags = 0  # of IRQSTATA, not looked at yet
        self._pending_active = 0  # counts that are read already, not handed out yet
        self._pending_reactive = 0
        self._sums = [0, 0, 0, 0]  # VRMS, IRMSA, AWATT, AVAR: two readings of each
        self._p = self._q = 0  # 10 mW, 10 mvar, as measured last; 0: not known
        self._period = 0
        self.active_uws = 0
        self.reactive_uvars = 0
        self.status = 0
        self.resets = 0  # times the IC had lost its settings
        self._has_lost = False  # something of what it had counted
        self.disturbed = 0  # accesses that were not what the IC has heard or sent
        cs(1)

    # --- bus -----------------------------------------------------------------

    def _frame(self, address, direction):
        octets = (address >> 8) + 1
        out = self._out[octets]
        out[0] = address >> 8
        out[1] = address & 0xFF
        out[2] = direction
        self._cs(0)
        self._spi.write_readinto(out, self._in[octets])
        self._cs(1)

    def _raw(self, address):
        """What the bus says is in a register: unsigned, 30 bits at most."""
        octets = (address >> 8) + 1
        out = self._out[octets]
        for k in range(octets):
            out[3 + k] = 0
        self._frame(address, READ)
        into = self._in[octets]
        value = into[3] & 0x3F if octets == 4 else into[3]
        for k in range(1, octets):
            value = value << 8 | into[3 + k]
        return value

    def _put(self, address, value):
        octets = (address >> 8) + 1
        out = self._out[octets]
        for k in range(octets):
            out[3 + k] = value >> 8 * (octets - 1 - k) & 0xFF
        self._asked = address
        self._frame(address, WRITE)

    def _twice(self, address):
        """A register of the record as it comes twice in a row; None when it does not."""
        value = self._raw(address)
        for _ in range(_TRIES):
            again = self._raw(address)
            if again == value:
                return value
            self.disturbed += 1
            value = again
        return None

    def _says(self, address, operation, value):
        """Whether the record is this one."""
        return (
            self._raw(LAST_ADD) == address
            and self._raw(LAST_OP) == operation
            and self._raw(address & 0x300 | LAST_RWDATA) == value
        )

    def _settle(self):
        """Takes over the IC's record, and what it means: False when the line does not carry it.

        An address that was settled before says that nothing has been heard since: no energy
        register is read twice in a row."""
        operation = self._twice(LAST_OP)
        if operation != OP_READ and operation != OP_WRITE:
            return False
        address = self._twice(LAST_ADD)
        if address is None or address >= 0x400:
            return False
        data = self._twice(address & 0x300 | LAST_RWDATA)
        if data is None or self._raw(LAST_OP) != operation:
            return False
        self._data = data
        asked = self._asked
        if address != asked and address != self._before and asked in _CLEARED:
            # It has heard another one, or its record was replaced by one: nobody knows.
            self._has_lost = True
        self._settled(address, operation, data)
        return True

    def _settled(self, address, operation, data):
        if operation == OP_READ and address != self._before:
            # The 32-bit addresses are the same registers.
            register = address & 0x2FF
            if register == AENERGYA:
                self._pending_active += self._counted(data, AEOFA, self._p)
            elif register == RENERGYA:
                self._pending_reactive += self._counted(data, VAREOFA, self._q)
            elif register == RSTIRQSTATA:
                self._flags |= data
        self._before = address
        self._asked = 0
        self._patience = _PATIENCE

    def _counted(self, data, overflow, power):
        """Counts of an energy register that has been read. It goes on from one end of its
        range at the other: which end it was the power says that was measured before."""
        data &= _TURN - 1
        counts = data - _TURN if data & _SIGN else data
        if not self._flags & overflow:
            return counts
        self._flags &= ~overflow
        # It may have gone round more than once: this is what there is at least.
        self._has_lost = True
        if not power:
            return 0
        return counts + _TURN if power > 0 else counts - _TURN

    def read(self, address):
        """A register that the IC says it has sent; None when the bus does not carry it."""
        for _ in range(_TRIES):
            self._asked = address
            value = self._raw(address)
            if self._says(address, OP_READ, value):
                self._settled(address, OP_READ, value)
                return value
            self.disturbed += 1
            if not self._settle():
                return None
            if self._before == address and self._raw(LAST_OP) == OP_READ:
                # The answer was spoilt, what was sent is known.
                return self._data
        return None

    def write(self, address, value):
        """Whether the IC says that it has heard it."""
        for _ in range(_TRIES):
            self._put(address, value)
            if self._says(address, OP_WRITE, value):
                self._settled(address, OP_WRITE, value)
                return True
            self.disturbed += 1
            if not self._settle():
                return False
        return False

    def _holds(self, address, value):
        """Whether a register has this value; None when nobody says."""
        found = self.read(address)
        return None if found is None else found == value

    # --- life ----------------------------------------------------------------

    def begin(self):
        """Sets the IC up. One that runs with our settings already goes on, and what it
        counted meanwhile is counted. False when nothing answers."""
        if self._is_configured():
            return self._take_checksum()
        if self._holds(LINECYC, 0) is None:
            # A reset that it hears all the same would cost it what it has counted.
            return False
        self.resets += 1
        self._put(CONFIG, SWRST | HPFEN)
        self._asked = self._before = 0
        self._wait_ms(_READY_MS)
        return self._configure()

    def _configure(self):
        if not self.write(WRITE_PROTECT, 0):
            return False
        # No access may come between the key and what it unlocks.
        self._put(UNLOCK, UNLOCK_KEY)
        self._put(OPTIMUM, OPTIMUM_VALUE)
        # The thresholds are taken while nothing is held against them (p. 40).
        if not self._settle() or not self.write(DISNOLOAD, NO_NO_LOAD):
            return False
        for address, value in self._config:
            if address != OPTIMUM and not self.write(address, value):
                return False
        return self._is_configured() and self._take_checksum()

    def _is_configured(self):
        for address, value in self._config:
            if not self._holds(address, value):
                return False
        return True

    def _take_checksum(self):
        crc = self.read(CRC)
        if crc is None:
            return False
        self._crc = crc
        return True

    def _is_there(self):
        """Whether the line is alive and the IC as we set it up; else it is set up again."""
        if self._asked and not self._settle():
            # Another access would put its own record in the place of the one that is missing.
            self._patience -= 1
            if self._patience:
                return False
            self._patience = _PATIENCE
            if self._asked != LINECYC:
                self._has_lost = True
            self._asked = 0
        marked = self._holds(LINECYC, _MARK)
        return marked or (marked is not None and self._repair())

    def _repair(self):
        """It answers, but not as it was set up: False when that cannot be mended."""
        self._has_lost = True
        if self.read(RSTIRQSTATA) is None:
            return False
        if self._flags & RESET:
            # It has been without supply: what it counted is gone.
            self._flags = 0
            self.resets += 1
        return self._configure()

    def _keeps_settings(self):
        """By the checksum, and one of the settings at each call; None when nobody says."""
        crc = self.read(CRC)
        if crc is None:
            return None
        if crc != self._crc:
            if not self._is_configured():
                return None if self._asked else False
            # Something that is not ours.
            self._crc = crc
        address, value = self._config[self._check]
        self._check = (self._check + 1) % len(self._config)
        return self._holds(address, value)

    # --- measurement ---------------------------------------------------------

    def poll(self, quantities):
        if not self._is_there():
            return False
        self._flags &= ~RESET  # of a reset after which it has been set up
        if self.read(RSTIRQSTATA) is None or not self._measure():
            return False
        if not self._take_energy():
            return False
        kept = self._keeps_settings()
        if not kept:
            if kept is not None:
                # What was measured with other settings is not shown; its energy is marked.
                self._repair()
            return False
        self._publish(quantities)
        self.status = self._state(quantities)
        self.active_uws = self._pending_active * _COUNT_UWS
        self.reactive_uvars = self._pending_reactive * _COUNT_UWS
        self._pending_active = self._pending_reactive = 0
        return True

    def _take_energy(self):
        """Both registers; then the power is that of now, for the direction of the next time."""
        if self.read(AENERGYA) is None or self.read(RENERGYA) is None:
            return False
        self._p = self._sums[2] // 2
        self._q = self._sums[3] // 2
        return True

    def _measure(self):
        """Two readings of each, their ripple apart; False when the bus does not carry them."""
        sums = self._sums
        sums[0] = sums[1] = sums[2] = sums[3] = 0
        for again in range(2):
            if again:
                self._wait_ms(_APART_MS)
            u = self.read(VRMS)
            i = self.read(IRMSA)
            p = self.read(AWATT)
            q = self.read(AVAR)
            if u is None or i is None or p is None or q is None:
                return False
            sums[0] += u
            sums[1] += i
            sums[2] += p - _TURN if p & _SIGN else p
            sums[3] += q - _TURN if q & _SIGN else q
        period = self.read(PERIOD)
        if period is None:
            return False
        self._period = period
        return True

    def _publish(self, q):
        sums = self._sums
        u = (sums[0] + _PAIR_PER_MV // 2) // _PAIR_PER_MV
        i = sums[1] * (_UA_PER_COUNT // 2)
        p = sums[2] * (_MW_PER_COUNT // 2)
        r = sums[3] * (_MW_PER_COUNT // 2)
        s = max(u * i // 1000000, isqrt(p * p + r * r))
        q.voltage_mv[0] = u
        q.current_ua[0] = i
        q.active_power_mw[0] = q.total_active_power_mw = p
        q.reactive_power_mvar[0] = q.total_reactive_power_mvar = r
        q.apparent_power_mva[0] = q.total_apparent_power_mva = s
        q.power_factor_permille[0] = div_rounded(1000 * p, s) if s else 0
        frequency = PERIOD_HZ * 1000 // (self._period + 1)
        # The range in which the mains is one.
        q.frequency_mhz = frequency if 45000 <= frequency <= 65000 else 0

    def _state(self, q):
        """STATUS_ bits of what was read, and which way the power flows."""
        status = 0
        power = q.total_active_power_mw
        if q.total_apparent_power_mva < self._starting_mva:
            status = qu.STATUS_NO_LOAD
        if 10 * q.voltage_mv[0] < self._nominal_mv:
            status |= qu.STATUS_NO_VOLTAGE
            q.frequency_mhz = 0
        if self._has_lost:
            self._has_lost = False
            status |= qu.STATUS_SAMPLES_MISSING
        counts = self._pending_active
        # A lump may be of before: two are of this time.
        self.exporting = counts < -1 or (power < 0 and counts <= 1)
        return status


def _config(calibration):
    """The registers that are ours, in the order in which they are written."""
    u, i = calibration.voltages[0], calibration.currents[0]
    no_load = _no_load(calibration.starting_power_mva)
    # A count of power is the product of a volt's and an ampere's, at full scale each.
    power = GAIN_ONE * _UV_PER_COUNT * _UA_PER_COUNT * FULL_RMS * FULL_RMS
    power_gain = div_rounded(power, FULL_POWER * _MW_PER_COUNT * 10**9)
    return [
        (OPTIMUM, OPTIMUM_VALUE),
        (CONFIG, HPFEN | CRC_ENABLE),  # and this interface from now on, no other
        (LCYCMODE, RSTREAD),
        (PGA_V, 0),
        (PGA_IA, 0),
        (PHCALA, _phase(i.phase_urad - u.phase_urad)),
        (AVGAIN, _gain(u.scale, _UV_PER_COUNT)),
        (AIGAIN, _gain(i.scale, _UA_PER_COUNT)),
        (AWGAIN, power_gain),
        (AVARGAIN, power_gain),
        (AP_NOLOAD, no_load),
        (VAR_NOLOAD, no_load),
        (DISNOLOAD, 0),
        (AIRMSOS, 0),
        (VRMSOS, 0),
        (AWATTOS, 0),
        (AVAROS, 0),
        (LINECYC, _MARK),
        # A read that the IC takes for a write changes nothing.
        (WRITE_PROTECT, PROTECT_ALL),
    ]


def _no_load(starting_mva):
    """Threshold register of a power in milli-volt-ampere."""
    times = FULL_POWER * _MW_PER_COUNT // max(starting_mva, 1)
    return max(65536 - times * 10 // 14, 1)


def _gain(scale, unit):
    """Gain register of a channel that has `scale` picovolt (picoampere) a count at gain one."""
    gain = div_rounded(GAIN_ONE * scale, unit * 1000000)
    if not GAIN_ONE // 2 <= gain <= GAIN_ONE * 3 // 2:
        raise ValueError("calibration: gain beyond the range of the ADE7953")
    return gain


def _phase(lag_urad):
    """Phase register for a current that lags: it is advanced by so much."""
    counts = div_rounded(abs(lag_urad) * 1000, PHCALA_NRAD)
    if counts > PHCALA_MOST:
        raise ValueError("calibration: phase beyond the range of the ADE7953")
    return counts | PHCALA_ADVANCE if lag_urad > 0 and counts else counts
