"""What differs between the boards of this family: the chip (RP2040, RP2350) and what is on it.

By what MicroPython says it runs on, so that the same files serve each. Addresses are those of the
datasheets, chapters "Address map", ADC, DMA and Watchdog.
"""

import sys

_on = sys.implementation._machine
RP2350 = "RP2350" in _on
OURS = "OpenAMS" in _on
BENCH = "bench" in _on
# A radio on the board: GP23 to GP25 and GP29 are its, and it has the LED and the converter's pin.
# Where MicroPython has no driver for it, it stays without its supply (GP23), and these two out of
# reach.
WIRELESS = " W with" in _on
try:
    from network import WLAN
except ImportError:
    WLAN = None
RADIO = WIRELESS and WLAN is not None
NAME = ("pico2" if RP2350 else "pico") + ("-w" if WIRELESS else "")
RADIO_SUPPLY = 23 if WIRELESS and not RADIO else None
# PS of the RT6150 that makes the 3.3 V, and the LED of the board.
SUPPLY_MODE = 23 if not WIRELESS else "WL_GPIO1" if RADIO else None
STATUS_LED = 25 if not WIRELESS else "WL_GPIO0" if RADIO else None

ADC = 0x400A0000 if RP2350 else 0x4004C000
ADC_REQUEST = 48 if RP2350 else 36  # of DMA
DMA = 0x50000000
PIO0_REQUEST = 4  # what its first state machine has received
# A register that outlasts a reset by the watchdog.
SCRATCH = (0x400D8000 if RP2350 else 0x40058000) + 0x0C
# Where the core sees the flash as memory.
XIP = 0x10000000
