"""Keeps the accounts: intervals, days and months at their time, the clock, the registers.

Everything that ends at a moment ends here, in one order: intervals are closed,
then one record of the registers is stored with what is due.
"""

from micropython import const

from ams.clock.local import MS_PER_DAY, STATUS_DOUBTFUL, STATUS_INVALID
from ams.clock.meter_clock import MeterClock
from ams.events import events as ev
from ams.events.pace import Pace
from ams.registers import billing, periods, profile
from ams.registers.accounts import STORE_EVERY_MS, Accounts
from ams.registers.profile import (
    STATUS_CLOCK_ADJUSTED,
    STATUS_CLOCK_INVALID,
    STATUS_CRITICAL_ERROR,
    STATUS_ENERGY_MISSING,
    STATUS_PERIOD_CHANGED,
    STATUS_POWER_DOWN,
)
from ams.registers.voltage import PERIOD_MS, VoltageProfile
from ams.storage import layout

# A clock chip shows whole seconds, and less than one more may be between it and what is shown: a
# start right after a stop finds a time that was shown already.
RTC_MS = 2000
# What is earlier or so much later than what the flash knows is no time: a flat cell shows 2000.
_EARLIEST_MS = const(757382400000)  # 2024
_LATER_MS = const(315576000000)  # ten years
# A correction of the clock up to this is small. Of larger ones clients make four at once, from
# then on one in a quarter of an hour; of small ones sixty, then one a minute.
_SMALL_MS = const(10000)
_STEPS_AT_ONCE = const(4)
_STEP_EVERY_MS = const(900000)
_SMALL_AT_ONCE = const(60)
_SMALL_EVERY_MS = const(60000)
# Entries of a profile beyond what time itself would bring, wherever the clock is set and however
# the capture period is changed.
_MORE = const(3)
_HOUR_MS = const(3600000)
_MONTH_MS = const(2419200000)  # the shortest


class Recorder(Accounts):
    def __init__(self, nv_memory, energy, events, local_clock, quantities):
        self._nv_memory = nv_memory
        self._energy = energy
        self._events = events
        self._local_clock = local_clock
        self.clock = MeterClock()
        self.load_profile = profile.make(energy)
        self.voltage = VoltageProfile(quantities)
        self._midnight = 0
        self._dst = False
        self.own_time = None  # see clock.own_time
        self.raw_ms = 0  # of the board's clock, as last seen
        self._small_steps = Pace(_SMALL_EVERY_MS, _SMALL_AT_ONCE)
        self._steps = Pace(_STEP_EVERY_MS, _STEPS_AT_ONCE)
        self._intervals = Pace(_HOUR_MS, _MORE)
        self._days = Pace(MS_PER_DAY, _MORE)
        self._months = Pace(_MONTH_MS, _MORE)
        self.resets = periods.pace()
        self.monthly = True  # the billing period ends with the month, by no other schedule
        # What the clock showed before the supply fell, and how it was then.
        self.restored_ms = None
        self.restored_status = 0
        self._voltages = Pace(PERIOD_MS, _MORE)
        self.due_ms = 0  # the next moment at which something ends
        self.ahead_ms = 0  # what was shown before the supply fell, and is not shown twice
        self.unmeasured = False  # the front end gives nothing
        nv_memory.on_failure = self._storage_failed
        events.store = nv_memory.append_event
        events.newest = nv_memory.newest_events

    # --- power -----------------------------------------------------------------

    def start(self, raw_ms, restored, backup_s):
        """Power-up. `restored`: the State that was read back, or None.

        `backup_s`: how long the board's clock goes on without supply; None: for ever,
        0: it has lost the time.
        Gives the meter's time.
        """
        utc_ms = raw_ms
        self.raw_ms = raw_ms
        load_profile = self.load_profile
        self._events.numbers[:] = self._nv_memory.event_numbers()
        self.voltage.number = self._nv_memory.newest_number(layout.VOLTAGE)
        if restored is None:
            self.clock.begin(raw_ms, utc_ms)
            if backup_s == 0:
                self.clock.status |= STATUS_INVALID
            self._start_own_time(utc_ms, None, backup_s == 0)
            load_profile.open(utc_ms, self._marks())
            self._events.log(utc_ms, ev.POWER_UP)
            if backup_s == 0:
                self._events.log(utc_ms, ev.CLOCK_INVALID)
            self.voltage.begin(utc_ms)
            self._set_due(utc_ms)
            self._store(False)
            return utc_ms
        self.clock.restore(restored.drift_ppb)
        self.clock.status = self.restored_status = restored.clock_status
        stored_ms = self.restored_ms = restored.utc_ms
        utc_ms, lost, back = self._first_time(raw_ms, stored_ms, backup_s)
        marks = STATUS_POWER_DOWN
        if lost:
            self.clock.status |= STATUS_INVALID
        if 0 < utc_ms - raw_ms < RTC_MS:
            self.ahead_ms = utc_ms - raw_ms
        self.clock.begin(raw_ms, utc_ms)
        self._start_own_time(utc_ms, stored_ms, lost)
        self._events.log(utc_ms, ev.POWER_UP)
        self._events.log(utc_ms, ev.STATE_RESTORED)
        if not restored.clean:
            # What was used between the last record and the cut is not known.
            marks |= STATUS_ENERGY_MISSING
            self._events.log(stored_ms, ev.ENERGY_MISSING)
        if back:
            marks |= STATUS_CLOCK_ADJUSTED
            self._log_step(stored_ms, utc_ms)
        if self.clock.status & STATUS_INVALID:
            marks |= STATUS_CLOCK_INVALID
            self._events.log(utc_ms, ev.CLOCK_INVALID)
        self._resume(stored_ms, utc_ms, marks)
        return utc_ms

    def _first_time(self, raw_ms, stored_ms, backup_s):
        """(time at power-up, whether it is lost, whether it is no time that can have passed)."""
        utc_ms = raw_ms + self.own_time.untold_ms(raw_ms)
        off_ms = utc_ms - stored_ms
        if backup_s == 0 or raw_ms < _EARLIEST_MS <= stored_ms or off_ms > _LATER_MS:
            # Since then nobody knows, but it was not before.
            return stored_ms, True, False
        if off_ms >= 0:
            return utc_ms, backup_s is not None and off_ms > backup_s * 1000, False
        if off_ms > -RTC_MS:
            return stored_ms, False, False
        if not self.own_time.keeps:
            # A board that is told the time shows what it is told.
            return utc_ms, False, True
        # It was kept, and is earlier all the same: the flash knows better.
        self.clock.status |= STATUS_DOUBTFUL
        return stored_ms, off_ms < -MS_PER_DAY, True

    def _start_own_time(self, utc_ms, kept_ms, lost):
        own_time = self.own_time
        own_time.paces = (self._steps, self._intervals, self._days, self._months)
        own_time.paces += (self._voltages, self.resets)
        self._intervals.every_ms = self.load_profile.period_s * 1000
        valid = not self.clock.status & STATUS_INVALID
        own_time.start(self.raw_ms, utc_ms, kept_ms, lost, valid)
        if kept_ms is not None:
            # What is not kept each time: a supply that comes and goes brings no more entries.
            for pace in (self._intervals, self._voltages):
                pace.until_ms = max(pace.until_ms, own_time.lived(self.raw_ms) + pace.every_ms)

    def _resume(self, stored_ms, utc_ms, marks):
        """Takes up the open interval where it was left, or ends it and begins another."""
        load_profile = self.load_profile
        load_profile.status |= marks
        self._midnight = billing.midnight_after(stored_ms, self._local_clock)
        start_ms = load_profile.start_ms
        if stored_ms >= load_profile.due_ms():
            # It went on already.
            load_profile.go_on(stored_ms)
        if utc_ms >= load_profile.due_ms():
            if self._close(load_profile.due_ms(), marks):
                load_profile.open(load_profile.boundary_before(utc_ms), marks)
            else:
                load_profile.go_on(utc_ms)
        elif utc_ms < start_ms:
            if self._close(max(stored_ms, start_ms), marks):
                load_profile.open(utc_ms, marks)
            else:
                load_profile.shift(utc_ms - max(stored_ms, start_ms), utc_ms)
        # The registers stood still: the last midnight's are those of now.
        self._pass_midnight(utc_ms)
        self.voltage.begin(utc_ms)
        self._set_due(utc_ms)
        self._store(False)

    # --- time --------------------------------------------------------------------

    def mark(self, status):
        self.load_profile.status |= status

    def _set_due(self, utc_ms):
        self.utc_ms = utc_ms
        self._store_due = utc_ms + STORE_EVERY_MS
        self._midnight = billing.midnight_after(utc_ms, self._local_clock)
        self._dst = self._is_dst(utc_ms)
        self._next()

    def _next(self):
        due = self.load_profile.due_ms()
        for other in (self._store_due, self._midnight, self.voltage.due_ms):
            if other < due:
                due = other
        self.due_ms = due

    def _is_dst(self, utc_ms):
        clock = self._local_clock
        return clock.fixed_offset_min is None and clock.offset_min(utc_ms) == 120

    def _marks(self):
        """What every interval that begins now is marked with."""
        marks = STATUS_CLOCK_INVALID if self.clock.status & STATUS_INVALID else 0
        if self.unmeasured:
            marks |= STATUS_ENERGY_MISSING
        return marks | (STATUS_CRITICAL_ERROR if self._nv_memory.failed else 0)

    def _take(self, pace, kept=False):
        """Whether one more entry may come. `kept`: remembered over a power cut in any case."""
        lived_ms = self.own_time.lived(self.raw_ms)
        if not pace.take(lived_ms):
            return False
        if kept or pace.is_ahead(lived_ms):
            self.own_time.store(self.raw_ms, self.clock.utc_ms(self.raw_ms))
        return True

    def _close(self, utc_ms, status=None):
        """Ends the open interval. False: it has to go on, entries came too fast."""
        load_profile = self.load_profile
        if not load_profile.is_empty(utc_ms) and not self._take(self._intervals):
            return False
        dst = self._is_dst(max(load_profile.start_ms, 0))
        self._changing += 1
        entry = load_profile.close(utc_ms, dst, self._marks() if status is None else status)
        if entry is not None:
            self._entry = entry
            state = self._nv_memory.state
            status = profile.unpack(entry)[2]
            self._nv_memory.marks.add(status, state.days + 1, state.months + 1)
        self._changed()
        return True

    def _close_voltage(self, utc_ms, status):
        """The same for the ten minutes of the voltage profile."""
        if not self.voltage.is_empty and not self._take(self._voltages):
            return False
        entry = self.voltage.close(utc_ms, status)
        if entry is not None:
            self._nv_memory.append_voltage(entry)
        return True

    def _pass_midnight(self, utc_ms):
        if utc_ms >= self._midnight:
            # Its registers are those at the end of an interval: so the intervals since add up.
            if not self.load_profile.goes_on:
                month = billing.month_start_before(utc_ms, self._local_clock) >= self._midnight
                month = self.monthly and month and self._take(self._months, True)
                day = self._take(self._days, True)
                if day or month:
                    self._day = billing.midnight_before(utc_ms, self._local_clock), day, month
            self._midnight = billing.midnight_after(utc_ms, self._local_clock)

    def advance(self, utc_ms):
        """Time passes: ends what ends at or before `utc_ms`."""
        self.utc_ms = utc_ms
        if self._went_on:
            # If the power goes now, energy is missing.
            self._store(False)
        if utc_ms < self.due_ms:
            return
        if utc_ms >= self.voltage.due_ms:
            if not self._close_voltage(self.voltage.due_ms, self._marks()):
                self.voltage.go_on(utc_ms)
            elif utc_ms >= self.voltage.due_ms:
                self.voltage.begin(utc_ms)
        load_profile = self.load_profile
        if utc_ms >= load_profile.due_ms():
            if not self._close(load_profile.due_ms()):
                load_profile.go_on(utc_ms)
            elif utc_ms >= load_profile.due_ms():
                # Time that nobody measured.
                marks = STATUS_ENERGY_MISSING | self._marks()
                load_profile.open(load_profile.boundary_before(utc_ms), marks)
        self._pass_midnight(utc_ms)
        if utc_ms >= self._store_due or self._entry is not None or self._day is not None:
            self._store(False)
        dst = self._is_dst(utc_ms)
        if dst != self._dst:
            self._dst = dst
            self._events.log(utc_ms, ev.DST_CHANGED, 1 if dst else 0)
        self._events.tick(utc_ms)
        self._next()

    def end_period(self):
        """Ends the billing period now: its values are entered, and demands begin anew.

        False: it was ended too often.
        """
        if self._day is not None:
            self._store(False)
        if not self._take(self.resets, True):
            return False
        self._day = self.utc_ms, False, True
        self._store(False)
        return True

    def store(self):
        """What is counted so far, at once."""
        self._store(False)

    # --- what the operator does --------------------------------------------------

    def set_period(self, period_s):
        """Capture period 900 or 3600 s, from now on; the open interval ends now."""
        if period_s not in profile.PERIODS_S:
            raise ValueError("the capture period is 900 or 3600 seconds")
        load_profile = self.load_profile
        if period_s == load_profile.period_s:
            return
        self._events.log(self.utc_ms, ev.PARAMETER_CHANGED, ev.PARAMETER_CAPTURE_PERIOD, period_s)
        load_profile.status |= STATUS_PERIOD_CHANGED
        closed = self._close(self.utc_ms, self._marks() | STATUS_PERIOD_CHANGED)
        load_profile.period_s = period_s
        self._intervals.change(period_s * 1000, self.own_time.lived(self.raw_ms))
        if not closed:
            load_profile.go_on(self.utc_ms)
        self._store(False)

    def may_set_clock(self, raw_ms, utc_ms):
        """Whether a client may set the clock once more; then it is counted."""
        step = utc_ms - self.clock.utc_ms(raw_ms)
        if not step or self.clock.status & STATUS_INVALID:
            return True
        self.raw_ms = raw_ms
        if -_SMALL_MS <= step <= _SMALL_MS:
            return self._small_steps.take(self.own_time.lived(raw_ms))
        return self._take(self._steps, True)

    def set_clock(self, raw_ms, utc_ms, synced=False):
        """Sets the clock; intervals that are touched are marked. Gives the step in ms."""
        before = self.clock.utc_ms(raw_ms)
        was_invalid = self.clock.status & STATUS_INVALID
        step = utc_ms - before
        self.raw_ms = raw_ms
        self.own_time.look(raw_ms, before, not was_invalid)
        if step:
            self.own_time.setting(raw_ms, utc_ms)
        self.clock.set(raw_ms, utc_ms, synced)
        if was_invalid:
            self._events.log(utc_ms, ev.CLOCK_VALID)
            self.own_time.told(raw_ms, utc_ms)
        if not step:
            return 0
        self._log_step(before, utc_ms)
        load_profile = self.load_profile
        load_profile.status |= STATUS_CLOCK_ADJUSTED
        if not load_profile.start_ms <= utc_ms < load_profile.due_ms():
            if self._close(before):
                load_profile.open(utc_ms, STATUS_CLOCK_ADJUSTED | self._marks())
            else:
                load_profile.shift(step, utc_ms)
        elif was_invalid:
            load_profile.status |= STATUS_CLOCK_INVALID
        voltage = self.voltage
        if not voltage.holds(utc_ms):
            if self._close_voltage(before, STATUS_CLOCK_ADJUSTED):
                voltage.begin(utc_ms)
            else:
                voltage.go_on(utc_ms)
        voltage.status |= STATUS_CLOCK_ADJUSTED
        self._pass_midnight(utc_ms)
        self._set_due(utc_ms)
        self._store(False)
        return step

    def _log_step(self, before_ms, after_ms):
        step_s = (after_ms - before_ms) // 1000
        self._events.log(before_ms, ev.CLOCK_ADJUSTED_OLD, step_s)
        self._events.log(after_ms, ev.CLOCK_ADJUSTED_NEW, step_s)

    def _storage_failed(self, region):
        self.mark(STATUS_CRITICAL_ERROR)
        self._events.log(self.utc_ms, ev.NV_MEMORY_ERROR, region)
