"""HDLC link of the service port: the secondary station (IEC 62056-46, clause 6).

One connection at a time. It speaks only when it is polled, and answers from where the
client says it is: what the client did not acknowledge is sent again (go back N). Octets
come in by `feed`, frames go out by `write`; the time is any count of milliseconds that
does not jump when the meter's clock is set.

The upper layer (`server`) has

    connected(channel, client_sap, server_sap) -> bool
    request(channel, client_sap, server_sap, apdu, now_ms) -> memoryview or None
    disconnected(channel)
    outgoing(channel) -> memoryview or None, an unsolicited message

An answer is read from where the server left it: it must stay as it is until the next
`request`, a message until the next `outgoing`.
"""

from micropython import const

from ams import octets
from ams.cosem import hdlc_frame
from ams.cosem.hdlc_frame import FrameReader, FrameWriter
from ams.cosem.hdlc_parameters import Parameters

APDU_SIZE = const(1024)
MAX_INFO = const(512)

# Control fields, without poll/final.
_POLL = const(0x10)
_SNRM = const(0x83)
_UA = const(0x63)
_DISC = const(0x43)
_DM = const(0x0F)
_FRMR = const(0x87)
_UI = const(0x03)
_RR = const(0x01)
_RNR = const(0x05)

# Why a frame is rejected (FRMR, third octet).
_CONTROL_UNKNOWN = const(0x01)
_INFO_NOT_ALLOWED = const(0x03)
_INFO_TOO_LONG = const(0x04)
_NR_INVALID = const(0x08)

_LLC_RESPONSE = b"\xe6\xe7\x00"
_LLC_SIZE = const(3)

DISCONNECTED = const(0)
CONNECTED = const(1)
REJECTING = const(2)  # after a FRMR, until SNRM or DISC


class HdlcLink:
    """See the module. `parameters` and the times are those of the HDLC setup (class 23)."""

    def __init__(self, server, write, channel=0, log=None, physical=16, max_info=MAX_INFO,
                 apdu_size=APDU_SIZE):  # fmt: skip
        self._server = server
        self._write = write
        self._channel = channel
        self._log = log
        self.physical = physical
        self.parameters = Parameters(max_info)
        self.inter_octet_ms = 500
        self.inactivity_ms = 120000
        # Destination and source octets of messages sent while nobody is connected.
        self.push_addresses = None
        self.state = DISCONNECTED
        self.client_sap = 0
        self.server_sap = 0
        self._reader = FrameReader(max_info, self._frame)
        self._writer = FrameWriter(max_info)
        self._apdu = bytearray(apdu_size + _LLC_SIZE)
        self._apdu_view = memoryview(self._apdu)
        self._addresses = bytearray(8)  # of the connected client, for messages to it
        self._addresses_size = 0
        self._reject = bytearray(3)
        self._now_ms = 0
        self._octet_ms = 0
        self._frame_ms = 0
        self._reset()

    def _reset(self):
        """A connection as it begins."""
        self._apdu_fill = 0
        self._receive = 0  # V(R): number of the frame that is expected
        self._acked = 0  # V(A): number of the oldest frame the client may still want
        self._sent = 0  # frames sent from V(A) on, once at least
        self._answer = None
        self._answer_at = 0  # octets of it, LLC counted, that are acknowledged
        self._peer_busy = False
        self.parameters.reset()

    @property
    def bad_frames(self):
        return self._reader.bad_frames

    @property
    def busy(self):
        """Whether a frame is on its way in."""
        return self._reader.partial

    @property
    def answering(self):
        """Whether the client has not yet taken the whole of an answer."""
        return self._answer is not None

    def feed(self, data, now_ms, start=0, end=None):
        """Takes octets as they come: any slice of the line."""
        self._now_ms = now_ms
        if self._reader.partial and now_ms - self._octet_ms > self.inter_octet_ms:
            self._reader.reset()
        self._octet_ms = now_ms
        self._reader.feed(data, start, len(data) if end is None else end)

    def tick(self, now_ms):
        """Time-outs and messages of the meter's own; call it some times a second."""
        if self._reader.partial and now_ms - self._octet_ms > self.inter_octet_ms:
            self._reader.reset()
        if self.state and now_ms - self._frame_ms > self.inactivity_ms:
            self._say("HDLC: no frame for %d s" % (self.inactivity_ms // 1000))
            self.drop()
        if not self._reader.partial and self._said():
            self._push()

    def drop(self):
        """Ends the connection without a word to the client."""
        if self.state:
            self.state = DISCONNECTED
            self._reset()
            self._server.disconnected(self._channel)

    def _say(self, text):
        if self._log:
            self._log(text)

    # Frames in

    def _frame(self):
        r = self._reader
        lower = hdlc_frame.lower_address(r.buffer, r.target_at, r.target_size)
        upper = hdlc_frame.upper_address(r.buffer, r.target_at, r.target_size)
        # Neither all stations nor none is ever answered.
        if upper == 0 or upper == (0x3FFF if r.target_size == 4 else 0x7F):
            return
        if r.source_size != 1 or (lower is not None and lower != self.physical):
            return
        client = r.buffer[r.source_at] >> 1
        control = r.control & ~_POLL & 0xFF
        poll = r.control & _POLL
        ours = self.state and client == self.client_sap and upper == self.server_sap
        if ours:
            self._frame_ms = self._now_ms
        if control == _SNRM:
            self._connect(client, upper, ours, poll)
        elif not ours:
            if poll and control != _UI:
                self._unnumbered(_DM | poll)
        elif control == _DISC:
            self.drop()
            self._unnumbered(_UA | poll)
        elif self.state == REJECTING:
            if poll:
                self._send_reject()
        elif r.too_long:
            self._refuse(
                _INFO_TOO_LONG, "HDLC: frame of more than %d octets" % self.parameters.max_info_rx
            )
        elif not control & 1:
            self._information(control, poll)
        elif control & 0x0F in (_RR, _RNR):
            self._supervisory(control, poll)
        elif control != _UI:
            self._refuse(_CONTROL_UNKNOWN, "HDLC: control field %02X" % r.control)

    def _connect(self, client, server, ours, poll):
        if self.state and not ours:
            self._unnumbered(_DM | poll)
            return
        self.drop()
        r = self._reader
        if not self.parameters.take(r.buffer, r.info_at, r.info_end) or not (
            self._server.connected(self._channel, client, server)
        ):
            self._unnumbered(_DM | poll)
            return
        self.client_sap = client
        self.server_sap = server
        self.state = CONNECTED
        self._frame_ms = self._now_ms
        octets.copy(self._addresses, 0, r.buffer, r.source_at, r.source_size)
        octets.copy(self._addresses, r.source_size, r.buffer, r.target_at, r.target_size)
        self._addresses_size = r.source_size + r.target_size
        self.parameters.pack()
        self._writer.begin(r, _UA | poll)
        self._writer.add(self.parameters.packed, 0, len(self.parameters.packed))
        self._write(self._writer.end())

    def _acknowledge(self, number):
        """Takes the client's N(R). False: it acknowledges what was never sent."""
        count = (number - self._acked) & 7
        if count > self._sent:
            self._refuse(_NR_INVALID, "HDLC: N(R) out of range")
            return False
        self._acked = number
        self._sent -= count
        if self._answer is not None:
            self._answer_at += count * self.parameters.info_tx
            if self._answer_at >= len(self._answer) + _LLC_SIZE:
                self._answer = None
        return True

    def _supervisory(self, control, poll):
        r = self._reader
        if r.info_at != r.info_end:
            self._refuse(_INFO_NOT_ALLOWED, "HDLC: RR or RNR with information")
        elif self._acknowledge(control >> 5):
            self._peer_busy = control & 0x0F == _RNR
            if poll:
                self._respond()

    def _information(self, control, poll):
        r = self._reader
        size = r.info_end - r.info_at
        if size > self.parameters.info_rx:
            self._refuse(_INFO_TOO_LONG, "HDLC: %d octets in a frame" % size)
            return
        if not self._acknowledge(control >> 5):
            return
        self._peer_busy = False
        # Another number than the expected is a repetition, or a frame after a lost one.
        if control >> 1 & 7 == self._receive:
            if self._apdu_fill + size > len(self._apdu):
                text = "HDLC: APDU of more than %d octets" % (len(self._apdu) - _LLC_SIZE)
                self._refuse(_INFO_TOO_LONG, text)
                return
            self._receive = (self._receive + 1) & 7
            # A client that asks anew no longer wants the rest of an answer.
            self._answer = None
            self._sent = 0
            octets.copy(self._apdu, self._apdu_fill, r.buffer, r.info_at, size)
            self._apdu_fill += size
            if not r.segmented:
                self._deliver()
        if poll and self.state == CONNECTED:
            self._respond()

    def _deliver(self):
        size = self._apdu_fill
        self._apdu_fill = 0
        apdu = self._apdu
        if size <= _LLC_SIZE or apdu[0] != 0xE6 or apdu[1] != 0xE6:
            return
        answer = self._server.request(
            self._channel,
            self.client_sap,
            self.server_sap,
            self._apdu_view[_LLC_SIZE:size],
            self._now_ms,
        )
        if answer is not None and len(answer) and self.state:
            self._answer = answer
            self._answer_at = 0

    # Frames out

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
            self._add_answer(self._answer, at, end)
            self._write(self._writer.end(end < total))
            count += 1
            at = end
            if final:
                break
        self._sent = count

    def _add_answer(self, message, at, end):
        """Octets at to end of the LLC header and the message behind it."""
        if at < _LLC_SIZE:
            stop = min(end, _LLC_SIZE)
            self._writer.add(_LLC_RESPONSE, at, stop - at)
            at = stop
        self._writer.add(message, at - _LLC_SIZE, end - at)

    def _unnumbered(self, control):
        """A frame without information."""
        self._writer.begin(self._reader, control)
        self._write(self._writer.end())

    def _refuse(self, why, text):
        """The client did what cannot be mended by repeating: FRMR until it starts over."""
        self._say(text)
        self.state = REJECTING
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
        self._write(self._writer.end())

    def _said(self):
        """Whether every frame of the answer went out once."""
        if self._answer is None:
            return True
        at = self._answer_at + self._sent * self.parameters.info_tx
        return at >= len(self._answer) + _LLC_SIZE

    def _push(self):
        """Sends a message of the meter's own as UI frames, if there is one and a way."""
        if self.state == CONNECTED:
            addresses, size, info = self._addresses, self._addresses_size, self.parameters.info_tx
        elif self.push_addresses and not self.state:
            addresses, size = self.push_addresses, None
            info = min(self.parameters.max_info_tx, self.parameters.room)
        else:
            return
        message = self._server.outgoing(self._channel)
        if message is None:
            return
        at = 0
        total = len(message) + _LLC_SIZE
        while at < total:
            end = min(at + info, total)
            self._writer.begin_to(addresses, _UI | _POLL, size)
            self._add_answer(message, at, end)
            self._write(self._writer.end(end < total))
            at = end
