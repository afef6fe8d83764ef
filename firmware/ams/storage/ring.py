"""Rows of a ring of the flash: which there are of a time or place, and what they hold.

A span is (count, runs): runs are (first, last) numbers of records. What can no
longer be read counts too, so that a count that was told stays true.
"""

from ams.storage.journal import footprint

# A sector without its ends.
_SECTOR = 4096 - 32


class Ring:
    def __init__(self, nv_memory, region, entry_size):
        self._nv_memory = nv_memory
        self._region = region
        self._entry_size = entry_size

    def entries(self, first, last):
        """Yields the records from one number to another; each is good until the next.

        Others may be stored meanwhile.
        """
        return self._nv_memory.entries_between(self._region, first, last)

    def all(self):
        count = self.count()
        return self._span(1, count)

    def count(self):
        return self._nv_memory.count(self._region)

    def capacity(self):
        """How many records there are at least before the oldest goes."""
        journal = self._nv_memory.journals.get(self._region)
        if journal is None:
            return 0
        return (journal.count - 1) * (_SECTOR // footprint(self._entry_size))

    def between(self, from_s, to_s):
        """The span of the records with times from `from_s` to `to_s`."""
        runs = list(self._nv_memory.numbers_between(self._region, from_s, to_s))
        count = 0
        for first, last in runs:
            count += last - first + 1
        return count, runs

    def slice(self, first, last):
        """From place `first` to `last` (from 1, oldest first; last 0: to the end)."""
        count = self.count()
        return self._span(first, min(last, count) if last else count)

    def _span(self, first, last):
        if last < first:
            return 0, ()
        return last - first + 1, self._nv_memory.runs(self._region, first, last)
