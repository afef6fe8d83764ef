"""The 4 MiB of flash of a Pico 2, and what of its RAM is not the heap's, in one place: the image
build reads it too. Everything else of the board is that of the Pico.
"""

from micropython import const

FLASH_SIZE = const(0x400000)
FIRMWARE_SIZE = const(0x2C0000)  # 2816 KiB
STATE_OFFSET = const(0x2C0000)
# What rp2.Flash reaches begins here.
STORAGE_OFFSET = const(0x2C0000)
STATE_SIZE = const(0x100000)  # 1 MiB
SLOTS_OFFSET = const(0x3C0000)
SLOTS_SIZE = const(0x40000)  # 256 KiB
# The ring of the front end, above the heap and below the stack: its sectors are erased as a whole.
RING_ADDRESS = const(0x2006E000)
RING_SIZE = const(0x10000)  # 64 KiB
