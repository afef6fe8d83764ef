"""Master of a wired M-Bus (EN 13757-2): asks, waits, repeats; one job at a time.

A job is a generator that yields (frame, what answer it wants, how often it is tried) and is sent
that answer, or None when there was none after all tries. Octets come in by `feed`, frames go out
by `write`.
"""

from micropython import const

from ams.mbus import frame, records
from ams.mbus.frame import ACK, ALL, FCB, LONG, REQ_UD2, SELECTED, SND_NKE, SND_UD

_TRIES = const(3)
# What converters and radio links add to the times of the standard.
_SLACK_MS = const(250)
# Octets of one answer may be so far apart.
_PAUSE_MS = const(250)
_ANY = const(0)
# More telegrams of one readout than any meter has.
_TELEGRAMS_MAX = const(16)
# What is kept of them, so that no slave fills the heap.
_RECORDS_MAX = const(64)
# What a search finds, and how many collisions it follows: a bus has 250 slaves at the most, and
# one that answers to everything ends it.
_FOUND_MAX = const(250)
_COLLISIONS_MAX = const(1000)
_WILD_MANUFACTURER = const(0xFFFF)
_WILD = const(0xFF)
_WILD_ID = const(0xFFFFFFFF)


class Answer:
    """A readout: the header, the records of all its telegrams, who it came from.

    `wants(record)` says which records to keep, None keeps the first 64.
    """

    def __init__(self, address, wants=None):
        self.address = address
        self.wants = wants
        self.header = None  # None: it does not say who it is, or there is no answer
        self.state = None  # (access number, status)
        self.records = []
        self.own = b""
        self.error = None  # why there is nothing, or not all


class Master:
    """`write(bytes)` sends at `baud`, 8E1. `done` of each job is called with its result."""

    def __init__(self, write, baud=2400, log=None):
        self._write = write
        self._log = log
        self._reader = frame.FrameReader()
        self._job = None
        self._done = None
        self._frame = b""
        self._wanted = ACK
        self._tries = 0
        self._sent_ms = 0
        self._octet_ms = 0
        self._now_ms = 0
        self.set_baud(baud)

    def set_baud(self, baud):
        # A slave answers within 330 bit times and 50 ms (EN 13757-2, clause 5.7).
        self._baud = baud
        self._answer_ms = 330000 // baud + 50 + _SLACK_MS
        self._gap_ms = max(33000 // baud, 50)

    @property
    def busy(self):
        return self._job is not None

    # Jobs

    def read(self, address, done, now_ms, wants=None):
        """Reads the slave at a primary address; done(Answer)."""
        self._begin(self._read(Answer(address, wants)), done, now_ms)

    def read_secondary(self, identification, done, now_ms, manufacturer=_WILD_MANUFACTURER,
                       version=_WILD, medium=_WILD):  # fmt: skip
        """Selects by secondary address (BCD digits in a u32) and reads; done(Answer)."""
        select = _select(identification, manufacturer, version, medium)
        self._begin(self._read_selected(select), done, now_ms)

    def search(self, done, now_ms):
        """Finds every slave by its secondary address; done(list of Header)."""
        self._begin(self._search(), done, now_ms)

    def reset(self, address, done, now_ms):
        """SND_NKE; done(whether it is there)."""
        self._begin(self._ping(address), done, now_ms)

    def _begin(self, job, done, now_ms):
        if self._job is not None:
            raise ValueError("M-Bus master is busy")
        self._job = job
        self._done = done
        self._now_ms = now_ms
        self._step(None)

    def _ping(self, address):
        return (yield frame.short(SND_NKE, address), ACK, _TRIES)

    def _read(self, out):
        # Who does not acknowledge it may answer all the same: asked once, to lose no time.
        known = yield frame.short(SND_NKE, out.address), ACK, _TRIES - 1
        return (yield from self._readout(out, _TRIES if known else 1))

    def _read_selected(self, select):
        yield frame.short(SND_NKE, SELECTED), None, 1  # whoever was selected is so no more
        out = Answer(SELECTED)
        if (yield select, ACK, _TRIES) is None:
            out.error = "no answer"
            return out
        return (yield from self._readout(out, _TRIES))

    def _readout(self, out, tries):
        """All telegrams; the toggle bit begins anew after a reset or a selection."""
        fcb = FCB
        for _ in range(_TELEGRAMS_MAX):
            reply = yield frame.short(REQ_UD2 | fcb, out.address), LONG, tries
            if reply is None:
                out.error = "no answer"
                return out
            fcb ^= FCB
            tries = _TRIES
            if not self._take(out, reply[0], reply[1]):
                return out
        out.error = "no end of telegrams"
        return out

    def _take(self, out, ci, data):
        """Adds a telegram to the readout; whether there is another."""
        try:
            header, state, found = records.opened(ci, data)
            out.header = out.header or header
            out.state = out.state or state
            for record in found:
                if len(out.records) < _RECORDS_MAX and (out.wants is None or out.wants(record)):
                    out.records.append(record)
            out.own = found.own
            return found.more
        except records.Malformed as error:
            out.error = str(error)
            return False

    def _search(self):
        """Digit by digit, the highest first; a digit is refined where several answer."""
        found = []
        prefixes = [()]
        left = _COLLISIONS_MAX
        while prefixes and left and len(found) < _FOUND_MAX:
            prefix = prefixes.pop()
            left -= 1
            for digit in range(9, -1, -1):
                digits = prefix + (digit,)
                yield frame.short(SND_NKE, SELECTED), None, 1
                if (yield _select(_pattern(digits)), _ANY, 1) is None:
                    continue
                answer = yield from self._readout(Answer(SELECTED, _nothing), _TRIES)
                if answer.header is not None:
                    found.append(answer.header)
                elif len(digits) < 8:
                    prefixes.append(digits)
        return found

    # The line

    def _step(self, answer):
        """Gives the job its answer and sends what it asks next."""
        try:
            self._frame, self._wanted, self._tries = self._job.send(answer)
        except StopIteration as end:
            done = self._done
            self._job = self._done = None
            done(end.value)
            return
        self._send()

    def _send(self):
        self._tries -= 1
        self._reader.reset(self._frame)
        # The answer's time runs from the last octet of ours: eleven bits each.
        self._sent_ms = self._octet_ms = self._now_ms + len(self._frame) * 11000 // self._baud
        self._write(self._frame)

    def feed(self, data, now_ms):
        self._now_ms = now_ms
        if self._job is None or not len(data):
            return
        self._octet_ms = max(now_ms, self._sent_ms)
        self._reader.feed(data)

    def tick(self, now_ms):
        """Looks whether the answer is whole or its time over; call it every 10 ms or so."""
        self._now_ms = now_ms
        if self._job is None:
            return
        r = self._reader
        # The line must be quiet: what follows an answer at once was no single answer.
        if r.begun:
            if now_ms - self._octet_ms >= (self._gap_ms if r.kind else _PAUSE_MS):
                self._judge()
        elif now_ms - self._sent_ms > self._answer_ms:
            self._missed()

    def _judge(self):
        r = self._reader
        if self._wanted == _ANY:
            self._step(True)  # somebody, or several at a time
        elif r.kind == ACK and self._wanted in (ACK, None):
            self._step(True)
        elif r.kind == LONG and self._wanted == LONG and r.control & 0x4F == frame.RSP_UD:
            self._step((r.ci, r.data()))
        else:
            self._missed()

    def _missed(self):
        if self._tries:
            self._send()
        else:
            self._step(None)


def _nothing(record):
    return False


def _select(identification, manufacturer=_WILD_MANUFACTURER, version=_WILD, medium=_WILD):
    """SND_UD that selects by secondary address; F digits and FF octets are wild."""
    data = bytearray(8)
    for k in range(4):
        data[k] = identification >> 8 * k & 0xFF
    data[4], data[5] = manufacturer & 0xFF, manufacturer >> 8
    data[6], data[7] = version, medium
    return frame.long(SND_UD, SELECTED, 0x52, data)


def _pattern(digits):
    """The digits given, the highest first, the others wild."""
    out = _WILD_ID
    for k, digit in enumerate(digits):
        shift = 28 - 4 * k
        out = out & ~(15 << shift) | digit << shift
    return out


def reset_all():
    """SND_NKE to everybody: nobody answers it."""
    return frame.short(SND_NKE, ALL)
