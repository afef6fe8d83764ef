"""Sectors of a mounted journal that were there once and cannot be read any more."""

from ams.storage.journal import head_begins


def missing(journal):
    """How many. The one behind the newest may be on its way to become the next: it is none."""
    expected = min(journal.sequence, journal.count)
    odd = journal.odd
    following = (journal.head + 1) % journal.count
    if not journal.sector_sequence(following) and _is_turning(journal, following):
        odd -= journal.is_odd
        expected -= journal.sequence >= journal.count
    return max(expected - journal.found, odd)


def _is_turning(journal, place):
    """Whether a cut left the sector so.

    Erasing sets bits of the head that it had, programming clears those that the next has not.
    """
    new = head_begins(journal.region, journal.sequence + 1)
    old = new
    if journal.sequence >= journal.count:
        old = head_begins(journal.region, journal.sequence + 1 - journal.count)
    for head in journal.heads(place):
        if not (_holds(head, old) or _holds(head, new)):
            return False
    return True


def _holds(head, bits):
    for k, octet in enumerate(bits):
        if head[k] & octet != octet:
            return False
    return True
