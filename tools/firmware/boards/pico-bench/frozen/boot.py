# Whoever runs the chip and writes this word before it starts wants no meter, but a REPL on UART0,
# where pieces of the firmware are measured one by one. A boot.py that fails keeps main.py away.
import os

import machine

if machine.mem32[0x40058010] == 0x4C504552:  # the watchdog's SCRATCH1: "REPL"
    os.dupterm(machine.UART(0, 115200))
    raise RuntimeError("no meter is begun")
