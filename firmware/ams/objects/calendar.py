"""Activity calendar (class 20), special days (11), the tariff scripts (9): which rate is in force.

The two calendars stand in two banks of cells; activation makes the other bank
the active one, with a single cell, so that a power cut leaves the old or the
new calendar whole. What was active is passive from then on.
"""

from ams.clock import own_time
from ams.clock.local import civil
from ams.cosem import datetime
from ams.cosem.axdr import UINT8, UINT16, Reader
from ams.objects import stored
from ams.objects.stored import Stored
from ams.objects.view import View, no_parameter
from ams.results import OTHER_REASON, READ_WRITE_DENIED, TYPE_UNMATCHED, AccessError

TARIFF_SCRIPTS_LN = b"\x00\x00\x0a\x00\x64\xff"
RATES = 4
_SEASONS = 6
_WEEKS = 6
_DAYS = 8
_ACTIONS = 10
_SPECIAL_DAYS = 24

# One season, one week, one day: rate 1 always.
_DEFAULTS = (
    b"\x09\x07default",
    b"\x01\x01\x02\x03\x09\x011\x09\x0c\xff\xff\x01\x01\xff\x00\x00\x00\x00\x80\x00\x00\x09\x011",
    b"\x01\x01\x02\x08\x09\x011" + b"\x11\x01" * 7,
    b"\x01\x01\x02\x02\x11\x01\x01\x01\x02\x03\x09\x04\x00\x00\x00\x00\x09\x06"
    + TARIFF_SCRIPTS_LN
    + b"\x12\x00\x01",
)
_NEVER = b"\x09\x0c" + b"\xff" * 9 + b"\x80\x00\xff"


class ActivityCalendar(Stored):
    """`argument`: the first of ten cells; 0 the bank, 2 to 5 and 6 to 9 the banks, 10 the time."""

    class_id = 20
    attributes = 10
    methods = 1

    def bank(self):
        """The cell that stands before the active bank."""
        value = self.model.settings.get(self.argument, b"\x00")
        return 4 if value == b"\x01" else 0

    def cell(self, attribute):
        if attribute == 10:
            return self.argument + 10
        if self.bank():
            attribute += 4 if attribute < 6 else -4
        return self.argument + attribute

    def default(self, attribute):
        return _NEVER if attribute == 10 else _DEFAULTS[(attribute - 2) % 4]

    def check(self, attribute, data):
        if attribute == 6:
            stored.name(data)
        elif attribute == 7:
            for _ in range(data.array(_SEASONS)):
                data.structure(3)
                stored.name(data)
                stored.date_time(data)
                stored.name(data)
        elif attribute == 8:
            for _ in range(data.array(_WEEKS)):
                data.structure(8)
                stored.name(data)
                for _ in range(7):
                    data.integer(UINT8)
        elif attribute == 9:
            for _ in range(data.array(_DAYS)):
                data.structure(2)
                data.integer(UINT8)
                for _ in range(data.array(_ACTIONS)):
                    data.structure(3)
                    stored.time(data)
                    if bytes(data.octets(6)) != TARIFF_SCRIPTS_LN:
                        raise AccessError(OTHER_REASON)
                    if not 1 <= data.integer(UINT16) <= RATES:
                        raise AccessError(OTHER_REASON)
        elif attribute == 10:
            stored.date_time(data)
        else:
            raise AccessError(READ_WRITE_DENIED)

    def is_good(self, attribute, value):
        # The active calendar was passive before.
        return super().is_good(attribute + 4 if attribute < 6 else attribute, value)

    def store(self, attribute, value):
        super().store(attribute, value)
        if attribute == 10:
            # It comes when so much time has passed, wherever the clock is set meanwhile.
            self.model.bind(own_time.CALENDAR)

    def call(self, method, data, out, who):
        if method != 1:
            raise AccessError(READ_WRITE_DENIED)
        no_parameter(data)
        self.activate()

    def activate(self):
        """The passive calendar comes into force."""
        self.model.settings.set(self.argument, b"\x00" if self.bank() else b"\x01")
        self.model.changed(self.ln, 2)

    def activate_once(self):
        """Its time has come: it comes into force, and the time is used up."""
        # In this order: a power cut in between activates nothing twice.
        self.model.settings.set(self.argument + 10, _NEVER)
        self.activate()

    def due_ms(self):
        """When the passive calendar is to be activated, or None."""
        octets = bytes(Reader(self.value(10)).octets(12))
        if octets == bytes(12) or not datetime.complete(octets):
            return None
        return datetime.parse(octets, self.meter.local_clock)

    def is_set(self):
        """Whether there is more than rate 1: it was set, and special days count with it."""
        settings = self.model.settings
        if settings.get(settings.SPECIAL_DAYS) is not None:
            return True
        for attribute in (3, 4, 5):
            if settings.get(self.cell(attribute)) is not None:
                return True
        return False

    # --- which rate --------------------------------------------------------------------

    def tariff(self, utc_ms):
        """The rate (1 to 4) at a moment, 0 when the calendar names none."""
        now = civil(self.meter.local_clock.local_ms(utc_ms))
        day = self._special_day(now)
        if day is None:
            day = self._day_of_week(now)
        return self._rate(day, now[4] * 60 + now[5]) if day is not None else 0

    def _special_day(self, now):
        """The day profile of a special day, or None."""
        value = self.model.settings.get(self.model.settings.SPECIAL_DAYS)
        if value is None:
            return None
        data = Reader(value)
        for _ in range(data.array(_SPECIAL_DAYS)):
            data.structure(3)
            data.integer(UINT16)
            date = data.octets(5)
            day = data.integer(UINT8)
            if matches_date(date, now):
                return day
        return None

    def _day_of_week(self, now):
        week = self._week(now)
        data = Reader(self.value(4))
        for _ in range(data.array(_WEEKS)):
            data.structure(8)
            found = stored.name(data) == week
            for weekday in range(1, 8):
                day = data.integer(UINT8)
                if found and weekday == now[3]:
                    return day
        return None

    def _week(self, now):
        """The week profile of the season that began last."""
        moment = now[1] << 24 | now[2] << 16 | now[4] << 8 | now[5]
        data = Reader(self.value(3))
        best = latest = None
        for _ in range(data.array(_SEASONS)):
            data.structure(3)
            stored.name(data)
            start = data.octets(12)
            week = stored.name(data)
            month, day = start[2], start[3]
            day = datetime.day_of(now[0], now[1] if month == 0xFF else month, day, start[4])
            begins = 0
            for value in (month, day, start[5], start[6]):
                begins = begins << 8 | (0 if value == 0xFF else value)
            if latest is None or begins > latest[0]:
                latest = begins, week
            if begins <= moment and (best is None or begins > best[0]):
                best = begins, week
        found = best or latest
        return found[1] if found is not None else None

    def _rate(self, day, minute):
        data = Reader(self.value(5))
        for _ in range(data.array(_DAYS)):
            data.structure(2)
            found = data.integer(UINT8) == day
            best = (-1, 0)
            for _ in range(data.array(_ACTIONS)):
                data.structure(3)
                start = data.octets(4)
                data.octets(6)
                selector = data.integer(UINT16)
                begins = (start[0] if start[0] != 0xFF else 0) * 60
                begins += start[1] if start[1] != 0xFF else 0
                if best[0] < begins <= minute:
                    best = begins, selector
            if found:
                return best[1]
        return 0


def matches_date(date, now):
    """Whether a date of five octets, with wildcards, is that of `now` (see clock.civil)."""
    year = date[0] << 8 | date[1]
    day = datetime.day_of(now[0], now[1], date[3], date[4])
    return (
        year in (0xFFFF, now[0])
        and date[2] in (0xFF, now[1])
        and day in (0xFF, now[2])
        and date[4] in (0xFF, now[3])
    )


def tariff_now(model):
    return model.calendar().tariff(model.meter.utc_ms)


class SpecialDays(Stored):
    class_id = 11
    attributes = 2
    methods = 2

    def cell(self, attribute):
        return self.argument

    def default(self, attribute):
        return b"\x01\x00"

    def check(self, attribute, data):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        for _ in range(data.array(_SPECIAL_DAYS)):
            self._entry(data)

    @staticmethod
    def _entry(data):
        """The index of an entry that is right."""
        data.structure(3)
        index = data.integer(UINT16)
        stored.date(data)
        data.integer(UINT8)
        return index

    def call(self, method, data, out, who):
        """1 inserts an entry, in the place of one with its index; 2 deletes one."""
        if data is None or method not in (1, 2):
            raise AccessError(TYPE_UNMATCHED if data is None else READ_WRITE_DENIED)
        start = data.at
        index = self._entry(data) if method == 1 else data.integer(UINT16)
        entry = bytes(data.data[start : data.at]) if method == 1 else None
        data.end()
        entries = self._entries()
        if method == 2 and index not in entries:
            raise AccessError(OTHER_REASON)
        entries.pop(index, None)
        if entry is not None:
            entries[index] = entry
        if len(entries) > _SPECIAL_DAYS:
            raise AccessError(OTHER_REASON)
        value = bytes((1, len(entries)))
        for index in sorted(entries):
            value += entries[index]
        self.store(2, value)

    def _entries(self):
        data = Reader(self.value(2))
        out = {}
        for _ in range(data.array(_SPECIAL_DAYS)):
            start = data.at
            index = self._entry(data)
            out[index] = bytes(data.data[start : data.at])
        return out


class TariffScripts(View):
    """Scripts 1 to 4 stand for the rates. They move nothing: see 0-0:96.14.0."""

    class_id = 9
    attributes = 2
    methods = 1

    def read(self, attribute, out):
        out.array(RATES)
        for script in range(1, RATES + 1):
            out.structure(2)
            out.uint16(script)
            out.array(0)
