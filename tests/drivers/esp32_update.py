"""One power-up of the ESP32's start-up code. argv: the files of the state and of the slots."""

import sys

import boardtime
from wiring import board as wiring

boardtime.install()
wiring.clear()
for label, path in zip(("ams_state", "ams_slots"), sys.argv[1:]):  # noqa: B905
    with open(path, "rb") as file:
        wiring.partitions[label] = bytearray(file.read())
try:
    import main  # noqa: F401
except SystemExit:
    print("reset")
print("guards", wiring.watchdog_ms, [timer["period"] for timer in wiring.timers])
for label, path in zip(("ams_state", "ams_slots"), sys.argv[1:]):  # noqa: B905
    with open(path, "wb") as file:
        file.write(wiring.partitions[label])
