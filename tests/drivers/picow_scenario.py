"""The loop of a Pico 2 W with its radio, and chip models on its pins; runs on CPython and on
MicroPython. What is the chip's alone (its flash, its own instructions) is another here.

argv: two free TCP ports. Prints what happened; the test reads it.
"""

import sys

import boardtime
import machine
import network
from wiring import board as wiring

boardtime.install()
PORT, MODBUS_PORT = int(sys.argv[1]), int(sys.argv[2])
BOARDS = sys.argv[3]


class Module:
    pass


def put(name, **members):
    """A module that stands for one of the chip's."""
    module = sys.modules[name] = Module()
    for key, value in members.items():
        setattr(module, key, value)
    return module


class Memory:
    def __init__(self):
        self.words = {}

    def __getitem__(self, address):
        return self.words.get(address, 0)

    def __setitem__(self, address, word):
        self.words[address] = word


class Flash:
    sector_size = 4096
    page_size = 256

    def __init__(self, octets):
        self.size = len(octets)
        self._octets = octets

    def read(self, address, buffer):
        buffer[:] = self._octets[address : address + len(buffer)]

    def blank(self, address, size):
        return self._octets[address : address + size] == b"\xff" * size

    def program(self, address, data):
        for k in range(len(data)):
            self._octets[address + k] &= data[k]

    def erase(self, address):
        self._octets[address : address + 4096] = b"\xff" * 4096

    def begin_erase(self, address):
        self.erase(address)
        return 0

    def erase_on(self):
        return 0


with open(BOARDS + "/pico/chip.py") as file:
    source = file.read()
names = {}
exec(source.replace("sys.implementation._machine", "'OpenAMS Pico 2 W with RP2350'"), names)
put("chip", **{name: value for name, value in names.items() if name.isupper()})

from boardworld import FREQUENCY, World, asks_frequency, public_association, run, settings  # noqa: E402

from ams.metrology import kernel  # noqa: E402

machine.mem32 = Memory()
put("thumb", accumulate=kernel.pair_sums)
put("flash", SCRATCH=names["SCRATCH"], PLANNED=0x0A150A15, IN_SLICES=False, waiting=None,
    StateFlash=lambda: Flash(world.state), SlotsFlash=lambda: None)  # fmt: skip
put("flashmap", RING_SIZE=0x10000)
put("variant", NAME=None, halves=lambda: None)

import loop as main  # noqa: E402
from board import Board  # noqa: E402

from ams.hal import NotTrusted  # noqa: E402
from ams.storage.snapshot import Snapshot  # noqa: E402
from drivers.radio import Radio  # noqa: E402


def wire(world):
    wiring.attach_spi(0, 17, world.ic)
    wiring.attach_i2c(1, world.clock)
    world.coils(6, 7)
    wiring.levels[8] = lambda: 1 - world.relay.contact
    wiring.levels.update({9: 0, 10: 0, 11: 1, 12: 1, 13: 1})


def boot(**more):
    config = settings(PORT)
    config["modbus"] = {"units": {"7": "sdm630"}, "tcp": MODBUS_PORT}
    config["modbus_open"] = True
    config["meter_id"] = config["identity"]["meter_id"]
    config.update(more)
    snapshot = Snapshot(Flash(world.state))
    snapshot.load()
    snapshot.save(config)
    world.power_up()
    return main.build(Board())


def started():
    """The loop of a board that is at work; what goes over the network, if `settings` has one."""
    return boot() if "wifi" in settings(PORT) else boot(modbus=None, modbus_open=None)


def close(loop):
    for part in (loop.board.links, loop.meter.modbus):
        if part.network is not None:
            part.network.close()


def everything():
    loop = boot()
    meter = loop.meter
    home = meter.home
    print("board", loop.board.name, wiring.levels.get("WL_GPIO1"), wiring.levels.get(23))
    print("open", home.is_open, home.setup is not None, meter.modbus.is_open)
    pulses = run(loop, 60000, 14)
    print("counted", meter.energy.mwh[0] * 36 // 1000, "pulses", pulses)
    print("home", home.network is loop._network._wlan, home.publisher.why != "")
    client = public_association(PORT)
    run(loop, 100)
    answer = client.recv(64)
    print("tcp", len(answer) == 8 + answer[7], answer[8] == 0x61)
    # Who talks is not kept waiting for the next pass.
    print("busy", loop.board.links.busy(boardtime.ticks_ms()))
    client.close()
    run(loop, 1000)
    print("quiet", not loop.board.links.busy(boardtime.ticks_ms()))
    client = asks_frequency(MODBUS_PORT)
    run(loop, 100)
    print("modbus", client.recv(64) == FREQUENCY)
    client.close()
    print("faults", meter.faults.count, wiring.resets)
    close(loop)


def nothing_of_it():
    """Settings that want no radio leave it off; what is no Wi-Fi is said."""
    started = []
    made = network.WLAN
    network.WLAN = lambda interface: started.append(interface) or made(interface)
    loop = boot(home=None, modbus=None, wifi=None)
    run(loop, 1000, 14)
    print("off", started, loop.board.links is not None, loop.meter.energy.mwh[0] > 0)
    loop = boot(wifi={"ssid": "home"}, home=None, modbus=None)
    run(loop, 1000, 14)
    print("half a wifi", loop.board.links.network is None, loop.meter.energy.mwh[0] > 0)
    network.WLAN = made


def a_radio_that_is_dead():
    def dead(interface):
        raise OSError(5)

    made, network.WLAN = network.WLAN, dead
    loop = boot()
    run(loop, 2000, 14)
    meter = loop.meter
    print("dead", meter.energy.mwh[0] > 0, meter.home.network, loop.board.links.network)
    print("faults", meter.faults.count, wiring.resets)
    network.WLAN = made


def a_sampler_has_no_time_for_tls():
    try:
        Radio(False).dial("127.0.0.1:1", ("broker", b"authority"))
    except NotTrusted as error:
        print("tls", error)


world = World(wire)
world.load(6000)
if __name__ == "__main__":
    everything()
    nothing_of_it()
    a_radio_that_is_dead()
    a_sampler_has_no_time_for_tls()
