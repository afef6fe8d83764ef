# What the display takes of the core, pass by pass: a minute that scrolls, each second anew. The bus
# is one that takes no time: what it takes is added by its octets, 9 bits each.
import gc
import json
import time

from ams.clock.local import LocalClock
from ams.metrology.quantities import Quantities
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity
from drivers import screens


class Bus:
    octets = 0

    def __init__(self, hz):
        self.hz = hz
        Bus.now = self

    def writeto(self, address, data):
        self.octets += 1 + len(data)


class Named:
    pass


def make():
    meter = Named()
    meter.quantities = Quantities("3P4W")
    meter.local_clock = LocalClock()
    meter.energy = EnergyRegisters(meter.local_clock)
    meter.identity = Identity("7359990000000017", "OAMS-3")
    meter.utc_ms = 822222222000
    meter.faults = Named()
    meter.faults.take = print
    meter.link = meter.modbus = meter.display = meter.home = None
    meter.han = Named()
    meter.han.is_open, meter.han.sent = True, [1, 2, 3]
    meter.control = Named()
    meter.control.breaker = Named()
    meter.control.breaker.state = 1
    return meter


# What the meter has loaded by itself is not the display's.

out = {}
for kind in ("ssd1306", "lcd"):
    meter = make()
    gc.collect()
    before = gc.mem_alloc()
    screens.join(meter, {"kind": kind}, Bus, print)
    display = meter.display
    for now in range(0, 6000, 25):
        display.poll(now)
    gc.collect()
    heap = gc.mem_alloc() - before
    bus = Bus.now
    total = worst = worst_core = 0
    octets = bus.octets
    for now in range(6000, 66000, 25):
        meter.utc_ms += 25
        meter.energy.mwh[0] += 70  # 10 kW
        begun = bus.octets
        start = time.ticks_us()
        display.poll(now)
        spent = time.ticks_diff(time.ticks_us(), start)
        wire = (bus.octets - begun) * 9000000 // bus.hz
        total += spent + wire
        worst_core = max(worst_core, spent)
        worst = max(worst, spent + wire)
        if now % 1000 == 0:
            gc.collect()
    out[kind] = {
        "share_percent": total / 600000,
        "longest_us": worst,
        "longest_core_us": worst_core,
        "octets_per_s": (bus.octets - octets) / 60,
        "heap": heap,
    }
print(json.dumps(out))
