"""The limiter, class 71: a threshold that is passed for long enough (IEC 62056-6-2, 4.5.9).

Durations are counted by what was measured, never by the clock of the day, so
setting it moves no trip. The emergency window is one of the limiter's own time
(see clock.own_time), which goes on without supply.
"""

import struct

from micropython import const

from ams.control.average import SlidingAverage
from ams.control.supply import (
    ACTION_DISCONNECT,
    ACTION_NONE,
    ACTION_RECONNECT,  # noqa: F401
    AVERAGE_IMPORT,
    CURRENT_L1,
    CURRENT_MAX,
    RECONNECTIONS_MAX,
    THRESHOLD_OFF,
)

_RECORD = "<BBIIIIIIHIIBBB"
_SIZE = struct.calcsize(_RECORD)
_STEP_MS = const(200)
DEFAULT_WINDOW_S = const(60)


class Settings:
    """What the operator sets. Thresholds in mW, or in mA where a current is monitored."""

    def __init__(self):
        self.monitored = AVERAGE_IMPORT
        self.window_s = DEFAULT_WINDOW_S
        self.threshold_normal = THRESHOLD_OFF
        self.threshold_emergency = THRESHOLD_OFF
        self.min_over_s = 60
        self.min_under_s = 60
        self.emergency_id = 0
        self.emergency_start_s = 0
        self.emergency_duration_s = 0
        self.groups = []
        self.action_over = ACTION_DISCONNECT
        self.action_under = ACTION_NONE
        self.reconnections_per_hour = RECONNECTIONS_MAX

    def pack(self):
        out = struct.pack(
            _RECORD, 1, self.monitored, self.window_s, self.threshold_normal,
            self.threshold_emergency, self.min_over_s, self.min_under_s, 0,
            self.emergency_id, self.emergency_start_s, self.emergency_duration_s,
            self.action_over, self.action_under, self.reconnections_per_hour,
        )  # fmt: skip
        for group in self.groups:
            out += struct.pack("<H", group)
        return out

    @staticmethod
    def unpack(data):
        """Settings of a record, the defaults where there is none that can be read."""
        out = Settings()
        if data is None or len(data) < _SIZE or data[0] != 1:
            return out
        (
            _, out.monitored, out.window_s, out.threshold_normal, out.threshold_emergency,
            out.min_over_s, out.min_under_s, _, out.emergency_id, out.emergency_start_s,
            out.emergency_duration_s, out.action_over, out.action_under,
            out.reconnections_per_hour,
        ) = struct.unpack(_RECORD, data[:_SIZE])  # fmt: skip
        # Former versions took more.
        out.reconnections_per_hour = min(out.reconnections_per_hour, RECONNECTIONS_MAX)
        rest = data[_SIZE:]
        out.groups = [struct.unpack_from("<H", rest, at)[0] for at in range(0, len(rest), 2)]
        return out

    def copy(self):
        return Settings.unpack(self.pack())


class Limiter:
    """`take` gives the action that is due. `settings` is changed by `change` alone."""

    def __init__(self, quantities, settings):
        self._quantities = quantities
        self.settings = settings
        self._average = SlidingAverage(settings.window_s * 1000)
        self._over = False
        self._held_ms = 0
        self._fired = True  # the under action is for what was over
        self.emergency_active = False

    def change(self, settings):
        """New settings count from now on: what was over or under before tells nothing."""
        before = self.settings
        self.settings = settings
        if before.window_s != settings.window_s or before.monitored != settings.monitored:
            self._average.set_window(settings.window_s * 1000)
        self._over = False
        self._held_ms = 0
        self._fired = True

    def look_at_clock(self, own_s):
        """The emergency window; True when it opened or closed just now."""
        s = self.settings
        active = (
            s.emergency_duration_s > 0
            and s.emergency_id in s.groups
            and s.emergency_start_s <= own_s < s.emergency_start_s + s.emergency_duration_s
        )
        if active == self.emergency_active:
            return False
        self.emergency_active = active
        # Another threshold: the time over the old one does not count against the new one.
        self._held_ms = 0
        return True

    def next_change_s(self, own_s):
        """When the emergency window opens or closes next, or None."""
        s = self.settings
        if s.emergency_duration_s <= 0 or s.emergency_id not in s.groups:
            return None
        for moment in (s.emergency_start_s, s.emergency_start_s + s.emergency_duration_s):
            if moment > own_s:
                return moment
        return None

    @property
    def threshold_active(self):
        s = self.settings
        return s.threshold_emergency if self.emergency_active else s.threshold_normal

    def _threshold(self):
        """In the unit of `value`: mW or uA."""
        threshold = self.threshold_active
        return threshold if self.settings.monitored == AVERAGE_IMPORT else threshold * 1000

    def value(self):
        """What is monitored, in mW or uA."""
        kind = self.settings.monitored
        if kind == AVERAGE_IMPORT:
            return self._average.mean_mw()
        currents = self._quantities.current_ua
        if kind == CURRENT_MAX:
            return max(currents)
        return currents[kind - CURRENT_L1]

    def step_most_ms(self, power_mw):
        """How long a step of constant quantities may be, so that no crossing is passed over."""
        if self.threshold_active == THRESHOLD_OFF:
            return None
        if self._over == self._steady(power_mw):
            # It stays on its side: only the end of its time is to be met.
            s = self.settings
            if self._fired:
                return None
            wait = (s.min_over_s if self._over else s.min_under_s) * 1000 - self._held_ms
            return max(wait, 1)
        return _STEP_MS

    def _steady(self, power_mw):
        """Which side it stays on under constant power; None when it is going to cross."""
        threshold = self._threshold()
        value = self.value()
        if self.settings.monitored != AVERAGE_IMPORT:
            return value > threshold
        power_mw = max(power_mw, 0)
        if value > threshold and power_mw > threshold:
            return None if self._rising_through(threshold) else True
        if value <= threshold and power_mw <= threshold:
            return None if self._rising_through(threshold) else False
        return None

    def _rising_through(self, threshold):
        """Older pieces of the window on both sides of it: the mean may swing across."""
        low, high = self._average.extremes()
        return low <= threshold < high

    def take(self, duration_ms, power_mw):
        """A measurement that held for `duration_ms`; gives (action, crossed).

        `crossed`: None, or whether it is over the threshold, at the moment it changes.
        """
        self._average.add(duration_ms, max(power_mw, 0))
        if self.threshold_active == THRESHOLD_OFF:
            self._over = False
            self._held_ms = 0
            self._fired = True
            return ACTION_NONE, None
        s = self.settings
        crossed = None
        over = self.value() > self._threshold()
        if over != self._over:
            self._over = over
            self._held_ms = 0
            self._fired = False
            crossed = over
        self._held_ms += duration_ms
        wait_s = s.min_over_s if over else s.min_under_s
        if self._fired or self._held_ms < wait_s * 1000:
            return ACTION_NONE, crossed
        self._fired = True
        return s.action_over if over else s.action_under, crossed
