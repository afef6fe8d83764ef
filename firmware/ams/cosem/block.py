"""Long data, in blocks: what is sent is made as it goes, what comes is gathered."""

from micropython import const

from ams.cosem.access import PIECE

# A short value is made here at once; a long one comes through it in pieces.
STAGE_SIZE = const(640)
# The longest value that can be written to the meter, with what names it.
GATHER_SIZE = const(2048)


class Transfer:
    """An answer: what stands in `stage`, then what the generator `pieces` (or None) adds.

    `head` goes before an answer that fits, `service` is the tag of its blocks. `listed`: a
    piece may begin by taking back what stands in the stage.
    """

    def __init__(self, stage, pieces, service, listed=False):
        self.stage = stage
        self.pieces = pieces
        self.service = service
        self.number = 0  # of the block that went out last
        self._listed = listed
        self._back = b""  # what was taken too early
        self._at = 0
        self._error = None  # of a piece made ahead: it is the next block's

    def prepare(self):
        """Makes one piece more, if there is room, while a line is at work on the last block."""
        stage = self.stage
        if self.pieces is None or self._error is not None:
            return
        if self._at == stage.length:
            stage.clear()
            self._at = 0
        elif self._listed or stage.length + PIECE > stage.size:
            return
        try:
            next(self.pieces)
        except StopIteration:
            self.pieces = None
        except Exception as error:
            self._error = error

    def put_back(self, out, length):
        """Cuts `out` to `length`: what was behind comes first the next time."""
        if out.length > length:
            self._back = bytes(out.buffer[length : out.length])
            out.length = length

    def fill(self, out, room):
        """Moves up to `room` octets to `out`; True when these are the last."""
        stage = self.stage
        if self._back:
            count = min(len(self._back), room)
            out.raw(self._back[:count])
            self._back = self._back[count:]
            room -= count
            if self._back:
                return False
        while True:
            left = stage.length - self._at
            if left == 0:
                if self.pieces is None:
                    return True
                # Also when there is no room: whether this is the last must be known.
                stage.clear()
                self._at = 0
                if self._error is not None:
                    raise self._error
                try:
                    next(self.pieces)
                except StopIteration:
                    self.pieces = None
                continue
            if room == 0:
                return False
            count = min(left, room)
            out.raw(stage.buffer[self._at : self._at + count])
            self._at += count
            room -= count

    def close(self):
        if self.pieces is not None:
            self.pieces.close()
            self.pieces = None


class Gathering:
    """What one client sends in blocks, in a buffer that is made at the first use.

    There is one for the whole meter: who begins last has it.
    """

    def __init__(self):
        self._buffer = None
        self.owner = None
        self.service = 0
        self.listed = False  # it is a list of values
        self.number = 0  # of the newest block
        self.length = 0

    def begin(self, owner, service, listed):
        if self._buffer is None:
            self._buffer = memoryview(bytearray(GATHER_SIZE))
        self.owner = owner
        self.service = service
        self.listed = listed
        self.number = 0
        self.length = 0

    def add(self, data):
        """False when it is too long."""
        end = self.length + len(data)
        if end > GATHER_SIZE:
            return False
        self._buffer[self.length : end] = data
        self.length = end
        return True

    def view(self):
        return self._buffer[: self.length]

    def drop(self, owner):
        if self.owner is owner:
            self.owner = None
