"""A meter on a flash that takes the datasheet's time, on either VM.

`run(seed, hours, longest, cuts)` lets one live by the second, with all that a client, a thief
and the mains may do, and cuts the power at `cuts` moments. Gives what happened, and what was
wrong as a list of lines.
"""

import sys

try:
    import flash_lab
    from timed_flash import TimedFlash
except ImportError:
    from openams.faultlab import flash_lab
    from openams.faultlab.timed_flash import TimedFlash

from ams.events import events as ev
from ams.registers import profile
from ams.storage import layout
from amsbench.hold import hold

SECTORS = 37
RINGS = layout.make_layout(SECTORS, (3, 2, 2, 2, 2, 3, 3, 3, 3, 0))
STEP_MS = 1000
# What a pass of the main loop may wait for the flash: programs, and no erase.
WAIT_US = 40000
# What the supply watch promises.
PROMISE_US = 20000
EVENTS = (
    ev.TERMINAL_COVER_REMOVED,
    ev.MAGNETIC_FIELD,
    ev.AUTHENTICATION_FAILED,
    ev.UNDERVOLTAGE,
    ev.HAN_OPENED,
    ev.LIMITER_EXCEEDED,
)


def config():
    channels = []
    for _ in range(3):
        channels.append({"kind": "voltage", "lsb_pv": 100000000})
        channels.append({"kind": "current", "lsb_pa": 40000000})
    return {
        "system": "3P4W",
        "calibration": {
            "sample_rate_hz": 4000,
            "full_scale": 8388607,
            "starting_power_mva": 700,
            "channels": channels,
        },
        "identity": {"meter_id": "7359990000000017"},
        "han": {"format": "kaifa"},
        "rings": RINGS,
    }


class Life:
    def __init__(self, seed, longest):
        self.random = flash_lab.Random(seed)
        self.seed = seed
        self.longest = longest
        self.wrong = []
        self.raw_ms = flash_lab.START_MS
        self.longest_us = self.fall_us = 0
        self.erased = self.waited_for = self.cuts = 0
        self.flash = TimedFlash(SECTORS, seed=seed, longest=longest)
        self.start()

    def demand(self, condition, what):
        if not condition:
            self.wrong.append(f"seed {self.seed} at {self.raw_ms}: {what}")

    def start(self):
        self.meter = flash_lab.make_meter(self.flash, config())
        self.meter.start(self.raw_ms)
        self.expected = list(self.meter.energy.mwh)
        self.cells = self.meter.nv_memory.cells(layout.PARAMETERS)
        # The supply that is there: what the start has opened, it has waited for.
        self.flash.waited_us = 0
        self.before = self.flash.erases_waited_for

    def step(self):
        meter = self.meter
        flash = self.flash
        flash.now_us = self.raw_ms * 1000
        flash.waited_us = 0
        flash_lab.set_power(meter, self.random.below(20000) - 4000)
        hold(meter, self.raw_ms, STEP_MS, meter._board.clock)
        self.raw_ms += STEP_MS
        meter.tick(self.raw_ms)
        self.do()
        self.longest_us = max(self.longest_us, flash.waited_us)
        self.demand(flash.waited_us < WAIT_US, f"waited {flash.waited_us} us")
        # What is left of the second is there for the flash, of which it gets a part.
        for _ in range(300):
            if not meter.nv_memory.erase_on():
                break
        flash.pass_us(1000 * STEP_MS - flash.now_us % 1000000)

    def do(self):
        meter = self.meter
        dice = self.random.below(40)
        if dice < 3:
            for _ in range(1 + self.random.below(4)):
                meter.tamper(EVENTS[self.random.below(len(EVENTS))])
        elif dice == 3:
            meter.set_clock(self.raw_ms, meter.utc_ms + (self.random.below(7200) - 3000) * 1000)
        elif dice == 4:
            meter.set_capture_period(900 if meter.recorder.load_profile.period_s == 3600 else 3600)
        elif dice == 5:
            self.cells.set(self.random.below(3), bytes([self.random.below(256)]) * 200)
        elif dice == 6:
            self.fall()

    def fall(self):
        """The supply falls: the registers are stored before anything else, and in time."""
        meter = self.meter
        begun_us = self.flash.now_us
        stored = []
        plain = meter.nv_memory.store

        def store(*what):
            plain(*what)
            stored.append(self.flash.now_us - begun_us)

        meter.nv_memory.store = store
        erases = self.flash.erases_waited_for
        meter.case.supply_falls(self.raw_ms)
        meter.power_fail()
        meter.nv_memory.store = plain
        if stored:
            self.fall_us = max(self.fall_us, stored[0])
            self.demand(stored[-1] < PROMISE_US, f"the registers took {stored[-1]} us")
        self.demand(self.flash.erases_waited_for == erases, "an erase while the supply falls")
        meter.supply_back()

    def close(self):
        """Power-down by a cut: what a restart makes of it."""
        meter = self.meter
        counted = list(meter.energy.mwh)
        self.erased += self.flash.erased
        self.waited_for += self.flash.erases_waited_for - self.before
        image = dict(self.flash.base)
        for number in self.flash.own:
            image[number] = bytes(self.flash.own[number])
        was_clean = meter.nv_memory.state.clean
        values = dict(self.known)
        self.cuts += 1
        self.flash = TimedFlash(SECTORS, image, self.seed + 77 * self.cuts, self.longest)
        self.raw_ms += 5000 + self.random.below(600000)
        self.start()
        now = self.meter.energy.mwh
        lost = False
        for k in range(8):
            self.demand(now[k] <= counted[k], f"register {k} from nowhere")
            lost = lost or now[k] < counted[k]
        # 20 kW for a minute and a step.
        self.demand(counted[0] - now[0] < 20_000_000 // 60 * 62, "more than a minute is lost")
        marks = self.meter.recorder.load_profile.status
        newest = flash_lab.entries(self.meter)[-1:]
        marked = bool(marks & profile.STATUS_ENERGY_MISSING) or any(
            entry[2] & profile.STATUS_ENERGY_MISSING for entry in newest
        )
        self.demand(marked or not lost, "energy is missing and not marked")
        self.demand(lost or not was_clean or not marked, "marked, and nothing is missing")
        self.demand(not self.meter.nv_memory.found, f"{self.meter.nv_memory.found}")
        for key in values:
            self.demand(self.cells.get(key) in values[key], f"cell {key}")

    def live(self, hours, cuts):
        due = [self.random.below(hours * 3600) * 1000 for _ in range(cuts)]
        self.known = {}
        begun_ms = self.raw_ms
        due = sorted([begun_ms * 1000 + 1000 * ms + self.random.below(1000000) for ms in due])
        set_cell = None
        while self.raw_ms < begun_ms + hours * 3600000:
            if set_cell is not self.cells:
                set_cell = self.watch_cells()
            self.flash.cut_us = due[0] if due else flash_lab.NEVER
            try:
                self.step()
            except flash_lab.PowerCut:
                due.pop(0)
                self.close()
                while due and due[0] <= self.raw_ms * 1000:
                    due.pop(0)
        self.erased += self.flash.erased
        self.waited_for += self.flash.erases_waited_for - self.before

    def watch_cells(self):
        """What each may hold after a cut: the old value or the new one."""
        plain = self.cells.set

        def set_one(key, value):
            self.known[key] = self.known.get(key, [None])[-1:] + [value]
            plain(key, value)
            self.known[key] = [value]

        self.cells.set = set_one
        return self.cells


def run(seed, hours, longest, cuts):
    life = Life(seed, longest)
    life.live(hours, cuts)
    return {
        "erased": life.erased,
        "waited_for": life.waited_for,
        "longest_us": life.longest_us,
        "fall_us": life.fall_us,
        "cuts": life.cuts,
        "wrong": life.wrong[:5],
    }


if __name__ == "__main__":
    seed, hours, longest, cuts = [int(part) for part in sys.argv[1:]]
    print(run(seed, hours, bool(longest), cuts))
