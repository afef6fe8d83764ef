"""One list of a meter whose objects a request gives: for replaying captures."""

from ams.hal import Uart
from ams.han import make_format
from ams.han.port import HanPort
from ams.registers.clock import LocalClock
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity
from ams.registers.quantities import Quantities

_ARRAYS = ("voltage_mv", "current_ua", "active_power_mw", "reactive_power_mvar")
_REGISTERS = ("a_plus_mwh", "a_minus_mwh", "r_plus_mvarh", "r_minus_mvarh")


class CapturingUart(Uart):
    def __init__(self):
        self.sent = b""

    def init(self, baudrate, bits, parity, stop):
        pass

    def write(self, data):
        self.sent += bytes(data)


def handle(request):
    """The octets of the list, flags included. Raises ValueError for what no meter is."""
    quantities = Quantities(request["system"])
    given = request["quantities"]
    for name in _ARRAYS:
        values = getattr(quantities, name)
        for place in range(3):
            values[place] = given[name][place]
    quantities.total_active_power_mw = given["total_active_power_mw"]
    quantities.total_reactive_power_mvar = given["total_reactive_power_mvar"]
    registers = EnergyRegisters()
    for number, name in enumerate(_REGISTERS):
        registers.mwh[number] = request["registers"][name]
    # The lists of a full hour show the registers and the time of that hour.
    registers.close_hour(request["utc_ms"])
    identity = request["identity"]
    clock = LocalClock(request["utc_offset_min"])
    clock.status = request["clock_status"]
    uart = CapturingUart()
    port = HanPort(
        uart,
        make_format(request["format"], request["variant"], request["options"]),
        quantities,
        registers,
        Identity(identity["meter_id"], identity["meter_type"]),
        clock,
    )
    port.open(request["utc_ms"])
    port.push(request["list"], request["utc_ms"])
    return uart.sent
