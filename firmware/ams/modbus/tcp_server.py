"""Modbus over TCP (MODBUS Messaging on TCP/IP V1.0b): a few connections, none of which waits for
another.

Where all places are taken the newest comer gets that of who has said nothing, then of who has
been silent for longest (4.2.1 of the same). Who is silent for a minute goes.
"""

from micropython import const

from ams.modbus.slave import BROADCAST, PDU

PLACES = const(4)
IDLE_MS = const(60000)
_HEAD = const(7)  # of which the unit is counted by the length field
_FIRST = const(6)
_WHOLE = const(12)  # of a request that reads
_BODY_MOST = const(254)  # unit and PDU
_PIECE = const(64)
_WRAP = const(0x3FFFFFFF)
# "The meter itself" for clients that know of no units (4.4.2.1 of the same).
ANY_UNIT = const(255)
_NO_SUCH_UNIT = const(0x0B)


class Caller:
    """A connection, and as much of a request as has come of it."""

    def __init__(self, now_ms):
        self.head = bytearray(_WHOLE)
        # What is read next: no slice is made for a request that comes in one piece.
        whole = memoryview(self.head)
        self.views = [whole[k:_FIRST] for k in range(_FIRST)]
        self.rest = [whole[k:_WHOLE] for k in range(_FIRST, _WHOLE)]
        self.begin(None, now_ms)

    def begin(self, peer, now_ms):
        self.peer = peer
        self.heard_ms = now_ms
        self.spoke = False
        self.left = None  # of an answer that did not go whole
        self.next()

    def next(self):
        self.got = 0
        self.size = 0  # of the whole request, once its length is there


class TcpServer:
    """`units[0]` is the unit of who names none."""

    def __init__(self, slave, unit):
        self._slave = slave
        self._unit = unit
        self._callers = [Caller(0) for _ in range(PLACES)]
        self._rest = memoryview(bytearray(_PIECE))
        self._out = memoryview(slave.frame)

    def poll(self, network, now_ms, is_open=True):
        """One request of each connection at the most; whether there was any. `now_ms` are ticks."""
        while True:
            try:
                peer = network.accept()
            except OSError:
                # The network has no more of them: the idle end by themselves.
                peer = None
            if peer is None:
                break
            if is_open:
                self._place(now_ms).begin(peer, now_ms)
            else:
                peer.close()
        busy = False
        for caller in self._callers:
            if caller.peer is None:
                continue
            if not is_open or (now_ms - caller.heard_ms) & _WRAP > IDLE_MS:
                self._drop(caller)
            elif self._serve(caller, now_ms):
                busy = True
        return busy

    def _place(self, now_ms):
        """A place that is free, or is so now."""
        chosen = None
        for caller in self._callers:
            if caller.peer is None:
                return caller
            rank = (not caller.spoke, (now_ms - caller.heard_ms) & _WRAP)
            if chosen is None or rank > (not chosen.spoke, (now_ms - chosen.heard_ms) & _WRAP):
                chosen = caller
        self._drop(chosen)
        return chosen

    def _drop(self, caller):
        peer = caller.peer
        caller.peer = caller.left = None
        peer.close()

    def _serve(self, caller, now_ms):
        """Reads on; whether a request was answered."""
        if caller.left is not None:
            self._send(caller, caller.left, now_ms)
            if caller.left is not None:
                # Who does not take his answer is read no further.
                return False
        while caller.peer is not None:
            count = caller.peer.readinto(self._wanted(caller))
            if count is None:
                return False
            if not count:
                self._drop(caller)
                return False
            caller.got += count
            if caller.got == _FIRST:
                self._measure(caller)
            elif caller.got > _FIRST and caller.got == caller.size:
                self._answer(caller, now_ms)
                return True
        return False

    def _wanted(self, caller):
        """Where the next octets go: never more than belong to this request."""
        got = caller.got
        if got < _FIRST:
            return caller.views[got]
        if caller.size == _WHOLE:
            return caller.rest[got - _FIRST]
        if got < _WHOLE and caller.size < _WHOLE:
            return caller.rest[got - _FIRST][: caller.size - got]
        if got < _WHOLE:
            return caller.rest[got - _FIRST]
        # A longer one: none that reads is. What it says does not matter.
        return self._rest[: min(_PIECE, caller.size - got)]

    def _measure(self, caller):
        """The header is there. What is no Modbus has no end that could be found."""
        head = caller.head
        length = head[4] << 8 | head[5]
        if head[2] or head[3] or not 2 <= length <= _BODY_MOST:
            self._drop(caller)
        else:
            caller.size = _FIRST + length

    def _answer(self, caller, now_ms):
        head = caller.head
        unit = head[6]
        size = caller.size - _HEAD
        caller.next()
        caller.heard_ms = now_ms
        caller.spoke = True
        if unit == BROADCAST:
            return
        out = self._slave.frame
        asked = self._unit if unit == ANY_UNIT else unit
        if self._slave.has(asked):
            count = self._slave.serve(asked, head, _HEAD, size)
        else:
            out[PDU] = head[7] | 0x80
            out[PDU + 1] = _NO_SUCH_UNIT
            count = 2
        out[0] = head[0]
        out[1] = head[1]
        out[2] = out[3] = out[4] = 0
        out[5] = count + 1
        out[6] = unit
        self._send(caller, self._out[: _HEAD + count], now_ms)

    def _send(self, caller, data, now_ms):
        try:
            count = caller.peer.write(data)
        except OSError:
            self._drop(caller)
            return
        if count is None or count == len(data):
            caller.left = None
            caller.heard_ms = now_ms
        else:
            # A copy: the frame is that of the next answer.
            caller.left = memoryview(bytes(data[count:]))
