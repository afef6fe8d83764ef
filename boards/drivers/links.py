"""Carries octets between the meter's link and the board's service port and network.

Whoever is at the other end makes nothing grow. At the service port nothing is read while
the last turn is on its way. Of a TCP connection nothing more is read while an answer is.
Connections that have not said their first message whole are guests: they have no channel of the
meter's yet, and where there is no place left the oldest of them goes (see docs/security.md).
"""

from micropython import const

_PIECE = const(256)
_SERVICE = const(0)
_CHANNELS = const(5)
# So long after an octet the next one is looked for often.
_BUSY_MS = const(300)
_PIECES = const(4)
_WRAP = const(0x3FFFFFFF)  # of time.ticks_ms
# More than one turn at the service port.
_UNSENT_MOST = const(2048)
# A piece of work for the next answer takes so long: none is begun when the line will be free
# before it is done, or is just free (by the begin of the pass in which the turn was made, some
# milliseconds before it went). But a line that sends for no longer leaves no other time.
_PIECE_MS = const(10)
_JUST_MS = const(16)
_SHORT_MS = const(25)
# TCP connections, until the network has no more.
_PLACES = const(64)
# A guest is taken every so many milliseconds, and so many at once after a pause.
_ACCEPT_MS = const(5)
_ACCEPT_MOST = const(16)
# First messages that are served at a time.
_OPENINGS = const(4)
# Addresses that are remembered.
_KNOWN_MOST = const(4)


class Guest:
    """A TCP connection without a channel."""

    def __init__(self, peer, ticks_ms):
        self.peer = peer
        self.said = b""
        self.since = ticks_ms


class Links:
    """`link` is ams.link.MeterLink. A board's `link_write` and `link_close` come here.

    `network` may be set later, when the network is there.
    """

    def __init__(self, link, service_uart=None, network=None):
        self._link = link
        link.one_at_a_time = True
        self._uart = service_uart
        self.network = network
        self._peers = [None] * _CHANNELS
        self._left = [b""] * _CHANNELS  # of what a peer said: not taken yet
        self._guests = []  # the oldest first
        self._known = []  # addresses from which keys were shown, the newest last
        self._places = _PLACES
        self._may_accept = _ACCEPT_MOST
        self._accept_ticks = 0
        self._piece = memoryview(bytearray(_PIECE))
        self._dialled = None  # (channel, Dialled): a connection of our own on its way
        self._room = 0  # octets that the UART still takes
        self._unsent = b""
        self._line = None  # that the UART gets when all is sent
        self._sending = False  # something at the service port is on its way
        self._baud = 0
        self._turn = 0  # octets that went to it since it was free, at `_turn_ticks`
        self._turn_ticks = 0
        self._ticks = 0
        self._heard = None  # ticks of the last octet of a client
        if service_uart is not None:
            link.has_line(self._set_line, service_uart.room, self._is_sending)
            service_uart.init(*self._line)
            self._line = None
            self._sending = False

    def busy(self, ticks_ms):
        """Whether a client spoke just now."""
        return self._heard is not None and (ticks_ms - self._heard) & _WRAP < _BUSY_MS

    def poll(self, ticks_ms):
        """Some hundred times a second; never waits. Whether the line was given time to send, in
        which there is more to do at once."""
        self._ticks = ticks_ms
        if self._uart is not None:
            self._serve_uart(ticks_ms)
        if self.network is not None:
            if self._dialled is not None:
                self._look_out()
            self._accept(ticks_ms)
            if self._guests:
                self._hear_guests(ticks_ms)
        for channel in range(1, _CHANNELS):
            if self._peers[channel] is not None:
                self._read(channel, ticks_ms)
        return self._link.poll(ticks_ms, self._may_work(ticks_ms))

    # --- the service port ---------------------------------------------------------

    def _serve_uart(self, ticks_ms):
        uart = self._uart
        for _ in range(_PIECES):
            if self._is_sending():
                return
            count = uart.readinto(self._piece)
            if not count:
                held = uart.held()
                if held is not None:
                    self._link.line_stands(held, ticks_ms)
                return
            self._heard = ticks_ms
            self._link.feed(_SERVICE, self._piece[:count], ticks_ms)

    def _is_sending(self):
        """Whether the last turn, or another rate behind it, is still on its way."""
        if not self._sending:
            return False
        uart = self._uart
        if not uart.idle():
            return True
        if self._unsent:
            rest, self._unsent = self._unsent, b""
            self._write(memoryview(rest))
            return True
        if self._line is not None:
            uart.init(*self._line)
            self._line = None
        self._sending = False
        return False

    def _may_work(self, ticks_ms):
        """Whether the line leaves the time for a piece of work."""
        if not self._baud:
            return True
        takes_ms = self._turn * 10000 // self._baud
        left_ms = takes_ms - ((ticks_ms - self._turn_ticks) & _WRAP)
        return takes_ms < _SHORT_MS or not -_JUST_MS < left_ms < _PIECE_MS

    def _set_line(self, *line):
        self._line = line
        self._baud = line[0]
        self._sending = True

    def _write(self, data):
        """What the UART does not take at once goes when it has sent what it took."""
        uart = self._uart
        if uart is None:
            return
        self._sending = True
        if self._unsent:
            if len(self._unsent) + len(data) <= _UNSENT_MOST:
                self._unsent += data
            return
        if uart.idle():
            self._room = uart.room
            self._turn = 0
            self._turn_ticks = self._ticks
        self._turn += len(data)
        count = min(len(data), self._room)
        if count:
            uart.write(data[:count])
            self._room -= count
        if count < len(data):
            self._unsent = bytes(data[count:])

    # --- TCP: those who come --------------------------------------------------------

    def _accept(self, ticks_ms):
        """Takes guests at a measured pace, so that no number of them displaces one at once."""
        gained = ((ticks_ms - self._accept_ticks) & _WRAP) // _ACCEPT_MS
        if gained:
            self._may_accept = min(self._may_accept + gained, _ACCEPT_MOST)
            self._accept_ticks = (self._accept_ticks + gained * _ACCEPT_MS) & _WRAP
        while self._may_accept:
            try:
                peer = self.network.accept()
            except OSError:
                # The network had no more of them: from now on one is kept free for who comes,
                # and one for a connection of our own.
                self._places = max(self._taken() - 2, _CHANNELS - 1)
                self._make_room()
                return
            if peer is None:
                return
            self._may_accept -= 1
            if self._free(False) is not None and self._make_room():
                self._guests.append(Guest(peer, ticks_ms))
            else:
                peer.close()

    def _taken(self):
        taken = len(self._guests)
        for peer in self._peers:
            if peer is not None:
                taken += 1
        return taken

    def _make_room(self):
        """Whether there is a place: who spoke without keys gives his, then the oldest guest; of
        these first one from where nobody has shown keys.
        """
        while self._taken() >= self._places:
            channel = self._link.dispensable(False)
            if channel is not None:
                self._drop(channel)
            elif self._guests:
                self._guests.pop(self._oldest_stranger()).peer.close()
            else:
                return False
        return True

    def _oldest_stranger(self):
        for k, guest in enumerate(self._guests):
            if _address(guest.peer) not in self._known:
                return k
        return 0

    def _remember(self, peer):
        address = _address(peer)
        if address in self._known:
            self._known.remove(address)
        elif len(self._known) == _KNOWN_MOST:
            self._known.pop(0)
        self._known.append(address)

    def _hear_guests(self, ticks_ms):
        """The oldest first. Who has said a message gets a channel, or goes."""
        k = 0
        left = _OPENINGS
        while k < len(self._guests) and left:
            guest = self._guests[k]
            if self._hears(guest, ticks_ms):
                k += 1
                continue
            left -= 1
            del self._guests[k]
            # Who is no guest any more displaces none.
            self._may_accept = min(self._may_accept + 1, _ACCEPT_MOST)

    def _hears(self, guest, ticks_ms):
        """Whether it has still to say something."""
        peer = guest.peer
        count = peer.readinto(self._piece)
        if count:
            if not guest.said:
                guest.since = ticks_ms
            guest.said += bytes(self._piece[:count])
        greeted = False
        if count != 0:
            greeted = self._link.greeted(guest.said, (ticks_ms - guest.since) & _WRAP)
        if greeted is None:
            return True
        channel = self._free(True) if greeted else None
        if channel is None:
            peer.close()
            return False
        self._peers[channel] = peer
        self._link.opened(channel)
        self._heard = ticks_ms
        self._feed(channel, guest.said, ticks_ms)
        if self._link.has_shown_keys(channel):
            self._remember(peer)
        return False

    def _free(self, at_once):
        """A channel for a new connection, or None; at once: one that is of no use is cleared."""
        dialled = self._dialled[0] if self._dialled is not None else 0
        for channel in range(1, _CHANNELS):
            if self._peers[channel] is None and channel != dialled:
                return channel
        channel = self._link.dispensable()
        if channel is not None and at_once:
            self._drop(channel)
        return channel

    # --- TCP: those we go to --------------------------------------------------------

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

    # --- TCP: channels --------------------------------------------------------------

    def _read(self, channel, ticks_ms):
        left = self._left[channel]
        if left:
            self._feed(channel, left, ticks_ms)
            return
        count = self._peers[channel].readinto(self._piece)
        if count is None:
            return
        if count:
            self._heard = ticks_ms
            self._feed(channel, self._piece[:count], ticks_ms)
        else:
            self._drop(channel)

    def _feed(self, channel, data, ticks_ms):
        """What is not taken while an answer is on its way is kept: then nothing more is read."""
        taken = self._link.feed(channel, data, ticks_ms)
        whole = taken is None or taken >= len(data) or self._peers[channel] is None
        self._left[channel] = b"" if whole else bytes(data[taken:])

    def _drop(self, channel):
        peer = self._peers[channel]
        if peer is not None:
            self._peers[channel] = None
            self._left[channel] = b""
            peer.close()
            self._link.closed(channel)

    # --- what the link wants ----------------------------------------------------

    def write(self, channel, data):
        """Gives how many octets went; None: all."""
        if channel == _SERVICE:
            self._write(data)
            return None
        peer = self._peers[channel]
        if peer is None:
            return None
        try:
            return peer.write(data)
        except OSError:
            self._drop(channel)
            return None

    def close(self, channel):
        """The meter ends a connection; it knows by itself that it is closed."""
        peer = self._peers[channel]
        if channel != _SERVICE and peer is not None:
            self._peers[channel] = None
            self._left[channel] = b""
            peer.close()


def _address(peer):
    """Where a connection comes from, as far as that is known."""
    return getattr(peer, "address", None)
