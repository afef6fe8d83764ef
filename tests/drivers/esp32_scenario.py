"""The ESP32 board with chip models on its pins; runs on CPython and on MicroPython.

argv: a free TCP port. Prints what happened; the test reads it.
"""

import json
import os
import sys

import boardtime
from wiring import board as wiring

boardtime.install()

import loop as main  # noqa: E402
from board import Board  # noqa: E402
from boardworld import FREQUENCY, World, asks_frequency, public_association, run, settings  # noqa: E402

from ams.registers.energy import A_MINUS, A_PLUS  # noqa: E402

PORT = int(sys.argv[1])


def wire(world):
    wiring.partitions["ams_state"] = world.state
    wiring.attach_spi(2, 5, world.ic)
    wiring.attach_i2c(0, world.clock)
    world.coils(32, 33)
    wiring.levels[34] = lambda: world.relay.contact
    wiring.levels.update({35: 0, 36: 0, 39: 1, 4: 1, 13: 1})


def configure():
    with open(main.CONFIG, "w") as file:
        json.dump(settings(PORT), file)


def boot():
    board = Board()
    config = main.load_config()
    meter = main.build(board, config)
    return main.Loop(board, meter, config)


def started():
    """The loop of a board that is at work."""
    world.power_up()
    configure()
    world.load(6000)
    return boot()


def exact(energy):
    """The registers with their remainders, in micro-watt-seconds."""
    return [energy.mwh[k] * 3600000 + energy.remainder_uws[k] for k in (A_PLUS, A_MINUS)]


def scenario():
    loop = started()
    meter = loop.meter
    home = meter.home
    print("home", [home.is_open, home.setup is not None, home.publisher.broker.destination])
    print("resets", loop.board.frontend.resets, "start", meter.utc_ms)
    with open(main.CONFIG) as file:
        left = json.load(file)
    print("left in the file", sorted(left), left["security"])
    pulses = run(loop, 60_000)
    print("home goes", [home.network is loop._outside._wlan, home.publisher.why != ""])
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
    client = public_association(PORT)
    run(loop, 400)
    answer = client.recv(64)
    print("tcp", len(answer) == 8 + answer[7], answer[8] == 0x61)
    client.close()
    run(loop, 400)
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
    old, loop = loop, boot()
    print("again", loop.board.frontend.resets, loop.meter.utc_ms // 1000)
    run(loop, 1000)
    after = exact(loop.meter.energy)
    # The old listener still has the port: that is said, and tried again.
    print("listens", loop.board.links.network is not None)
    old.board.links.network.close()
    run(loop, 10_000)
    print("listens again", loop.board.links.network is not None)
    gained = after[1] - before[1]
    print("exported while off", 0.98 < gained / (2000e6 * 301) < 1.02, after[0] == before[0])
    loop.board.links.network.close()
    sub_meters(world)
    modbus(world)
    os.remove(main.CONFIG)


def sub_meters(world):
    """With an M-Bus the service port's UART is its."""
    with open(main.CONFIG) as file:
        config = json.load(file)
    with open(main.CONFIG, "w") as file:
        config["mbus"] = True
        json.dump(config, file)
    world.power_up()
    loop = boot()
    wiring.line(1).sent = bytearray()
    loop.meter.model.submeters.port.install(0, 7)
    run(loop, 100)
    print("bus", wiring.line(1).line, bytes(wiring.line(1).sent) == b"\x10\x40\x07\x47\x16")
    loop.board.links.network.close()


def modbus(world):
    """The service port's UART is the RS-485, and a TCP port is listened on."""
    with open(main.CONFIG) as file:
        config = json.load(file)
    with open(main.CONFIG, "w") as file:
        config["mbus"] = False
        config["modbus"] = {"units": {"7": "sdm630"}, "rtu": {"parity": "even"}, "tcp": PORT}
        config["modbus_open"] = True
        config["dlms_port"] = PORT + 1 if PORT < 65535 else PORT - 1
        json.dump(config, file)
    world.power_up()
    loop = boot()
    run(loop, 1000)
    line = wiring.line(1)
    print("modbus line", line.line)
    # The frequency; 50 Hz is 42480000.
    line.sent = bytearray()
    line.waiting = bytearray(b"\x07\x04\x00\x46\x00\x02\x90\x78")
    run(loop, 100)
    print("modbus answer", bytes(line.sent[:7]) == b"\x07\x04\x04\x42\x48\x00\x00", len(line.sent))
    client = asks_frequency(PORT)
    run(loop, 100)
    print("modbus tcp", client.recv(64) == FREQUENCY)
    client.close()
    loop.board.links.network.close()
    loop.meter.modbus.network.close()


world = World(wire)
if __name__ == "__main__":
    scenario()
