"""MicroPython's `esp32` for a board of the bench: partitions of raw flash."""

from wiring import board

_BLOCK = 4096


class Partition:
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, label):
        self._label = label
        self._data = board.partitions[label]

    @staticmethod
    def find(type=0, subtype=255, label=None, block_size=4096):
        return [Partition(name) for name in board.partitions if label in (None, name)]

    def info(self):
        return (1, 0x40, 0x200000, len(self._data), self._label, False)

    def readblocks(self, block, buffer, offset=0):
        at = block * _BLOCK + offset
        buffer[:] = self._data[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=None):
        """Without an offset the blocks are erased first; with one, bits are only cleared."""
        if offset is None:
            for k in range(len(buffer) // _BLOCK):
                self.ioctl(6, block + k)
            offset = 0
        at = block * _BLOCK + offset
        for k in range(len(buffer)):
            self._data[at + k] &= buffer[k]

    def ioctl(self, operation, argument):
        if operation == 4:
            return len(self._data) // _BLOCK
        if operation == 5:
            return _BLOCK
        if operation == 6:
            at = argument * _BLOCK
            self._data[at : at + _BLOCK] = b"\xff" * _BLOCK
            return 0
        return None
