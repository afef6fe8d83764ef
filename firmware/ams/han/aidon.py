"""Aidon 6515, 6525, 6534 (list version AIDON_V0001), and lists of that manner.

Each element is a structure: OBIS code, value, and scaler and unit where it is
a number. No time in the notification header. A current has the sign of the
active power of its phase (of its element, on three wires). Sources: Aidon's
HAN interface description v1.1, and what meters sent. Variants:

`no`       Norway: lists 1, 2, 3; energies in 10 Wh; the clock is the full hour.
`se`       Sweden: one list every ten seconds, with powers of each phase.
`landis`   Landis+Gyr E350 in Norway (EMBRIQ_V1_1): currents in 10 mA.
"""

from ams.clock.local import DEVIATION_UNSPECIFIED
from ams.han import list_axdr, list_hdlc

_ADDRESS = b"\x41\x08\x83\x13"
_OBIS_VERSION = b"\x01\x01\x00\x02\x81\xff"
_OBIS_ID = b"\x00\x00\x60\x01\x00\xff"
_OBIS_TYPE = b"\x00\x00\x60\x01\x07\xff"
_OBIS_CLOCK = b"\x00\x00\x01\x00\x00\xff"
_W, _VA, _VAR, _WH, _VARH, _A, _V = 27, 28, 29, 30, 32, 33, 35
_CURRENTS = (31, 51, 71)
_VOLTAGES = (32, 52, 72)
_PHASE_POWERS = (21, 41, 61)
_VERSIONS = {"no": b"AIDON_V0001", "landis": b"EMBRIQ_V1_1"}
# Places of the phases that a list has: currents, voltages.
_PLACES = {
    "1P2W": ((0,), (0,)),
    "3P3W": ((0, 2), (0, 1, 2)),
    "3P4W": ((0, 1, 2), (0, 1, 2)),
}


class Aidon:
    name = "aidon"
    ciphered = True
    wants_sources = False
    variants = ("no", "se", "landis")
    line = (2400, 8, 0, 1)
    hourly = 3
    hourly_ms = 10000
    summer_time = False
    largest = 640

    def __init__(self, variant="no"):
        self.variant = variant
        self.schedule = ((2500, 1), (10000, 2))
        if variant == "se":
            self.schedule = ((10000, 3),)
            self.hourly = None

    def encode(self, list_no, writer, view, utc_ms):
        """Writes a frame and returns its length. `utc_ms` is the time it shows."""
        list_hdlc.begin(writer, _ADDRESS)
        writer.octets(b"\x0f\x40\x00\x00\x00\x00")
        if self.variant == "se":
            self._swedish(writer, view, utc_ms)
        elif list_no == 1:
            writer.head(list_axdr.TAG_ARRAY, 1)
            _u32(writer, 1, 7, view.power(0), 0, _W)
        else:
            self._norwegian(list_no, writer, view, utc_ms)
        return list_hdlc.end(writer, _ADDRESS)

    def _norwegian(self, list_no, writer, view, utc_ms):
        currents, voltages = _PLACES[view.system]
        count = 7 + len(currents) + len(voltages) + (5 if list_no == 3 else 0)
        writer.head(list_axdr.TAG_ARRAY, count)
        _text(writer, _OBIS_VERSION, _VERSIONS[self.variant])
        _text(writer, _OBIS_ID, view.identity.meter_id.encode())
        _text(writer, _OBIS_TYPE, view.identity.meter_type.encode())
        for direction in range(4):
            _u32(writer, direction + 1, 7, view.power(direction), 0, _VAR if direction > 1 else _W)
        fine = self.variant == "landis"
        for place in currents:
            _head(writer, _CURRENTS[place], 7)
            _current(writer, view, place, 2 if fine else 1)
        _voltages(writer, view, voltages)
        if list_no == 3:
            _clock(writer, view.hour(utc_ms), 0, view.clock_status)
            for which in range(4):
                unit = _VARH if which > 1 else _WH
                _energy(writer, which, view.energy(which, 10000), 1, unit)

    def _swedish(self, writer, view, utc_ms):
        currents, voltages = _PLACES[view.system]
        count = 9 + len(currents) + len(voltages) + 4 * len(currents)
        writer.head(list_axdr.TAG_ARRAY, count)
        _clock(writer, view.local(utc_ms), DEVIATION_UNSPECIFIED, 0xFF)
        for direction in range(4):
            _u32(writer, direction + 1, 7, view.power(direction), 0, _VAR if direction > 1 else _W)
        for place in currents:
            _head(writer, _CURRENTS[place], 7)
            _current(writer, view, place, 1)
        _voltages(writer, view, voltages)
        for place in currents:
            for direction in range(4):
                value = view.phase_power(place, direction)
                unit = _VAR if direction > 1 else _W
                _u32(writer, _PHASE_POWERS[place] + direction, 7, value, 0, unit)
        for which in range(4):
            unit = _VARH if which > 1 else _WH
            _energy(writer, which, view.energy_now(which, 1000), 0, unit)


def _text(writer, obis, text):
    writer.head(list_axdr.TAG_STRUCTURE, 2)
    writer.string(list_axdr.TAG_OCTETS, obis)
    writer.string(list_axdr.TAG_VISIBLE, text)


def _clock(writer, when, deviation_min, status):
    writer.head(list_axdr.TAG_STRUCTURE, 2)
    writer.string(list_axdr.TAG_OCTETS, _OBIS_CLOCK)
    writer.head(list_axdr.TAG_OCTETS, 12)
    # Sundays are 0 with these meters.
    writer.date_time(when, deviation_min, status, when[3] % 7)


def _voltages(writer, view, places):
    digits = _digits(view.transformers.vt[0], 1, 0xFFFF)
    for place in places:
        _head(writer, _VOLTAGES[place], 7)
        writer.uint16(view.voltage(place, 10 ** (3 - digits)))
        writer.scaler_unit(-digits, _V)


def _current(writer, view, place, digits):
    digits = _digits(view.transformers.ct[0], digits, 0x7FFF)
    writer.int16(view.signed_current(place, 10 ** (6 - digits)))
    writer.scaler_unit(-digits, _A)


def _digits(primary, digits, largest):
    """Behind the point, so that twice what a transformer is rated for has room in its field."""
    while digits > -3 and 2 * primary * 10 ** max(digits, 0) > largest * 10 ** max(-digits, 0):
        digits -= 1
    return digits


def _head(writer, c, d):
    writer.head(list_axdr.TAG_STRUCTURE, 3)
    writer.head(list_axdr.TAG_OCTETS, 6)
    writer.octet(1)
    writer.octet(0)
    writer.octet(c)
    writer.octet(d)
    writer.octet(0)
    writer.octet(255)


def _energy(writer, which, value, scaler, unit):
    _head(writer, which + 1, 8)
    writer.register(value)
    writer.scaler_unit(scaler, unit)


def _u32(writer, c, d, value, scaler, unit):
    _head(writer, c, d)
    writer.uint32(value)
    writer.scaler_unit(scaler, unit)
