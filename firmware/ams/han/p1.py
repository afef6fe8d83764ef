"""P1 telegrams: text lines with OBIS codes, ended by a CRC16.

The lines are those of a country and maker (telegrams.py), the telegram and its
CRC those of the DSMR P1 Companion Standard 5.0.2 (5.2 and 6). Energies in kWh
or Wh, powers in kW or W, voltages and currents with as many digits as the line
has. What a field does not hold stands at its largest; an energy rolls over.

Options: `period_s`, how often (the variant's, or 1 or 10); `head`, what
stands in the identification line after the slash, where `*` is the meter's
type; `version`, of P1, where the telegram names it (40, 42, 50).
"""

from array import array

from ams.han import telegrams
from ams.han.p1_fields import FIELDS

_LINE = (115200, 8, None, 1)
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
    wants_sources = True
    variants = telegrams.VARIANTS
    line = _LINE
    hourly = None
    largest = 2000

    def __init__(self, variant="se", period_s=None, head=None, version=None):
        if period_s not in (None, 1, 10):
            raise ValueError("p1: period_s must be 1 or 10")
        self.variant = variant
        self._lines, self._head, usual_s, self.summer_time = telegrams.of(variant)
        if head is not None:
            self._head = head.encode()
        if variant in telegrams.VERSIONS:
            version = b"%d" % (version or telegrams.VERSIONS[variant])
            self._lines = self._lines.replace(b"{v}", version)
        self.schedule = (((period_s or usual_s) * 1000, 2),)
        self._table = _crc_table()

    def encode(self, list_no, writer, view, utc_ms):
        """Writes a telegram and returns its length. `utc_ms` is the time it shows."""
        writer.at = 0
        writer.octet(0x2F)
        head = self._head
        for value in head:
            if value == 0x2A:
                writer.octets(view.identity.meter_type.encode())
            else:
                writer.octet(value)
        writer.octets(b"\r\n\r\n")
        self._fill(writer, view, utc_ms)
        writer.octet(0x21)
        crc = self._crc(writer.buffer, writer.at)
        for shift in (12, 8, 4, 0):
            writer.octet(_DIGITS[crc >> shift & 15])
        writer.octets(b"\r\n")
        return writer.at

    def _fill(self, writer, view, utc_ms):
        lines = self._lines
        at = 0
        begin = writer.at  # of the line, to take it back
        end = len(lines)
        while at < end:
            value = lines[at]
            at += 1
            if value == 0x0A:
                writer.octets(b"\r\n")
                begin = writer.at
            elif value != 0x7B:
                writer.octet(value)
            else:
                start = at
                while lines[at] != 0x7D:
                    at += 1
                field = FIELDS[lines[start]]
                if not field(writer, view, lines, start + 1, utc_ms):
                    writer.at = begin
                    while lines[at] != 0x0A:
                        at += 1
                at += 1

    def _crc(self, data, length):
        crc = 0
        table = self._table
        for at in range(length):
            crc ^= data[at]
            crc = (crc >> 4) ^ table[crc & 15]
            crc = (crc >> 4) ^ table[crc & 15]
        return crc
