"""Start of the service port at an optical head: IEC 62056-21, protocol mode E.

    300 Bd 7E1   client  /?address!CR LF            address may be absent
                 meter   /FLAz\\2identification CR LF    z: the fastest rate it offers
                 client  06 2 Z 2 CR LF             HDLC, at rate Z
                 meter   06 2 Z 2 CR LF
    Z Bd 8N1     HDLC, until the connection ends

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

    def _set(self, code):
        if self.line:
            self.line(BAUD_RATES[code], 8, None, 1)

    def feed(self, data, now_ms, start=0, end=None):
        end = len(data) if end is None else end
        self._pause(now_ms)
        self._octet_ms = now_ms
        at = start
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
        elif self._state == _OFFERED and now_ms - self._since_ms > _TIME_OUT_MS:
            if now_ms - self._octet_ms > _TIME_OUT_MS:
                self._state = _SIGN_ON
        # At 300 Bd and seven bits no frame could be told.
        self._link.mute = self._state in (_ANSWERING, _OFFERED) or (
            self._state == _SIGN_ON and self.mode == MODE_E and self.line is not None
        )
        self._link.tick(now_ms)
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
        # 2 Z 2: HDLC. Anything else asks for the readout of modes A to C, which is not here.
        code = text[2] - 0x30 if len(text) == 6 else -1
        if text[1:2] == b"2" and text[3:] == b"2\r\n" and 0 <= code <= self.offered_code:
            self._write(memoryview(text))
            self._set(code)
            self._state = _SWITCHED
            self._since_ms = now_ms
