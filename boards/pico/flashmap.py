"""The 2 MiB of flash of a Pico, in one place: the image build reads it too.

The firmware grows upwards to `STATE_OFFSET`, where the meter's state begins;
the link fails when it does not fit. The two slots of firmware updates are last.
"""

from micropython import const

FLASH_SIZE = const(0x200000)
FIRMWARE_SIZE = const(0xC0000)  # 768 KiB
STATE_OFFSET = const(0xC0000)
STATE_SIZE = const(0x100000)  # 1 MiB
SLOTS_OFFSET = const(0x1C0000)
SLOTS_SIZE = const(0x40000)  # 256 KiB
