"""One list of a meter whose objects a request gives: for replaying captures."""

import binascii

from ams.clock.local import LocalClock
from ams.hal import Uart
from ams.han import make_format
from ams.han.port import HanPort
from ams.han.sources import Sources
from ams.metrology.fixed import angle
from ams.metrology.quantities import Quantities
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity

_ARRAYS = ("voltage_mv", "current_ua", "active_power_mw", "reactive_power_mvar")
_REGISTERS = ("a_plus_mwh", "a_minus_mwh", "r_plus_mvarh", "r_minus_mvarh",
              "r_q1_mvarh", "r_q2_mvarh", "r_q3_mvarh", "r_q4_mvarh")  # fmt: skip


class GivenSources(Sources):
    """What a request gives under `more`, as far as it does."""

    def __init__(self, view, given):
        super().__init__(view)
        self._given = given
        self._numbers = [binascii.unhexlify(text) for text in given.get("equipment", ())]

    def equipment(self, which):
        return self._numbers[which] if which < len(self._numbers) else super().equipment(which)

    @property
    def voltage_angles(self):
        return self._given.get("voltage_angles", (0, 0))

    def rate(self):
        return self._given.get("rate", 1)

    def of_rate(self, which, rate):
        for register, of, mwh, uws in self._given.get("rates", ()):
            if (register, of) == (which, rate):
                return mwh, uws
        return super().of_rate(which, rate) if not rate or "rates" not in self._given else (0, 0)

    def angle(self, active, reactive):
        return angle(active, reactive)

    def count(self, which):
        return self._given.get("counts", (0,) * 8)[which]

    def failures(self):
        return self._given.get("failures", ())

    def demand_mw(self, utc_ms):
        return self._given.get("demand_mw", 0)

    def maxima(self, which):
        return self._given.get("months" if which else "maximum", ())

    def power_factor(self, place):
        factors = self._given.get("power_factors")
        return factors[place] if factors else super().power_factor(place)

    def connected(self):
        return self._given.get("connected", True)

    def limit_mw(self):
        return self._given.get("limit_mw")

    def limit_ma(self):
        return self._given.get("limit_ma")

    def sub_meters(self):
        for channel, device, serial, when_ms, value, scaler, unit in self._given.get("subs", ()):
            yield channel, device, binascii.unhexlify(serial), when_ms, value, scaler, unit


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
    quantities.total_apparent_power_mva = given.get("total_apparent_power_mva", 0)
    quantities.frequency_mhz = given.get("frequency_mhz", 0)
    registers = EnergyRegisters()
    for number, name in enumerate(_REGISTERS):
        registers.mwh[number] = request["registers"].get(name, 0)
    # The lists of a full hour show the registers and the time of that hour.
    registers.close_hour(request["utc_ms"])
    identity = request["identity"]
    clock = LocalClock(request["utc_offset_min"])
    clock.status = request["clock_status"]
    uart = CapturingUart()
    cipher = None
    if "cipher" in request:
        from ams.han.cipher import cipher_of

        cipher = cipher_of(request["cipher"])
    port = HanPort(
        uart,
        make_format(request["format"], request["variant"], request["options"]),
        quantities,
        registers,
        Identity(identity["meter_id"], identity["meter_type"]),
        clock,
        cipher=cipher,
        summer_time=request.get("summer_time"),
    )
    port.view.sources = GivenSources(port.view, request.get("more") or {})
    port.open(request["utc_ms"])
    port.push(request["list"], request["utc_ms"])
    return uart.sent
