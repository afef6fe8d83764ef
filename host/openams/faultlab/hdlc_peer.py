"""A primary station of HDLC for tests: strict about what it hears, able to repeat what is lost.

Shares nothing with the firmware, the CRC included. Runs on CPython and on MicroPython.
"""

FLAG = 0x7E
SNRM, DISC, UA, DM, FRMR, UI = 0x93, 0x53, 0x73, 0x1F, 0x97, 0x13


def _shifted(value):
    for _ in range(8):
        value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return value


_TABLE = tuple(_shifted(value) for value in range(256))


def crc(data):
    value = 0xFFFF
    for octet in data:
        value = value >> 8 ^ _TABLE[(value ^ octet) & 0xFF]
    return value ^ 0xFFFF


def check(data):
    value = crc(data)
    return bytes((value & 0xFF, value >> 8))


def address(upper, lower=None, size=None):
    """Octets of an address: one without a lower part, two or four with one."""
    if lower is None:
        return bytes((upper << 1 | 1,))
    if size == 4 or upper > 0x7F or lower > 0x7F:
        parts = (upper >> 7, upper & 0x7F, lower >> 7, lower & 0x7F)
    else:
        parts = (upper, lower)
    out = bytearray(part << 1 for part in parts)
    out[-1] |= 1
    return bytes(out)


def frame(target, source, control, info=b"", segmented=False):
    head_size = 2 + len(target) + len(source) + 1
    length = head_size + 2 + (len(info) + 2 if info else 0)
    head = bytes((0xA0 | (8 if segmented else 0) | length >> 8, length & 0xFF))
    head += target + source + bytes((control,))
    body = head
    if info:
        body += check(head) + info
    return b"\x7e" + body + check(body) + b"\x7e"


class Heard:
    """One frame as it came. `target` and `source` are octets."""

    def __init__(self, data):
        assert data[0] == data[-1] == FLAG, data
        assert data[1] & 0xF0 == 0xA0
        length = (data[1] & 7) << 8 | data[2]
        assert length == len(data) - 2, "length field"
        self.segmented = bool(data[1] & 8)
        at = 3
        ends = []
        for _ in range(2):
            while not data[at] & 1:
                at += 1
            at += 1
            ends.append(at)
        self.target = bytes(data[3 : ends[0]])
        self.source = bytes(data[ends[0] : ends[1]])
        self.control = data[at]
        assert check(data[1:-3]) == bytes(data[-3:-1]), "frame check"
        self.info = b""
        if at + 3 < length:
            assert check(data[1 : at + 1]) == bytes(data[at + 1 : at + 3]), "header check"
            self.info = bytes(data[at + 3 : -3])
            assert self.info


def parameters(info_tx, info_rx, window_tx=1, window_rx=1):
    """The information of SNRM, in the client's words."""
    body = b""
    for key, value in ((5, info_tx), (6, info_rx)):
        size = 1 if value < 256 else 2
        body += bytes((key, size)) + value.to_bytes(size, "big")
    for key, value in ((7, window_tx), (8, window_rx)):
        body += bytes((key, 4)) + value.to_bytes(4, "big")
    return bytes((0x81, 0x80, len(body))) + body


def agreed(info):
    """What a UA says, as {identifier: value}."""
    out = {}
    at = 3
    while at < len(info):
        size = info[at + 1]
        out[info[at]] = int.from_bytes(info[at + 2 : at + 2 + size], "big")
        at += 2 + size
    return out


class Primary:
    """Talks to a link through `line(frames) -> frames`, which may lose and spoil them."""

    def __init__(self, line, client=16, server=b"\x03"):
        self._line = line
        self.client = address(client)
        self.server = server
        self.send = self.expect = 0
        self.info_tx = self.info_rx = 128
        self.window_tx = 1
        self.agreed = {}
        self.notifications = []
        self.repeats = 0

    def frame(self, control, info=b"", segmented=False):
        return frame(self.server, self.client, control, info, segmented)

    def _talk(self, frames):
        out = []
        for data in self._line(frames):
            heard = Heard(data)
            assert heard.source == self.server, "another address than it was called by"
            if heard.target == self.client:
                out.append(heard)
        return out

    def _until(self, control, frames, wanted):
        for _ in range(200):
            for heard in self._talk(frames):
                if heard.control in wanted:
                    return heard
            self.repeats += 1
        raise AssertionError("no answer to %02X" % control)

    def connect(self, info=b""):
        ua = self._until(SNRM, [self.frame(SNRM, info)], (UA, DM))
        if ua.control == DM:
            return False
        self.send = self.expect = 0
        values = self.agreed = agreed(ua.info)
        self.info_tx = values.get(6, 128)
        self.info_rx = values.get(5, 128)
        self.window_tx = values.get(8, 1)
        return True

    def disconnect(self):
        return self._until(DISC, [self.frame(DISC)], (UA, DM)).control == UA

    def exchange(self, apdu, repeat_all=False):
        """Sends an APDU, gives the answer; repeats what gets lost until it is there.

        `repeat_all`: sends the same frames again instead of asking by RR first.
        """
        message = b"\xe6\xe6\x00" + apdu
        segments = [message[at : at + self.info_tx] for at in range(0, len(message), self.info_tx)]
        base = self.send
        done = 0
        answer = b""
        ask = False
        for _ in range(3000):
            frames = []
            if done < len(segments) and not ask:
                last = min(done + self.window_tx, len(segments))
                for k in range(done, last):
                    number = (base + k) & 7
                    control = self.expect << 5 | number << 1 | (0x10 if k == last - 1 else 0)
                    frames.append(self.frame(control, segments[k], k < len(segments) - 1))
            else:
                frames.append(self.frame(self.expect << 5 | 0x11))
            finished = False
            ask = True
            for heard in self._talk(frames):
                control = heard.control
                if control & 0xEF == UI & 0xEF:
                    self.notifications.append(heard.info)
                    continue
                assert control not in (DM, FRMR), "refused: %02X %s" % (control, heard.info)
                acked = ((control >> 5) - base - done) & 7
                if acked <= min(self.window_tx, len(segments) - done):
                    done += acked
                if control & 0x10:
                    ask = False
                if control & 1 == 0 and control >> 1 & 7 == self.expect:
                    assert len(heard.info) <= self.info_rx
                    self.expect = (self.expect + 1) & 7
                    answer += heard.info
                    finished = not heard.segmented
                elif control & 0x1F == 0x11 and done == len(segments) and not answer:
                    self.send = (base + done) & 7
                    return None  # everything is there, and no answer to it
            if ask:
                self.repeats += 1
                ask = not repeat_all
            if finished:
                assert answer[:3] == b"\xe6\xe7\x00"
                self.send = (base + done) & 7
                assert done == len(segments)
                return answer[3:]
        raise AssertionError("no answer")
