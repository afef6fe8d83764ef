"""Own time: what has passed by itself, wherever the clock is set.

The clock that a meter shows is set by clients. Whatever acts by time (a schedule, an emergency
window, the period of a quota, what is sealed for a time) has a time of its own here instead. It
begins as what the clock shows when its owner sets the thing (`bind`). From then on it goes with
the board's own clock, over power cuts with the clock chip, and never back. So that it does not
drift away from the true time it follows the clock that is shown, but by no more than FOLLOWS_PPM
of what has passed. So for a thing that was set the time T ago, however often and far the clock
was set since, by whatever way:

    | own time now - own time then - T |  <=  T * FOLLOWS_PPM / 1000000

`lived` is the same without following anything: it only ever counts.

After a power cut the chip shows either the clock as it was last set or as it was before that, if
the supply fell between; which of them is not known, and the one by which less time has passed
counts. It never counts less than the meter is known to have run.
"""

import struct

from micropython import const

FOLLOWS_PPM = const(200)
# 1000000 / FOLLOWS_PPM
_FOLLOW_PER = const(5000)

# Places: what has a time of its own.
ORDERS = const(0)  # what is sealed for a time
EMERGENCY = const(1)  # of the limiter
QUOTA = const(2)
_SCHEDULES = const(3)  # of 0-0:15.0.E, by the order of E in _SCHEDULED
CALENDAR = const(7)
WINDOWS = const(8)  # of the two push setups
_PLACES = const(10)
_SCHEDULED = b"\x01\x02\x04\x05"
# Those whose owner is who sets the clock: they begin anew with the first setting after it was lost.
_OF_OPERATOR = (5, CALENDAR, WINDOWS, WINDOWS + 1)

_HEAD = "<BBqqq"  # version, flags, clock shown, clock chip, lived; places and paces follow, all i64
_HEAD_SIZE = struct.calcsize(_HEAD)
_PENDING = const(1)  # the clock was set just now: chip and registers may not know it
_KNOWN = const(2)  # the time was known once
_LOOK_MS = const(10000)
# What was followed is stored when it is so much: a power cut takes no more of it away.
_FOLLOWED_MS = const(1000)
# A chip shows whole seconds, and may be set up to a second after the clock is.
_CHIP_MS = const(2000)


def place_of(schedule):
    """Of the schedule 0-0:15.0.`schedule`. That of the billing period shares the calendar's:
    both are the operator's, who sets the clock."""
    if not schedule:
        return CALENDAR
    return _SCHEDULES + _SCHEDULED.index(schedule)


class OwnTime:
    """`cells` keeps it under `key`; `paces`: those of `events.pace` that are kept with it.

    `keeps`: whether the board's clock chip is set with the clock. All times are ms since 2000.
    """

    def __init__(self, cells, key, keeps=False):
        self._cells = cells
        self._key = key
        self.keeps = keeps
        self.paces = ()
        self.orders_follow = True  # orders are no lock here: they may take the time that is told
        self.due_ms = 0  # of the board's clock: when to look again
        self._looked_ms = 0
        self._off = [0] * _PLACES  # own time less the board's
        self._lived_off = 0
        self._chip_off = 0  # what the clock chip is known to show, less the board's clock
        self._pending = False
        self._known = False
        self._followed_ms = 0  # since it was stored

    # --- what it tells ---------------------------------------------------------------

    def of(self, place, raw_ms):
        """Own time of a place at `raw_ms` of the board's clock."""
        return raw_ms + self._off[place]

    def lived(self, raw_ms):
        return raw_ms + self._lived_off

    # --- power -----------------------------------------------------------------------

    def untold_ms(self, raw_ms):
        """What the chip lacks at power-up if the supply fell before it was set with the clock."""
        data = self._cells.get(self._key) if self.keeps else None
        if data is None or data[0] != 1 or len(data) < _HEAD_SIZE or not data[1] & _PENDING:
            return 0
        _, _, shown_ms, chip_ms, _ = struct.unpack_from(_HEAD, data)
        # Where it was set back, what it shows may be either.
        return shown_ms - chip_ms if chip_ms - _CHIP_MS <= raw_ms < shown_ms - _CHIP_MS else 0

    def start(self, raw_ms, utc_ms, kept_ms=None, lost=False, valid=True):
        """Power-up. `kept_ms`: what the clock showed when the registers were stored last, or None;
        `lost`: how long the supply was gone is not known; `valid`: the time is."""
        data = self._cells.get(self._key)
        self._chip_off = 0
        self._looked_ms = raw_ms
        # Until the registers are stored with what the clock shows from here on.
        self._pending = True
        if data is None or data[0] != 1 or len(data) < _HEAD_SIZE + 8 * _PLACES:
            self._lived_off = utc_ms - raw_ms
            for place in range(_PLACES):
                self._off[place] = utc_ms - raw_ms
            self._known = valid
        else:
            self._restore(data, raw_ms, utc_ms, kept_ms, lost, valid)
        self.due_ms = raw_ms + _LOOK_MS
        self.store(raw_ms, utc_ms)

    def _restore(self, data, raw_ms, utc_ms, kept_ms, lost, valid):
        _, flags, shown_ms, chip_ms, lived_ms = struct.unpack_from(_HEAD, data)
        count = (len(data) - _HEAD_SIZE) // 8
        values = struct.unpack_from("<%dq" % count, data, _HEAD_SIZE)
        passed = 0
        if kept_ms is not None and not flags & _PENDING:
            passed = max(kept_ms - shown_ms, 0)
        if not lost:
            best = None
            for mark_ms in (shown_ms, chip_ms):
                since = raw_ms - mark_ms
                if since >= passed - _CHIP_MS and (best is None or since < best):
                    best = since
            if best is not None:
                passed = max(passed, best)
        self._known = bool(flags & _KNOWN)
        self._lived_off = lived_ms + passed - raw_ms
        for place in range(_PLACES):
            self._off[place] = values[place] + passed - raw_ms
        if valid and not lost:
            # Not back: it would all go at once.
            self._follow(passed, utc_ms - raw_ms, 0)
        for pace, until_ms in zip(self.paces, values[_PLACES:]):
            pace.until_ms = until_ms

    def store(self, raw_ms, utc_ms):
        """A flash that takes nothing does not stop the time."""
        if self.keeps and not self._pending:
            self._chip_off = utc_ms - raw_ms
        self._followed_ms = 0
        flags = (_PENDING if self._pending else 0) | (_KNOWN if self._known else 0)
        values = [raw_ms + off for off in self._off]
        values += [pace.until_ms for pace in self.paces]
        head = struct.pack(
            _HEAD, 1, flags, utc_ms, raw_ms + self._chip_off, raw_ms + self._lived_off
        )
        try:
            self._cells.set(self._key, head + struct.pack("<%dq" % len(values), *values))
        except OSError:
            pass

    # --- time passes -------------------------------------------------------------------

    def look(self, raw_ms, utc_ms, valid=True):
        """From time to time, and before the clock is set: `utc_ms` is what it shows."""
        passed = raw_ms - self._looked_ms
        self._looked_ms = raw_ms
        self.due_ms = raw_ms + _LOOK_MS
        if valid:
            self._follow(passed, utc_ms - raw_ms, passed)
        if self._pending and passed >= _LOOK_MS:
            # They have the time by now.
            self._pending = False
            self.store(raw_ms, utc_ms)
        elif self._followed_ms >= _FOLLOWED_MS:
            self.store(raw_ms, utc_ms)

    def _follow(self, passed_ms, shown_off, back_ms):
        """`back_ms`: of what has passed, how much counts for those that are ahead."""
        most = passed_ms // _FOLLOW_PER
        least = -(back_ms // _FOLLOW_PER)
        followed = False
        for place in range(_PLACES):
            wrong = shown_off - self._off[place]
            if wrong:
                self._off[place] += max(least, min(most, wrong))
                followed = True
        if followed:
            self._followed_ms += most

    # --- the clock ---------------------------------------------------------------------

    def setting(self, raw_ms, utc_ms):
        """The clock is about to be set to `utc_ms`: noted before anything else knows it."""
        self._pending = True
        self._looked_ms = raw_ms
        self.due_ms = raw_ms + _LOOK_MS
        self.store(raw_ms, utc_ms)

    def told(self, raw_ms, utc_ms):
        """A clock that did not know the time was set: it is no step for what it moves alone."""
        off = utc_ms - raw_ms
        for place in range(_PLACES):
            if not self._known or place in _OF_OPERATOR:
                self._off[place] = off
        if self.orders_follow:
            # What ended stays ended.
            self._off[ORDERS] = max(self._off[ORDERS], off)
        self._known = True
        self.store(raw_ms, utc_ms)

    def bind(self, place, raw_ms, utc_ms):
        """Its owner has set the thing: from here on it goes from what the clock shows."""
        self._off[place] = utc_ms - raw_ms
        self.store(raw_ms, utc_ms)
