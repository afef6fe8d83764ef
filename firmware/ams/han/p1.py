"""P1 telegram of DSMR 5 in its Swedish form: text, ended by a CRC16.

Sources: DSMR P1 Companion Standard 5.0.2 (telegram and CRC, 5.2 and 6),
Swedenergy's branch recommendation for the local interface (OBIS lines).
Energies in kWh with three decimals, powers in kW with three, V and A with one.
Option `period_s`: 10 (Sweden) or 1 (DSMR 5).
"""

from array import array

_LINE = (115200, 8, None, 1)
# (OBIS of voltage, current, active import, export, reactive import, export) per phase.
_PHASES = ((32, 31, 21, 22, 23, 24), (52, 51, 41, 42, 43, 44), (72, 71, 61, 62, 63, 64))
_DIGITS = b"0123456789ABCDEF"


def _crc_table():
    table = array("H", bytes(32))
    for k in range(16):
        crc = k
        for _ in range(4):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table[k] = crc
    return table


class P1:
    name = "p1"
    ciphered = False
    summer_time = False
    variants = ("se",)
    line = _LINE
    hourly = None
    largest = 1200

    def __init__(self, variant="se", period_s=10):
        if period_s not in (1, 10):
            raise ValueError("p1: period_s must be 1 or 10")
        self.variant = variant
        self.schedule = ((period_s * 1000, 2),)
        self._table = _crc_table()

    def encode(self, list_no, writer, view, utc_ms):
        """Writes a telegram and returns its length. `utc_ms` is the time it shows."""
        writer.at = 0
        writer.octets(b"/OAM5")
        writer.octets(view.identity.meter_type.encode())
        writer.octets(b"\r\n\r\n0-0:1.0.0(")
        self._time(writer, view, utc_ms)
        writer.octets(b")\r\n")
        for which in range(4):
            _obis(writer, which + 1, 8)
            # A register rolls over.
            _fixed(writer, view.energy_now(which, 1000) % 10**11, 8, 3)
            writer.octets(b"*kvarh)\r\n" if which > 1 else b"*kWh)\r\n")
        for direction in range(4):
            _obis(writer, direction + 1, 7)
            _fixed(writer, view.power(direction), 4, 3)
            writer.octets(b"*kvar)\r\n" if direction > 1 else b"*kW)\r\n")
        self._per_phase(writer, view)
        writer.octet(0x21)
        crc = self._crc(writer.buffer, writer.at)
        for shift in (12, 8, 4, 0):
            writer.octet(_DIGITS[crc >> shift & 15])
        writer.octets(b"\r\n")
        return writer.at

    def _per_phase(self, writer, view):
        system = view.system
        places = (0,) if system == "1P2W" else (0, 1, 2)
        for direction in range(4):
            for place in places:
                # Two elements are no phases: an IT meter gives no power per phase.
                if system == "3P3W":
                    continue
                _obis(writer, _PHASES[place][2 + direction], 7)
                _fixed(writer, view.phase_power(place, direction), 4, 3)
                writer.octets(b"*kvar)\r\n" if direction > 1 else b"*kW)\r\n")
        for place in places:
            _obis(writer, _PHASES[place][0], 7)
            _fixed(writer, view.voltage(place, 100), 3, 1)
            writer.octets(b"*V)\r\n")
        for place in places:
            _obis(writer, _PHASES[place][1], 7)
            _fixed(writer, view.current(place, 100000), 3, 1)
            writer.octets(b"*A)\r\n")

    def _time(self, writer, view, utc_ms):
        when = view.local(utc_ms)
        for value in (when[0] % 100, when[1], when[2], when[4], when[5], when[6]):
            _digits(writer, value, 2)
        writer.octet(0x53 if view.local_clock.offset_min(utc_ms) == 120 else 0x57)  # S or W

    def _crc(self, data, length):
        crc = 0
        table = self._table
        for at in range(length):
            crc ^= data[at]
            crc = (crc >> 4) ^ table[crc & 15]
            crc = (crc >> 4) ^ table[crc & 15]
        return crc


def _obis(writer, c, d):
    writer.octets(b"1-0:")
    _digits(writer, c, 2 if c > 9 else 1)
    writer.octet(0x2E)
    _digits(writer, d, 1)
    writer.octets(b".0(")


def _digits(writer, value, count):
    at = writer.at + count
    writer.at = at
    for _ in range(count):
        at -= 1
        writer.buffer[at] = 0x30 + value % 10
        value //= 10


def _fixed(writer, value, whole, decimals):
    """What is larger than its digits can say is written as the largest."""
    scale = 10**decimals
    value = min(value, scale * 10**whole - 1)
    _digits(writer, value // scale, whole)
    writer.octet(0x2E)
    _digits(writer, value % scale, decimals)
