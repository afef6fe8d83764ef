"""Kamstrup Omnipower (list version Kamstrup_V0001).

Flat pairs of OBIS code and value. Kamstrup counts its lists 1 and 2; here
they are 2 and 3, as with the others. Sources: Kamstrup's HAN-NVE interface
description rev. 3.1, and what meters sent. Variants:

`no`       Norway: energies in 10 Wh.
`se`       Sweden, the same lists: energies in 1 Wh; nothing in the frame says so.

Options: `header_tag` writes the octet-string tag before the header's time,
as meters of 2017 did; later ones leave it out. `parity`: "none" (seen in the
field) or "even" (the description). `quadrants`: 4, or 1 for meters that only
measure import: these leave out what they lack, while one-phase meters of four
quadrants send null in its place. `summation`: "net" over the phases, or
"phase" for meters that sum what flows in and what flows out apart.
`hourly_s`: the second of the hour that the hourly list goes at, one of 5, 15
... 55 (the description and most: 5), so that it never meets the other.
"""

from ams.clock.local import DEVIATION_UNSPECIFIED
from ams.han import list_axdr, list_hdlc

_ADDRESS = b"\x2b\x21\x13"
VERSION = b"Kamstrup_V0001"
_OBIS_ID = b"\x01\x01\x00\x00\x05\xff"
_OBIS_TYPE = b"\x01\x01\x60\x01\x01\xff"
_OBIS_CLOCK = b"\x00\x01\x01\x00\x00\xff"
_CURRENTS = (31, 51, 71)
_VOLTAGES = (32, 52, 72)


class Kamstrup:
    name = "kamstrup"
    ciphered = True
    wants_sources = False
    variants = ("no", "se")
    hourly = 3
    largest = 400
    schedule = ((10000, 2),)
    summer_time = False

    def __init__(
        self,
        variant="no",
        header_tag=False,
        parity="none",
        quadrants=4,
        summation="net",
        hourly_s=5,
    ):
        if parity not in ("none", "even"):
            raise ValueError("kamstrup: parity must be none or even")
        if quadrants not in (1, 4):
            raise ValueError("kamstrup: quadrants must be 1 or 4")
        if summation not in ("net", "phase"):
            raise ValueError("kamstrup: summation must be net or phase")
        if hourly_s not in range(5, 60, 10):
            raise ValueError("kamstrup: hourly_s must be one of 5, 15, 25, 35, 45, 55")
        self.variant = variant
        self._header_tag = header_tag
        self._quadrants = quadrants
        self._by_phase = summation == "phase"
        self._step_mwh = 10000 if variant == "no" else 1000
        self.hourly_ms = hourly_s * 1000
        self.line = (2400, 8, 0 if parity == "even" else None, 1)

    def encode(self, list_no, writer, view, utc_ms):
        """Writes a frame and returns its length. `utc_ms` is the time it shows."""
        when = view.local(utc_ms)
        list_hdlc.begin(writer, _ADDRESS)
        writer.octets(b"\x0f\x00\x00\x00\x00")
        if self._header_tag:
            writer.octet(list_axdr.TAG_OCTETS)
        writer.octet(12)
        writer.date_time(when, DEVIATION_UNSPECIFIED, view.clock_status)
        phases = 1 if view.system == "1P2W" else 3
        places = phases if self._quadrants == 1 else 3
        count = 5 + 2 * self._quadrants + 4 * places
        if list_no == 3:
            count += 2 + 2 * self._quadrants
        writer.head(list_axdr.TAG_STRUCTURE, count)
        writer.string(list_axdr.TAG_VISIBLE, VERSION)
        writer.string(list_axdr.TAG_OCTETS, _OBIS_ID)
        writer.string(list_axdr.TAG_VISIBLE, view.identity.meter_id.encode())
        writer.string(list_axdr.TAG_OCTETS, _OBIS_TYPE)
        writer.string(list_axdr.TAG_VISIBLE, view.identity.meter_type.encode())
        self._now(writer, view, phases, places)
        if list_no == 3:
            writer.string(list_axdr.TAG_OCTETS, _OBIS_CLOCK)
            writer.head(list_axdr.TAG_OCTETS, 12)
            writer.date_time(when, DEVIATION_UNSPECIFIED, view.clock_status)
            for which in range(self._quadrants):
                _obis(writer, which + 1, 8)
                writer.register(view.energy(which, self._step_mwh))
        return list_hdlc.end(writer, _ADDRESS)

    def _now(self, writer, view, phases, places):
        view.by_phase = self._by_phase
        for direction in range(self._quadrants):
            _obis(writer, direction + 1, 7)
            writer.uint32(view.power(direction))
        for place in range(places):
            if place < phases:
                _obis(writer, _CURRENTS[place], 7)
                writer.uint32(view.current(place, 10000))
            else:
                writer.number(0, 2)  # null for the code, null for the value
        for place in range(places):
            if place < phases:
                _obis(writer, _VOLTAGES[place], 7)
                writer.uint16(view.voltage(place, 1000))
            else:
                writer.number(0, 2)


def _obis(writer, c, d):
    writer.head(list_axdr.TAG_OCTETS, 6)
    writer.octet(1)
    writer.octet(1)
    writer.octet(c)
    writer.octet(d)
    writer.octet(0)
    writer.octet(255)
