"""The ESP32 board with chip models on its pins; runs on CPython and on MicroPython.

Prints what happened; the test reads it.
"""

import json
import os

import boardtime
from wiring import board as wiring

boardtime.install()

import main  # noqa: E402
from board import Board  # noqa: E402

from ams.registers.energy import A_MINUS, A_PLUS  # noqa: E402
from drivers import atm90e32  # noqa: E402
from openams.emulator.models.atm90e32 import Atm90e32  # noqa: E402
from openams.emulator.models.ds3231 import Ds3231  # noqa: E402
from openams.emulator.models.relay import Relay  # noqa: E402


class World:
    """What is outside of the ESP32."""

    def __init__(self):
        self.state = bytearray(b"\xff" * (1 << 20))
        self.ic = Atm90e32()
        self.clock = Ds3231()
        self.relay = Relay()
        self.clock.write(bytes((0x0F, 0)))
        self._us = 0

    def power_up(self):
        """The ESP32's supply comes back; its neighbours had theirs all the time."""
        wiring.clear()
        wiring.partitions["ams_state"] = self.state
        wiring.attach_spi(2, 5, self.ic)
        wiring.attach_i2c(0, self.clock)
        wiring.watch[32] = lambda level: self.relay.coil("open", level)
        wiring.watch[33] = lambda level: self.relay.coil("close", level)
        wiring.levels[34] = lambda: self.relay.contact
        wiring.levels.update({35: 0, 36: 0, 39: 1, 4: 1, 13: 1})
        self._us = 0
        wiring.alarms.append(self._passed)

    def _passed(self, now_us):
        self.pass_us(now_us - self._us)
        self._us = now_us

    def pass_us(self, us):
        self.ic.advance(us)
        self.clock.advance(us)
        self.relay.advance(us)

    def load(self, watts):
        third = watts * 1000 // 3
        amperes = abs(watts) * 1000000 // 690
        self.ic.set_quantities([230000] * 3, [amperes] * 3, [third] * 3, [0] * 3, 50000)


def configure():
    calibration = atm90e32.default_calibration("3P4W")
    with open(main.CONFIG, "w") as file:
        json.dump(
            {
                "system": "3P4W",
                "calibration": calibration,
                "identity": {"meter_id": "7359990000000017", "meter_type": "6515"},
                "han": {"format": "kaifa"},
                "han_open": True,
                "format": False,
            },
            file,
        )


def boot():
    board = Board()
    config = main.load_config()
    meter = main.build(board, config)
    return main.Loop(board, meter, config.get("wifi"))


def run(loop, ms):
    """Passes of the main loop."""
    pulses = 0
    lit = 0
    for _ in range(ms // 20):
        loop.step()
        boardtime.sleep_ms(20)
        level = wiring.level(27)
        pulses += level and not lit
        lit = level
    return pulses


def exact(energy):
    """The registers with their remainders, in micro-watt-seconds."""
    return [energy.mwh[k] * 3600000 + energy.remainder_uws[k] for k in (A_PLUS, A_MINUS)]


def scenario():
    world = World()
    world.power_up()
    world.clock.write(bytes((0, 0x07, 0x36, 0x21, 2, 0x27, 0x08, 0x26)))
    configure()
    world.load(6000)
    loop = boot()
    meter = loop.meter
    print("resets", loop.board.frontend.resets, "start", meter.utc_ms)
    with open(main.CONFIG) as file:
        left = json.load(file)
    print("left in the file", sorted(left))
    pulses = run(loop, 60_000)
    energy = exact(meter.energy)
    print(
        "counted",
        energy[0] // 100_000_000,
        "pulses",
        pulses,
        "V",
        list(meter.quantities.voltage_mv),
    )
    world.load(-2000)
    run(loop, 30_000)
    print("exported", exact(meter.energy)[1] // 100_000_000)
    print(
        "han", wiring.line(2).line, len(wiring.line(2).sent) > 500, wiring.line(2).sent[0] == 0x7E
    )
    wiring.levels[35] = 1
    run(loop, 400)
    print("cover", [entry[1] for entry in meter.events.entries()][-1])
    print("watchdog", wiring.watchdog_ms, wiring.resets)
    before = exact(meter.energy)
    wiring.levels[13] = 0
    run(loop, 100)
    # The controller is off for 5 minutes; the metering IC counts on, up to 737 kWs.
    for _ in range(300):
        world.pass_us(1_000_000)
    world.power_up()
    loop = boot()
    print("again", loop.board.frontend.resets, loop.meter.utc_ms // 1000)
    run(loop, 1000)
    after = exact(loop.meter.energy)
    gained = after[1] - before[1]
    print("exported while off", 0.98 < gained / (2000e6 * 301) < 1.02, after[0] == before[0])
    os.remove(main.CONFIG)


scenario()
