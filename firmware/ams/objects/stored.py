"""Attributes that the operator writes as a whole: checked, then kept as the octets they came in."""

from ams.cosem import datetime
from ams.cosem.axdr import INT8, UINT16, Reader
from ams.objects.view import View
from ams.results import OTHER_REASON, READ_WRITE_DENIED, AccessError

# The cells of all parameters share a sector: nobody gets it alone.
_LONGEST = 400


class Stored(View):
    """`cell(attribute)` numbers its cell, `default(attribute)` gives what stands before it is set.

    `check(attribute, data)` takes the new value from `data` and raises for what is none. What is
    stored is held against it as well: a former version took times that there are not.
    """

    def cell(self, attribute):
        return self.argument + attribute

    def default(self, attribute):
        raise AccessError(READ_WRITE_DENIED)

    def check(self, attribute, data):
        raise AccessError(READ_WRITE_DENIED)

    def value(self, attribute):
        """The octets of an attribute, with its tag."""
        value = self.model.settings.get(self.cell(attribute))
        if value is None or not self.is_good(attribute, value):
            return self.default(attribute)
        return value

    def is_good(self, attribute, value):
        try:
            data = Reader(value)
            self.check(attribute, data)
            data.end()
        except AccessError:
            return False
        return True

    def read(self, attribute, out):
        out.raw(self.value(attribute))

    def set(self, attribute, data, who):
        start = data.at
        self.check(attribute, data)
        value = bytes(data.data[start : data.at])
        data.end()
        self.store(attribute, value)

    def store(self, attribute, value):
        if len(value) > _LONGEST:
            raise AccessError(OTHER_REASON)
        self.model.settings.set(self.cell(attribute), value)
        self.model.changed(self.ln, attribute)


# --- what is in such values ------------------------------------------------------------


def name(data, longest=16):
    """An octet-string that names something."""
    octets = data.octets()
    if len(octets) > longest:
        raise AccessError(OTHER_REASON)
    return bytes(octets)


def time(data):
    """A time of four octets; wildcards allowed."""
    octets = bytes(data.octets(4))
    datetime.check_time(octets)
    return octets


def date(data):
    """A date of five octets; wildcards, last day and last but one allowed."""
    octets = bytes(data.octets(5))
    datetime.check_date(octets)
    return octets


def date_time(data):
    """A date-time of twelve octets, with wildcards; zeros are none."""
    octets = bytes(data.octets(12))
    if octets != bytes(12):
        datetime.check(octets)
    return octets


def capture_object(data):
    """(class, logical name, attribute, index)"""
    data.structure(4)
    class_id = data.integer(UINT16)
    ln = bytes(data.octets(6))
    attribute = data.integer(INT8)
    return class_id, ln, attribute, data.integer(UINT16)
