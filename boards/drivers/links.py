"""Carries octets between the meter's link and the board's service port and network."""

from micropython import const

_PIECE = const(256)
_SERVICE = const(0)
_CHANNELS = const(5)


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
        if service_uart is not None:
            service_uart.init(9600, 8, None, 1)

    def poll(self, ticks_ms):
        """Some hundred times a second; never waits."""
        if self._uart is not None and self._uart.any():
            count = self._uart.readinto(self._piece)
            if count:
                self._link.feed(_SERVICE, self._piece[:count], ticks_ms)
        if self.network is not None:
            self._accept()
        for channel in range(1, _CHANNELS):
            if self._peers[channel] is not None:
                self._read(channel, ticks_ms)
        self._link.poll(ticks_ms)

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

    def _free(self):
        """A channel for a new connection, or None; one that is of no use gives way."""
        for channel in range(1, _CHANNELS):
            if self._peers[channel] is None:
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
            self._uart.write(data)
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
