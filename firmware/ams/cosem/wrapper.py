"""TCP link: the wrapper of IEC 62056-47.

    version 0001 | source port | destination port | length | APDU

Every field two octets. A client that stalls costs one channel's buffers and no more: a
message must come whole, and an answer be taken, within `message_ms`; a connection that is
silent for `inactivity_ms` is closed. Who gives way to whom is `ams.link`'s to say.

The upper layer is the one of the HDLC link (hdlc.py). `write(view)` gives how many octets it
took (None: all), `close()` ends the connection; both come with the connection. The time is
any count of milliseconds that does not jump when the meter's clock is set.
"""

from micropython import const

from ams.crypto import octets

APDU_SIZE = const(1024)
MESSAGE_MS = const(10000)
_HEAD = const(8)
_VERSION = const(1)
# No opening of a client of ours is longer; of one that is, the rest is read where it is served.
_OPENING_MOST = const(512)
# So long a client has said nothing before it is told something unasked.
_QUIET_MS = const(2000)


def opening(said):
    """How many octets a connection is to have said until it is served: its first message that
    has an APDU, whole. None: what it said is no message.
    """
    at = 0
    while True:
        size = len(said) - at
        if size and said[at] or size > 1 and said[at + 1] != _VERSION:
            return None
        if size < _HEAD:
            return min(at + _HEAD, _OPENING_MOST)
        count = said[at + 6] << 8 | said[at + 7]
        at += _HEAD
        if count:
            return None if count > APDU_SIZE else min(at + count, _OPENING_MOST)


class WrapperLink:
    """One channel: free, or one TCP connection with one association at a time."""

    def __init__(self, server, channel=0, log=None, apdu_size=APDU_SIZE, answer_size=APDU_SIZE):
        self._server = server
        self._channel = channel
        self._log = log
        self.inactivity_ms = 120000  # TCP-UDP setup (class 41), attribute 6
        self.message_ms = MESSAGE_MS
        self._write = self._close = None
        self.client_sap = 0
        self.server_sap = 0
        self._in = bytearray(_HEAD + apdu_size)
        self._in_view = memoryview(self._in)
        self._fill = 0
        self._out = bytearray(_HEAD + answer_size)
        self._out_view = memoryview(self._out)
        self._out_at = self._out_end = 0
        self._associated = False  # the upper layer knows of it
        self._own = False  # the meter made the connection
        self.heard = False  # a whole message has come
        self.one_at_a_time = False  # of several messages that come together
        self.opened_ms = 0
        self._octet_ms = 0
        self._message_ms = 0  # when the message, or the answer, in hand began

    @property
    def free(self):
        return self._close is None

    def open(self, write, close, now_ms):
        """A connection was accepted for this channel."""
        self._write = write
        self._close = close
        self._fill = self._out_at = self._out_end = 0
        self.heard = self._own = False
        self.opened_ms = self._octet_ms = self._message_ms = now_ms

    def expect(self, client_sap, server_sap):
        """The connection is one of our own: messages go to this client before it says anything."""
        if self._server.connected(self._channel, client_sap, server_sap):
            self._associated = self._own = True
            self.client_sap = client_sap
            self.server_sap = server_sap

    def closed(self):
        """The connection is gone: by the client, or by us."""
        self._write = self._close = None
        if self._associated:
            self._associated = False
            self._server.disconnected(self._channel)

    def drop(self, text):
        """Closes the connection, and says why."""
        if self._log:
            self._log("TCP: " + text)
        close = self._close
        self.closed()
        close()

    def feed(self, data, now_ms, start=0, end=None):
        """Takes octets as they come; gives how many.

        It takes none while an answer is on its way, and one message at a time where that is
        wanted: the rest stays with the sender.
        """
        end = len(data) if end is None else end
        at = start
        while at < end and self._out_at == self._out_end and self._close:
            if not self._fill:
                self._message_ms = now_ms
            count = min(self._wanted() - self._fill, end - at)
            octets.copy(self._in, self._fill, data, at, count)
            self._fill += count
            at += count
            self._octet_ms = now_ms
            if self._fill >= _HEAD and not self._head():
                break
            if self._fill == self._wanted():
                self._message(now_ms)
                if self.one_at_a_time:
                    break
        return at - start

    def tick(self, now_ms):
        """Time-outs, what is left of an answer, and messages of the meter's own."""
        if not self._close:
            return
        waiting = self._fill or self._out_at < self._out_end
        if waiting and now_ms - self._message_ms > self.message_ms:
            self.drop("a message or its answer took more than %d s" % (self.message_ms // 1000))
        elif now_ms - self._octet_ms > self.inactivity_ms:
            self.drop("no message for %d s" % (self.inactivity_ms // 1000))
        elif self._out_at < self._out_end:
            self._drain()
        elif self._may_tell(now_ms):
            message = self._server.outgoing(self._channel)
            if message is not None:
                self._send(message, now_ms)

    def _may_tell(self, now_ms):
        """Whether a message of the meter's own may go: where the meter connected by itself, until
        it is asked something; elsewhere to a client that is associated, and between its requests.
        """
        if not self._associated or self._fill:
            return False
        if self._own and not self.heard:
            return True
        return now_ms - self._octet_ms >= _QUIET_MS and self._server.is_open(self._channel)

    def _u16(self, at):
        return self._in[at] << 8 | self._in[at + 1]

    def _wanted(self):
        return _HEAD if self._fill < _HEAD else _HEAD + self._u16(6)

    def _head(self):
        """Whether the header is one that we go on with."""
        if self._u16(0) != _VERSION:
            self.drop("not the wrapper's version 1")
        elif self._u16(6) > len(self._in) - _HEAD:
            self.drop(
                "APDU of %d octets, of %d at the most" % (self._u16(6), len(self._in) - _HEAD)
            )
        else:
            return True
        return False

    def _message(self, now_ms):
        size = self._fill
        self._fill = 0
        self.heard = True
        client, server = self._u16(2), self._u16(4)
        if self._associated and (client != self.client_sap or server != self.server_sap):
            self._associated = False
            self._server.disconnected(self._channel)
        if not self._associated:
            if not self._server.connected(self._channel, client, server):
                self.drop("port %d is not for client %d" % (server, client))
                return
            self._associated = True
            self.client_sap = client
            self.server_sap = server
        if size == _HEAD:
            return
        answer = self._server.request(
            self._channel, client, server, self._in_view[_HEAD:size], now_ms
        )
        if answer is not None and len(answer) and self._close:
            self._send(answer, now_ms)

    def _send(self, message, now_ms):
        size = len(message)
        if size > len(self._out) - _HEAD:
            self.drop("an answer of %d octets" % size)
            return
        self._put(0, _VERSION)
        self._put(2, self.server_sap)
        self._put(4, self.client_sap)
        self._put(6, size)
        octets.copy(self._out, _HEAD, message, 0, size)
        self._out_at = 0
        self._out_end = _HEAD + size
        self._message_ms = now_ms
        self._drain()

    def _put(self, at, value):
        self._out[at] = value >> 8
        self._out[at + 1] = value & 0xFF

    def _drain(self):
        taken = self._write(self._out_view[self._out_at : self._out_end])
        self._out_at = self._out_end if taken is None else self._out_at + taken
