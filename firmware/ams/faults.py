"""Errors of our own: the part that failed is named, all others go on."""

import gc

from micropython import const

from ams.clock.local import MS_PER_HOUR
from ams.events.events import SOFTWARE_FAULT

# Parts: the detail of the event.
CASE = const(1)
ACCOUNTS = const(2)
MEASURED = const(3)
HAN = const(4)
OBJECTS = const(5)
LINK = const(6)
LOOP = const(7)
CONTROL = const(8)
MODBUS = const(9)
HOME = const(10)
DISPLAY = const(11)
_NAMES = (
    "", "case", "accounts", "measured", "han", "objects", "link", "loop", "control", "modbus",
    "home", "display",
)  # fmt: skip


class Faults:
    """`count` since power-up; each part is told of once an hour."""

    def __init__(self, meter):
        self._meter = meter
        self._quiet_to_ms = {}
        self.count = 0

    def take(self, part, error):
        if isinstance(error, MemoryError):
            # Room for what goes on.
            gc.collect()
        self.tell(part, repr(error))

    def tell(self, part, text):
        self.count += 1
        meter = self._meter
        quiet_to_ms = self._quiet_to_ms.get(part)
        if quiet_to_ms is not None and meter.raw_ms < quiet_to_ms:
            return
        self._quiet_to_ms[part] = meter.raw_ms + MS_PER_HOUR
        meter.say("%s: %s" % (_NAMES[part], text))
        meter.events.log(meter.utc_ms, SOFTWARE_FAULT, part, self.count)
