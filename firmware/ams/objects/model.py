"""The meter as COSEM objects: finds them, lists them, and says who may do what.

The objects stand in a catalogue of constant rows; one is made when a request
names it, and forgotten with the answer. Modules of classes are imported when
their first object is.
"""

from micropython import const

from ams import faults
from ams.clock.own_time import CALENDAR, place_of
from ams.cosem.access import BREAKER, EVERYBODY, INTERNAL, READER
from ams.cosem.datetime import Stamp
from ams.events import events
from ams.objects import catalogue
from ams.objects.alarms import Alarms
from ams.objects.push import Push
from ams.registers import billing, periods, profile, voltage
from ams.results import (
    CLASS_INCONSISTENT,
    OBJECT_UNDEFINED,
    READ_WRITE_DENIED,
    TEMPORARY_FAILURE,
    AccessError,
)
from ams.storage import layout
from ams.storage.ring import Ring

_REGIONS = {
    "load": (layout.LOAD_PROFILE, profile.ENTRY_SIZE),
    "daily": (layout.DAILY, billing.ENTRY_SIZE),
    "monthly": (layout.MONTHLY, billing.MONTH_SIZE),
    "voltage": (layout.VOLTAGE, voltage.ENTRY_SIZE),
    "events": (layout.EVENTS, events.RECORD_SIZE),
}
_DAY_S = const(86400)
CALENDAR_LN = b"\x00\x00\x0d\x00\x00\xff"
BILLING_LN = b"\x00\x00\x0f\x00\x00\xff"
# C of the objects that set up the links.
_LINK_SETUPS = (20, 22, 25)
# D of 0-0:128.D.E that not every meter has.
_MODBUS = const(8)
_HOME = const(7)
_MISSED_MS = const(600000)
_MINUTE_MS = const(60000)


def next_minute(utc_ms):
    return utc_ms - utc_ms % _MINUTE_MS + _MINUTE_MS


_VOLTAGE_PERIOD_S = const(600)


def _commit(session):
    """Who asks has the right: the number of his request is kept before anything is done."""
    commit = getattr(session, "commit", None)
    if commit is not None:
        commit()


class Model:
    commits = True  # see `set` and `call`

    def __init__(self, meter, settings):
        self.meter = meter
        self.settings = settings
        self.stamp = Stamp(meter.local_clock)
        self.alarms = Alarms(self.settings, meter)
        self.preset_time = None  # of the clock: (time, from, to)
        self.faults = 0  # errors of our own
        self.due_ms = 0  # when `tick` has something to do, by the meter's time
        self.push = Push(self, meter.entropy)
        self._schedules = None  # those that have times
        self._rated = False  # the calendar says more than rate 1
        self._begun = False
        self._minutes = {}  # the next minute, of its own time, that each is looked at
        self._more = []  # rows of the server
        self.submeters = None  # see ams.mbus.submeter_port; a board without the line has none
        self._absent = catalogue.absent_phases(meter.quantities)
        self.transformers = meter.energy.transformers
        self.quadrants = self.transformers.fitted

    def join_submeters(self, uart, log):
        """The board has an M-Bus line: its poll is the board's to call."""
        from ams.mbus.submeter_port import SubMeterPort

        meter = self.meter
        self.submeters = SubMeterPort(uart, self.settings, lambda: meter.utc_ms, log)
        meter.han_settings.sub_meters = self.submeters.meters

    # --- what the server asks ----------------------------------------------------------

    def extend(self, rows):
        """Objects of others: (class, logical name, factory, rights); factory(ln, session)."""
        self._more += rows

    def device_name(self):
        from ams.objects.data import device_name

        return device_name(self.meter.identity.meter_id)

    def find(self, class_id, ln, session=None):
        """(object, rights). Raises AccessError."""
        ln = bytes(ln)
        code = OBJECT_UNDEFINED
        for row in self._more:
            if row[1] == ln:
                if row[0] == class_id:
                    return row[2](ln, session), row[3]
                code = CLASS_INCONSISTENT
        for row in catalogue.ROWS:
            if catalogue.has(row, ln) and not self._is_absent(row, ln):
                if row[0] == class_id:
                    return self._make(row, ln, session), catalogue.rights(row[7])
                code = CLASS_INCONSISTENT
        raise AccessError(code)

    def get(self, class_id, ln, attribute, who, out, selection=None, session=None):
        """Writes an attribute; gives a generator where it is long (see cosem.rights)."""
        thing, rights = self.find(class_id, ln, session)
        if not 1 <= attribute <= thing.attributes or not rights.may_read(attribute, who):
            raise AccessError(READ_WRITE_DENIED)
        if attribute == 1:
            out.octets(thing.ln)
            return None
        return thing.get(attribute, out, selection)

    def set(self, class_id, ln, attribute, who, data, session=None):
        thing, rights = self.find(class_id, ln, session)
        if who != INTERNAL and not rights.may_write(attribute, who):
            self._deny(rights, session)
        _commit(session)
        thing.set(attribute, data, who)

    def call(self, class_id, ln, method, who, data, out, session=None):
        thing, rights = self.find(class_id, ln, session)
        if who != INTERNAL and not rights.may_call(method, who):
            self._deny(rights, session)
        _commit(session)
        thing.call(method, data, out, who)

    def _deny(self, rights, session):
        """What only the client of the breaker may do is in the control log when another tries."""
        if rights.changed_by() == BREAKER:
            self.meter.control.not_allowed(session.sap if session is not None else 0)
        raise AccessError(READ_WRITE_DENIED)

    def rows(self, who=EVERYBODY):
        """Yields (class, version, logical name, attributes, methods, rights) of what `who` sees."""
        for class_id, ln, _, rights in self._more:
            if rights.seen_by() & who:
                version, attributes, methods = catalogue.class_of(class_id)
                yield class_id, version, ln, attributes, methods, rights
        key = None
        for row in catalogue.ROWS:
            if row[7] != key:
                key = row[7]
                rights = catalogue.rights(key)
            if not rights.seen_by() & who:
                continue
            version, attributes, methods = catalogue.class_of(row[0])
            for ln in catalogue.names(row):
                if not self._is_absent(row, ln):
                    yield row[0], version, ln, attributes, methods, rights

    def count(self, who):
        count = 0
        for _ in self.rows(who):
            count += 1
        return count

    def _is_absent(self, row, ln):
        if ln[2] == 24 and ln[0] == 0:
            return self.submeters is None
        if ln[2] == 128 and ln[3] == _MODBUS:
            return self.meter.modbus is None
        if ln[2] == 128 and ln[3] == _HOME:
            return self.meter.home is None
        if ln[0] != 1:
            return False
        if (ln[2] == 0 and ln[3] == 4) or (ln[3] == 29 and ln[2] > 4):
            return not self.quadrants
        return row[0] == 3 and ln[2] in self._absent

    def _make(self, row, ln, session):
        module, name = row[5].split(".")
        module = __import__("ams.objects." + module, None, None, (name,))
        thing = getattr(module, name)(ln, self, row[6])
        thing.session = session
        return thing

    # --- time ----------------------------------------------------------------------------

    def wake(self):
        """Something is due that was not before."""
        self.due_ms = 0
        self.meter.wake()

    def event(self, code, kept):
        """An event was logged, or its log had no more room for it this hour."""
        if self.alarms.event(code, kept):
            self.wake()

    def changed(self, ln, attribute):
        """The operator set an attribute."""
        which = ln[2] << 16 | ln[3] << 8 | ln[4]
        self.meter.events.log(self.meter.utc_ms, events.PARAMETER_CHANGED, which, attribute)
        if ln[2] in _LINK_SETUPS:
            self.set_up_link()
        self._schedules = None
        self.wake()

    def set_up_link(self):
        if self.meter.link is not None:
            from ams.objects.link_setup import apply

            apply(self, self.meter.link)

    def last_gasp(self):
        """The supply falls, and what had to be stored is."""
        self.alarms.raised = 0
        self.push.last_gasp(self.meter.raw_ms, self.meter.utc_ms)

    def tick(self, utc_ms):
        """Schedules, the calendar, alarms and messages whose time has come.

        Whatever is wrong in here, the metering that called it goes on.
        """
        try:
            self._tick(utc_ms)
        except Exception as error:
            self.faults += 1
            self.meter.faults.take(faults.OBJECTS, error)
            self.due_ms = next_minute(utc_ms)

    def _tick(self, utc_ms):
        raw_ms = self.meter.raw_ms
        try:
            self.alarms.keep()
        except AccessError:
            # The flash takes nothing: the register is in RAM.
            pass
        if self.alarms.raised and self.push.ask(True):
            self.alarms.raised = 0
        self._run_schedules()
        self.push.tick(raw_ms, utc_ms)
        due = self.push.due_ms() - raw_ms + utc_ms
        if self._schedules is None:
            # One of them changed what there is: they are looked for again.
            due = 0
        for ln in self._schedules or ():
            # By the clock that is shown: its own time goes as fast.
            due = min(due, utc_ms + self._minutes[ln] - self._own_ms(ln))
        rate = self.calendar().tariff(utc_ms) if self._rated else 1
        periods.set_rate(self.meter.recorder, self.meter.energy, rate)
        if self._rated:
            due = min(due, next_minute(utc_ms))
        self.due_ms = due

    def own_ms(self, place):
        """What acts by time has a time of its own: see clock.own_time."""
        return self.meter.own_time.of(place, self.meter.raw_ms)

    def bind(self, place):
        """Its owner has set it: its time is the clock's from here on."""
        meter = self.meter
        meter.own_time.bind(place, meter.raw_ms, meter.clock.utc_ms(meter.raw_ms))

    def begin_anew(self, ln):
        """A schedule with new times: it begins with the next minute."""
        self._minutes.pop(ln, None)

    def _own_ms(self, ln):
        """Of a schedule or of the calendar."""
        return self.own_ms(CALENDAR if ln[2] == 13 else place_of(ln[4]))

    def _run_schedules(self):
        if self._schedules is None:
            self._find_schedules()
        for ln in list(self._schedules):
            own_ms = self._own_ms(ln)
            minute = self._minutes[ln]
            if own_ms < minute <= own_ms + _MINUTE_MS:
                continue
            self._minutes[ln] = next_minute(own_ms)
            if ln[2] == 13:
                self._change_calendar(own_ms)
                continue
            if not 0 <= own_ms - minute <= _MISSED_MS:
                # What the meter slept through is not made up for, nor is what it lost the time of.
                minute = own_ms - own_ms % _MINUTE_MS
            while minute <= own_ms:
                if self.find(22, ln)[0].is_due(minute):
                    self._run(ln, minute)
                minute += _MINUTE_MS

    def _run(self, ln, minute):
        """A script that is refused has been logged by who refused it."""
        try:
            self.find(22, ln)[0].run(minute)
        except AccessError:
            pass

    def _find_schedules(self):
        """Names of the schedules that have times, and of the calendar if it is to change."""
        self._schedules = []
        for row in catalogue.ROWS:
            if row[0] == 22:
                for ln in catalogue.names(row):
                    thing = self.find(22, ln)[0]
                    if thing.is_set():
                        self._schedules.append(ln)
                        if ln not in self._minutes:
                            self._minutes[ln] = next_minute(self._own_ms(ln))
        self._rated = self.calendar().is_set()
        self._make_up()
        if self.calendar().due_ms() is not None:
            self._schedules.append(CALENDAR_LN)
            if CALENDAR_LN not in self._minutes:
                self._minutes[CALENDAR_LN] = next_minute(self._own_ms(CALENDAR_LN))

    def _make_up(self):
        """A billing period that should have ended while there was no supply ends now."""
        before_ms = self.meter.recorder.restored_ms
        if not self._begun and before_ms is not None and BILLING_LN in self._schedules:
            own_ms = self._own_ms(BILLING_LN)
            thing = self.find(22, BILLING_LN)[0]
            if thing.was_due(own_ms - max(self.meter.utc_ms - before_ms, 0), own_ms):
                self._run(BILLING_LN, own_ms - own_ms % _MINUTE_MS)
        self._begun = True

    def end_billing_period(self):
        """What the script of the billing period does."""
        if not self.meter.end_billing_period():
            raise AccessError(TEMPORARY_FAILURE)

    def _change_calendar(self, own_ms):
        calendar = self.calendar()
        due = calendar.due_ms()
        if due is not None and due <= own_ms:
            self._schedules = None
            calendar.activate_once()

    def calendar(self):
        return self.find(20, CALENDAR_LN)[0]

    def push_client(self):
        """Whose rights decide what may be sent."""
        return READER

    # --- what the objects ask ------------------------------------------------------------

    def ring(self, name, log=0):
        region, size = _REGIONS[name]
        if name == "load" and self.quadrants:
            size = profile.LARGE_SIZE
        return Ring(self.meter.nv_memory, region + log, size)

    def period_s(self, name):
        """The capture period of a profile, 0 for what is captured by other things than time."""
        if name == "load":
            return self.meter.recorder.load_profile.period_s
        if name == "voltage":
            return _VOLTAGE_PERIOD_S
        return _DAY_S if name == "daily" else 0

    def last_event(self, log):
        """(number, utc_ms, code, detail, extra) of the newest event of a log."""
        data = self.meter.nv_memory.last(layout.EVENTS + log)
        return events.unpack(data) if data is not None else (0, 0, 0, 0, 0)

    def last_interval(self):
        return profile.unpack_quadrants(self.meter.recorder.load_profile.last_entry)

    def last_voltage(self):
        data = self.meter.nv_memory.last(layout.VOLTAGE)
        return voltage.unpack(data if data is not None else bytes(voltage.ENTRY_SIZE))

    def last_period_ms(self):
        """When the last billing period ended, None: none has."""
        data = self.meter.nv_memory.last(layout.MONTHLY)
        return None if data is None else billing.unpack(data, 0)[1] * 1000
