"""The 2 MiB of flash of a Pico whose firmware is updated as a whole, in one place: the image build
reads it too. See docs/decisions/0014-two-halves.md.

The starter is never written again. A half holds one whole firmware: a sector that maps what has
come of it, one for head and manifest of its image, and the code, linked for this place.
"""

from micropython import const

FLASH_SIZE = const(0x200000)
# What rp2.Flash reaches begins here: all but the starter.
STORAGE_OFFSET = const(0x2000)
RECORDS_OFFSET = const(0x2000)
RECORDS_SIZE = const(0x2000)  # two sectors
SLOTS_OFFSET = const(0x4000)
SLOTS_SIZE = const(0x168000)
HALF_SIZE = const(0xB4000)  # 720 KiB
CODE_OFFSET = const(0x2000)  # of the code in its half
FIRMWARE_SIZE = const(0xB2000)  # 712 KiB
STATE_OFFSET = const(0x16C000)
STATE_SIZE = const(0x94000)  # 592 KiB
# The ring of the front end: above the heap, below the stack (docs/decisions/0013-ring-in-ram.md).
RING_ADDRESS = const(0x2003A000)
RING_SIZE = const(0x4000)  # 16 KiB
