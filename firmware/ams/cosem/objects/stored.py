"""Attributes that the operator writes as a whole: checked, then kept as the octets they came in."""

from ams.cosem.axdr import INT8, UINT16
from ams.cosem.objects.view import View
from ams.cosem.results import OTHER_REASON, READ_WRITE_DENIED, AccessError

# The cells of all parameters share a sector: nobody gets it alone.
_LONGEST = 400


class Stored(View):
    """`cell(attribute)` numbers its cell, `default(attribute)` gives what stands before it is set.

    `check(attribute, data)` takes the new value from `data` and raises for what is none.
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
        return self.default(attribute) if value is None else value

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


def field(value, least, most):
    """A field of a date or time with wildcards."""
    if value != 0xFF and not least <= value <= most:
        raise AccessError(OTHER_REASON)


def time(data):
    """A time of four octets; wildcards allowed."""
    octets = bytes(data.octets(4))
    check_time(octets)
    return octets


def check_time(octets):
    for value, most in zip(octets, b"\x17\x3b\x3b\x63"):
        field(value, 0, most)


def date(data):
    """A date of five octets; wildcards, last day and last but one allowed."""
    octets = bytes(data.octets(5))
    check_date(octets)
    return octets


def check_date(octets):
    field(octets[2], 1, 12)
    if octets[3] not in (0xFD, 0xFE):
        field(octets[3], 1, 31)
    field(octets[4], 1, 7)


def date_time(data):
    """A date-time of twelve octets, with wildcards."""
    octets = bytes(data.octets(12))
    if octets != bytes(12):
        check_date(octets[:5])
        check_time(octets[5:9])
    return octets


def capture_object(data):
    """(class, logical name, attribute, index)"""
    data.structure(4)
    class_id = data.integer(UINT16)
    ln = bytes(data.octets(6))
    attribute = data.integer(INT8)
    return class_id, ln, attribute, data.integer(UINT16)
