"""A month on parts as they are, and on a flash that takes its time, with power cuts at any moment.

On CPython and MicroPython alike. Some cuts come unsaid, in the middle of what the flash does;
before others the supply watch says so, 20 ms ahead.
"""

try:
    from flash_lab import Random, entries, set_power
    from month_lab import CONFIG, HOUR_MS, Month
    from timed_flash import PowerCut, TimedFlash
except ImportError:
    from openams.faultlab.flash_lab import Random, entries, set_power
    from openams.faultlab.month_lab import CONFIG, HOUR_MS, Month
    from openams.faultlab.timed_flash import PowerCut, TimedFlash

from ams.events import events as ev
from ams.registers.profile import (
    STATUS_DATA_NOT_VALID,
    STATUS_DST,
    STATUS_ENERGY_MISSING,
    STATUS_POWER_DOWN,
)
from ams.storage import layout

_SECTORS = 64
_MINUTE_MS = 60000
_STEP_MS = 10000
_PROMISE_US = 20000
_MOST_W = 8000


class WornMonth(Month):
    """`days` of which have `cuts` outages. What was wrong is in `wrong`."""

    def __init__(self, seed=1, days=30, cuts=30):
        self.rng = Random(seed + 1000)
        self.seed = seed
        self.wrong = []
        self.outages = []  # (when it went, when it was back, whether energy may be missing)
        self.flashes = 1
        self.erased = self.longest_us = 0
        self.noise_uws = 0
        super().__init__(seed, config=CONFIG, flash=TimedFlash(_SECTORS, seed=seed))
        self.first_ms = self.true_ms
        self.due = []
        for _ in range(cuts):
            # Not where an hour ends: which of two it falls in is the clock's to say.
            hour = self.rng.below(days * 24 - 2)
            self.due.append(hour * HOUR_MS + (5 + self.rng.below(50)) * _MINUTE_MS)
        self.due.sort()

    def demand(self, condition, what):
        if not condition:
            self.wrong.append(f"seed {self.seed}, minute {self.minute()}: {what}")

    def minute(self):
        return (self.true_ms - self.first_ms) // _MINUTE_MS

    # --- what happens --------------------------------------------------------------------

    def each_minute(self):
        self.power_w = self.rng.below(_MOST_W)
        meter = self.meter
        self.flash.now_us = 1000 * self.true_ms
        dice = self.rng.below(200)
        if dice < 3:
            meter.tamper((ev.MAGNETIC_FIELD, ev.TERMINAL_COVER_REMOVED, ev.UNDERVOLTAGE)[dice])
        elif dice == 3:
            key = self.rng.below(4) + 200
            meter.nv_memory.cells(layout.PARAMETERS).set(key, bytes([dice + key & 255]) * 300)
        if self.due and self.true_ms - self.first_ms >= self.due[0]:
            self.due.pop(0)
            self.cut()

    def run(self, ms):
        end_ms = self.true_ms + ms
        while self.true_ms < end_ms:
            self.step(25 if self.clock.is_looking else _STEP_MS)

    def step(self, ms):
        meter = self.meter
        flash = self.flash
        self._pass(ms)
        flash.now_us = 1000 * self.true_ms
        flash.waited_us = 0
        raw_ms = self.clock.utc_ms()
        # Noise of the front end: some is counted, none is lost.
        used = self.power_w * 1000 * ms + self.rng.below(2001)
        self.used_uws += used
        set_power(meter, self.power_w)
        meter.measured(raw_ms, ms, used, self.rng.below(20001) - 10000, 0)
        meter.tick(raw_ms)
        self.longest_us = max(self.longest_us, flash.waited_us)
        for _ in range(max(ms // 25, 1)):
            if not meter.nv_memory.erase_on():
                break

    # --- cuts ----------------------------------------------------------------------------

    def cut(self):
        meter = self.meter
        flash = self.flash
        said = self.rng.below(2)
        # Somewhere in the next seconds; where it is said, 20 ms after that.
        wait_ms = self.rng.below(20000)
        try:
            if said:
                self.run(wait_ms // 1000 * 1000 + 1000)
                flash.cut_us = flash.now_us + _PROMISE_US
                meter.case.supply_falls(self.clock.utc_ms())
                counted = list(meter.energy.mwh)
                meter.power_fail()
                flash.pass_us(_PROMISE_US)
            else:
                flash.cut_us = 1000 * (self.true_ms + wait_ms) + self.rng.below(1000)
                while True:
                    counted = None
                    self.run(1000)
                    flash.pass_us(0)
        except PowerCut:
            counted = list(meter.energy.mwh)
        self.outage(said, counted)

    def outage(self, said, counted):
        clean = self.meter.nv_memory.state.clean
        went_ms = self.true_ms
        self.erased += self.flash.erased
        image = dict(self.flash.base)
        for number in self.flash.own:
            image[number] = bytes(self.flash.own[number])
        self.flashes += 1
        self.flash = TimedFlash(_SECTORS, image, self.seed * 100 + self.flashes)
        off_ms = 5000 + self.rng.below(2 * HOUR_MS)
        into_ms = (went_ms + off_ms) % HOUR_MS
        # Nor back where an hour ends.
        if into_ms < _MINUTE_MS or into_ms > 59 * _MINUTE_MS:
            off_ms += 2 * _MINUTE_MS
        self.power_cut(off_ms)
        now = self.meter.energy.mwh
        lost = counted[0] - now[0]
        self.demand(lost >= 0, "energy from nowhere")
        self.demand(lost <= _MOST_W * 1000 * 75 // 3600, f"{lost} mWh are lost")
        if said:
            self.demand(lost == 0, f"{lost} mWh are lost, and the watch had said so")
        self.lost_mwh = getattr(self, "lost_mwh", 0) + lost
        self.demand(not self.meter.nv_memory.found, f"{self.meter.nv_memory.found}")
        self.outages.append((went_ms, self.true_ms, not clean, lost))

    # --- what came of it --------------------------------------------------------------------

    def judge(self):
        """Each interval is marked for what happened in it, and for nothing else."""
        down = set()
        may_miss = set()
        missing = set()
        for went_ms, back_ms, unclean, lost in self.outages:
            hours = range(went_ms // HOUR_MS, back_ms // HOUR_MS + 1)
            down.update(hours)
            if unclean:
                may_miss.update(hours)
            if lost:
                missing.add(went_ms // HOUR_MS)
        first = self.first_ms // HOUR_MS
        for number, end_s, status, _ in [entry[:4] for entry in entries(self.meter)]:
            hour = (end_s * 1000 - 1) // HOUR_MS
            what = f"interval {number}: {status:04X}"
            marks = status & ~STATUS_DST
            if marks & STATUS_ENERGY_MISSING:
                marks &= ~STATUS_DATA_NOT_VALID
            if hour == first:
                continue  # that in which the new meter was given its time
            self.demand(bool(marks & STATUS_POWER_DOWN) == (hour in down), what)
            self.demand(bool(marks & STATUS_ENERGY_MISSING) <= (hour in may_miss), what)
            self.demand(hour not in missing or marks & STATUS_ENERGY_MISSING, what)
            self.demand(not marks & ~(STATUS_POWER_DOWN | STATUS_ENERGY_MISSING), what)
        counted = self.meter.energy.mwh[0] + self.lost_mwh
        off = self.used_uws // 3600000 - counted
        # Of each cut: what was less than a mWh, of the record and of the moment.
        self.demand(abs(off) <= 2 * len(self.outages) + 1, f"{off} mWh are not accounted for")
        return self.wrong
