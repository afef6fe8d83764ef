"""Raw flash in a file. Knows nothing of `ams`: it is there before the code is chosen."""

_PAGE = 256
_SECTOR = 4096
_ERASED_PAGE = b"\xff" * _PAGE


class FileFlash:
    """NOR flash (see ams.hal.Flash) in a file, which the bench made and filled with ones."""

    sector_size = _SECTOR
    page_size = _PAGE

    def __init__(self, path, size):
        # Unbuffered: what is written survives a kill of the process, at once.
        self._file = open(path, "r+b", 0)
        self._length = self._file.seek(0, 2)
        self.size = size or self._length
        # For the meter to say at its start.
        self.note = None
        if self._length != self.size:
            self.note = "state image has %d octets, not %d" % (self._length, self.size)

    def read(self, address, buffer):
        """What a file that was cut short does not hold reads as erased."""
        self._file.seek(address)
        got = self._file.readinto(buffer)
        for k in range(got, len(buffer)):
            buffer[k] = 0xFF

    def _reach_end(self):
        """A file that was cut short gets its length with the first that is written."""
        while self._length < self.size:
            self._file.seek(self._length)
            self._length += self._file.write(_ERASED_PAGE[: self.size - self._length])

    def program(self, address, data):
        """Clears bits; a bit that is 0 stays 0."""
        old = bytearray(len(data))
        self.read(address, old)
        # As two long numbers: by the octet it is what a year of intervals spends its time on.
        both = int.from_bytes(old, "big") & int.from_bytes(bytes(data), "big")
        old = both.to_bytes(len(data), "big")
        self._reach_end()
        self._file.seek(address)
        self._file.write(old)

    def erase(self, address):
        self._reach_end()
        self._file.seek(address)
        # By page: a whole sector is a large piece of a small heap.
        for _ in range(_SECTOR // _PAGE):
            self._file.write(_ERASED_PAGE)
