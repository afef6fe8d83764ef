"""What a board must provide. Interfaces only: no room imports hardware.

A board object has these attributes (see boards/):

`clock`      `utc_ms()` now, in ms since 2000-01-01T00:00:00Z.
`frontend`   the sampler; see `FrontEnd`.
`han_uart`   where the HAN port writes; see `Uart`.
`flash`      the block device of the meter's state; see `Flash`.
`log(text)`  a line for the person at the console; never secrets.
"""


class Uart:
    """A serial transmitter. The HAN port only ever sends."""

    def init(self, baudrate, bits, parity, stop):
        """Sets the line: parity None, 0 (even) or 1 (odd), as machine.UART."""
        raise NotImplementedError

    def write(self, data):
        """Queues a frame (bytes-like) for sending; returns without waiting."""
        raise NotImplementedError


class FrontEnd:
    """A sampler of interleaved signed samples, 24 bit at the most.

    `sample_rate_hz`, `channels`, `full_scale` (largest code) describe it.
    """

    sample_rate_hz = 4000
    channels = 0
    full_scale = 0x7FFFFF


class Flash:
    """Raw NOR flash: erase to ones by sector, program clears bits by page."""

    size = 0
    sector_size = 4096
    page_size = 256

    def read(self, address, buffer):
        raise NotImplementedError

    def program(self, address, data):
        raise NotImplementedError

    def erase(self, address):
        raise NotImplementedError
