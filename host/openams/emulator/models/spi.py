"""What every SPI device model has in common; the bus itself is somebody else's."""


class SpiDevice:
    """A device that takes and gives whole octets while it is selected.

    What it gives depends on earlier octets only, so `peek` can be asked before
    the octet that comes in at the same time is known.
    """

    spi_mode = 0

    def select(self, active):
        """Chip select was asserted (True) or released."""
        raise NotImplementedError

    def peek(self):
        """The octet that goes out while the next one comes in."""
        raise NotImplementedError

    def put(self, octet):
        """The octet has come in."""
        raise NotImplementedError

    def transfer(self, octet):
        out = self.peek()
        self.put(octet)
        return out


class SpiPins:
    """A device by the levels of its pins: for a bus that is made of edges (PIO)."""

    def __init__(self, device):
        self._device = device
        self._cpol = device.spi_mode >> 1
        self._cpha = device.spi_mode & 1
        self._cs = 1
        self._clock = self._cpol
        self._mosi = 0
        self.miso = 0
        self._bits = 0
        self._in = 0
        self._out = 0

    def cs(self, level):
        if level == self._cs:
            return
        self._cs = level
        self._bits = 0
        self._device.select(not level)
        if not level:
            self._out = self._device.peek()
            if not self._cpha:
                self.miso = self._out >> 7

    def mosi(self, level):
        self._mosi = level

    def clock(self, level):
        if level == self._clock:
            return
        self._clock = level
        if self._cs:
            return
        leading = level != self._cpol
        if leading == bool(self._cpha):
            self._shift()
        else:
            self._sample()

    def _shift(self):
        self.miso = (self._out >> (7 - self._bits)) & 1

    def _sample(self):
        self._in = (self._in << 1 | self._mosi) & 0xFF
        self._bits += 1
        if self._bits == 8:
            self._bits = 0
            self._device.put(self._in)
            self._out = self._device.peek()
