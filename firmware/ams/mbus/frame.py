"""Link layer of wired M-Bus (EN 13757-2, frame format class FT 1.2 of IEC 60870-5-1).

    single  E5
    short   10 | C | A | check | 16
    long    68 | L | L | 68 | C | A | CI | data | check | 16

The check is the sum of the octets from C on, modulo 256.
"""

from micropython import const

ACK = const(0xE5)
SHORT = const(0x10)
LONG = const(0x68)
_STOP = const(0x16)
_LONGEST = const(261)
_NOISE_MOST = const(4)

# C fields. The master's requests for data carry FCB and FCV.
SND_NKE = const(0x40)
SND_UD = const(0x53)
REQ_UD2 = const(0x5B)
FCB = const(0x20)
RSP_UD = const(0x08)

# Addresses.
SELECTED = const(0xFD)
TEST_ALL = const(0xFE)
ALL = const(0xFF)
LAST_PRIMARY = const(250)


def checksum(data, start, end):
    total = 0
    for at in range(start, end):
        total += data[at]
    return total & 0xFF


def short(control, address):
    return bytes((SHORT, control, address, (control + address) & 0xFF, _STOP))


def long(control, address, ci, data=b""):
    size = 3 + len(data)
    if size > 255:
        raise ValueError("M-Bus frame of %d octets" % size)
    out = bytearray((LONG, size, size, LONG, control, address, ci)) + data
    out.append(checksum(out, 4, len(out)))
    out.append(_STOP)
    return bytes(out)


class FrameReader:
    """Collects one answer. After `feed` says True, `kind` is ACK, SHORT or LONG.

    A converter may give back what it was given to send: `reset` takes those octets, and they
    are no answer. Neither are some that a line gives as it turns round, before an answer.
    """

    def __init__(self):
        self.buffer = bytearray(_LONGEST)
        self.fill = 0
        self.kind = 0
        self.broken = False  # something came that is no frame: noise, or several at a time
        self.noise = 0  # octets before it that can begin none
        self._own = b""
        self._echoed = 0

    def reset(self, own=b""):
        self.fill = 0
        self.kind = 0
        self.broken = False
        self.noise = 0
        self._own = own
        self._echoed = 0

    @property
    def begun(self):
        """Whether something came that is not our own."""
        return self.fill > 0 or self.broken or self.noise > 0

    def feed(self, data):
        """Takes octets; whether a whole frame is there. What comes behind it breaks it."""
        for octet in data:
            own = self._own
            if self._echoed < len(own) and not self.begun:
                if octet == own[self._echoed]:
                    self._echoed += 1
                    continue
                # It was the begin of an answer.
                for k in range(self._echoed):
                    self._take(own[k])
            # Once the first has come that is not ours, nothing is.
            self._echoed = len(own)
            self._take(octet)
        return bool(self.kind)

    def _take(self, octet):
        if self.fill == 0 and not self.broken and octet not in (ACK, SHORT, LONG):
            self.noise += 1
            self.broken = self.noise > _NOISE_MOST
        elif self.broken or self.kind or self.fill == _LONGEST:
            self.broken = True
            self.kind = 0
        else:
            self.buffer[self.fill] = octet
            self.fill += 1
            self._look()

    def _look(self):
        b = self.buffer
        fill = self.fill
        if b[0] == ACK:
            self.kind = ACK
        elif b[0] == SHORT:
            if fill == 5:
                self._end(SHORT, 1)
        elif b[0] == LONG:
            if fill == 4 and (b[1] != b[2] or b[3] != LONG or b[1] < 3):
                self.broken = True
            elif fill > 4 and fill == b[1] + 6:
                self._end(LONG, 4)
        else:
            self.broken = True

    def _end(self, kind, start):
        end = self.fill - 2
        if self.buffer[end + 1] == _STOP and checksum(self.buffer, start, end) == self.buffer[end]:
            self.kind = kind
        else:
            self.broken = True

    @property
    def control(self):
        return self.buffer[4 if self.kind == LONG else 1]

    @property
    def address(self):
        return self.buffer[5 if self.kind == LONG else 2]

    @property
    def ci(self):
        return self.buffer[6]

    def data(self):
        """What follows CI: a copy, for the buffer serves the next answer."""
        return bytes(self.buffer[7 : self.fill - 2])
