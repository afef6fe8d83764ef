"""Sectors of a mounted journal that were there once and cannot be read any more, and rings in
which nothing can be read at all."""

from ams.storage.sectors import head_begins


def missing(journal):
    """How many. The one behind the newest may be on its way to become the next: it is none."""
    count = journal.count
    if not journal.sequence:
        return 0  # the mount has seen that all of it is erased
    used = min(journal.sequence, count)
    lost = used - journal.found
    if lost and not journal.sector_sequence(_next(journal)) and _is_turning(journal):
        # It was one of those that are used when the ring is full.
        lost -= used == count
    # What no sector of the journal was yet is erased.
    for step in range(1, count - used + 1):
        place = (journal.head + step) % count
        # Its first head tells: each is one read more, and a new meter has many.
        if next(journal.heads(place)).strip(b"\xff"):
            lost += not (step == 1 and _is_turning(journal))
    return lost


def _next(journal):
    return (journal.head + 1) % journal.count


def _is_turning(journal):
    """Whether a cut left the sector behind the newest so.

    Erasing sets bits of the head that it had, programming clears those that the next has not.
    """
    new = head_begins(journal.region, journal.sequence + 1)
    old = new
    if journal.sequence >= journal.count:
        old = head_begins(journal.region, journal.sequence + 1 - journal.count)
    for head in journal.heads(_next(journal)):
        if not (_holds(head, old) or _holds(head, new)):
            return False
    return True


def _holds(head, bits):
    for k, octet in enumerate(bits):
        if head[k] & octet != octet:
            return False
    return True


def is_foreign(journal):
    """Whether a journal of another version or place stands in a ring that cannot be read."""
    for place in range(journal.count):
        for head in journal.heads(place):
            if head[:3] == b"OAJ":
                return True
    return False


class Leftovers:
    """What stands in sectors that a ring never used is none of its: they are erased, by and by
    where the flash can."""

    def __init__(self, journal):
        self._journal = journal
        self._eraser = None
        self._step = 0

    def erase(self, flash, eraser):
        self._eraser = eraser
        if eraser is not None:
            eraser.want(self)
            return
        found = self.to_erase()
        while found is not None:
            flash.erase(found[1])
            found = self.to_erase()

    def to_erase(self):
        """For the Eraser, as `erased`."""
        while True:
            self._step += 1
            found = self._journal.unclean(self._step)
            if found is None or found[1] >= 0:
                return found

    def erased(self):
        self._eraser.want(self)
