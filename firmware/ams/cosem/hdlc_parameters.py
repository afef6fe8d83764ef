"""What the two ends of an HDLC link agree on in SNRM and UA (IEC 62056-46, clause 6.4.4.4).

    81 80 length | identifier length value | ... | C0 user data

A parameter that is absent, or 0, means its default. What one end transmits the other receives;
each way the smaller value holds, also below the 32 octets that class 23 begins with. Parameters
of another kind are a reason to refuse, user data is not; it is nobody's here.
"""

from micropython import const

DEFAULT_INFO = const(128)
MAX_WINDOW = const(7)
_MAX_INFO_TX = const(5)
_MAX_INFO_RX = const(6)
_WINDOW_TX = const(7)
_WINDOW_RX = const(8)
_USER_DATA = const(0xC0)
_PACKED = const(23)
# What a frame has besides its information.
_FRAME = const(14)


class Parameters:
    """`max_...` is what this end is set up to (class 23), the rest what holds now."""

    def __init__(self, max_info):
        self.room = max_info
        self.max_info_tx = self.max_info_rx = max_info
        self.max_window_tx = self.max_window_rx = MAX_WINDOW
        self.turn = 0  # octets that the line takes at a time; 0: any
        self.packed = bytearray(_PACKED)
        self.reset()

    def reset(self):
        """The defaults, as if the client had asked for nothing."""
        self.info_tx = min(DEFAULT_INFO, self.max_info_tx, self.room)
        self.info_rx = min(DEFAULT_INFO, self.max_info_rx, self.room)
        self.window_tx = self.window_rx = 1

    def take(self, buffer, at, end):
        """Negotiates over the client's buffer[at:end]. False: it cannot be read."""
        self.reset()
        if at == end:
            return True
        if end - at < 3 or buffer[at] != 0x81 or buffer[at + 1] != 0x80:
            return False
        stop = at + 3 + buffer[at + 2]
        if stop > end or (stop < end and buffer[stop] != _USER_DATA):
            return False
        end = stop
        at += 3
        while at < end:
            if at + 2 > end or buffer[at + 1] > 4 or at + 2 + buffer[at + 1] > end:
                return False
            if not _MAX_INFO_TX <= buffer[at] <= _WINDOW_RX:
                return False
            value = 0
            for k in range(buffer[at + 1]):
                value = value << 8 | buffer[at + 2 + k]
            if value:
                self._take(buffer[at], value)
            at += 2 + buffer[at + 1]
        if self.turn:
            self.window_tx = max(1, min(self.window_tx, self.turn // (self.info_tx + _FRAME)))
        return True

    def _take(self, identifier, value):
        if identifier == _MAX_INFO_TX:
            self.info_rx = min(value, self.max_info_rx, self.room)
        elif identifier == _MAX_INFO_RX:
            self.info_tx = min(value, self.max_info_tx, self.room)
        elif identifier == _WINDOW_TX:
            self.window_rx = min(value, self.max_window_rx, MAX_WINDOW)
        elif identifier == _WINDOW_RX:
            self.window_tx = min(value, self.max_window_tx, MAX_WINDOW)

    def pack(self):
        """Writes what holds into `packed`, as UA carries it."""
        p = self.packed
        p[0], p[1], p[2] = 0x81, 0x80, _PACKED - 3
        at = 3
        for identifier, value, size in (
            (_MAX_INFO_TX, self.info_tx, 2),
            (_MAX_INFO_RX, self.info_rx, 2),
            (_WINDOW_TX, self.window_tx, 4),
            (_WINDOW_RX, self.window_rx, 4),
        ):
            p[at] = identifier
            p[at + 1] = size
            for k in range(size):
                p[at + 2 + k] = value >> 8 * (size - 1 - k) & 0xFF
            at += 2 + size
