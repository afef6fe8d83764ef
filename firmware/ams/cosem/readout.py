"""Readout of the meter as text at the optical port: IEC 62056-21, protocol modes A and C.

The sign-on and the identification are mode E's (mode_e.py). What follows them:

    mode A, or no answer     STX data ! CR LF ETX BCC      at 300 Bd
    client 06 0 Z 0 CR LF    the same at rate Z; NAK: once more
    client 06 0 Z 1 CR LF    programming mode at rate Z: SOH P0 STX () ETX BCC, then
        R1, R2, R5  name()   STX name(value*unit) ETX BCC, or all of a group; R5 of P.01, P.98 a
                             range of the load profile or the log
        R3, R6  name(range)(N)   the same in blocks of N lines: each but the last ends with EOT,
                             ACK asks for the next, NAK for the same once more
        P1, P2               (ER06): there are no passwords
        W, E                 (ER06): nothing can be written here
        B0                   the end
    (ERROR) nothing of that name, (ER01) unknown command, (ER03) a form that is none,
    (ER06) not allowed

All of it is 7E1. A wrong BCC is answered by NAK. An answer that the client does not get the third
time, a pause of 60 s and whoever speaks while the meter does end it.
"""

from micropython import const

from ams.cosem.lockout import delay_ms
from ams.cosem.readout_lists import Listing
from ams.registers.obis import Figures

REGISTERS = const(1)  # what everybody sees on a display
PROFILES = const(2)  # how it was used, too

_SOH = const(0x01)
_STX = const(0x02)
_ETX = const(0x03)
_ACK = const(0x06)
_NAK = const(0x15)
_SLASH = const(0x2F)

_LONGEST = const(80)  # a command
_LINES_MOST = const(16)  # of a block that may be asked for once more
_PIECE_MOST = const(256)
_ECHO_MS = const(20)  # a head hears itself; no client answers so soon
_GAP_MS = const(50)  # between pieces, to hear whether anybody speaks
_REACTION_MS = const(200)
_CHARACTER_MS = const(1500)
_INACTIVE_MS = const(60000)
_REPEATS = const(3)
_GUESSES = const(3)
_SERVICE = const(0)

_TURN = const(0)  # it is the meter's turn: the client's head turns round
_SENDING = const(1)
_HEARD = const(2)  # a readout is said: what the client says to it
_COMMAND = const(3)
_DONE = const(4)


class Readout:
    """`say(octets)` writes to the line; `guessed(channel)` is told of a password."""

    def __init__(self, say, model, name, level, guessed):
        self._write = say
        self._model = model
        self._tell_guess = guessed
        self.level = level
        meter = model.meter
        self._clock = meter.local_clock
        figures = Figures(meter.quantities, meter.han_settings.want_sources())
        figures.signed_angle = True
        self.listing = Listing(name, meter, figures, model.alarms.errors)
        self._sending = None
        self._piece = _PIECE_MOST
        self._text = bytearray(_LONGEST)
        self._guesses = 0
        self._lockouts = 0  # how often in a row it was closed, and until when it is
        self._closed_until_ms = 0
        self._reset(0)

    def _reset(self, now_ms):
        self._state = _DONE
        self._fill = 0
        self._octet_ms = self._since_ms = self._busy_ms = now_ms
        self._wait_ms = 0
        self._programming = False
        self._message = None  # (head, what makes its parts, end), to say it again
        self._chunks = None
        self._rest = b""
        self._after = _DONE
        self._repeats = 0
        self._lines = None  # of the blocks that follow
        self._held = None
        self._block_lines = 0

    def begin(self, programming, baud, sending, now_ms, wait_ms):
        """The client has chosen, or has said nothing; after `wait_ms` it is the meter's turn.
        `sending()`: whether the line is busy; None: it is none of ours."""
        self._reset(now_ms)
        self._sending = sending
        # A fifth of a second at a time, so that a word in between is heard.
        self._piece = min(baud // 50, _PIECE_MOST) if sending else _PIECE_MOST
        self._programming = programming
        if not programming:
            self._say(b"\x02", self._readout, b"!\r\n\x03", _HEARD, now_ms)
        elif now_ms < self._closed_until_ms:
            self._sign_off(now_ms)
        else:
            self._tell(b"\x01", b"P0\x02()", now_ms)
        self._wait_ms = wait_ms

    # --- out ------------------------------------------------------------------------

    def _readout(self):
        return _terminated(self.listing.lines())

    def _say(self, head, make, end, after, now_ms):
        self._message = (head, make, end)
        self._after = after
        self._repeats = 0
        self._turn(now_ms)

    def _tell(self, head, text, now_ms, after=_COMMAND):
        self._say(head, lambda: iter((text,)), b"\x03", after, now_ms)

    def _sign_off(self, now_ms):
        self._tell(b"\x01", b"B0", now_ms, _DONE)

    def _turn(self, now_ms):
        """What is to be said goes when the client's head has turned round."""
        head, make, end = self._message
        self._chunks = _checked(head, make(), end)
        self._rest = b""
        self._state = _TURN
        self._since_ms = now_ms
        self._wait_ms = _REACTION_MS

    def _send(self, now_ms):
        rest = self._rest
        while self._chunks is not None and len(rest) < self._piece:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._chunks = None
            else:
                rest += chunk
        self._rest = rest[self._piece :]
        if self._chunks is None and not self._rest:
            self._state = self._after
            self._since_ms = now_ms
        self._busy_ms = now_ms
        self._write(rest[: self._piece])

    def _again(self, now_ms):
        """The client has not got it."""
        self._repeats += 1
        if self._repeats < _REPEATS:
            self._turn(now_ms)
        elif self._programming:
            self._sign_off(now_ms)
        else:
            self._state = _DONE

    def _next_block(self, now_ms):
        out = self._held
        self._held = None
        count = 1
        for line in self._lines:
            if count == self._block_lines:
                self._held = line
                break
            out += line
            count += 1
        if self._held is None:
            self._lines = None
        end = b"\x03" if self._lines is None else b"\x04"
        self._say(b"\x02", lambda: iter((out,)), end, _COMMAND, now_ms)

    # --- in and time -----------------------------------------------------------------

    def feed(self, data, now_ms, start, end):
        """Gives how far these octets were its own: with a sign-on the client begins anew."""
        if self._is_busy(now_ms) or self._state == _TURN:
            return end
        if self._sending is not None and now_ms - self._busy_ms < _ECHO_MS:
            return end
        if self._state == _SENDING:
            # Who speaks now does not listen.
            self._state = _DONE
        if now_ms - self._octet_ms > _CHARACTER_MS:
            self._fill = 0
        self._octet_ms = now_ms
        for at in range(start, end):
            character = data[at] & 0x7F
            if character == _SLASH and not self._fill:
                self._state = _DONE
                return at
            if self._state != _DONE:
                self._character(character, now_ms)
        return end

    def tick(self, now_ms):
        """Gives whether it goes on."""
        if self._is_busy(now_ms):
            return True
        state = self._state
        passed = now_ms - self._since_ms
        if state == _TURN and passed >= self._wait_ms:
            self._state = state = _SENDING
        if state == _SENDING:
            if self._sending is None or now_ms - self._busy_ms >= _GAP_MS:
                self._send(now_ms)
        elif state == _HEARD and passed > _CHARACTER_MS:
            self._state = _DONE
        elif state == _COMMAND and now_ms - max(self._octet_ms, self._busy_ms) > _INACTIVE_MS:
            self._state = _DONE
        return self._state != _DONE

    def _is_busy(self, now_ms):
        busy = self._sending is not None and self._sending()
        if busy:
            self._busy_ms = self._since_ms = now_ms
        return busy

    def _character(self, character, now_ms):
        fill = self._fill
        if not fill:
            if character == _NAK:
                self._again(now_ms)
            elif self._state == _HEARD:
                if character in (_ACK, _SOH):  # heard, or the client's B0
                    self._state = _DONE
            elif character == _ACK and self._lines is not None:
                self._next_block(now_ms)
            elif character == _SOH:
                self._text[0] = character
                self._fill = 1
            return
        if fill == _LONGEST:
            self._fill = 0
            self._refuse(now_ms)
            return
        self._text[fill] = character
        self._fill = fill + 1
        # The third and every further octet may be the end; the one behind it is the BCC.
        if fill > 3 and self._text[fill - 1] == _ETX:
            self._fill = 0
            self._received(fill - 1, character, now_ms)

    def _received(self, end, bcc, now_ms):
        text = self._text
        for k in range(1, end + 1):
            bcc ^= text[k]
        if bcc:
            self._refuse(now_ms)
            return
        data = bytes(text[4:end]) if text[3] == _STX else b""
        self._command(bytes(text[1:3]), data.decode(), now_ms)

    def _refuse(self, now_ms):
        """NAK: it did not arrive well."""
        self._busy_ms = now_ms
        self._write(b"\x15")

    # --- commands ---------------------------------------------------------------------

    def _command(self, command, data, now_ms):
        self._lines = None
        kind = command[0]
        if command in (b"B0", b"B1"):
            self._state = _DONE
        elif kind == 0x50:
            # P0 is the meter's own word.
            if command != b"P0":
                self._guessed(now_ms)
        elif kind == 0x52 and command in (b"R1", b"R2", b"R3", b"R5", b"R6"):
            self._read(data, command in (b"R3", b"R6"), now_ms)
        elif kind in (0x57, 0x45):
            self._error(b"(ER06)", now_ms)
        else:
            self._error(b"(ER01)", now_ms)

    def _error(self, text, now_ms):
        self._tell(b"\x02", text, now_ms)

    def _guessed(self, now_ms):
        """A password: whatever it is, it is none."""
        self._guesses += 1
        self._tell_guess(_SERVICE)
        if self._guesses % _GUESSES:
            self._error(b"(ER06)", now_ms)
            return
        self._lockouts += 1
        self._closed_until_ms = now_ms + delay_ms(min(self._lockouts, 7))
        self._sign_off(now_ms)

    def _read(self, data, in_blocks, now_ms):
        """NAME(), NAME(RANGE), NAME(RANGE)(N), or NAME alone."""
        parts = data.split("(")
        name = parts[0]
        ends = [part[-1:] == ")" and part.count(")") == 1 for part in parts[1:]]
        if not name or not all(ends) or len(parts) > 3:
            self._error(b"(ER03)", now_ms)
            return
        values = [part[:-1] for part in parts[1:]]
        if name in ("P.01", "P.98"):
            self._read_profile(name, values, in_blocks, now_ms)
            return
        for group, _ in self.listing.groups:
            if group == name:
                make = lambda: _terminated(self.listing.lines(name))  # noqa: E731
                self._say(b"\x02", make, b"\x03", _COMMAND, now_ms)
                return
        token = self.listing.find(name)
        line = None if token is None else self.listing.line(token)
        self._error(b"(ERROR)" if line is None else line.encode(), now_ms)

    def _read_profile(self, name, values, in_blocks, now_ms):
        if self.level < PROFILES:
            self._error(b"(ER06)", now_ms)
            return
        from ams.cosem import readout_profile

        text = values[0] if values else ""
        count = values[1] if len(values) > 1 else ""
        if text.count(";") == 2:  # the number of lines is the third of them with some makers
            text, _, count = text.rpartition(";")
        try:
            between = readout_profile.time_range(text, self._clock)
            lines = min(int(count), _LINES_MOST) if count else _LINES_MOST
            if lines < 1:
                raise ValueError(count)
        except ValueError:
            self._error(b"(ER03)", now_ms)
            return
        if name == "P.01":
            ring, read = self._model.ring("load"), readout_profile.load_lines
        else:
            ring, read = self._model.ring("events"), readout_profile.log_lines
        make = lambda: _terminated(read(ring, between, self._clock))  # noqa: E731
        if not in_blocks:
            self._say(b"\x02", make, b"\x03", _COMMAND, now_ms)
            return
        self._lines = make()
        self._block_lines = lines
        self._held = next(self._lines)
        self._next_block(now_ms)


def _terminated(lines):
    for line in lines:
        yield (line + "\r\n").encode()


def _checked(head, parts, end):
    """Yields the octets of a message: head, parts, end, and the BCC of all but the head."""
    bcc = 0
    yield head
    for part in parts:
        for octet in part:
            bcc ^= octet
        yield part
    for octet in end:
        bcc ^= octet
    yield end + bytes((bcc,))
