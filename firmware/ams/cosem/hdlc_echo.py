"""What an optical head gives back of the meter's own light.

Where client and server have addresses of one octet that are alike (operator 1 at logical
device 1), a frame that comes back looks like one of the client's. Such a head is found out by
the first response (UA, DM, FRMR) that comes back, since no client sends any; from then on, until
the next SNRM, each frame of the last turn is passed over once.
"""

from array import array

from micropython import const

_MOST = const(8)  # frames of a turn: a window of seven, and a message before it
_NOTHING = const(0x10000)
_SNRM = const(0x83)
RESPONSES = (0x63, 0x0F, 0x87)  # without final


class Echoes:
    """Frames are known by their check sequences."""

    def __init__(self):
        self._checks = array("I", [_NOTHING] * _MOST)
        self._count = 0
        self._found = False

    def said(self, frame):
        """A whole frame goes out."""
        at = len(frame) - 3
        self._checks[self._count % _MOST] = frame[at] | frame[at + 1] << 8
        self._count += 1

    def hear(self, reader):
        """Whether the frame of a FrameReader is to be passed over: no client sent it."""
        control = reader.control & 0xEF
        at = reader.info_end if reader.info_end > reader.info_at else reader.info_at - 2
        check = reader.buffer[at] | reader.buffer[at + 1] << 8
        if control == _SNRM:
            self._found = False
        for k in range(_MOST):
            if self._checks[k] == check:
                self._found = self._found or control in RESPONSES
                if self._found:
                    self._checks[k] = _NOTHING
                    return True
        if control in RESPONSES:
            return True  # another station's
        # The client speaks: the turn is over.
        for k in range(_MOST):
            self._checks[k] = _NOTHING
        self._count = 0
        return False
