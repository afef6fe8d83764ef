"""Kaifa MA105, MA304 (list version KFM_001).

Values without OBIS codes in a fixed order; time in the notification header.
Sources: Kaifa's KFM_001 list, and what meters sent. Variants:

`no`       Norway.
`se`       Sweden, same lists, another address.
`se-obis`  Sweden, list 3 with OBIS codes and the clock with its deviation.

Option `energy_bits`: 32 or 64. KFM_001 says 32 for every type of Norway;
Swedish meters at current transformers (MA304T) send 64, so that is their default.
"""

from ams.clock.local import DEVIATION_UNSPECIFIED, civil
from ams.han import list_axdr, list_hdlc

_ADDRESS = {
    "no": b"\x01\x02\x01\x10",
    "se": b"\x01\x00\x01\x10",
    "se-obis": b"\x01\x00\x01\x10",
}
VERSION = b"KFM_001"
_POWERS = (1, 2, 3, 4)
_CURRENTS = (31, 51, 71)
_VOLTAGES = (32, 52, 72)


class Kaifa:
    name = "kaifa"
    ciphered = True
    wants_sources = False
    variants = ("no", "se", "se-obis")
    line = (2400, 8, 0, 1)
    hourly = 3
    hourly_ms = 10000
    largest = 320

    def __init__(self, variant="no", energy_bits=None):
        if energy_bits not in (None, 32, 64):
            raise ValueError("kaifa: energy_bits must be 32 or 64")
        self.variant = variant
        self._energy_bits = energy_bits
        self._address = _ADDRESS[variant]
        self._with_obis = variant == "se-obis"
        self.summer_time = variant == "no"
        self.schedule = ((2000, 1), (10000, 2)) if variant == "no" else ((15000, 3),)
        if variant != "no":
            # Swedish meters send everything at once. Those captured show 0, 15, 30 or 45 s.
            self.hourly = None

    def encode(self, list_no, writer, view, utc_ms):
        """Writes a frame and returns its length. `utc_ms` is the time it shows."""
        when = view.local(utc_ms)
        list_hdlc.begin(writer, self._address)
        writer.octets(b"\x0f\x40\x00\x00\x00")
        if self._with_obis:
            writer.octet(0)
            self._coded(writer, view, when, utc_ms)
        else:
            self._time(writer, view, when, DEVIATION_UNSPECIFIED, utc_ms)
            self._plain(list_no, writer, view, when, utc_ms)
        return list_hdlc.end(writer, self._address)

    def _time(self, writer, view, when, deviation_min, utc_ms):
        # The weekday changes at midnight UTC, an hour or two into the local day:
        # seen in captures of the night to 2017-09-13.
        writer.head(list_axdr.TAG_OCTETS, 12)
        writer.date_time(when, deviation_min, view.clock_status, civil(utc_ms)[3])

    def _plain(self, list_no, writer, view, when, utc_ms):
        if list_no == 1:
            writer.head(list_axdr.TAG_STRUCTURE, 1)
            writer.uint32(view.power(0))
            return
        phases = 1 if view.system == "1P2W" else 3
        count = 7 + 2 * phases + (5 if list_no == 3 else 0)
        writer.head(list_axdr.TAG_STRUCTURE, count)
        writer.string(list_axdr.TAG_OCTETS, VERSION)
        writer.string(list_axdr.TAG_OCTETS, view.identity.meter_id.encode())
        writer.string(list_axdr.TAG_OCTETS, view.identity.meter_type.encode())
        for direction in range(4):
            writer.uint32(view.power(direction))
        for place in range(phases):
            writer.uint32(view.current(place, 1000))
        for place in range(phases):
            writer.uint32(_voltage(view, place))
        if list_no == 3:
            self._time(writer, view, when, DEVIATION_UNSPECIFIED, utc_ms)
            wide = self._is_wide(view)
            for which in range(4):
                value = self._energy(view, which)
                if wide:
                    writer.uint64(value)
                else:
                    writer.register(value)

    def _coded(self, writer, view, when, utc_ms):
        """The Swedish list: pairs of OBIS code and value."""
        phases = 1 if view.system == "1P2W" else 3
        writer.head(list_axdr.TAG_STRUCTURE, 2 * (12 + 2 * phases))
        _obis(writer, 1, 0, 0, 2, 129)
        writer.string(list_axdr.TAG_OCTETS, VERSION)
        _obis(writer, 0, 0, 96, 1, 0)
        writer.string(list_axdr.TAG_OCTETS, view.identity.meter_id.encode())
        _obis(writer, 0, 0, 96, 1, 7)
        writer.string(list_axdr.TAG_OCTETS, view.identity.meter_type.encode())
        for direction in range(4):
            _obis(writer, 1, 0, _POWERS[direction], 7, 0)
            writer.uint32(view.power(direction))
        for place in range(phases):
            _obis(writer, 1, 0, _CURRENTS[place], 7, 0)
            writer.uint32(view.current(place, 1000))
        for place in range(phases):
            _obis(writer, 1, 0, _VOLTAGES[place], 7, 0)
            writer.uint32(_voltage(view, place))
        _obis(writer, 0, 0, 1, 0, 0)
        self._time(writer, view, when, -view.local_clock.offset_min(utc_ms), utc_ms)
        for which in range(4):
            _obis(writer, 1, 0, which + 1, 8, 0)
            writer.register(self._energy(view, which))

    def _is_wide(self, view):
        if self._energy_bits is None:
            return self.variant == "se" and view.identity.meter_type.startswith("MA304T")
        return self._energy_bits == 64

    def _energy(self, view, which):
        if self.hourly is None:
            return view.energy_now(which, 1000)
        return view.energy(which, 1000)


def _voltage(view, place):
    # The meters of the IT net do not give L1-L3.
    if place == 1 and view.system == "3P3W":
        return 0
    return view.voltage(place, 100)


def _obis(writer, a, b, c, d, e):
    writer.head(list_axdr.TAG_OCTETS, 6)
    for value in (a, b, c, d, e, 255):
        writer.octet(value)
