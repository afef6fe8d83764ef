"""Numbered and timed entries in a ring of a journal, found by number or by time.

Every entry begins with its number u32, which goes up by one, and its time in
s u32. A search looks at the first entry of some sectors and at some entries of
one or two: never at the whole ring.

Time may go back where the clock was set back. The head of a sector, or an ERA record before
its first entry, says how often that has happened up to that entry (its era, modulo 65536).
Sectors of one era are in the order of time, but for the last of them: it may hold the
step itself, and is read whole.
"""

import struct

from micropython import const

_KEY = "<II"
_NUMBER = const(0)
_TIME = const(1)
_ERA_MASK = const(0xFFFF)


class Series:
    """The entries of `kind` in the ring of `journal`, of which nobody else appends."""

    def __init__(self, journal, kind):
        self._journal = journal
        self._kind = kind
        self._last = None  # (number, time) of the newest entry; read at first use
        self._era = None  # how often time went back up to it; counted when needed
        self._back = 0
        journal.era = self._era_of_next

    # --- ends ----------------------------------------------------------------------

    def _newest(self):
        if self._last is None:
            payload = self._journal.last(self._kind)
            self._last = (0, 0) if payload is None else struct.unpack_from(_KEY, payload)
        return self._last

    def newest(self):
        """Number of the newest entry, 0 when there is none."""
        return self._newest()[0]

    def oldest(self):
        """Number of the oldest entry, 0 when there is none."""
        journal = self._journal
        for sequence in range(journal.oldest(), journal.sequence + 1):
            key = self._first_of(sequence)
            if key is not None:
                return key[_NUMBER]
        return 0

    def count(self):
        """How many entries there are, those that can no longer be read included."""
        oldest = self.oldest()
        return self.newest() - oldest + 1 if oldest else 0

    # --- append ----------------------------------------------------------------------

    def append(self, payload):
        key = struct.unpack_from(_KEY, payload)
        self._back = 1 if key[_TIME] < self._newest()[_TIME] else 0
        try:
            self._journal.append(self._kind, payload)
            self._last = key
            if self._era is not None:
                self._era += self._back
        finally:
            self._back = 0

    def _era_now(self):
        if self._era is None:
            self._era = self._count_era()
        return self._era & _ERA_MASK

    def _era_of_next(self):
        return self._era_now() + self._back & _ERA_MASK

    def _count_era(self):
        journal = self._journal
        newest = None  # era of the newest sector, which may hold no entry yet
        for place, sequence in journal.backwards():
            steps = 0
            before = -1
            for _, length, kind in journal.scan(place, sequence, False):
                if kind == self._kind:
                    time = struct.unpack_from(_KEY, journal.payload(length))[_TIME]
                    steps += time < before
                    before = time
            era = journal.era_found + steps
            if newest is None:
                newest = era
            if before >= 0:
                return newest if newest - era & _ERA_MASK <= _ERA_MASK >> 1 else era
        return newest or 0

    # --- entries -----------------------------------------------------------------------

    def entries(self):
        """Yields all that are there as they stand, oldest first, each good until the next."""
        for kind, payload in self._journal.records():
            if kind == self._kind:
                yield payload

    def runs(self, first, last):
        """Runs of numbers of the entries from place `first` to `last`, from 1 on."""
        before = self.oldest() - 1
        return ((before + first, before + last),)

    def between(self, first, last):
        """Yields the entries with numbers from `first` to `last`, each good until the next.

        Others may append meanwhile; what they push out of the ring is not given.
        """
        journal = self._journal
        sequence = self._sector_before(journal.oldest(), journal.sequence, _NUMBER, first)
        number = first - 1
        while sequence <= journal.sequence:
            # Once something was given there is nothing more to leave out.
            for _, length in self._entries_from(sequence, _NUMBER, first if number < first else 0):
                payload = journal.payload(length)
                found = struct.unpack_from(_KEY, payload)[_NUMBER]
                if found > last:
                    return
                if found > number:
                    number = found
                    yield payload
            sequence += 1

    def numbers_between(self, from_s, to_s):
        """Yields (first, last) number of each run of entries with times from `from_s` to `to_s`.

        Runs are in the order of the numbers. There is one, unless the clock was set.
        """
        run = None
        for first, last in self._runs(from_s, to_s):
            if run is not None and first > run[1] + 1:
                yield run
                run = None
            run = (first if run is None else run[0], last)
        if run is not None:
            yield run

    def _runs(self, from_s, to_s):
        journal = self._journal
        low = journal.oldest()
        high = journal.sequence
        # What has a head alone has no entries, and an era that may be one of long ago.
        while low <= high and self._first_of(high) is None:
            high -= 1
        while low <= high:
            if self._first_of(low) is None:
                low += 1
                continue
            era = journal.era_found
            last = self._last_of_era(low, high, era)
            # The newest may be in order too: that is known of no other.
            ordered = last if last == high and self._era_now() == era else last - 1
            if low <= ordered:
                run = self._ordered_run(low, ordered, from_s, to_s)
                if run is not None:
                    yield run
            if ordered < last:
                for _, length in self._entries_from(last, _NUMBER, 0):
                    number, time = struct.unpack_from(_KEY, journal.payload(length))
                    if from_s <= time <= to_s:
                        yield number, number
            low = last + 1

    def _ordered_run(self, low, high, from_s, to_s):
        """(first, last) number with times in the range, of sectors in the order of time."""
        last = self._last_before(low, high, to_s + 1)
        if last is None:
            return None
        sequence = self._sector_before(low, high, _TIME, from_s)
        while sequence <= high:
            for _, length in self._entries_from(sequence, _TIME, from_s):
                number, time = struct.unpack_from(_KEY, self._journal.payload(length))
                if time >= from_s:
                    return (number, last) if number <= last else None
            sequence += 1
        return None

    def _last_before(self, low, high, to_s):
        """Number of the last entry before a time, of sectors in the order of time."""
        sequence = self._sector_before(low, high, _TIME, to_s)
        found = None
        for _, length in self._entries_from(sequence, _TIME, to_s):
            number, time = struct.unpack_from(_KEY, self._journal.payload(length))
            if time >= to_s:
                break
            found = number
        return found

    # --- search ------------------------------------------------------------------------

    def _first_of(self, sequence):
        """(number, time) of the first entry of a sector, or None."""
        journal = self._journal
        place = journal.place_of(sequence)
        if place >= 0:
            for _, length, kind in journal.scan(place, sequence, False):
                if kind == self._kind:
                    return struct.unpack_from(_KEY, journal.payload(length))
        return None

    def _sector_before(self, low, high, field, value):
        """The last sector of `low` to `high` that begins before `value`, or `low`."""
        found = low
        high += 1
        while high - low > 0:
            middle = (low + high) // 2
            key = None
            # Sectors without an entry are stepped over.
            while middle >= low:
                key = self._first_of(middle)
                if key is not None:
                    break
                middle -= 1
            if key is None:
                low = (low + high) // 2 + 1
            elif key[field] < value:
                found = middle
                low = (low + high) // 2 + 1
            else:
                high = middle
        return found

    def _last_of_era(self, low, high, era):
        """The last sector whose era is that of sector `low`."""
        found = low
        while low <= high:
            middle = (low + high + 1) // 2
            at = middle
            while at > found and self._first_of(at) is None:
                at -= 1
            if at <= found or self._journal.era_found == era:
                found = max(found, at)
                low = middle + 1
            else:
                high = at - 1
        return found

    def _entries_from(self, sequence, field, value):
        """Yields (at, length) of a sector's entries; those before `value` may be left out,
        but for the last of them."""
        journal = self._journal
        place = journal.place_of(sequence)
        if place < 0:
            return
        for start, length, kind in journal.scan(place, sequence, False):
            if kind == self._kind and value:
                skipped = journal.bisect(
                    place,
                    sequence,
                    start,
                    lambda payload: struct.unpack_from(_KEY, payload)[field] < value,
                )
                start = max(start, skipped)
            for at, length, kind in journal.scan(place, sequence, False, start):
                if kind == self._kind:
                    yield at, length
            return
