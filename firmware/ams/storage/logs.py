"""A series that keeps some of its entries when the ring goes round, in cells.

Before a sector is erased the newest entries of each group that it holds go into the cells, behind
those that went there before; of each group as many stay as it is allowed. They are
there before the erase, so a power cut loses none. To readers they are the begin of the log:
their numbers have gaps, those of the ring have none.

    cell: version u8 | entries
"""

import struct

from ams.storage.series import Series

_VERSION = b"\x01"


class Log(Series):
    """Entries have `size` octets. `group_of(payload)` gives (group, how many of it are kept)."""

    _cells = None

    def keep_in(self, cells, keys, size, group_of):
        """`keys`: numbers of the cells, the oldest entries in the first."""
        self._cells = cells
        self._keys = keys
        self._size = size
        self._group_of = group_of
        self._each = 880 // size
        self._journal.before_erase = self._keep_place

    # --- what was kept -----------------------------------------------------------------

    def _kept(self):
        """The kept entries that are not in the ring any more, one behind the other."""
        if self._cells is None:
            return b""
        out = b""
        last = 0
        end = super().oldest() or 1 << 32
        for key in self._keys:
            value = self._cells.get(key)
            if not value or value[:1] != _VERSION:
                continue
            for at in range(1, len(value), self._size):
                number = struct.unpack_from("<I", value, at)[0]
                # Twice there are some for a moment, between two cells.
                if last < number < end:
                    out += value[at : at + self._size]
                    last = number
        return out

    def _numbers(self):
        kept = self._kept()
        return [struct.unpack_from("<I", kept, at)[0] for at in range(0, len(kept), self._size)]

    def oldest(self):
        kept = self._kept()
        return struct.unpack_from("<I", kept)[0] if kept else super().oldest()

    def count(self):
        oldest = super().oldest()
        count = self.newest() - oldest + 1 if oldest else 0
        return count + (len(self._kept()) // self._size if self._cells is not None else 0)

    def runs(self, first, last):
        """Runs of numbers of the entries from place `first` to `last`, from 1 on."""
        numbers = self._numbers() if self._cells is not None else []
        out = []
        for number in numbers[first - 1 : last]:
            _join(out, number, number)
        oldest = super().oldest()
        first = max(first - len(numbers), 1)
        last -= len(numbers)
        if oldest and first <= last:
            _join(out, oldest + first - 1, oldest + last - 1)
        return out

    def entries(self):
        kept = memoryview(self._kept())
        for at in range(0, len(kept), self._size if kept else 1):
            yield kept[at : at + self._size]
        for payload in super().entries():
            yield payload

    def between(self, first, last):
        kept = memoryview(self._kept())
        for at in range(0, len(kept), self._size if kept else 1):
            if first <= struct.unpack_from("<I", kept, at)[0] <= last:
                yield kept[at : at + self._size]
        for payload in super().between(first, last):
            yield payload

    def numbers_between(self, from_s, to_s):
        kept = self._kept()
        runs = []
        for at in range(0, len(kept), self._size if kept else 1):
            number, seconds = struct.unpack_from("<II", kept, at)
            if from_s <= seconds <= to_s:
                _join(runs, number, number)
        for run in runs:
            yield run
        for run in super().numbers_between(from_s, to_s):
            yield run

    # --- the ring goes round -------------------------------------------------------------

    def append(self, payload):
        """Gives whether a sector was opened for it."""
        journal = self._journal
        if self._cells is not None and not journal.fits(len(payload)):
            self._keep_place(journal.place_of(journal.sequence - journal.count + 1))
        before = journal.sequence
        super().append(payload)
        return journal.sequence != before

    def _keep_place(self, place):
        """The sector there goes; -1: it is not there."""
        sequence = self._journal.sector_sequence(place) if place >= 0 else 0
        if sequence:
            try:
                self._keep(place, sequence)
            except OSError:
                # The cells take nothing: it has been told, and the log goes on without.
                pass

    def _keep(self, place, sequence):
        """Takes over what stands in a sector that goes."""
        kept = self._kept()
        counts = {}
        for payload in self._payloads(place, sequence):
            group = self._group_of(payload)[0]
            counts[group] = counts.get(group, 0) + 1
        here = dict(counts)
        for at in range(0, len(kept), self._size):
            group = self._group_of(kept[at : at + self._size])[0]
            counts[group] = counts.get(group, 0) + 1
        out = bytearray()
        for at in range(0, len(kept), self._size):
            self._take(out, kept[at : at + self._size], counts)
        if here:
            for payload in self._payloads(place, sequence):
                self._take(out, payload, counts)
        self._store(out)

    def _take(self, out, payload, counts):
        """Adds an entry if no more than are kept of its group are behind it."""
        group, most = self._group_of(payload)
        if counts[group] <= most:
            out += payload
        counts[group] -= 1

    def _store(self, entries):
        # The newest last: what there is no room for is the oldest.
        room = self._each * self._size
        entries = entries[-len(self._keys) * room :]
        for k, key in enumerate(self._keys):
            value = _VERSION + bytes(entries[k * room : (k + 1) * room])
            if len(value) > 1 or self._cells.get(key):
                self._cells.set(key, value)

    def _payloads(self, place, sequence):
        for _, length, kind in self._journal.scan(place, sequence, False):
            if kind == self._kind and length == self._size:
                yield self._journal.payload(length)

    def newest_sector(self):
        """Yields the payloads of the newest sector."""
        journal = self._journal
        if journal.sequence:
            for _, length, kind in journal.scan(journal.head, journal.sequence, False):
                if kind == self._kind:
                    yield journal.payload(length)


def _join(runs, first, last):
    """Adds a run, to the one before it where they meet."""
    if runs and runs[-1][1] == first - 1:
        runs[-1] = runs[-1][0], last
    else:
        runs.append((first, last))
