"""How much of a log each kind of event gets: groups that do not push each other out.

A group has a burst, then one entry in so long (`fast`); once it has had its share of a sector
of the log, one in much longer (`slow`), until a sector has gone by. So many of its entries are
kept when the log goes round (see storage.logs), whatever the others do. What each
group survives stands in docs/security.md and is held by tests/attack/test_log_floods.py.

How much a group has left goes into its entries, so that a power cut gives it nothing back.
"""

from micropython import const

# Octets to a group: how many are kept, burst, fast in units of 15 s, share of a sector, slow in
# units of 10 min.
_WIDTH = const(5)
_UNIT_MS = const(15000)
_SLOW = const(40)  # of those
_TABLE = bytes((
    16, 40, 20, 32, 12,  # 0 supply: 12 an hour, then 12 a day
    24, 12, 60, 16, 12,  # 1 clock, set by keys: 4 an hour, then 12 a day
    24, 40, 60, 24, 12,  # 2 what the operator sets: 4 an hour, then 12 a day
    16, 8, 120, 8, 24,  # 3 firmware that runs, storage formatted: 2 an hour, then 6 a day
    4, 24, 120, 12, 24,  # 4 faults: 2 an hour, then 6 a day
    4, 6, 240, 6, 144,  # 5 that a log had more: one an hour, then one a day
    10, 8, 120, 18, 36,  # 6 terminal cover: 2 an hour, then 4 a day
    10, 8, 120, 18, 36,  # 7 meter cover
    10, 8, 120, 18, 36,  # 8 magnetic field
    10, 8, 120, 18, 36,  # 9 current reversed
    28, 120, 2, 145, 1,  # 10 breaker, moved by a client: the guard allows 12 an hour
    8, 24, 20, 145, 12,  # 11 by hand: likewise
    12, 24, 20, 145, 12,  # 12 by limiter, quota and schedule: likewise
    12, 24, 40, 24, 6,  # 13 what limiter and quota see: 6 an hour, then 24 a day
    16, 24, 40, 24, 6,  # 14 limiter set, order armed, made ready: 6 an hour, then 24 a day
    4, 40, 40, 24, 6,  # 15 breaker or limiter refused: 6 an hour, then 24 a day
    8, 12, 120, 12, 24,  # 16 breaker faulty: 2 an hour, then 6 a day
    28, 24, 60, 32, 12,  # 17 keys changed: 4 an hour, then 12 a day
    6, 20, 120, 16, 36,  # 18 firmware refused: 2 an hour, then 4 a day
    10, 15, 80, 24, 2,  # 19 strangers, of three kinds: 3 an hour
    8, 24, 20, 18, 6,  # 20 undervoltage: 12 an hour, then 24 a day
    8, 24, 20, 18, 6,  # 21 overvoltage
    8, 24, 20, 18, 6,  # 22 missing voltage
    8, 24, 20, 18, 6,  # 23 voltage that is normal again
    12, 24, 40, 18, 6,  # 24 phase, neutral or voltage lost: 6 an hour, then 24 a day
    0, 40, 20, 100, 6,  # 25 HAN port: 12 an hour, then 24 a day
))  # fmt: skip
COUNT = const(26)
_FIRST = b"\x00\x06\x0a\x11\x14\x19\x1a"  # of each log; and the end
# First code and last of those of a group.
_OF_CODES = bytes((
    1, 2, 0, 3, 6, 1, 14, 14, 4, 15, 15, 0, 16, 16, 4, 17, 18, 3, 40, 41, 6, 42, 43, 8, 44, 45, 7,
    46, 46, 19, 47, 47, 2, 48, 48, 17, 49, 50, 19, 51, 51, 18, 59, 59, 10, 60, 61, 11, 62, 63, 10,
    64, 64, 12, 65, 66, 13, 67, 67, 14, 68, 68, 16, 69, 69, 12, 76, 78, 20, 79, 81, 21, 82, 84, 22,
    85, 87, 23, 89, 89, 24, 91, 91, 9, 170, 171, 0, 172, 172, 3, 177, 177, 1, 178, 178, 5,
    180, 184, 24, 190, 191, 25, 220, 220, 15, 221, 221, 14, 222, 224, 16, 225, 229, 13,
    230, 231, 3, 232, 232, 14, 255, 255, 3,
))  # fmt: skip
_FAULTS = const(4)  # and all that has no name
_MOVED = const(10)
_SET = const(14)
_CONNECTED = const(1)  # state of the breaker


def of(code, detail=0):
    """The group of an event."""
    for at in range(0, len(_OF_CODES), 3):
        if _OF_CODES[at] <= code <= _OF_CODES[at + 1]:
            group = _OF_CODES[at + 2]
            # Between disconnected and ready nothing moves: that can be asked for without end.
            if group == _MOVED and detail & 0xFF != _CONNECTED != detail >> 8 & 0xFF:
                return _SET
            return group
    return _FAULTS


def kept(group):
    """How many entries of a group outlive the round of its log."""
    return _TABLE[_WIDTH * group]


class Shares:
    """What each group has left. Times are of a clock that is never set; inside in units of 15 s,
    which are small integers."""

    def __init__(self):
        self._left = bytearray(COUNT)
        self._in_sector = bytearray(COUNT)
        self._gained = [0] * COUNT  # when the last one was
        for group in range(COUNT):
            self._left[group] = _TABLE[_WIDTH * group + 1]

    def _period(self, group):
        at = _WIDTH * group
        if self._in_sector[group] < _TABLE[at + 3]:
            return _TABLE[at + 2]
        return _TABLE[at + 4] * _SLOW

    def take(self, group, now_ms):
        """Whether one more may be entered; then `left` says what goes into it."""
        period = self._period(group)
        gained = (now_ms // _UNIT_MS - self._gained[group]) // period
        if gained > 0:
            most = _TABLE[_WIDTH * group + 1]
            self._left[group] = min(self._left[group] + gained, most)
            self._gained[group] += gained * period
        if not self._left[group]:
            return False
        self._left[group] -= 1
        self._in_sector[group] = min(self._in_sector[group] + 1, 255)
        return True

    def left(self, group):
        """For an entry: never 0, as those have it that were made before there were shares."""
        return self._left[group] + 1

    def recall(self, group, left, at_ms):
        """An entry of the newest sector, made at `at_ms` with so much left."""
        self._in_sector[group] = min(self._in_sector[group] + 1, 255)
        if left:
            self._left[group] = min(left - 1, _TABLE[_WIDTH * group + 1])
            # Never early: a start gives nothing away.
            self._gained[group] = at_ms // _UNIT_MS + 1

    def turn(self, log, group):
        """A log begins with a new sector, with an entry of `group`."""
        for other in range(_FIRST[log], _FIRST[log + 1]):
            self._in_sector[other] = 0
        self._in_sector[group] = 1
