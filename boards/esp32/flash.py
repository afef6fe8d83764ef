"""The meter's state and the slots of its firmware, each in a partition of its own.

Knows nothing of `ams`: it is there before the code is chosen.
"""

from esp32 import Partition

STATE_LABEL = "ams_state"
SLOTS_LABEL = "ams_slots"


class PartitionFlash:
    """Has the interface of ams.hal.Flash. Raises OSError when there is no such partition."""

    sector_size = 4096
    page_size = 256

    def __init__(self, label):
        found = Partition.find(Partition.TYPE_DATA, label=label)
        if not found:
            raise OSError("no partition %s: write boards/esp32/partitions.csv" % label)
        self._partition = found[0]
        self.size = self._partition.ioctl(4, 0) * self._partition.ioctl(5, 0)

    def read(self, address, buffer):
        self._partition.readblocks(address // self.sector_size, buffer, address % self.sector_size)

    def program(self, address, data):
        # With an offset nothing is erased before it is written.
        self._partition.writeblocks(address // self.sector_size, data, address % self.sector_size)

    def erase(self, address):
        self._partition.ioctl(6, address // self.sector_size)

    # ESP-IDF erases a sector as a whole: one with each pass of the main loop, ahead of need.

    def begin_erase(self, address):
        self.erase(address)
        return 0

    def erase_on(self):
        return 0
