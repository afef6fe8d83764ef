"""The Modbus port, as the operator sets it: open or closed.

Manufacturer specific: 0-0:128.8.E. Which unit has which map is provisioned.
"""

from ams.cosem.axdr import BOOLEAN
from ams.objects.view import Data
from ams.results import READ_WRITE_DENIED, AccessError


class ModbusOpen(Data):
    def value(self, out):
        out.boolean(self.meter.modbus.is_open)

    def set(self, attribute, data, who):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        is_open = data.integer(BOOLEAN) != 0
        data.end()
        self.meter.modbus.set_open(is_open)
        self.model.changed(self.ln, attribute)


class ModbusMaps(Data):
    """As "1 sunspec, 2 sdm630"."""

    def value(self, out):
        out.visible(", ".join(["%d %s" % pair for pair in self.meter.modbus.units]).encode())


class ModbusAnswers(Data):
    """Requests that were answered since power-up."""

    def value(self, out):
        out.uint32(self.meter.modbus.slave.answered & 0xFFFFFFFF)
