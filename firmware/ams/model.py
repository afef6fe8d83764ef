"""The meter as COSEM objects: finds them, lists them, and says who may do what.

The objects stand in a catalogue of constant rows; one is made when a request
names it, and forgotten with the answer. Modules of classes are imported when
their first object is.
"""

from micropython import const

from ams import catalogue
from ams.alarms import Alarms
from ams.cosem.datetime import Stamp
from ams.cosem.objects.base import BREAKER, EVERYBODY, INTERNAL
from ams.cosem.results import (
    CLASS_INCONSISTENT,
    OBJECT_UNDEFINED,
    READ_WRITE_DENIED,
    AccessError,
)
from ams.registers import events, profile, voltage
from ams.ring import Ring
from ams.settings import Settings
from ams.storage import layout

_REGIONS = {
    "load": (layout.LOAD_PROFILE, 4),
    "daily": (layout.DAILY, 4),
    "monthly": (layout.MONTHLY, 4),
    "voltage": (layout.VOLTAGE, 0),
    "events": (layout.EVENTS, 4),
}
_DAY_S = const(86400)
_VOLTAGE_PERIOD_S = const(600)


class Model:
    def __init__(self, meter, cells):
        self.meter = meter
        self.settings = Settings(cells)
        self.stamp = Stamp(meter.local_clock)
        self.alarms = Alarms(self.settings, meter)
        self.preset_time = None  # of the clock: (time, from, to)
        self._more = []  # rows of the server
        self._absent = catalogue.absent_phases(meter.quantities.system)

    # --- what the server asks ----------------------------------------------------------

    def extend(self, rows):
        """Objects of others: (class, logical name, factory, rights); factory(ln, session)."""
        self._more += rows

    def device_name(self):
        from ams.cosem.objects.data import device_name

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
                    return self._make(row, ln, session), catalogue.RIGHTS[row[7]]
                code = CLASS_INCONSISTENT
        raise AccessError(code)

    def get(self, class_id, ln, attribute, who, out, selection=None, session=None):
        """Writes an attribute; gives a generator where it is long (see objects.base)."""
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
        thing.set(attribute, data, who)

    def call(self, class_id, ln, method, who, data, out, session=None):
        thing, rights = self.find(class_id, ln, session)
        if who != INTERNAL and not rights.may_call(method, who):
            self._deny(rights, session)
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
                version, attributes, methods = catalogue.CLASSES[class_id]
                yield class_id, version, ln, attributes, methods, rights
        for row in catalogue.ROWS:
            rights = catalogue.RIGHTS[row[7]]
            if not rights.seen_by() & who:
                continue
            version, attributes, methods = catalogue.CLASSES[row[0]]
            for ln in catalogue.names(row):
                if not self._is_absent(row, ln):
                    yield row[0], version, ln, attributes, methods, rights

    def count(self, who):
        count = 0
        for _ in self.rows(who):
            count += 1
        return count

    def _is_absent(self, row, ln):
        return ln[0] == 1 and row[0] == 3 and ln[2] in self._absent

    def _make(self, row, ln, session):
        module, name = row[5].split(".")
        module = __import__("ams.cosem.objects." + module, None, None, (name,))
        thing = getattr(module, name)(ln, self, row[6])
        thing.session = session
        return thing

    # --- what the objects ask ------------------------------------------------------------

    def ring(self, name, log=0):
        region, time_at = _REGIONS[name]
        return Ring(self.meter.memory, region + log, time_at)

    def period_s(self, name):
        """The capture period of a profile, 0 for what is captured by other things than time."""
        if name == "load":
            return self.meter.keeper.load_profile.period_s
        if name == "voltage":
            return _VOLTAGE_PERIOD_S
        return _DAY_S if name == "daily" else 0

    def last_event(self, log):
        """(number, utc_ms, code, detail, extra) of the newest event of a log."""
        data = self.meter.memory.last(layout.EVENTS + log)
        return events.unpack(data) if data is not None else (0, 0, 0, 0, 0)

    def last_interval(self):
        return profile.unpack(self.meter.keeper.load_profile.last_entry)

    def last_voltage(self):
        data = self.meter.memory.last(layout.VOLTAGE)
        return voltage.unpack(data if data is not None else bytes(voltage.ENTRY_SIZE))
