"""Long data, in blocks: what is sent is made as it goes, what comes is gathered."""

from micropython import const

# A short value is made here at once; a long one comes through it in pieces.
STAGE_SIZE = const(640)
# The longest value that can be written to the meter, with what names it.
GATHER_SIZE = const(2048)


class Transfer:
    """An answer: what stands in `stage`, then what the generator `pieces` (or None) adds.

    `head` goes before an answer that fits, `service` is the tag of its blocks.
    """

    ahead = None  # an Ahead that makes the next block
    failed = None  # what went wrong there: it is the next block's
    # How the last block was asked for: invoke id, room for a plain APDU, wrapping and its keys.
    invoke = limit = how = 0
    keys = None

    def __init__(self, stage, pieces, service):
        self.stage = stage
        self.pieces = pieces
        self.service = service
        self.number = 0  # of the block that went out last
        self._back = b""  # what was taken too early
        self._at = 0

    def put_back(self, out, length):
        """Cuts `out` to `length`: what was behind comes first the next time."""
        if out.length > length:
            self._back = bytes(out.buffer[length : out.length]) + self._back
            out.length = length

    def fill(self, out, room):
        """Moves up to `room` octets to `out`; True when these are the last."""
        end = out.length + room
        last = None
        while last is None:
            last = self.part(out, end - out.length)
        return last

    def part(self, out, room):
        """A step of `fill`: moves what is there, or makes a piece. None: there is more to do."""
        stage = self.stage
        if self._back:
            count = min(len(self._back), room)
            out.raw(self._back[:count])
            self._back = self._back[count:]
            return False if self._back else None
        left = stage.length - self._at
        if left:
            count = min(left, room)
            out.raw(stage.buffer[self._at : self._at + count])
            self._at += count
            # With no room more is made all the same: whether this is the last must be known.
            return False if count < left else None
        if self.failed is not None:
            raise self.failed
        if self.pieces is None:
            return True
        stage.clear()
        self._at = 0
        try:
            next(self.pieces)
        except StopIteration:
            self.pieces = None
        except Exception:
            stage.clear()  # half a piece is none
            raise
        return None

    def close(self):
        if self.ahead is not None:
            self.ahead.drop()
            self.ahead = None
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
