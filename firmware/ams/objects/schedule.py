"""Single action schedule (class 22), and the scripts (class 9) of billing, push and images.

A schedule goes by its own time (clock.own_time), bound to the clock when its times are set:
setting the clock lets it run neither sooner nor once more.
"""

from micropython import const

from ams.clock.local import civil
from ams.clock.own_time import place_of
from ams.cosem.access import INTERNAL
from ams.cosem.axdr import UINT16, Reader, Writer
from ams.objects import stored
from ams.objects.calendar import matches_date
from ams.objects.disconnect_control import answer
from ams.objects.stored import Stored
from ams.objects.view import View
from ams.results import OTHER_REASON, READ_WRITE_DENIED, AccessError

_MINUTE_MS = const(60000)
# Its cell with the last minute in which it ran stands so far behind that of its times.
_RAN = const(8)
_PUSH = const(4)
_TIMES = 16
_HOUR_MS = 3600000
_DAY_MS = const(86400000)
# So many days without supply are looked through for an end of the billing period.
_LOOK_BACK = const(62)
# Any number of times, of any dates, with wildcards.
_TYPE = 1
# What schedule 0-0:15.0.E runs: script table 0-0:10.0.E, selector.
_BREAKER = 106
SCRIPTS = {0: (1, 1), 1: (_BREAKER, 1), 2: (107, 1), 4: (108, 1), 5: (_BREAKER, 2)}


class Schedule(Stored):
    """`argument`: its cell. Times are to the minute."""

    class_id = 22
    attributes = 4

    def cell(self, attribute):
        return self.argument

    def read(self, attribute, out):
        if attribute == 2:
            table, selector = SCRIPTS[self.ln[4]]
            out.structure(2)
            out.octets(bytes((0, 0, 10, 0, table, 255)))
            out.uint16(selector)
        elif attribute == 3:
            out.enum(_TYPE)
        else:
            out.raw(self.value(4))

    def default(self, attribute):
        return b"\x01\x00" if self.ln[4] else self.model.settings.EACH_MONTH

    def check(self, attribute, data):
        if attribute != 4:
            raise AccessError(READ_WRITE_DENIED)
        for _ in range(data.array(_TIMES)):
            data.structure(2)
            time = stored.time(data)
            if time[2] not in (0, 0xFF) or (not self.ln[4] and 0xFF in time[:2]):
                # A billing period ends at a time, not in each minute of an hour.
                raise AccessError(OTHER_REASON)
            stored.date(data)

    def store(self, attribute, value):
        if SCRIPTS[self.ln[4]][0] == _BREAKER:
            # What moves the breaker later is asked for like what moves it now.
            asker = self.asker() if self.session is not None else (0, None)
            number = attribute + 16 * self.ln[4]
            answer(self.meter.control.may_schedule(number, value, *asker))
        if self.ran_ms():
            # Of the times that go; first, for they must not run twice.
            self.model.settings.set(self.argument + _RAN, b"")
        super().store(attribute, value)
        self.meter.recorder.monthly = self.model.settings.ends_with_month()
        self.model.bind(place_of(self.ln[4]))
        self.model.begin_anew(self.ln)

    def is_set(self):
        """Whether it has any times that are not kept by the accounts."""
        return self.value(4)[1] != 0 and (self.ln[4] != 0 or not self.meter.recorder.monthly)

    # --- its time ----------------------------------------------------------------------

    def ran_ms(self):
        """The minute in which it ran last, 0: in none of its own time."""
        kept = self.model.settings.get(self.argument + _RAN)
        return int.from_bytes(kept, "big") * _MINUTE_MS if kept else 0

    def is_due(self, utc_ms):
        """Whether it runs in the minute that begins at `utc_ms`, of its own time.

        What names an hour runs once in October, in the first of the two, and
        in March an hour late when there is no such hour.
        """
        clock = self.meter.local_clock
        now = civil(clock.local_ms(utc_ms))
        offset = clock.offset_min(utc_ms)
        before = clock.offset_min(utc_ms - _HOUR_MS)
        data = Reader(self.value(4))
        for _ in range(data.array(_TIMES)):
            data.structure(2)
            time = bytes(data.octets(4))
            if not matches_date(data.octets(5), now) or time[1] not in (0xFF, now[5]):
                continue
            if time[0] == 0xFF:
                return True
            if time[0] == now[4] and offset >= before:
                return True
            if offset > before and time[0] + 1 == now[4]:
                return True
        return False

    def was_due(self, from_ms, to_ms):
        """Whether a time of it, without wildcards in hour and minute, was after `from_ms` and not
        after `to_ms`."""
        clock = self.meter.local_clock
        midnight = clock.local_ms(to_ms)
        midnight -= midnight % _DAY_MS
        for _ in range(_LOOK_BACK):
            if midnight + _DAY_MS <= clock.local_ms(from_ms):
                return False
            now = civil(midnight)
            data = Reader(self.value(4))
            for _ in range(data.array(_TIMES)):
                data.structure(2)
                time = bytes(data.octets(4))
                if matches_date(data.octets(5), now):
                    at_ms = clock.utc_ms(midnight + (60 * time[0] + time[1]) * _MINUTE_MS)
                    if from_ms < at_ms <= to_ms:
                        return True
            midnight -= _DAY_MS
        return False

    def run(self, minute_ms):
        """Runs its script for a minute. That is noted first: it runs once, or not at all."""
        if minute_ms <= self.ran_ms():
            return
        table, selector = SCRIPTS[self.ln[4]]
        minute = minute_ms // _MINUTE_MS
        try:
            self.model.settings.set(self.argument + _RAN, minute.to_bytes(4, "big"))
        except AccessError:
            if self.ln[4] != _PUSH:
                raise
        ln = bytes((0, 0, 10, 0, table, 255))
        parameter = Reader(bytes((UINT16, 0, selector)))
        self.model.call(9, ln, 1, INTERNAL, parameter, Writer(64))


class Script:
    """(class, logical name, method)"""

    PUSH = ((40, b"\x00\x00\x19\x09\x00\xff", 1), (40, b"\x00\x04\x19\x09\x00\xff", 1))
    BILLING = ((7, b"\x00\x00\x62\x01\x00\xff", 2),)
    IMAGE = ((18, b"\x00\x00\x2c\x00\x00\xff", 4),)


class Scripts(View):
    """`argument`: "BILLING" (1 ends the period), "PUSH" (1 intervals, 2 alarms) or "IMAGE"
    (1 activates what was verified)."""

    class_id = 9
    attributes = 2
    methods = 1

    def read(self, attribute, out):
        scripts = getattr(Script, self.argument)
        out.array(len(scripts))
        for number, (class_id, ln, method) in enumerate(scripts):
            out.structure(2)
            out.uint16(number + 1)
            out.array(1)
            out.structure(5)
            out.enum(2)  # calls a method
            out.uint16(class_id)
            out.octets(ln)
            out.int8(method)
            out.int8(0)

    def call(self, method, data, out, who):
        selector = data.integer(UINT16) if data is not None else 0
        scripts = getattr(Script, self.argument)
        if method != 1 or not 1 <= selector <= len(scripts):
            raise AccessError(OTHER_REASON)
        data.end()
        class_id, ln, method = scripts[selector - 1]
        if class_id == 7 and self.session is not None:
            self.model.changed(self.ln, 1)
        self.model.call(class_id, ln, method, INTERNAL, Reader(b"\x0f\x00"), out, self.session)
