"""A month of a meter on parts as they are, on CPython and MicroPython alike.

The counter's crystal is off and moves with the temperature; the clock chip is one of its kind, by
seed. The board's clock is that of the boards (drivers.ds3231), the registers are on a flash. What
else there is to suffer is added by who subclasses `Month`, or acts in `each_minute`.
"""

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

from ams.clock.local import utc_ms_of
from ams.registers import profile
from drivers.ds3231 import CountedClock, Ds3231
from openams.emulator.models.ds3231 import Ds3231 as ChipModel

HOUR_MS = 3600000
DAY_MS = 86400000
START_MS = utc_ms_of(2026, 3, 10, 11)
_BACKUP_S = 31536000
_STEP_MS = 10000
_PASS_MS = 25
CONFIG = {
    "system": "1P2W",
    "identity": {"meter_id": "7359990000000017", "meter_type": "6515"},
    "han": {"format": "kaifa"},
    "calibration": {
        "sample_rate_hz": 4000,
        "full_scale": 8388607,
        "starting_power_mva": 700,
        "channels": [
            {"kind": "voltage", "lsb_pv": 100000000},
            {"kind": "current", "lsb_pa": 40000000},
        ],
    },
}


class Bus:
    """machine.I2C with one part on it."""

    def __init__(self, model):
        self._model = model

    def readfrom_mem_into(self, address, register, buffer):
        self._model.write(bytes((register,)))
        buffer[:] = self._model.read(len(buffer))

    def writeto_mem(self, address, register, data):
        self._model.write(bytes((register,)) + bytes(data))


class Weather:
    """Temperature of the case in 0.01 degrees: warm at two in the afternoon, days as they come."""

    def __init__(self, random, swing=1500):
        self._random = random
        self._swing = swing
        self._day = None
        self._mean = 0

    def at(self, true_ms):
        day, ms = divmod(true_ms, DAY_MS)
        if day != self._day:
            self._day = day
            self._mean = 1000 + self._random.below(2000)
        # A triangle: from two at night to two in the afternoon and back.
        hours = (ms // HOUR_MS - 2) % 24
        return self._mean + self._swing * (6 - abs(12 - hours)) // 6


class Crystal:
    """An AT cut: `ppb` off at 25 degrees, and by its curve elsewhere."""

    def __init__(self, ppb):
        self.ppb = ppb
        self.ticks_us = 0
        self._rest = 0

    def advance(self, us, temperature):
        off = (temperature - 2500) // 100
        more = us * (self.ppb - 160 * off + off * off * off // 5) + self._rest
        self._rest = more % 1000000000
        self.ticks_us += us + more // 1000000000


class Month:
    """`ppm` of the counter's crystal; `chip`: False: there is none; `daily`: a client sets it,
    whose own word is off by up to `jitter_ms`."""

    def __init__(
        self, seed=1, ppm=30, chip=True, daily=False, config=None, flash=None, jitter_ms=0
    ):
        self.random = flash_lab.Random(seed)
        self.weather = Weather(self.random)
        self.crystal = Crystal(1000 * ppm)
        self.chip = ChipModel(seed, years=seed % 10)
        self.chip.present = chip
        self.daily = daily
        self.jitter_ms = jitter_ms
        self.config = config or CONFIG
        self.flash = flash or flash_lab.LabFlash(64)
        self.true_ms = START_MS
        self.power_w = 0
        self.used_uws = 0  # while it was supplied
        self.worst_ms = 0  # off the true time, since `settled`
        self.worst_day_ms = 0  # by how much that changed in a day
        self._off_ms = None
        self.cuts = 0
        driver = Ds3231(Bus(self.chip))
        if chip:
            driver.set(self.true_ms)
        self.power_up()
        self.meter.set_clock(self.clock.utc_ms(), self.true_ms, True)

    # --- power -------------------------------------------------------------------------

    def power_up(self):
        self.crystal.ticks_us = 0
        board = flash_lab.LabBoard(self.flash)
        self.clock = board.clock = CountedClock(
            Ds3231(Bus(self.chip)), self._ticks_ms, _ticks_diff, _BACKUP_S
        )
        board.frontend = self
        self.meter = flash_lab.Meter(board, self.config)
        self.meter.start(self.clock.utc_ms())

    def power_cut(self, off_ms):
        """The supply is gone at once, for so long."""
        self.cuts += 1
        self._pass(off_ms, False)
        self.power_up()

    def _ticks_ms(self):
        return self.crystal.ticks_us // 1000 & 0x3FFFFFFF

    # --- time --------------------------------------------------------------------------

    def _pass(self, ms, supplied=True):
        temperature = self.chip.temperature = self.weather.at(self.true_ms)
        self.chip.advance(1000 * ms)
        if supplied:
            self.crystal.advance(1000 * ms, temperature)
        self.true_ms += ms

    def run(self, ms):
        """Passes of the loop: coarse ones, but where the clock chip is looked at."""
        end_ms = self.true_ms + ms
        while self.true_ms < end_ms:
            step = _PASS_MS if self.clock.is_looking else _STEP_MS
            self._pass(step)
            raw_ms = self.clock.utc_ms()
            used = self.power_w * 1000 * step
            self.used_uws += used
            flash_lab.set_power(self.meter, self.power_w)
            self.meter.measured(raw_ms, step, used, 0, 0)
            self.meter.tick(raw_ms)

    def off_ms(self):
        """What the meter shows, less the true time."""
        return self.meter.clock.utc_ms(self.clock.utc_ms()) - self.true_ms

    def days(self, count, settle=0):
        """`settle`: so many days are not judged: what a clock has to learn first."""
        for day in range(count):
            for hour in range(24):
                for _ in range(60):
                    self.each_minute()
                    self.run(60000)
                if day >= settle:
                    self.worst_ms = max(self.worst_ms, abs(self.off_ms()))
                if hour == 12:
                    self._noon(day >= settle)

    def _noon(self, judged):
        off_ms = self.off_ms()
        if judged and self._off_ms is not None:
            self.worst_day_ms = max(self.worst_day_ms, abs(off_ms - self._off_ms))
        if self.daily:
            jitter_ms = self.random.below(2 * self.jitter_ms + 1) - self.jitter_ms
            self.meter.sync_clock(self.clock.utc_ms(), self.true_ms + jitter_ms)
        # What a client has put right is being slewed: from there on it counts.
        self._off_ms = 0 if self.daily else off_ms

    def each_minute(self):
        """What happens to the meter; here only that somebody uses power."""
        self.power_w = self.random.below(8000)

    # --- what came of it ---------------------------------------------------------------

    def marked(self):
        """(number, status) of the intervals that say anything but summer time."""
        found = []
        for entry in flash_lab.entries(self.meter):
            if entry[2] & ~profile.STATUS_DST:
                found.append((entry[0], entry[2]))
        return found

    def lengths(self):
        return [entry[3] for entry in flash_lab.entries(self.meter)]

    def count_of(self, code):
        return sum(entry[2] == code for log in flash_lab.logged(self.meter) for entry in log)


def _ticks_diff(a, b):
    return ((a - b + 0x20000000) & 0x3FFFFFFF) - 0x20000000
