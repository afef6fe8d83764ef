"""The Modbus port, as the operator sees it; whether it is open is port_open's.

Manufacturer specific: 0-0:128.8.E. Which unit has which map is provisioned.
"""

from ams.objects.view import Data


class ModbusMaps(Data):
    """As "1 sunspec, 2 sdm630"."""

    def value(self, out):
        out.visible(", ".join(["%d %s" % pair for pair in self.meter.modbus.units]).encode())


class ModbusAnswers(Data):
    """Requests that were answered since power-up."""

    def value(self, out):
        out.uint32(self.meter.modbus.slave.answered & 0xFFFFFFFF)
