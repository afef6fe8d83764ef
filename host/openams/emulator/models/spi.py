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


class Random:
    """The same numbers on every VM."""

    def __init__(self, seed):
        self._state = (seed * 2654435761 + 88172645) & 0xFFFFFFFF or 1

    def below(self, count):
        x = self._state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._state = x
        return x % count


class DisturbedSpiDevice(SpiDevice):
    """A device whose bus can be spoilt, by a seed."""

    def __init__(self):
        self.spoilt = 0  # octets with a wrong bit
        self.stuck = None  # a level at which the line to the controller hangs
        self._bus = None
        self._one_in = (0, 0)

    def disturb(self, seed, one_in, heard_one_in=0):
        """From now on one octet in so many goes out with a wrong bit, and one in so many that
        come in is misheard; 0: none."""
        self._bus = Random(seed)
        self._one_in = (one_in, heard_one_in)

    def calm(self):
        """The bus is as it should be."""
        self._bus = None
        self._one_in = (0, 0)

    def _spoil(self, octet, one_in):
        if one_in and self._bus.below(one_in) == 0:
            self.spoilt += 1
            octet ^= 1 << self._bus.below(8)
        return octet

    def _sent(self, octet):
        if self.stuck is not None:
            return 0xFF if self.stuck else 0
        return self._spoil(octet, self._one_in[0])

    def _heard(self, octet):
        return self._spoil(octet, self._one_in[1])


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
