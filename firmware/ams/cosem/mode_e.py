"""Start of the service port at an optical head: IEC 62056-21, protocol mode E.

    300 Bd 7E1   client  /?address!CR LF            address may be absent
                 meter   /FLAz\\2identification CR LF    z: the fastest rate it offers
                 client  06 2 Z 2 CR LF             HDLC, at rate Z
                 meter   06 2 Z 2 CR LF
    Z Bd 8N1     HDLC, until the connection ends

Modes A and C are another choice of the client, where the operator has opened them: see readout.py.

A front for the HDLC link: it has the link's `feed` and `tick`. Frames that come without a
sign-on go straight through: no sign-on begins with a flag. A port without a head rests in mode
`HDLC`, at a rate of its own, 8N1; a sign-on at that rate is answered all the same.
"""

from micropython import const

MODE_E = 0  # values of the IEC local port setup (class 19), attribute 2
HDLC = 1
BAUD_RATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)

_LONGEST = const(40)  # a sign-on with an address of 32 characters
_REACTION_MS = const(200)  # the client's head needs it to turn round (clause 6.5.4)
_TIME_OUT_MS = const(1500)  # between characters, and for the acknowledgement
# A client that opens its port anew for another rate needs longer than to turn round.
_CHANGE_MS = const(1000)
_FIRST_FRAME_MS = const(5000)

_SIGN_ON = const(0)
_ANSWERING = const(1)
_OFFERED = const(2)
_STRAIGHT = const(3)  # HDLC at the rate at which the port rests, found by its flag
_SWITCHED = const(4)  # HDLC at the rate agreed on, no connection yet
_SESSION = const(5)  # the same, connected


class OpticalFront:
    """`line(baud, bits, parity, stop)` sets the UART when all that was written has left it.

    None: the port is no UART.
    """

    def __init__(self, link, write, line, flag_id, identification, address=""):
        self._link = link
        self._write = write
        self.line = line
        self.address = address
        self.mode = MODE_E
        # Indices of BAUD_RATES: what mode E offers, and where mode HDLC rests.
        self.offered_code = 5
        self.rest_code = 5
        self._moved = False
        self._identification = "%s%%d\\2%s\r\n" % (flag_id, identification[:16])
        self.readout = None  # modes A and C, where they are open
        self._reading = None  # the one that speaks now
        self._text = bytearray(_LONGEST)
        self._fill = 0
        self._state = _SIGN_ON
        self._octet_ms = 0
        self._since_ms = 0

    def start(self):
        """The port at rest."""
        self._fill = 0
        self._state = _SIGN_ON
        self._moved = False
        if self.mode == HDLC:
            self._set(self.rest_code)
        elif self.line:
            self.line(300, 7, 0, 1)

    def set_up(self, mode, rest_code, offered_code):
        """Counts when nobody is connected."""
        self._moved = self._moved or mode != self.mode or rest_code != self.rest_code
        self.mode = mode
        self.rest_code = rest_code
        self.offered_code = offered_code

    def say(self, data):
        self._write(memoryview(data))

    def open_readout(self, readout):
        """None closes it: who reads now is cut off."""
        self.readout = readout
        if readout is None:
            self.end_readout()

    def end_readout(self):
        if self._reading is not None:
            self._reading = None
            self.start()

    def _is_sending(self):
        return self._link.sending is not None and self._link.sending()

    def _set(self, code):
        if self.line:
            self.line(BAUD_RATES[code], 8, None, 1)

    def feed(self, data, now_ms, start=0, end=None):
        end = len(data) if end is None else end
        at = start
        if self._reading is not None:
            at = self._reading.feed(data, now_ms, start, end)
            if at == end:
                return
            self.end_readout()
        self._pause(now_ms)
        self._octet_ms = now_ms
        while at < end:
            if self._state >= _STRAIGHT or (data[at] == 0x7E and not self._fill):
                if self._state < _STRAIGHT:
                    self._state = _STRAIGHT
                self._link.feed(data, now_ms, at, end)
                if self._state == _SWITCHED and self._link.state:
                    self._state = _SESSION
                return
            self._character(data[at] & 0x7F, now_ms)
            at += 1

    def tick(self, now_ms):
        self._pause(now_ms)
        if self._state == _ANSWERING and now_ms - self._since_ms >= _REACTION_MS:
            self._state = _OFFERED
            self._since_ms = now_ms
            self._write(memoryview(b"/" + (self._identification % self.offered_code).encode()))
        elif self._state == _OFFERED and self._is_sending():
            self._since_ms = now_ms  # the client has not heard all of it
        elif self._state == _OFFERED and now_ms - self._since_ms > _TIME_OUT_MS:
            if now_ms - self._octet_ms > _TIME_OUT_MS:
                self._state = _SIGN_ON
                if self.readout is not None:
                    self._read(b"", now_ms)
        if self._reading is not None and not self._reading.tick(now_ms):
            self.end_readout()
        # At 300 Bd and seven bits no frame could be told.
        self._link.mute = (
            self._state in (_ANSWERING, _OFFERED)
            or self._reading is not None
            or (self._state == _SIGN_ON and self.mode == MODE_E and self.line is not None)
        )
        self._link.tick(now_ms)
        if self._reading is not None:
            return
        if (self._state >= _SWITCHED or self._moved) and not (self._link.state or self._link.busy):
            if self._state != _SWITCHED or now_ms - self._since_ms > _FIRST_FRAME_MS:
                self.start()

    def _pause(self, now_ms):
        """What a pause ends: a message half said, or frames without a connection."""
        pause = now_ms - self._octet_ms
        if self._fill and pause > _TIME_OUT_MS:
            self._fill = 0
        if self._state == _STRAIGHT and pause > self._link.inter_octet_ms and not self._link.state:
            self._state = _SIGN_ON

    def _character(self, character, now_ms):
        if character in (0x2F, 0x06):  # a message begins, whatever went before it
            self._fill = 0
        elif not self._fill:
            return
        if self._fill == _LONGEST:
            self._fill = 0
            return
        self._text[self._fill] = character
        self._fill += 1
        if character == 0x0A:
            text = bytes(self._text[: self._fill])
            self._fill = 0
            if text[0] == 0x2F:
                self._sign_on(text, now_ms)
            elif self._state == _OFFERED:
                self._acknowledgement(text, now_ms)

    def _sign_on(self, text, now_ms):
        if text[1:2] != b"?" or text[-3:] != b"!\r\n":
            return
        wanted = text[2:-3].lstrip(b"0")
        if not wanted or wanted == self.address.encode().lstrip(b"0"):
            self._state = _ANSWERING
            self._since_ms = now_ms

    def _acknowledgement(self, text, now_ms):
        # 2 Z 2: HDLC.
        code = text[2] - 0x30 if len(text) == 6 else -1
        if text[1:2] == b"2" and text[3:] == b"2\r\n" and 0 <= code <= self.offered_code:
            self._write(memoryview(text))
            self._set(code)
            self._state = _SWITCHED
            self._since_ms = now_ms
        elif self.readout is not None:
            self._read(text, now_ms)

    def _read(self, choice, now_ms):
        """0 Z 0: the readout; 0 Z 1: programming mode. With another choice or none, or a rate that
        was not offered, it goes on at the rate of the sign-on (IEC 62056-21, 6.3.3)."""
        programming = choice[1:2] == b"0" and choice[3:] == b"1\r\n"
        code = choice[2] - 0x30 if programming or choice[3:] == b"0\r\n" else -1
        baud = BAUD_RATES[self.rest_code if self.mode == HDLC else 0]
        wait_ms = _CHANGE_MS if choice else 0
        if choice[1:2] == b"0" and 0 <= code <= self.offered_code:
            baud = BAUD_RATES[code]
            if self.line:
                self.line(baud, 7, 0, 1)
        self._state = _SIGN_ON
        self._reading = self.readout
        sending = self._link.sending if self.line else None
        self.readout.begin(programming, baud, sending, now_ms, wait_ms)
