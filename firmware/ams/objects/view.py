"""What the meter's own objects have in common: a view onto the meter through its model."""

from micropython import const

from ams.cosem.access import Object
from ams.results import READ_WRITE_DENIED, SCOPE_VIOLATED, AccessError

# Units (IEC 62056-6-2, table 4).
UNIT_W = const(27)
UNIT_VA = const(28)
UNIT_VAR = const(29)
UNIT_WH = const(30)
UNIT_VARH = const(32)
UNIT_A = const(33)
UNIT_V = const(35)
UNIT_HZ = const(44)
UNIT_PERCENT = const(56)
UNIT_NONE = const(255)


class View(Object):
    """`model` leads to the meter; `argument` is what the catalogue says of the object."""

    def __init__(self, ln, model, argument=None):
        super().__init__(ln)
        self.model = model
        self.meter = model.meter
        self.argument = argument
        self.session = None  # the association that asks; None: the meter itself

    def asker(self):
        """(SAP of the client that asks, age of its association in ms, its channel)"""
        session = self.session
        return session.sap, session.now_ms - session.made_ms, session.channel

    def get(self, attribute, out, selection=None):
        if selection is not None:
            raise AccessError(SCOPE_VIOLATED)
        if not 2 <= attribute <= self.attributes:
            raise AccessError(READ_WRITE_DENIED)
        return self.read(attribute, out)

    def read(self, attribute, out):
        """`get` of an attribute that the class has, without a selection."""
        raise AccessError(READ_WRITE_DENIED)


def no_parameter(data):
    """The parameter of a method that has none: absent, null or integer 0."""
    if data is None or data.left() == 0:
        return
    if data.peek() == 0:
        data.octet()
    else:
        data.any_integer()
    data.end()


class Data(View):
    """Class 1: `value` writes attribute 2."""

    class_id = 1
    attributes = 2

    def read(self, attribute, out):
        self.value(out)

    def value(self, out):
        raise AccessError(READ_WRITE_DENIED)
