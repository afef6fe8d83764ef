"""The 2 MiB of flash of a Pico, and what of its RAM is not the heap's, in one place: the image
build reads it too.

The firmware grows upwards to `STATE_OFFSET`, where the meter's state begins;
the link fails when it does not fit. The two slots of firmware updates are last.
"""

from micropython import const

FLASH_SIZE = const(0x200000)
FIRMWARE_SIZE = const(0xC0000)  # 768 KiB
STATE_OFFSET = const(0xC0000)
# What rp2.Flash reaches begins here.
STORAGE_OFFSET = const(0xC0000)
STATE_SIZE = const(0x100000)  # 1 MiB
SLOTS_OFFSET = const(0x1C0000)
SLOTS_SIZE = const(0x40000)  # 256 KiB
# The ring of the front end: above the heap, below the stack (docs/decisions/0013-ring-in-ram.md).
RING_ADDRESS = const(0x2003A000)
RING_SIZE = const(0x4000)  # 16 KiB
