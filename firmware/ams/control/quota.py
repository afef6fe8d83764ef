"""Energy over a period: a warning, then a trip. The second way to limit."""

import struct

from micropython import const

_RECORD = "<BBHIQ"  # version, flags, 0, begin of the period in s, A+ then in mWh
_SETTINGS = "<BBHQI"  # version, 0, warning in permille, quota in mWh, period in s
_SIZE = struct.calcsize(_RECORD)
_SETTINGS_SIZE = struct.calcsize(_SETTINGS)

_HOUR_S = const(3600)
_SUMMER_S = const(7200)

WARNED = const(1)
TRIPPED = const(2)
RELEASED = const(4)  # the operator reconnected: off until the period ends

NOTHING = const(0)
WARNING = const(1)
TRIP = const(2)


class Quota:
    """`cells` keeps the settings and the running period under two keys.

    `period_s` 0: off. Periods begin at multiples of their length after local
    midnight (`local_ms(utc_ms)` gives local time). Times are the quota's own
    (see clock.own_time): no setting of the clock begins or ends a period.
    """

    def __init__(self, cells, settings_key, key, local_ms):
        self._cells = cells
        self._settings_key = settings_key
        self._key = key
        self._local_ms = local_ms
        self.limit_mwh = 0
        self.period_s = 0
        self.warning_permille = 900
        self.begin_s = 0
        self.start_mwh = 0
        self.flags = 0
        data = cells.get(settings_key)
        if data is not None and len(data) == _SETTINGS_SIZE and data[0] == 1:
            _, _, self.warning_permille, self.limit_mwh, self.period_s = struct.unpack(
                _SETTINGS, data
            )
        data = cells.get(key)
        if data is not None and len(data) == _SIZE and data[0] == 1:
            _, self.flags, _, self.begin_s, self.start_mwh = struct.unpack(_RECORD, data)

    def change(self, limit_mwh, period_s, warning_permille, utc_ms, a_plus_mwh):
        self._cells.set(
            self._settings_key,
            struct.pack(_SETTINGS, 1, 0, warning_permille, limit_mwh, period_s),
        )
        self.limit_mwh = limit_mwh
        self.period_s = period_s
        self.warning_permille = warning_permille
        # What was used under other settings tells nothing.
        self._begin(self._begin_of(utc_ms) if period_s else 0, a_plus_mwh)

    def _begin_of(self, utc_ms):
        local_s = self._local_ms(utc_ms) // 1000
        if self.period_s <= _HOUR_S:
            # The hour that comes twice in October has its own: counted on in summer time.
            local_s = utc_ms // 1000 + _SUMMER_S
        return local_s - local_s % self.period_s

    def _begin(self, begin_s, a_plus_mwh):
        self.begin_s = begin_s
        self.start_mwh = a_plus_mwh
        self.flags = 0
        self._store()

    def _store(self):
        """A flash that takes nothing must stop neither metering nor a trip."""
        try:
            self._cells.set(
                self._key, struct.pack(_RECORD, 1, self.flags, 0, self.begin_s, self.start_mwh)
            )
        except OSError:
            pass

    def used_mwh(self, a_plus_mwh):
        return a_plus_mwh - self.start_mwh

    def left_mwh(self, a_plus_mwh):
        """What may still be used before something happens, None: nothing will."""
        used = self.used_mwh(a_plus_mwh)
        if not self.flags & WARNED:
            return max(self.limit_mwh * self.warning_permille // 1000 - used, 0)
        if not self.flags & (TRIPPED | RELEASED):
            return max(self.limit_mwh - used, 0)
        return None

    def release(self):
        """The operator reconnects: what is left of the period is free."""
        if self.flags & TRIPPED:
            self.flags |= RELEASED
            self._store()

    def take(self, a_plus_mwh, utc_ms):
        """NOTHING, WARNING or TRIP, each once a period."""
        if not self.period_s:
            return NOTHING
        begin_s = self._begin_of(utc_ms)
        # Nor does one begin again where an hour comes twice.
        if begin_s > self.begin_s:
            self._begin(begin_s, a_plus_mwh)
            return NOTHING
        used = a_plus_mwh - self.start_mwh
        if used >= self.limit_mwh and not self.flags & (TRIPPED | RELEASED):
            self.flags |= TRIPPED | WARNED
            self._store()
            return TRIP
        if used * 1000 >= self.limit_mwh * self.warning_permille and not self.flags & WARNED:
            self.flags |= WARNED
            self._store()
            return WARNING
        return NOTHING

    @property
    def holds(self):
        """Whether the quota keeps the supply off."""
        return bool(self.flags & TRIPPED) and not self.flags & RELEASED
