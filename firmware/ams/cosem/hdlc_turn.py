"""What the secondary station of HDLC says in its turn: answers, refusals, messages of its own.

One turn is what it says between a poll of the client (P) and its own final bit (F).
"""

from micropython import const

from ams.cosem.hdlc_echo import Echoes
from ams.cosem.hdlc_frame import FrameReader, FrameWriter
from ams.cosem.hdlc_parameters import Parameters

# Control fields, without poll/final.
_POLL = const(0x10)
_UA = const(0x63)
_UI = const(0x03)
_RR = const(0x01)
_FRMR = const(0x87)

_LLC_RESPONSE = b"\xe6\xe7\x00"
_LLC_SIZE = const(3)

_DISCONNECTED = const(0)
_REJECTING = const(2)


class Turn:
    """The sending half of HdlcLink (hdlc.py)."""

    def __init__(self, server, write, channel, log, max_info):
        self._server = server
        self._write = write
        self._channel = channel
        self._log = log
        self.parameters = Parameters(max_info)
        self.state = _DISCONNECTED
        self._reader = FrameReader(max_info, self._frame)
        self._writer = FrameWriter(max_info)
        self._echoes = Echoes()
        self._reject = bytearray(3)

    def _reset_turn(self):
        """A connection as it begins."""
        self._receive = 0  # V(R): number of the frame that is expected
        self._acked = 0  # V(A): number of the oldest frame the client may still want
        self._sent = 0  # frames sent from V(A) on, once at least
        self._answer = None
        self._answer_at = 0  # octets of it, LLC counted, that are acknowledged
        self._peer_busy = False
        self.parameters.reset()

    def _say(self, text):
        if self._log:
            self._log(text)

    def _is_said(self):
        """Whether every frame of the answer went out once."""
        if self._answer is None:
            return True
        at = self._answer_at + self._sent * self.parameters.info_tx
        return at >= len(self._answer) + _LLC_SIZE

    def _accept(self, final):
        """UA, with what was agreed on."""
        self.parameters.pack()
        self._writer.begin(self._reader, _UA | final)
        self._writer.add(self.parameters.packed, 0, len(self.parameters.packed))
        self._put()

    def _put(self, segmented=False):
        frame = self._writer.end(segmented)
        self._echoes.said(frame)
        self._write(frame)

    def _respond(self):
        """The turn is ours: the window's frames of the answer, or RR."""
        if self._answer is None or self._peer_busy:
            self._unnumbered(_RR | _POLL | self._receive << 5)
            return
        total = len(self._answer) + _LLC_SIZE
        at = self._answer_at
        count = 0
        for left in range(self.parameters.window_tx - 1, -1, -1):
            end = min(at + self.parameters.info_tx, total)
            final = left == 0 or end == total
            control = self._receive << 5 | (_POLL if final else 0)
            control |= ((self._acked + count) & 7) << 1
            self._writer.begin(self._reader, control)
            self._add(self._answer, at, end)
            self._put(end < total)
            count += 1
            at = end
            if final:
                break
        self._sent = count

    def _add(self, message, at, end):
        """Octets at to end of the LLC header and the message behind it."""
        if at < _LLC_SIZE:
            stop = min(end, _LLC_SIZE)
            self._writer.add(_LLC_RESPONSE, at, stop - at)
            at = stop
        self._writer.add(message, at - _LLC_SIZE, end - at)

    def _unnumbered(self, control):
        """A frame without information."""
        self._writer.begin(self._reader, control)
        self._put()

    def _refuse(self, why, text):
        """The client did what cannot be mended by repeating: FRMR until it starts over."""
        self._say(text)
        self.state = _REJECTING
        self._apdu_fill = 0
        self._answer = None
        self._reject[0] = self._reader.control
        self._reject[1] = self._receive << 5 | ((self._acked + self._sent) & 7) << 1
        self._reject[2] = why
        if self._reader.control & _POLL:
            self._send_reject()

    def _send_reject(self):
        self._writer.begin(self._reader, _FRMR | _POLL)
        self._writer.add(self._reject, 0, 3)
        self._put()

    def _message(self, addresses, final):
        """Says a message of the meter's own, if there is one, in UI frames: to who lets it, or to
        the given addresses. `final`: the turn ends with it.
        """
        if addresses:
            message = self._server.outgoing(self._channel, True)
        else:
            message = self._server.outgoing(self._channel)
        if message is None:
            return
        info = self.parameters.info_tx
        if not self.state:
            info = min(self.parameters.max_info_tx, self.parameters.room)
        at = 0
        total = len(message) + _LLC_SIZE
        while at < total:
            end = min(at + info, total)
            control = _UI | (final if end == total or addresses else 0)
            if addresses:
                self._writer.begin_to(addresses, control)
            else:
                self._writer.begin(self._reader, control)
            self._add(message, at, end)
            self._put(end < total)
            at = end
