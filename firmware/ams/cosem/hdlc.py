"""HDLC link of the service port: the secondary station (IEC 62056-46, clause 6).

One connection at a time. It speaks only when it is polled (P), and answers from where the
client says it is: what the client did not acknowledge is sent again (go back N). Octets
come in by `feed`, frames go out by `write`; the time is any count of milliseconds that
does not jump when the meter's clock is set.

The upper layer (`server`) has

    connected(channel, client_sap, server_sap) -> bool
    request(channel, client_sap, server_sap, apdu, now_ms) -> memoryview or None
    unconfirmed(channel, client_sap, server_sap, apdu, now_ms), of a _UI frame: it has no answer
    disconnected(channel)
    outgoing(channel) -> memoryview or None, an unsolicited message
    unasked(channel) -> SAP of the client for whom one is to be said unasked, or None;
                        outgoing(channel, True) gives it

An answer is read from where the server left it: it must stay as it is until the next
`request`, a message until the next `outgoing`.
"""

from micropython import const

from ams.cosem import hdlc_frame
from ams.cosem.hdlc_turn import Turn
from ams.crypto import octets

APDU_SIZE = const(1024)
MAX_INFO = const(512)

# Control fields, without poll/final.
_POLL = const(0x10)
_SNRM = const(0x83)
_UA = const(0x63)
_DISC = const(0x43)
_DM = const(0x0F)
_UI = const(0x03)
_RR = const(0x01)
_RNR = const(0x05)

# Why a frame is rejected (FRMR, third octet).
_CONTROL_UNKNOWN = const(0x01)
_INFO_NOT_ALLOWED = const(0x03)
_INFO_TOO_LONG = const(0x04)
_NR_INVALID = const(0x08)

_LLC_SIZE = const(3)
_ALL_CLIENTS = const(0x7F)

DISCONNECTED = const(0)
CONNECTED = const(1)
REJECTING = const(2)  # after a FRMR, until SNRM or DISC


class HdlcLink(Turn):
    """See the module. `parameters` and the times are those of the HDLC setup (class 23).

    `devices`: the logical devices that are here; None: any. What is for another is not answered.
    """

    def __init__(self, server, write, channel=0, log=None, physical=16, max_info=MAX_INFO,
                 apdu_size=APDU_SIZE, devices=None):  # fmt: skip
        super().__init__(server, write, channel, log, max_info)
        self._unconfirmed = getattr(server, "unconfirmed", None)
        self._unasked = getattr(server, "unasked", None)
        self._devices = devices
        self.physical = physical
        self.inter_octet_ms = 500
        self.inactivity_ms = 120000
        # Whether what was written is still on its way: then nothing is answered.
        self.sending = None
        self.mute = False  # the line is no HDLC line now
        self.client_sap = 0
        self.server_sap = 0
        self._apdu = bytearray(apdu_size + _LLC_SIZE)
        self._apdu_view = memoryview(self._apdu)
        self._now_ms = 0
        self._octet_ms = 0
        self._frame_ms = 0
        self._reset()

    def _reset(self):
        """A connection as it begins."""
        self._apdu_fill = 0
        self._owes_ua = False  # the connection was asked for without a poll
        self._reset_turn()

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
        if self._unasked is not None and not self.mute and self._is_quiet():
            sap = self._unasked(self._channel)
            if sap is not None:
                self._message(self._addresses(sap), _POLL)

    def _addresses(self, sap):
        """Destination and source octets of what is said unasked: from logical device 1."""
        low = self.physical << 1 & 0xFE | 1
        if self.physical < 0x80:
            return bytes((sap << 1 | 1, 2, low))
        return bytes((sap << 1 | 1, 0, 2, self.physical >> 6 & 0xFE, low))

    def drop(self):
        """Ends the connection without a word to the client."""
        if self.state:
            self.state = DISCONNECTED
            self._reset()
            self._server.disconnected(self._channel)

    def _is_sending(self):
        return self.sending is not None and self.sending()

    def _is_quiet(self):
        """Whether nobody speaks, and nothing of a request or an answer is still to come."""
        if self._reader.partial or self._apdu_fill or self._owes_ua or self._is_sending():
            return False
        return self._is_said()

    # Frames in

    def _frame(self):
        r = self._reader
        control = r.control & ~_POLL & 0xFF
        poll = r.control & _POLL
        client = r.buffer[r.source_at] >> 1
        # Nobody has these addresses, nor has a client one of several octets (6.4.2.4 and 5).
        if r.source_size != 1 or client == 0 or client == _ALL_CLIENTS or self._echoes.hear(r):
            return
        upper = hdlc_frame.upper_address(r.buffer, r.target_at, r.target_size)
        lower = hdlc_frame.lower_address(r.buffer, r.target_at, r.target_size)
        everybody = 0x3FFF if r.target_size == 4 else 0x7F
        if lower is not None and lower != self.physical and lower != everybody:
            return
        if upper == everybody or lower == everybody:
            self._broadcast(client, control, poll)
            return
        if upper == 0 or (self._devices is not None and upper not in self._devices):
            return
        if poll and self._is_sending():
            # As if it were lost: one turn is answered after the other.
            return
        ours = self.state and client == self.client_sap and upper == self.server_sap
        if ours:
            self._frame_ms = self._now_ms
        if control == _SNRM:
            self._connect(client, upper, ours, poll)
        elif ours:
            self._of_connection(control, poll)
        elif control == _UI:
            # Unassociated, it is served nothing. But it may let a message be said.
            if poll and not self.state:
                self._message(None, _POLL)
        elif poll:
            self._unnumbered(_DM | poll)

    def _broadcast(self, client, control, poll):
        """To all stations: a UI or DISC of the connected client, and never an answer (6.4.4.6)."""
        if poll or not self.state or client != self.client_sap:
            return
        if control == _UI:
            self._unnumbered_information()
        elif control == _DISC:
            self.drop()

    def _of_connection(self, control, poll):
        """A frame of the connected client, but SNRM."""
        r = self._reader
        if control == _DISC:
            self.drop()
            if poll:
                self._unnumbered(_UA | poll)
            return
        if poll and self._owes_ua:
            self._owes_ua = False
            self._accept(0)
        if self.state == REJECTING:
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
        elif control == _UI:
            self._unnumbered_information()
            if poll:
                self._message(None, _POLL)
        else:
            self._refuse(_CONTROL_UNKNOWN, "HDLC: control field %02X" % r.control)

    def _connect(self, client, server, ours, poll):
        if self.state and not ours:
            if poll:
                self._unnumbered(_DM | poll)
            return
        self.drop()
        r = self._reader
        if not self.parameters.take(r.buffer, r.info_at, r.info_end) or not (
            self._server.connected(self._channel, client, server)
        ):
            if poll:
                self._unnumbered(_DM | poll)
            return
        self.client_sap = client
        self.server_sap = server
        self.state = CONNECTED
        self._frame_ms = self._now_ms
        # Without a poll the UA waits for the first opportunity to speak (6.4.3.6).
        self._owes_ua = not poll
        if poll:
            self._accept(poll)

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
                if self._answer is None and not self._apdu_fill and not self._peer_busy:
                    # The client asks for nothing: what waits may be said (6.4.4.7).
                    self._message(None, 0)
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
        if not _is_command(self._apdu, 0, size):
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

    def _unnumbered_information(self):
        """A UI frame: a request that wants no answer, whole in one frame."""
        r = self._reader
        if r.too_long or r.segmented or self.state != CONNECTED or self._unconfirmed is None:
            return
        if r.info_end - r.info_at > self.parameters.info_rx:
            return
        if _is_command(r.buffer, r.info_at, r.info_end):
            apdu = memoryview(r.buffer)[r.info_at + _LLC_SIZE : r.info_end]
            self._unconfirmed(self._channel, self.client_sap, self.server_sap, apdu, self._now_ms)


def _is_command(buffer, at, end):
    """Whether the LLC header of a client begins it: to E6, or to all (FF), from E6."""
    return end - at > _LLC_SIZE and buffer[at] in (0xE6, 0xFF) and buffer[at + 1] == 0xE6
