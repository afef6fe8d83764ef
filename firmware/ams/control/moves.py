"""The movements of the last hour, whoever made them: a relay and its house bear so many.

They are kept over a power cut, since a supply that comes and goes would else give an hour's
movements anew each time; hours are lived ones (see clock.own_time).
"""

import struct

from micropython import const

_HOUR_S = const(3600)
# Of a policy that allows more the newest are kept.
_KEPT = const(60)


class Moves:
    """`cells` keeps them under `key`; `per_hour`: the most."""

    def __init__(self, cells, key, per_hour):
        self._cells = cells
        self._key = key
        self._per_hour = per_hour
        # Lived seconds, doubled; odd: a reconnection of the limiter's.
        self._times = []
        data = cells.get(key)
        if data and len(data) % 4 == 0:
            self._times = list(struct.unpack("<%dI" % (len(data) // 4), data))

    def _forget(self, lived_ms):
        now_s = lived_ms // 1000
        times = self._times
        if times and times[-1] >> 1 > now_s:
            # What is later than now was kept by a clock that is lost: it counts as of now.
            times[:] = [min(time >> 1, now_s) << 1 | time & 1 for time in times]
        while times and now_s - (times[0] >> 1) > _HOUR_S:
            times.pop(0)

    def __len__(self):
        return len(self._times)

    def limiter_reconnections(self, lived_ms):
        self._forget(lived_ms)
        return sum(time & 1 for time in self._times)

    def may(self, connect, lived_ms):
        """Whether there is one left. A reconnection leaves one for the disconnection after it:
        so nobody who moves the supply to and fro keeps it from being cut off."""
        self._forget(lived_ms)
        needs = 2 if connect and self._per_hour > 1 else 1
        return len(self._times) + needs <= self._per_hour

    def add(self, lived_ms, of_limiter=False):
        """One is about to be made. Where it cannot be kept it counts until the supply goes."""
        self._forget(lived_ms)
        self._times.append(lived_ms // 1000 << 1 | (1 if of_limiter else 0))
        times = self._times[-_KEPT:]
        try:
            self._cells.set(self._key, struct.pack("<%dI" % len(times), *times))
        except OSError:
            pass
