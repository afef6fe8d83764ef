"""An I2C bus that a reset has caught in the middle of an answer (UM10204, 3.1.16).

The chip that was answering still holds SDA low, for as long as nobody clocks the rest of the
octet out of it: no start can be sent, and a clock chip that runs seems to have lost its time.
"""

from machine import Pin
from micropython import const

_CLOCKS = const(9)


def free(scl, sda):
    """Clocks until SDA is free, at power-up, before the bus is made. `scl`, `sda`: numbers."""
    line = Pin(sda, Pin.IN, Pin.PULL_UP)
    clock = Pin(scl, Pin.OPEN_DRAIN, value=1)
    for _ in range(_CLOCKS):
        if line.value():
            return
        # Calls take longer than the 5 us that half a period has at 100 kHz.
        clock.value(0)
        clock.value(1)
