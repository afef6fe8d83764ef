"""Carries octets between the meter's link and the board's service port and network."""

from micropython import const

_PIECE = const(256)
_SERVICE = const(0)
_CHANNELS = const(5)
# So long after an octet the next one is looked for often.
_BUSY_MS = const(300)
_PIECES = const(4)
_WRAP = const(0x3FFFFFFF)  # of time.ticks_ms


class Links:
    """`link` is ams.link.MeterLink. A board's `link_write` and `link_close` come here.

    `network` may be set later, when the network is there.
    """

    def __init__(self, link, service_uart=None, network=None):
        self._link = link
        self._uart = service_uart
        self.network = network
        self._peers = [None] * _CHANNELS
        self._piece = memoryview(bytearray(_PIECE))
        self._dialled = None  # (channel, Dialled): a connection of our own on its way
        self._room = 0  # octets that the UART still takes
        self._unsent = b""
        self._line = None  # that the UART gets when all is sent
        self._heard = None  # ticks of the last octet at the service port
        if service_uart is not None:
            link.has_line(self._set_line, service_uart.room)
            service_uart.init(*self._line)
            self._line = None

    def busy(self, ticks_ms):
        """Whether a client of the service port spoke just now."""
        return self._heard is not None and (ticks_ms - self._heard) & _WRAP < _BUSY_MS

    def poll(self, ticks_ms):
        """Some hundred times a second; never waits."""
        if self._uart is not None:
            self._serve_uart(ticks_ms)
        if self.network is not None:
            if self._dialled is not None:
                self._look_out()
            self._accept()
        for channel in range(1, _CHANNELS):
            if self._peers[channel] is not None:
                self._read(channel, ticks_ms)
        self._link.poll(ticks_ms)

    def _serve_uart(self, ticks_ms):
        uart = self._uart
        if (self._unsent or self._line) and uart.idle():
            if self._unsent:
                rest, self._unsent = self._unsent, b""
                self._write(memoryview(rest))
            else:
                uart.init(*self._line)
                self._line = None
        for _ in range(_PIECES):
            count = uart.readinto(self._piece)
            if not count:
                return
            self._heard = ticks_ms
            self._link.feed(_SERVICE, self._piece[:count], ticks_ms)

    def _set_line(self, *line):
        self._line = line

    def _write(self, data):
        """What the UART does not take at once goes when it has sent what it took."""
        uart = self._uart
        if uart is None:
            return
        if self._unsent:
            self._unsent += data
            return
        if uart.idle():
            self._room = uart.room
        count = min(len(data), self._room)
        if count:
            uart.write(data[:count])
            self._room -= count
        if count < len(data):
            self._unsent = bytes(data[count:])

    def _accept(self):
        peer = self.network.accept()
        if peer is None:
            return
        channel = self._free()
        if channel is None:
            peer.close()
            return
        self._peers[channel] = peer
        self._link.opened(channel)

    def connect(self, channel, destination):
        """Begins to connect to "address:port"; gives whether that can be. One at a time."""
        if self.network is None or self._dialled is not None or self._peers[channel] is not None:
            return False
        try:
            self._dialled = (channel, self.network.dial(bytes(destination).decode()))
        except (OSError, ValueError):
            return False
        return True

    def _look_out(self):
        channel, dialled = self._dialled
        try:
            peer = dialled.peer()
        except OSError:
            self._dialled = None
            self._link.closed(channel)
            return
        if peer is not None:
            self._dialled = None
            self._peers[channel] = peer
            self._link.connected(channel)

    def _free(self):
        """A channel for a new connection, or None; one that is of no use gives way."""
        dialled = self._dialled[0] if self._dialled is not None else 0
        for channel in range(1, _CHANNELS):
            if self._peers[channel] is None and channel != dialled:
                return channel
        channel = self._link.dispensable()
        if channel is not None:
            self._drop(channel)
        return channel

    def _read(self, channel, ticks_ms):
        count = self._peers[channel].readinto(self._piece)
        if count is None:
            return
        if count:
            self._link.feed(channel, self._piece[:count], ticks_ms)
        else:
            self._drop(channel)

    def _drop(self, channel):
        peer = self._peers[channel]
        if peer is not None:
            self._peers[channel] = None
            peer.close()
            self._link.closed(channel)

    # --- what the link wants ----------------------------------------------------

    def write(self, channel, data):
        if channel == _SERVICE:
            self._write(data)
            return
        peer = self._peers[channel]
        if peer is None:
            return
        try:
            peer.write(data)
        except OSError:
            self._drop(channel)

    def close(self, channel):
        """The meter ends a connection; it knows by itself that it is closed."""
        peer = self._peers[channel]
        if channel != _SERVICE and peer is not None:
            self._peers[channel] = None
            peer.close()
