"""HDLC frame format type 3 (IEC 62056-46, clause 6.4): frames out of octets and back.

    7E | format 1010 S LLLLLLLLLLL | destination | source | control | HCS | information | FCS | 7E

No information, no header check. The length tells where a frame ends, so a false start (noise
that looks like a flag) is found out by its header check and the search goes on behind it.
"""

from micropython import const

from ams.crypto import octets
from ams.crypto.octets import crc16

FLAG = const(0x7E)
# Flag, format, two addresses of four octets, control, header check.
HEAD_MAX = const(14)
# What a frame has beside its information, at the most: frame check and closing flag too.
OVERHEAD = const(17)
# Format, two addresses of one octet, control, check.
_SHORTEST = const(7)
# CRC-16/X.25 over data and its own check is always this.
_RESIDUE = const(0xF0B8)


def address_size(buffer, at):
    """Octets of the address at `at`: 1, 2 or 4; 0 when it is none."""
    for size in (1, 2, 3, 4):
        if buffer[at + size - 1] & 1:
            return 0 if size == 3 else size
    return 0


def upper_address(buffer, at, size):
    """The upper part (client, or logical device) of an address."""
    if size == 4:
        return (buffer[at] >> 1) << 7 | buffer[at + 1] >> 1
    return buffer[at] >> 1


def lower_address(buffer, at, size):
    """The lower part (physical device); None where the address has none."""
    if size == 4:
        return (buffer[at + 2] >> 1) << 7 | buffer[at + 3] >> 1
    return buffer[at + 1] >> 1 if size == 2 else None


class FrameReader:
    """Finds frames in any slices of a stream. One at a time, in a buffer of its own.

    `frame()` is called with the reader's fields filled in:
    `buffer`, `target_at`, `target_size`, `source_at`, `source_size`, `control`, `segmented`,
    and the information in buffer[info_at:info_end]; `too_long` when the frame was whole and
    right but did not fit the buffer (then there is no information).
    """

    def __init__(self, max_info, frame):
        self.buffer = bytearray(max_info + OVERHEAD)
        self._frame = frame
        self._size = len(self.buffer)
        self.fill = 0
        self._length = 0  # of the frame in the buffer, between its flags; 0: not known yet
        self._skip = 0  # octets of an over-long frame that are still to come
        self._crc = 0
        self.bad_frames = 0
        self.target_at = 3
        self.target_size = self.source_at = self.source_size = 0
        self.control = self.info_at = self.info_end = 0
        self.segmented = False
        self.too_long = False

    @property
    def partial(self):
        """Whether a frame has begun and not ended; a lone flag is no beginning."""
        return self.fill > 1

    def reset(self):
        self.fill = self._length = self._skip = 0

    def feed(self, data, start, end):
        at = start
        while at < end:
            if self._skip:
                at = self._pass_over(data, at, end)
                continue
            if not self.fill:
                at = octets.find(data, FLAG, at, end)
                if at == end:
                    return
            count = min(self._wanted() - self.fill, end - at)
            octets.copy(self.buffer, self.fill, data, at, count)
            self.fill += count
            at += count
            while self.fill and not self._skip and self.fill >= self._wanted():
                self._step()

    def _wanted(self):
        """How many octets, from the flag on, the next decision needs."""
        if self._length:
            return self._length + 2
        if self.fill < 3:
            return 3
        form = self.buffer[1] << 8 | self.buffer[2]
        if form & 0xF000 != 0xA000 or form & 0x7FF < _SHORTEST:
            return 3  # no frame, decided at once
        # The smallest frame, or what is sure to hold the addresses of a longer one.
        return min(form & 0x7FF, HEAD_MAX - 1) + 1

    def _step(self):
        buffer = self.buffer
        if self._length:
            self._end()
        elif buffer[1] == FLAG:
            self._drop(1)  # one flag may follow the other
        elif self._wanted() == 3 or not self._head():
            self._false_start()

    def _head(self):
        """Reads addresses and control, checks the header. False: this is no frame."""
        buffer = self.buffer
        length = (buffer[1] & 7) << 8 | buffer[2]
        size = address_size(buffer, 3)
        if not size:
            return False
        self.target_size = size
        self.source_at = 3 + size
        if self.fill < self.source_at + 4:
            return False
        size = address_size(buffer, self.source_at)
        control_at = self.source_at + size
        if not size or self.fill < control_at + 3:
            return False
        self.source_size = size
        self.control = buffer[control_at]
        self.segmented = bool(buffer[1] & 8)
        self.info_at = control_at + 3
        self.info_end = length - 1
        if self.info_at == length + 1:
            self.info_end = self.info_at  # the header check is the frame check
        elif self.info_at > self.info_end:
            return False
        if octets.crc16_more(0xFFFF, buffer, 1, self.info_at) != _RESIDUE:
            return False
        if length + 2 > self._size:
            self._crc = octets.crc16_more(0xFFFF, buffer, 1, self.fill)
            self._skip = length + 2 - self.fill
        self._length = length
        return True

    def _end(self):
        """All octets of the frame are there."""
        end = self._length + 1
        buffer = self.buffer
        if buffer[end] != FLAG or octets.crc16_more(0xFFFF, buffer, 1, end) != _RESIDUE:
            self._false_start()
            return
        self._length = 0
        self.too_long = False
        self._frame()
        # The closing flag may be the next frame's opening one. A frame that reset the
        # reader (end of the link) has left nothing to keep.
        if self.fill:
            self._drop(end)

    def _pass_over(self, data, at, end):
        count = min(self._skip, end - at)
        self._skip -= count
        if self._skip:
            self._crc = octets.crc16_more(self._crc, data, at, at + count)
            return at + count
        last = at + count - 1
        self._crc = octets.crc16_more(self._crc, data, at, last)
        self._length = 0
        self.fill = 1 if data[last] == FLAG else 0
        if self.fill and self._crc == _RESIDUE:
            self.too_long = True
            self.info_end = self.info_at
            self._frame()
        else:
            self.bad_frames += 1
        return at + count

    def _false_start(self):
        """What began at this flag is no frame: look for the next flag behind it."""
        self._length = 0
        self.bad_frames += 1
        self._drop(octets.find(self.buffer, FLAG, 1, self.fill))

    def _drop(self, count):
        self.fill -= count
        octets.copy(self.buffer, 0, self.buffer, count, self.fill)


class FrameWriter:
    """Builds one frame at a time in a buffer of its own."""

    def __init__(self, max_info):
        self.buffer = bytearray(max_info + OVERHEAD)
        self._view = memoryview(self.buffer)
        self._last = self._view[:1]
        self.at = 0
        self._control_at = 0
        self.buffer[0] = FLAG

    def begin(self, reader, control):
        """A frame back to where the reader's came from; its information goes to `at`."""
        octets.copy(self.buffer, 3, reader.buffer, reader.source_at, reader.source_size)
        at = 3 + reader.source_size
        octets.copy(self.buffer, at, reader.buffer, reader.target_at, reader.target_size)
        self._begin(at + reader.target_size, control)

    def begin_to(self, addresses, control, size=None):
        """A frame with the given destination and source octets."""
        size = len(addresses) if size is None else size
        octets.copy(self.buffer, 3, addresses, 0, size)
        self._begin(3 + size, control)

    def _begin(self, control_at, control):
        self.buffer[control_at] = control
        self._control_at = control_at
        self.at = control_at + 3

    def add(self, data, start, size):
        octets.copy(self.buffer, self.at, data, start, size)
        self.at += size

    def end(self, segmented=False):
        """The finished frame."""
        buffer = self.buffer
        head = self._control_at + 1
        if self.at == head + 2:
            self.at = head  # nothing follows: the frame check is the only one
        length = self.at + 1
        buffer[1] = 0xA0 | (8 if segmented else 0) | length >> 8
        buffer[2] = length & 0xFF
        if self.at > head:
            self._check(crc16(buffer, 1, head), head)
        self._check(crc16(buffer, 1, self.at), self.at)
        buffer[self.at + 2] = FLAG
        size = self.at + 3
        if len(self._last) != size:
            # Kept, so that frames of the same size in a row cost no new view.
            self._last = self._view[:size]
        return self._last

    def _check(self, crc, at):
        self.buffer[at] = crc & 0xFF
        self.buffer[at + 1] = crc >> 8
