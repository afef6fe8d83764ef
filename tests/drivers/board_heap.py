"""What a board's code and its meter take of the heap where the code is files; runs on MicroPython.

argv: a scenario of a board, what it has as its own, and "all" or "least". Prints octets in use
after a collection, and the most there was between two of them. What stands for the world outside
is not counted.
"""

import gc
import sys

import boardtime

boardtime.install()
import boardworld  # noqa: E402
import machine  # noqa: E402, F401
import network  # noqa: E402, F401
from wiring import board as wiring  # noqa: E402

NETWORK = ("home", "home_open", "wifi", "dlms_port")
_PASSES = 1000


def used():
    """What the bench keeps of what the board did is none of the board's."""
    for line in wiring.uart.values():
        line.sent = bytearray()
    wiring.timers.clear()
    gc.collect()
    return gc.mem_alloc()


def outside():
    """Octets of a second world: the scenario makes one of its own."""
    before = used()
    kept = boardworld.World(lambda world: None)
    kept.load(6000)
    return used() - before, kept


def main(name, least):
    before = used()
    scenario = __import__(name)
    if least:
        of_all = boardworld.settings

        def settings(port):
            config = of_all(port)
            for key in NETWORK:
                config.pop(key)
            return config

        scenario.settings = settings
    loop = scenario.started()
    world, kept = outside()
    before += world
    print("built", used() - before - world)
    boardworld.run(loop, 60_000)
    lasting = used() - before - world
    most = 0
    for _ in range(_PASSES):
        loop.step()
        boardtime.sleep_ms(20)
        most = max(most, gc.mem_alloc() - before - world)
    print("lasting", lasting, "highest", most, "later", used() - before - world)


name, least = sys.argv.pop(1), sys.argv.pop(1) == "least"
main(name, least)
