"""DLMS push of makers whose list is set up by objects (data-notification, IEC 62056-5-3, 9.3.10).

Landis+Gyr, Iskraemeco, Sagemcom and Kaifa outside Norway are subclasses with a `manner(variant)`:
(line, schedule, link, header, layout, numbers, objects of list 2, of list 3 or None).

link      "hdlc ADDRESS INFORMATION" frames and segments, "gbt ADDRESS FIRST NEXT" blocks of a
          general block transfer, "mbus DATA" long frames, "none" the APDU alone; ADDRESS is
          destination, source and control octets in hex, the rest octets that one may hold
header    letters: t the time of the push, d with its deviation, s with the bit of summer time,
          z with hundredths of zero, not unspecified; h the number of the push has its highest bit
          set; c encrypted without authentication, 1 by suite 1, m its length always in three
          octets; w voltages in whole volts
layout    v values; p code and value; f code, value, scaler and unit; s the same as structures;
          a attribute descriptors; o the list of objects first, then their values
numbers   how the meter's number stands in an object of class Data: A.B.C.D.E=TEXT+N, the text and
          the last N digits; else it stands whole
objects   codes, 1-0:C.D.E*255 where less is said; before it: "." value alone, "/" code and value
          side by side; behind it: #N attribute, =TT the tag of its type in hex

Options, each replacing what the variant has: `objects` (both lists), `link`, `header`, `layout`,
`numbers`; `invoke` the number of the next push; `texts` what an object of class Data says, by code
("0.0.42.0.0"), in hex; `limit` the threshold of the limiter in W and `rate` the rate in force
(None: as they are); `monitors` thresholds of register monitors; `relays` which of the relays are
closed (bit 0: relay 1); `lead_s` how much the time of the push lies before that of the clock;
`lead_status` its status; `summation` "net" over the phases, or "phase" for meters that sum what
flows in and what flows out apart.
"""

import binascii

from ams.clock.local import DEVIATION_UNSPECIFIED, STATUS_DST
from ams.han import list_axdr
from ams.han.push_frame import make_link
from ams.registers.obis import unit

# Voltages and currents of the phases, as many lists have them.
PHASES = "32.7.0 52.7.0 72.7.0 31.7.0 51.7.0 71.7.0"
# The customer interface of Netz NOE, for every maker.
AUSTRIA = (
    (2400, 8, 0, 1),
    ((5000, 2),),
    "mbus 245",
    "tdszhc",
    "f",
    "0.0.96.1.0=+12",
    ".0-0:1.0.0 1.8.0 2.8.0 1.7.0 2.7.0 " + PHASES + " 13.7.0 .0-0:96.1.0",
    None,
)
_TAG_BOOLEAN = 0x03
# An object: its code, attribute, tag of its type (0: that of its kind), how it stands.
_A, _C, _D, _E, _ATTRIBUTE, _TAG, _ALONE, _SIZE = 0, 2, 3, 4, 6, 7, 8, 9
_VALUE_ALONE, _SIDE_BY_SIDE = 1, 2
_SIZES = {3: 1, 5: 4, 6: 4, 0x0F: 1, 0x10: 2, 0x11: 1, 0x12: 2, 0x14: 8, 0x15: 8, 0x16: 1}


class Push:
    hourly = None
    ciphered = True
    summer_time = True
    # What the power factor and an angle show while nothing flows.
    idle_factor = 1000
    no_angle = 0
    wants_sources = True
    largest = 900

    def __init__(
        self,
        variant,
        objects=None,
        link=None,
        header=None,
        layout=None,
        numbers=None,
        invoke=1,
        texts=None,
        limit=None,
        rate=None,
        monitors=(),
        relays=0,
        lead_s=0,
        lead_status=None,
        summation="net",
    ):
        self.variant = variant
        self.line, self.schedule, links, heads, layouts, rules, plain, more = self.manner(variant)
        self._numbers = rules if numbers is None else numbers
        self._lists = {2: _objects(objects or plain)}
        self._lists[3] = _objects(objects or more) if objects or more else self._lists[2]
        self._link = make_link(link or links)
        self._header = heads if header is None else header
        self._layout = layout or layouts
        self._invoke = invoke
        self._texts = texts or {}
        self._limit = limit
        self._rate = rate
        self._monitors = monitors
        self._relays = relays
        self._lead_s = lead_s
        self._lead_status = lead_status
        self._by_phase = summation == "phase"
        self._figures = None

    def encode(self, list_no, writer, view, utc_ms):
        """Writes a notification and returns its length. `utc_ms` is the time it shows."""
        self._figures = figures = view.figures()
        figures.idle_factor = self.idle_factor
        figures.no_angle = self.no_angle
        figures.by_phase = self._by_phase
        writer.at = 0
        self._link.begin()
        header = self._header
        writer.octet(0x0F)
        writer.number(self._invoke | (1 << 31 if "h" in header else 0), 4)
        self._invoke = self._invoke + 1 & 0xFFFFFF
        if "t" in header:
            writer.octet(12)
            lead = self._lead_status
            status = (view.clock_status if "s" in header else 0) if lead is None else lead
            self._time(writer, view, utc_ms - 1000 * self._lead_s, status, "s" in header)
        else:
            writer.octet(0)
        entries = self._lists[list_no]
        if self._layout == "o":
            self._set_up(writer, entries)
        elif self._layout == "a":
            writer.octets(b"\x02\x02\x16\x01")
            writer.head(list_axdr.TAG_ARRAY, len(entries))
        else:
            writer.head(list_axdr.TAG_STRUCTURE, self._count(entries))
        for k, entry in enumerate(entries):
            if self._layout != "o" or k:
                self._entry(writer, entry, view, utc_ms)
        return writer.at

    def frame(self, notification, cipher):
        """What goes on the line: the notification, sealed where there is a cipher."""
        if cipher is None:
            return self._link.frames(notification, True)
        header = self._header
        control = (0x20 if "c" in header else 0x30) | ("1" in header)
        return self._link.frames(cipher.seal(notification, control, "m" in header), False)

    # --- the list -------------------------------------------------------------------

    def _count(self, entries):
        """How many elements the structure has."""
        count = 0
        for entry in entries:
            if self._layout == "v" or entry[_ALONE] == _VALUE_ALONE:
                count += 1
            elif entry[_ALONE] == _SIDE_BY_SIDE:
                count += 2
            elif self._layout == "p":
                count += 2
            elif self._layout == "f":
                count += 3 if _class(entry) == 3 else 2
            else:
                count += 1
        return count

    def _set_up(self, writer, entries):
        """The push object list of the push setup (class 40, attribute 2)."""
        writer.head(list_axdr.TAG_STRUCTURE, len(entries))
        writer.head(list_axdr.TAG_ARRAY, len(entries))
        for entry in entries:
            self._link.whole(writer.at, 18)
            writer.head(list_axdr.TAG_STRUCTURE, 4)
            writer.uint16(_class(entry))
            _code(writer, entry)
            writer.octet(list_axdr.TAG_INT8)
            writer.octet(entry[_ATTRIBUTE])
            writer.uint16(0)

    def _entry(self, writer, entry, view, utc_ms):
        layout = self._layout
        numbered = _class(entry) == 3
        if layout == "a":
            writer.octets(b"\x02\x02")
            writer.number(_class(entry), 2)
            writer.octets(entry[:6])
            writer.octet(entry[_ATTRIBUTE])
        elif layout in "pfs" and entry[_ALONE] != _VALUE_ALONE:
            if layout == "s" and not entry[_ALONE]:
                writer.head(list_axdr.TAG_STRUCTURE, 3 if numbered else 2)
            _code(writer, entry)
        self._value(writer, entry, view, utc_ms)
        if numbered and layout in "fs":
            writer.scaler_unit(self._scaler(entry), unit(entry[_C], entry[_D]))

    def _value(self, writer, entry, view, utc_ms):
        a, c, d = entry[_A], entry[_C], entry[_D]
        if a:
            if c == 0 and d == 9:
                self._clock(writer, entry, view, utc_ms)
            else:
                self._number(writer, entry)
        elif c == 1:
            writer.head(list_axdr.TAG_OCTETS, 12)
            self._time(writer, view, utc_ms, view.clock_status, True)
        elif c == 25:
            _code(writer, entry)
        elif c == 17:
            limit_w = self._limit
            if limit_w is None:
                limit_w = (view.sources.limit_mw() or 0) // 1000
            self._put(writer, entry[_TAG] or list_axdr.TAG_UINT32, limit_w)
        elif (c, d) == (96, 3):
            self._switch(writer, entry, view)
        elif (c, d) == (96, 14):
            rate = view.sources.rate() if self._rate is None else self._rate
            self._rate_in_force(writer, entry, rate)
        elif c == 31:
            # Thresholds of a register monitor; this meter has none.
            watched = self._monitors[entry[_E] : entry[_E] + 1]
            writer.head(list_axdr.TAG_ARRAY, len(watched))
            for threshold in watched:
                writer.uint16(threshold)
        else:
            self._text(writer, entry, view)

    def _number(self, writer, entry):
        c, d, e = entry[_C], entry[_D], entry[_E]
        value = self._figures.value(c, d, e, self._scaler(entry))
        tag = entry[_TAG]
        if not tag:
            tag = (
                list_axdr.TAG_UINT16 if c % 20 in (11, 12, 13) or c == 81 else list_axdr.TAG_UINT32
            )
        if d == 7 and tag in (list_axdr.TAG_UINT16, list_axdr.TAG_UINT32):
            # What its field does not hold stops at the largest; a register rolls over.
            value = min(value, (1 << 8 * _SIZES[tag]) - 1)
        self._put(writer, tag, value)

    def _put(self, writer, tag, value):
        size = _SIZES[tag]
        self._link.whole(writer.at, size + 1)
        writer.octet(tag)
        writer.number(value, size)

    def _scaler(self, entry):
        c, d = entry[_C], entry[_D]
        if d == 8 or c == 81:
            return 0
        what = c % 20
        if what == 12:
            return 0 if "w" in self._header else -1
        return -2 if what == 11 else -3 if what == 13 else 0

    # --- objects of other classes --------------------------------------------------------

    def _text(self, writer, entry, view):
        name = "%d.%d.%d.%d.%d" % tuple(entry[:5])
        given = self._texts.get(name)
        if given is not None:
            text = binascii.unhexlify(given)
        elif (entry[_C], entry[_D]) == (96, 13):
            text = b""  # no message for the consumer
        else:
            text = self._number_as(name, view.identity.meter_id).encode()
        writer.string(list_axdr.TAG_OCTETS, text)

    def _number_as(self, name, meter_id):
        if meter_id.isdigit():
            for rule in self._numbers.split():
                code, _, form = rule.partition("=")
                if code == name:
                    head, _, digits = form.partition("+")
                    return head + meter_id[-int(digits) :]
        return meter_id

    def _switch(self, writer, entry, view):
        """The breaker (B 0) or a relay: its output, attribute 2, or the state of its control, 3."""
        relay = entry[1]
        closed = self._relays >> relay - 1 & 1 if relay else view.sources.connected()
        writer.octet(_TAG_BOOLEAN if entry[_ATTRIBUTE] == 2 else list_axdr.TAG_ENUM)
        writer.octet(1 if closed else 0)

    def _rate_in_force(self, writer, entry, rate):
        if entry[_TAG]:
            self._put(writer, entry[_TAG], rate)
        elif self._layout == "a":
            writer.string(list_axdr.TAG_OCTETS, b"T%d" % rate)
        else:
            writer.string(list_axdr.TAG_OCTETS, bytes((0, rate)))

    def _clock(self, writer, entry, view, utc_ms):
        """0.9.1 the time of day, 0.9.2 the date, as COSEM has them."""
        when = view.local(utc_ms)
        if entry[_E] == 1:
            writer.string(list_axdr.TAG_OCTETS, bytes((when[4], when[5], when[6], 0)))
        else:
            date = bytes((when[0] >> 8, when[0] & 0xFF, when[1], when[2], when[3]))
            writer.string(list_axdr.TAG_OCTETS, date)

    def _time(self, writer, view, utc_ms, status, says_summer):
        when = view.local(utc_ms)
        offset = view.local_clock.offset_min(utc_ms)
        header = self._header
        if says_summer and offset == 120:
            status |= STATUS_DST
        writer.date_time(when, -offset if "d" in header else DEVIATION_UNSPECIFIED, status)
        if "z" in header:
            writer.buffer[writer.at - 4] = when[7] // 10


def _code(writer, entry):
    writer.string(list_axdr.TAG_OCTETS, entry[:6])


def _class(entry):
    """The interface class of an object (IEC 62056-6-2)."""
    a, c, d = entry[_A], entry[_C], entry[_D]
    if a:
        return 1 if c == 0 else 3
    if c == 25:
        return 40
    if c == 1:
        return 8
    if c == 17:
        return 71
    return 70 if (c, d) == (96, 3) else 1


def _objects(listed):
    return [_object(text) for text in listed.split()]


def _object(text):
    """`.A-B:C.D.E#N=TT`, as octets."""
    entry = bytearray(_SIZE)
    if text[0] in "./":
        entry[_ALONE] = _VALUE_ALONE if text[0] == "." else _SIDE_BY_SIDE
        text = text[1:]
    text, _, tag = text.partition("=")
    text, _, attribute = text.partition("#")
    medium, _, code = text.rpartition(":")
    c, d, e = code.split(".")
    a, _, b = (medium or "1-0").partition("-")
    for k, part in enumerate((a, b, c, d, e, 255, attribute or 2)):
        entry[k] = int(part)
    entry[_TAG] = int(tag or "0", 16)
    return bytes(entry)
