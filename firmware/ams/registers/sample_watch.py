"""Whether the front end delivers: what was not measured is marked and told, never invented."""

from micropython import const

from ams.events import events as ev
from ams.metrology import quantities as qu
from ams.registers import profile

# Without a sample for this long the front end counts as stopped, at power-up later.
SAMPLES_DUE_MS = const(200)
_FIRST_DUE_MS = const(2000)
# And for this long as broken.
_BROKEN_MS = const(10000)
# A hole that was told of so long before a fault is the fault's.
_JUST_MS = const(1000)


class SampleWatch:
    def __init__(self, meter):
        self._meter = meter
        self.has_begun = False  # something has been measured since power-up
        self.sets_missing = 0  # sample sets that never came
        self.sets_late = 0  # sample sets that came out of time
        self._expected = False
        self._next_index = None
        self._due_ms = _FIRST_DUE_MS
        self._last_ms = 0
        self._told_ms = 0  # when a hole was last told of
        self._missing = False
        self._late = False
        self._broken = False
        self._fault = 0  # of the front end, as it says itself
        self._hole_told = False  # and that something is missing by it
        self._senseless = False  # what comes is none of a front end that works

    def start(self, utc_ms, expected):
        """Power-up. `expected`: there is a front end, which has to begin."""
        self._last_ms = utc_ms
        self._expected = expected

    def moved(self, step_ms):
        """The clock was set."""
        self._last_ms += step_ms
        self._told_ms += step_ms

    def status(self):
        """STATUS_ bits of the window that ends."""
        status = qu.STATUS_SAMPLES_MISSING if self._missing else 0
        if self._late:
            status |= qu.STATUS_SAMPLES_LATE
        self._missing = self._late = False
        return status

    def takes(self, utc_ms, index, count):
        """Whether `count` sets whose first is number `index` are to be counted."""
        meter = self._meter
        expected = self._next_index
        if expected is not None and index < expected:
            self.sets_late += count
            if not self._late:
                meter.events.log(utc_ms, ev.SAMPLES_LATE, count)
            self._late = True
            meter.quantities.status |= qu.STATUS_SAMPLES_LATE
            return False
        if expected is not None and index > expected:
            meter.close_window()
            self.sets_missing += index - expected
            self.miss(utc_ms, index - expected)
        self._next_index = index + count
        self.came(utc_ms, SAMPLES_DUE_MS)
        return True

    def came(self, utc_ms, due_ms):
        """The front end has measured up to now; it is due again in `due_ms`."""
        self.has_begun = True
        self._meter.recorder.unmeasured = self._broken = False
        self._due_ms = due_ms
        self._last_ms = utc_ms

    def miss(self, utc_ms, count):
        """So many sets never came; 0: what was lost has no number."""
        meter = self._meter
        if not self._hole_told:
            meter.events.log(utc_ms, ev.SAMPLES_MISSING, count)
            self._told_ms = utc_ms
            self._hole_told = self._fault != 0
        self._missing = True
        meter.recorder.mark(profile.STATUS_ENERGY_MISSING)
        meter.quantities.status |= qu.STATUS_SAMPLES_MISSING

    def front_end(self, utc_ms, fault):
        """What a front end says of itself, when it is another thing than before: see hal.

        Told once, with the first hole that it makes, until it has been well for some time.
        """
        meter = self._meter
        if fault and not self._fault:
            meter.events.log(utc_ms, ev.MEASUREMENT_ERROR, fault)
        elif self._fault and not fault:
            meter.events.log(utc_ms, ev.MEASUREMENT_BACK, self._fault)
        self._fault = fault
        # A hole may be told of before the front end knows why.
        just = utc_ms - self._told_ms < _JUST_MS
        self._hole_told = fault != 0 and (just or meter.recorder.unmeasured)

    def judged(self, utc_ms, makes_sense):
        """Of each window: whether its samples can be those of a mains."""
        if makes_sense:
            self._senseless = False
            return
        meter = self._meter
        if not self._senseless:
            self._senseless = True
            self.miss(utc_ms, 0)
            meter.events.log(utc_ms, ev.MEASUREMENT_ERROR)
        # Each of its intervals has a hole.
        meter.recorder.mark(profile.STATUS_ENERGY_MISSING)
        self._missing = True

    def look(self, utc_ms):
        """Time passes: until a front end that gives nothing does, no interval is whole."""
        quiet_ms = utc_ms - self._last_ms
        if quiet_ms <= self._due_ms or not (self.has_begun or self._expected):
            return
        meter = self._meter
        if not meter.recorder.unmeasured:
            meter.close_window()
            meter.recorder.unmeasured = True
            self.miss(utc_ms, 0)
        if quiet_ms > _BROKEN_MS and not self._broken:
            self._broken = True
            if not self._fault:
                meter.events.log(utc_ms, ev.MEASUREMENT_ERROR)
            # What was measured last says nothing of now.
            meter.quantities.clear()
        meter.quantities.status |= qu.STATUS_SAMPLES_MISSING
