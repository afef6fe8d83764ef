"""What every COSEM object is, and who may do what with it.

An object is a view: it holds no state of the meter, it reads and writes the
rooms that do, through what it is given when it is made. Objects are made when
a request names them and forgotten after it, so that a long object list costs a
small heap little (see `ams.objects.model`).
"""

from micropython import const

from ams.results import READ_WRITE_DENIED, AccessError

# Who asks: a bit for each client, so that rights are masks.
PUBLIC = const(1)
READER = const(2)
OPERATOR = const(4)
BREAKER = const(8)
UPDATE = const(16)
NOBODY = const(0)
KEYED = READER | OPERATOR | BREAKER | UPDATE
EVERYBODY = PUBLIC | KEYED
# The meter itself, when a schedule or script acts: no client ever has this.
INTERNAL = const(32)


_NONE = {}


class Rights:
    """Masks of who may read, write and call.

    `read`: who sees the object and reads all its attributes, but for those in
    `reads` (attribute: mask); `writes` (attribute: mask) and `calls` (method:
    mask) name what may be done beyond reading. What is not named is denied.
    """

    reads = writes = calls = _NONE

    def __init__(self, read, writes=None, calls=None, reads=None):
        self.read = read
        if reads:
            self.reads = reads
        if writes:
            self.writes = writes
        if calls:
            self.calls = calls

    def may_read(self, attribute, who):
        if attribute == 1:
            return bool(self.seen_by() & who)
        return bool(self.reads.get(attribute, self.read) & who)

    def may_write(self, attribute, who):
        return bool(self.writes.get(attribute, NOBODY) & who)

    def may_call(self, method, who):
        return bool(self.calls.get(method, NOBODY) & who)

    def changed_by(self):
        """Everybody who may write or call something."""
        mask = NOBODY
        for table in (self.writes, self.calls):
            for value in table.values():
                mask |= value
        return mask

    def seen_by(self):
        """Everybody who may do anything with the object."""
        mask = self.read
        for table in (self.reads, self.writes, self.calls):
            for value in table.values():
                mask |= value
        return mask


class Object:
    """One COSEM object: `ln` is its logical name, six octets.

    `who` is the mask of the client that asks. Each method raises
    AccessError(code) for what it refuses.
    """

    class_id = 0
    version = 0
    attributes = 1  # the highest attribute
    methods = 0

    def __init__(self, ln):
        self.ln = ln

    def get(self, attribute, out, selection=None):
        """Writes attribute 2 and up to `out` (a Writer), with its tag.

        `selection`: None or a Reader that stands at selector (octet) and its
        data. A long value is written by a generator that this gives back: it
        yields between pieces of at most PIECE octets, so that a block can be
        sent and forgotten in between. What a short one gives back is None.
        """
        raise AccessError(READ_WRITE_DENIED)

    def set(self, attribute, data, who):
        """Takes the new value from `data` (a Reader at its tag)."""
        raise AccessError(READ_WRITE_DENIED)

    def call(self, method, data, out, who):
        """Invokes a method. `data`: a Reader at the parameters' tag, or None.

        Writes to `out` what it returns, if anything, with its tag.
        """
        raise AccessError(READ_WRITE_DENIED)


# Most octets that a generator of `get` writes between two yields.
PIECE = const(320)
