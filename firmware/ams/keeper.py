"""Keeps the accounts: intervals, days and months at their time, the clock, the registers.

Everything that ends at a moment ends here, in one order: intervals are closed,
then one record of the registers is stored with what is due.
"""

from ams.registers import billing, profile
from ams.registers import events as ev
from ams.registers.clock import STATUS_INVALID
from ams.registers.meter_clock import MeterClock
from ams.registers.profile import (
    STATUS_CLOCK_ADJUSTED,
    STATUS_CLOCK_INVALID,
    STATUS_CRITICAL_ERROR,
    STATUS_ENERGY_MISSING,
    STATUS_PERIOD_CHANGED,
    STATUS_POWER_DOWN,
)
from ams.registers.record import DUE_DAY, DUE_INTERVAL, DUE_MONTH
from ams.registers.voltage import VoltageProfile
from ams.storage import layout

# The registers are stored so often, and at a stop: what a power cut can cost.
STORE_EVERY_MS = 60000
# A clock chip shows whole seconds: a start right after a stop finds one that was shown already.
RTC_MS = 1000


class Keeper:
    def __init__(self, memory, energy, events, local_clock, quantities):
        self._memory = memory
        self._energy = energy
        self._events = events
        self._local_clock = local_clock
        self.clock = MeterClock()
        self.load_profile = profile.LoadProfile(energy)
        self.voltage = VoltageProfile(quantities)
        self.utc_ms = 0
        self._store_due = 0
        self._midnight = 0
        # What ended and is not stored yet: an interval; (midnight, whether a month's) of a day.
        self._entry = None
        self._day = None
        self._dst = False
        self.due_ms = 0  # the next moment at which something ends
        self.unmeasured = False  # the front end gives nothing
        memory.on_failure = self._storage_failed
        events.store = memory.append_event

    # --- power -----------------------------------------------------------------

    def start(self, raw_ms, restored, backup_s):
        """Power-up. `restored`: the State that was read back, or None.

        `backup_s`: how long the board's clock goes on without supply; None: for ever,
        0: it has lost the time.
        Gives the meter's time.
        """
        utc_ms = raw_ms
        load_profile = self.load_profile
        self._events.numbers[:] = self._memory.event_numbers()
        self.voltage.number = self._memory.newest_number(layout.VOLTAGE)
        if restored is None:
            self.clock.begin(raw_ms, utc_ms)
            if backup_s == 0:
                self.clock.status |= STATUS_INVALID
            load_profile.open(utc_ms, self._marks())
            self._events.log(utc_ms, ev.POWER_UP)
            if backup_s == 0:
                self._events.log(utc_ms, ev.CLOCK_INVALID)
            self._set_due(utc_ms)
            self._store(False)
            return utc_ms
        self.clock.restore(restored.drift_ppb)
        self.clock.status = restored.clock_status
        stored_ms = restored.utc_ms
        if -RTC_MS < utc_ms - stored_ms < 0:
            utc_ms = stored_ms
        off_ms = utc_ms - stored_ms
        marks = STATUS_POWER_DOWN
        if backup_s is not None and (off_ms > backup_s * 1000 or backup_s == 0):
            self.clock.status |= STATUS_INVALID
        self.clock.begin(raw_ms, utc_ms)
        self._events.log(utc_ms, ev.POWER_UP)
        self._events.log(utc_ms, ev.STATE_RESTORED)
        if not restored.clean:
            # What was used between the last record and the cut is not known.
            marks |= STATUS_ENERGY_MISSING
            self._events.log(stored_ms, ev.ENERGY_MISSING)
        if off_ms < 0:
            marks |= STATUS_CLOCK_ADJUSTED
            self._log_step(stored_ms, utc_ms)
        if self.clock.status & STATUS_INVALID:
            marks |= STATUS_CLOCK_INVALID
            self._events.log(utc_ms, ev.CLOCK_INVALID)
        self._resume(stored_ms, utc_ms, marks)
        return utc_ms

    def report(self, utc_ms, say):
        """What the flash held that was not as it should be: lines for `say`, and events."""
        memory = self._memory
        for line in memory.found:
            say("storage: " + line)
        for region in memory.damaged:
            self._events.log(utc_ms, ev.NV_MEMORY_ERROR, region)
        for region in memory.unknown:
            self._events.log(utc_ms, ev.STORAGE_UNKNOWN, region)
        if memory.unknown:
            what = "there" if memory.writable else "at all"
            say("storage: nothing is stored %s until the image is formatted" % what)

    def _resume(self, stored_ms, utc_ms, marks):
        """Takes up the open interval where it was left, or ends it and begins another."""
        load_profile = self.load_profile
        load_profile.status |= marks
        self._midnight = billing.midnight_after(stored_ms, self._local_clock)
        if utc_ms >= load_profile.due_ms():
            self._close(load_profile.due_ms(), marks)
            load_profile.open(load_profile.boundary_before(utc_ms), marks)
        elif utc_ms < load_profile.start_ms:
            self._close(max(stored_ms, load_profile.start_ms), marks)
            load_profile.open(utc_ms, marks)
        # The registers stood still: the last midnight's are those of now.
        self._pass_midnight(utc_ms)
        self._set_due(utc_ms)
        self._store(False)

    def stop(self):
        """A normal stop, or the supply falls: keeps what is counted, at once."""
        self._store(True)

    def go_on(self):
        """The stop was none: the newest record is not the last of all any more."""
        self._store(False)

    # --- time --------------------------------------------------------------------

    def mark(self, status):
        self.load_profile.status |= status

    def _set_due(self, utc_ms):
        self.utc_ms = utc_ms
        self._store_due = utc_ms + STORE_EVERY_MS
        self._midnight = billing.midnight_after(utc_ms, self._local_clock)
        self._dst = self._is_dst(utc_ms)
        self.voltage.begin(utc_ms)
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
        return marks | (STATUS_CRITICAL_ERROR if self._memory.failed else 0)

    def _close(self, utc_ms, status=None):
        load_profile = self.load_profile
        dst = self._is_dst(max(load_profile.start_ms, 0))
        entry = load_profile.close(utc_ms, dst, self._marks() if status is None else status)
        if entry is not None:
            self._entry = entry

    def _pass_midnight(self, utc_ms):
        if utc_ms >= self._midnight:
            month = billing.month_start_before(utc_ms, self._local_clock) >= self._midnight
            self._day = billing.midnight_before(utc_ms, self._local_clock), month
            self._midnight = billing.midnight_after(utc_ms, self._local_clock)

    def advance(self, utc_ms):
        """Time passes: ends what ends at or before `utc_ms`."""
        self.utc_ms = utc_ms
        if utc_ms < self.due_ms:
            return
        if utc_ms >= self.voltage.due_ms:
            due = self.voltage.due_ms
            entry = self.voltage.close(due, self._marks())
            if entry is not None:
                self._memory.append_voltage(entry)
            if utc_ms >= self.voltage.due_ms:
                self.voltage.begin(utc_ms)
        load_profile = self.load_profile
        if utc_ms >= load_profile.due_ms():
            self._close(load_profile.due_ms())
            if utc_ms >= load_profile.due_ms():
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

    def _store(self, clean):
        """One record, and with it what has ended: that is due until it is stored."""
        state = self._memory.state
        state.utc_ms = self.utc_ms
        state.clean = clean
        state.due = DUE_INTERVAL if self._entry is not None else 0
        state.clock_status = self.clock.status
        state.drift_ppb = self.clock.drift_ppb
        state.period_s = self.load_profile.period_s
        before = state.days, state.months
        if self._day is not None:
            state.utc_ms, month = self._day
            state.due |= DUE_DAY
            state.days += 1
            if month:
                state.due |= DUE_MONTH
                state.months += 1
        try:
            self._memory.store(self._energy, self.load_profile, state, self._entry)
        except Exception:
            # The same again with the next pass.
            state.days, state.months = before
            raise
        self._entry = self._day = None
        self._store_due = self.utc_ms + STORE_EVERY_MS
        self._next()

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
        self._close(self.utc_ms, self._marks() | STATUS_PERIOD_CHANGED)
        load_profile.period_s = period_s
        self._store(False)

    def set_clock(self, raw_ms, utc_ms, synced=False):
        """Sets the clock; intervals that are touched are marked. Gives the step in ms."""
        before = self.clock.utc_ms(raw_ms)
        was_invalid = self.clock.status & STATUS_INVALID
        step = utc_ms - before
        self.clock.set(raw_ms, utc_ms, synced)
        if was_invalid:
            self._events.log(utc_ms, ev.CLOCK_VALID)
        if not step:
            return 0
        self._log_step(before, utc_ms)
        load_profile = self.load_profile
        load_profile.status |= STATUS_CLOCK_ADJUSTED
        if not load_profile.start_ms <= utc_ms < load_profile.due_ms():
            self._close(before)
            load_profile.open(utc_ms, STATUS_CLOCK_ADJUSTED | self._marks())
        elif was_invalid:
            load_profile.status |= STATUS_CLOCK_INVALID
        voltage = self.voltage.close(before, STATUS_CLOCK_ADJUSTED)
        if voltage is not None:
            self._memory.append_voltage(voltage)
        self._pass_midnight(utc_ms)
        self._set_due(utc_ms)
        self.voltage.status |= STATUS_CLOCK_ADJUSTED
        self._store(False)
        return step

    def sync_clock(self, raw_ms, true_ms):
        """Takes a time from outside: small differences are slewed, large ones are a step."""
        step = self.clock.sync(raw_ms, true_ms)
        return self.set_clock(raw_ms, true_ms, True) if step or self.clock.status else 0

    def invalidate_clock(self):
        self.clock.status |= STATUS_INVALID
        self.mark(STATUS_CLOCK_INVALID)
        self._events.log(self.utc_ms, ev.CLOCK_INVALID)

    def _log_step(self, before_ms, after_ms):
        step_s = (after_ms - before_ms) // 1000
        self._events.log(before_ms, ev.CLOCK_ADJUSTED_OLD, step_s)
        self._events.log(after_ms, ev.CLOCK_ADJUSTED_NEW, step_s)

    def _storage_failed(self, region):
        self.mark(STATUS_CRITICAL_ERROR)
        self._events.log(self.utc_ms, ev.NV_MEMORY_ERROR, region)
