"""The clock of a meter: what is slewed and what is stepped, what chips and servers may do to it.

On CPython and the MicroPython VM alike: `CHECKS` names what is checked.
"""

from keyedbench import START_MS, Bench, octets, stamp

from ams.clock.local import STATUS_DOUBTFUL, STATUS_INVALID, utc_ms_of
from ams.events import events as ev
from ams.hal import CHIP_JUMPED, CHIP_NO_TIME, CHIP_SILENT, CHIP_STANDS
from ams.registers import billing, profile
from ams.storage import layout
from drivers.ds3231 import CountedClock

CLOCK = "0.0.1.0.0"
HOUR_MS = 3600000
DAY_MS = 86400000
OF_CLOCK = (
    profile.STATUS_CLOCK_ADJUSTED | profile.STATUS_CLOCK_INVALID | profile.STATUS_WRONG_LENGTH
)
STEPS = (ev.CLOCK_ADJUSTED_OLD, ev.CLOCK_ADJUSTED_NEW)


def steps(bench):
    return [bench.count_of(code) for code in STEPS]


def entries(bench, region=layout.LOAD_PROFILE):
    unpack = profile.unpack if region == layout.LOAD_PROFILE else billing.unpack
    return [unpack(data) for data in bench.meter.nv_memory.entries(region)]


def marked(bench, region=layout.LOAD_PROFILE):
    """(number, status) of entries that say something of the clock."""
    found = [(entry[0], entry[2] & OF_CLOCK) for entry in entries(bench, region)]
    return [(number, status) for number, status in found if status]


# --- what clients do ------------------------------------------------------------------------


def by_setting(client, bench, off_ms):
    return client.set_clock(bench.shown_ms + off_ms)


def by_shifting(client, bench, off_ms):
    seconds = off_ms // 1000
    return client.call(8, CLOCK, 6, bytes((0x10, seconds >> 8 & 0xFF, seconds & 0xFF)))


def by_preset(client, bench, off_ms):
    now = bench.shown_ms
    value = b"\x02\x03"
    for moment in (now + off_ms, now - 1000, now + 60000):
        value += octets(stamp(moment))
    assert client.call(8, CLOCK, 5, value) == 0
    return client.call(8, CLOCK, 4)


def to_the_minute(client, bench, off_ms):
    """Adjusts to what is nearest: the clock is so far from a whole quarter."""
    bench.run((HOUR_MS - off_ms - bench.shown_ms % HOUR_MS) % HOUR_MS // 1000)
    return client.call(8, CLOCK, 1 if off_ms > 0 else 3)


WAYS = (by_setting, by_shifting, by_preset, to_the_minute)


def check_small_corrections_leave_no_trace():
    for way in WAYS:
        for off_ms in (3000, -9000):
            bench = Bench(power_w=1000)
            client = bench.client("operator")
            bench.run(5)
            before = bench.shown_ms - bench.raw_ms
            assert way(client, bench, off_ms) == 0
            assert abs(bench.shown_ms - bench.raw_ms - before) <= 1
            bench.hold(3 * HOUR_MS // 1000)
            moved = bench.shown_ms - bench.raw_ms - before
            assert abs(moved - off_ms) <= 1000 if way is to_the_minute else moved == off_ms
            assert steps(bench) == [0, 0]
            assert marked(bench)[1:] == []
            lengths = [entry[3] for entry in entries(bench)[1:]]
            assert lengths and set(lengths) == {3600}
            # The chip has it: it is what the supply finds.
            bench.run(12, 100)
            assert abs(bench.chip_off_ms - moved) <= 1000


def check_a_correction_beyond_is_a_step():
    for way in (by_setting, by_shifting, by_preset):
        bench = Bench()
        client = bench.client("operator")
        bench.run(5)
        before = bench.shown_ms
        assert way(client, bench, 11000) == 0
        assert bench.shown_ms == before + 11000
        assert steps(bench) == [1, 1]
        bench.hold(7200)
        adjusted = [bool(entry[2] & profile.STATUS_CLOCK_ADJUSTED) for entry in entries(bench)]
        assert adjusted[:2] == [True, False]


def check_small_corrections_are_few():
    """Ten seconds and what a crystal can be wrong: whoever walks the clock further is seen."""
    bench = Bench()
    client = bench.client("operator")
    for _ in range(4):
        assert client.set_clock(bench.shown_ms + 9000) == 0
        bench.hold(9500)
    assert steps(bench)[0] == 3
    bench = Bench()
    client = bench.client("operator")
    for _ in range(5):
        assert client.set_clock(bench.shown_ms + 2592) == 0
        bench.hold(86400)
    assert steps(bench) == [0, 0]


def check_a_daily_set_teaches_the_drift():
    """The proof of a head-end that sets the clock each day: 30 ppm, gone within three."""
    bench = Bench()
    client = bench.client("operator")
    offs = []
    for _ in range(6):
        bench.hold(86400)
        # The board's counter is 30 ppm fast.
        bench.true_ms -= 2592
        offs.append(bench.shown_ms - bench.true_ms)
        assert client.set_clock(bench.true_ms) == 0
    assert offs[0] >= 2592 and offs[1] >= 2580
    assert all(abs(off) < 300 for off in offs[2:])
    assert -31000 < bench.meter.clock.drift_ppb < -29000
    assert steps(bench) == [0, 0] and marked(bench)[1:] == []
    # It is known after a power cut too.
    bench.power_cut(30)
    assert -31000 < bench.meter.clock.drift_ppb < -29000


def check_often_set_teaches_the_same():
    """Each ten minutes: what is put right in between is drift all the same."""
    bench = Bench()
    client = bench.client("operator")
    for _ in range(100):
        bench.hold(600)
        bench.true_ms -= 18
        assert client.set_clock(bench.true_ms) == 0
    assert -33000 < bench.meter.clock.drift_ppb < -27000


def check_nothing_is_learned_from_who_moves_it_at_will():
    bench = Bench()
    client = bench.client("operator")
    for off_ms in (HOUR_MS, -HOUR_MS, 90000, -90000):
        assert client.set_clock(bench.shown_ms + off_ms) == 0
        bench.hold(4000)
    assert bench.meter.clock.drift_ppb == 0


# --- servers that nobody vouches for --------------------------------------------------------


def check_a_time_server_slews_a_little():
    bench = Bench()
    timing = bench.meter.timing
    bench.run(5)
    before = bench.shown_ms - bench.raw_ms
    assert timing.hear(bench.raw_ms, bench.shown_ms + 800, 20)
    bench.hold(3600)
    assert bench.shown_ms - bench.raw_ms - before == 780
    # Within what it is unsure of it moves nothing.
    assert timing.hear(bench.raw_ms, bench.shown_ms + 19, 20)
    bench.hold(3600)
    assert bench.shown_ms - bench.raw_ms - before == 780
    assert steps(bench) == [0, 0] and marked(bench)[1:] == []


def check_a_time_server_that_lies_gets_nowhere():
    for off_ms in (3000, -3000, 90000, -DAY_MS, 20 * 366 * DAY_MS):
        bench = Bench()
        for _ in range(12):
            assert not bench.meter.timing.hear(bench.raw_ms, bench.shown_ms + off_ms, 20)
            bench.hold(3600)
        assert bench.shown_ms == bench.raw_ms and steps(bench) == [0, 0]
        said = [line for line in bench.complaints if line.startswith("clock:")]
        assert len(said) == 1, "told once"
    # As much as it may, each hour, for four days: 2 s, 50 ppm, and as much drift again.
    bench = Bench()
    for _ in range(96):
        bench.meter.timing.hear(bench.raw_ms, bench.shown_ms + 500, 0)
        bench.hold(3600)
    assert 0 < bench.shown_ms - bench.raw_ms <= 2000 + 100 * 4 * DAY_MS // 1000000
    assert bench.meter.clock.drift_ppb <= 50000


def check_a_time_server_sets_no_clock_that_is_lost():
    bench = Bench()
    bench.power_cut(20, 0)
    assert bench.meter.clock.status & STATUS_INVALID
    assert not bench.meter.timing.hear(bench.raw_ms, bench.true_ms, 20)
    assert bench.meter.clock.status & STATUS_INVALID and bench.count_of(ev.CLOCK_VALID) == 0


# --- power-up -------------------------------------------------------------------------------


def at_power_up(chip_ms, backup_s, keeps=True):
    """A meter that ran for six hours finds `chip_ms` on its chip, and what it had stored."""
    bench = Bench(keeps, power_w=1000)
    bench.hold(6 * 3600)
    bench.run(2)
    bench.meter.stop()
    stored_ms = bench.meter.utc_ms
    bench.chip_off_ms = (chip_ms if chip_ms > 10**11 else stored_ms + chip_ms) - bench.true_ms
    bench.power_up(backup_s)
    return bench, stored_ms


def check_no_chip_takes_a_meter_back_to_2000():
    year_s = 366 * 86400
    for keeps in (True, False):
        for chip_ms, backup_s in (
            (10**11 + 1, 0),  # 2003, and says so
            (10**11 + 1, year_s),  # or does not
            (utc_ms_of(2015, 1, 1), year_s),
            (START_MS + 30 * 366 * DAY_MS, year_s),
            (START_MS + 30 * 366 * DAY_MS, None),
        ):
            bench, stored_ms = at_power_up(chip_ms, backup_s, keeps)
            # `run` of the bench's power-up: a second.
            assert 0 <= bench.shown_ms - stored_ms <= 2000
            assert bench.meter.clock.status & STATUS_INVALID
            assert bench.count_of(ev.CLOCK_INVALID) == 1 and steps(bench) == [0, 0]
            bench.hold(2 * 3600)
            times = [entry[1] for entry in entries(bench)]
            assert times == sorted(times) and times[0] * 1000 > START_MS
            last = entries(bench)[-1]
            assert last[2] & profile.STATUS_CLOCK_INVALID
            bench.client("operator", 2).set_clock(bench.true_ms + 12345)
            assert bench.count_of(ev.CLOCK_VALID) == 1
            assert not bench.meter.clock.status & STATUS_INVALID


def check_a_chip_that_was_set_back_is_not_believed():
    for back_ms in (10000, HOUR_MS):
        bench, stored_ms = at_power_up(-back_ms, None)
        assert 0 <= bench.shown_ms - stored_ms <= 2000
        assert bench.meter.clock.status & STATUS_DOUBTFUL
        assert steps(bench)[0] == 1
        # The chip gets what the meter shows.
        bench.run(12, 100)
        shown = bench.shown_ms
        bench.power_cut(20)
        assert abs(bench.shown_ms - shown - 21000) <= 2000
        assert bench.client("operator", 2).set_clock(bench.shown_ms + 500) == 0
        assert not bench.meter.clock.status & STATUS_DOUBTFUL
    bench, stored_ms = at_power_up(-2 * DAY_MS, None)
    assert 0 <= bench.shown_ms - stored_ms <= 2000
    assert bench.meter.clock.status & STATUS_INVALID


def check_a_setting_that_the_chip_has_not_yet_is_not_lost():
    bench = Bench()
    bench.run(20)
    client = bench.client("operator")
    before = bench.shown_ms
    assert client.set_clock(before + HOUR_MS) == 0
    bench.power_cut(600)
    assert abs(bench.shown_ms - before - HOUR_MS - 601000) <= 2000
    assert not bench.meter.clock.status
    bench.run(12, 100)
    bench.power_cut(600)
    assert abs(bench.shown_ms - before - HOUR_MS - 1214000) <= 3000
    assert steps(bench) == [1, 1]


def check_what_was_shown_already_is_not_shown_twice():
    bench = Bench()
    bench.run(3)
    # The chip shows the second's begin.
    bench.true_ms += 900
    bench.raw_ms += 900
    bench.meter.tick(bench.raw_ms)
    shown = bench.shown_ms
    bench.meter.stop()
    bench.power_cut(0)
    assert bench.shown_ms >= shown and steps(bench) == [0, 0]
    bench.hold(4000)
    assert abs(bench.shown_ms - bench.raw_ms) <= 1, "it comes back to the chip"
    assert marked(bench)[-1:] == [] or not marked(bench)[-1][1] & profile.STATUS_CLOCK_ADJUSTED


# --- days and months ------------------------------------------------------------------------


def check_days_and_months_are_marked_as_their_intervals_are():
    # Two hours and a half before the month ends in Norway.
    bench = Bench(start_ms=utc_ms_of(2026, 6, 30, 19, 30), power_w=1000)
    bench.hold(3 * 3600)
    for region in (layout.DAILY, layout.MONTHLY):
        assert [entry[2] for entry in entries(bench, region)] == [0]
    client = bench.client("operator")
    assert client.set_clock(bench.shown_ms - 2 * HOUR_MS) == 0
    bench.hold(3600)
    # The marks outlive the supply.
    bench.meter.stop()
    bench.power_cut(5)
    bench.hold(2 * 3600)
    adjusted = profile.STATUS_CLOCK_ADJUSTED
    for region in (layout.DAILY, layout.MONTHLY):
        status = [
            entry[2] & (adjusted | profile.STATUS_POWER_DOWN) for entry in entries(bench, region)
        ]
        assert status == [0, adjusted | profile.STATUS_POWER_DOWN], status
    bench.hold(86400)
    assert [bool(number) for number, _ in marked(bench, layout.DAILY)] == [True]
    # As a client reads it: three rows, the column of the status.
    rows = bench.client("reader", 3).get(7, "1.0.99.2.0", 2)
    assert rows[:2] == b"\x01\x03"
    assert [rows[2 + k * (len(rows) - 2) // 3 + 17 + 1] & 0x20 for k in range(3)] == [0, 0x20, 0]


def check_a_step_over_midnight_marks_both_days():
    bench = Bench(start_ms=utc_ms_of(2026, 6, 10, 20), power_w=1000)
    bench.hold(3600)
    bench.client("operator").set_clock(bench.shown_ms + 2 * HOUR_MS)
    bench.hold(2 * 86400)
    adjusted = profile.STATUS_CLOCK_ADJUSTED
    status = [bool(entry[2] & adjusted) for entry in entries(bench, layout.DAILY)]
    # The day that ends by the step, and the day that begins with it.
    assert status == [True, True, False], status


# --- the clock chip -------------------------------------------------------------------------


class Rtc:
    """A chip by its word: `wrong(true_ms)` gives what it says instead."""

    def __init__(self):
        self.true_ms = START_MS
        self.off_ms = 0
        self.wrong = None
        self.reads = self.sets = 0

    def read(self):
        self.reads += 1
        now = self.true_ms + self.off_ms
        if self.wrong is not None:
            return self.wrong(now)
        return now - now % 1000

    def set(self, utc_ms):
        if self.wrong is silent:
            raise OSError(5)
        self.sets += 1
        self.off_ms = utc_ms - utc_ms % 1000 - self.true_ms


def silent(now):
    raise OSError(5)


def no_time(now):
    return None


def stands(now):
    return START_MS + 7000


class World:
    def __init__(self, ppm=30, wrong=None):
        self.rtc = Rtc()
        self.rtc.wrong = wrong
        self.ppm = ppm
        self.clock = CountedClock(self.rtc, self._ticks_ms, lambda a, b: a - b, 1000)

    def _ticks_ms(self):
        passed = self.rtc.true_ms - START_MS
        return passed + passed * self.ppm // 1000000

    def run(self, hours, step_ms=25):
        """Fine steps while the chip is looked at, as the passes of a loop are."""
        before = self.clock.utc_ms()
        end = self.rtc.true_ms + hours * HOUR_MS
        while self.rtc.true_ms < end:
            self.rtc.true_ms += step_ms if self.clock.is_looking else 20000
            now = self.clock.utc_ms()
            assert now >= before
            before = now
        return self.clock.utc_ms() - self.rtc.true_ms


def check_the_counter_follows_the_chip():
    for ppm in (30, -30, 0, 100):
        world = World(ppm)
        world.run(4)
        worst = 0
        for _ in range(48):
            worst = max(worst, abs(world.run(1)))
        assert worst <= 40, worst
        # Forty readings an hour at the most, of a second's length.
        assert world.rtc.reads <= 52 * 45 and world.rtc.sets == 0 and world.clock.fault == 0


def check_a_chip_that_answers_nonsense_is_told_once_and_set_anew():
    def jumps(now):
        return now - now % 1000 + 86400000

    def to_and_fro(now):
        return now - now % 1000 + (now // 1000 % 3 - 1) * 5000000

    for wrong, fault in (
        (silent, CHIP_SILENT),
        (no_time, CHIP_NO_TIME),
        (stands, CHIP_STANDS),
        (jumps, CHIP_JUMPED),
        (to_and_fro, CHIP_JUMPED),
    ):
        world = World()
        world.run(6)
        world.rtc.wrong = wrong
        off = world.run(48)
        # What it has learned it keeps: alone it is wrong by the rest of 30 ppm.
        assert abs(off) < 400, off
        assert world.clock.fault in (fault, CHIP_JUMPED) if wrong is stands else fault
        assert world.rtc.reads < 6 * 45 + 3 * 200 + 48 * 110
        # It is well again, with whatever time it has: it is set to the meter's.
        world.rtc.off_ms = 99999999 if wrong is not silent else 0
        world.rtc.wrong = None
        off = world.run(30)
        assert abs(off) < 700 and world.clock.fault == 0
        assert abs(world.rtc.off_ms) < 700


def check_a_single_bad_answer_is_not_told():
    world = World()
    world.run(2)
    faults = []

    def once(now):
        faults.append(now)
        world.rtc.wrong = None
        raise OSError(5)

    for _ in range(5):
        world.rtc.wrong = once
        world.run(2)
        assert world.clock.fault == 0
    assert len(faults) == 5 and abs(world.run(1)) <= 40


def check_a_chip_that_answers_late_is_heard():
    world = World(0, silent)
    assert world.clock.backup_s == 0 and world.clock.utc_ms() == 0
    world.rtc.true_ms += 3000
    world.clock.utc_ms()
    world.rtc.wrong = None
    world.rtc.true_ms += 2 * HOUR_MS
    world.clock.utc_ms()
    late = world.clock.recovered_ms
    assert late is not None
    assert abs(world.clock.utc_ms() + late - world.rtc.true_ms) <= 500


def check_the_meter_tells_of_its_chip_once():
    bench = Bench()
    chip = bench.board.clock
    chip.fault = 0
    bench.run(30)
    chip.fault = CHIP_STANDS
    bench.run(300)
    chip.fault = 0
    bench.run(30)
    found = [(code, detail) for _, _, code, detail, _ in bench.log_of(ev.LOG_STANDARD)]
    assert found.count((ev.CLOCK_CHIP_ERROR, CHIP_STANDS)) == 1
    assert found.count((ev.CLOCK_CHIP_BACK, CHIP_STANDS)) == 1
    # One that had no time at power-up, and has it now.
    bench.power_cut(20, 0)
    assert bench.meter.clock.status & STATUS_INVALID
    chip = bench.board.clock
    chip.recovered_ms = bench.true_ms + 60000 - bench.raw_ms
    bench.run(11)
    assert not bench.meter.clock.status & STATUS_INVALID
    assert abs(bench.shown_ms - bench.true_ms - 60000) <= 1000


# --- failures of the supply -------------------------------------------------------------------


class P1Bench(Bench):
    """Its port shows the failures of the supply."""

    han = {"format": "p1", "variant": "nl5"}

    @property
    def failures(self):
        """(counters of all and of long ones, [(end, seconds)], newest first)."""
        sources = self.meter.han.view.sources
        return sources.count(0), sources.count(1), list(sources.failures())


def check_a_failure_with_the_clock_lost_has_its_length_once_the_clock_is_set():
    bench = P1Bench()
    bench.hold(600)
    bench.run(61)
    went = bench.true_ms
    bench.power_cut(7200, 0)
    came = bench.true_ms - 1000  # the bench runs for a second
    assert bench.meter.clock.status & STATUS_INVALID
    assert bench.failures == (1, 0, [])
    # What goes on meanwhile is timed by a clock that is wrong.
    meter = bench.meter
    meter.events.log(meter.utc_ms, ev.MISSING_VOLTAGE)
    bench.hold(400)
    meter.events.log(meter.utc_ms, ev.NORMAL_VOLTAGE)
    back = bench.true_ms
    meter.events.log(meter.utc_ms, ev.MISSING_VOLTAGE + 1)
    bench.hold(100)
    assert bench.client("operator", 2).set_clock(bench.true_ms) == 0
    assert bench.count_of(ev.CLOCK_VALID) == 1
    bench.hold(200)
    meter.events.log(meter.utc_ms, ev.NORMAL_VOLTAGE + 1)
    count, long, log = bench.failures
    assert (count, long) == (3, 3)
    expected = [(back + 300000, 300), (back, 400), (came, 7200)]
    for k in range(3):
        (end_ms, seconds), (true_ms, length) = log[k], expected[k]
        # The registers were stored within the minute before.
        assert abs(end_ms - true_ms) <= 2000 and -2 <= seconds - length <= 61, log
    assert went < came
    # The next one is of a clock that knows, and what was told stays (kept with each hour).
    bench.hold(3600)
    bench.power_cut(600)
    assert bench.failures[:2] == (4, 4) and bench.failures[2][1:] == log
    assert 600 <= bench.failures[2][0][1] <= 661


def check_a_failure_that_nobody_timed_is_counted_and_not_guessed():
    """Twice without the time: of the first none knows its end, of the second not even its begin."""
    bench = P1Bench()
    bench.hold(600)
    bench.power_cut(7200, 0)
    bench.hold(600)
    bench.power_cut(3600, 0)
    assert bench.client("operator", 2).set_clock(bench.true_ms) == 0
    bench.hold(600)
    assert bench.failures == (2, 0, [])
    # A clock that is set once more, by hours, was not without supply.
    assert bench.client("operator", 3).set_clock(bench.true_ms + 5 * HOUR_MS) == 0
    assert bench.failures == (2, 0, [])


def check_an_interruption_is_as_long_as_it_is_whoever_sets_the_clock():
    for step_ms in (HOUR_MS, -HOUR_MS):
        bench = P1Bench()
        bench.run(5)
        meter = bench.meter
        meter.events.log(meter.utc_ms, ev.MISSING_VOLTAGE)
        bench.hold(200)
        assert bench.client("operator").set_clock(bench.shown_ms + step_ms) == 0
        bench.hold(100)
        meter.events.log(meter.utc_ms, ev.NORMAL_VOLTAGE)
        ((end_ms, seconds),) = bench.failures[2]
        assert 299 <= seconds <= 302 and abs(end_ms - meter.utc_ms) <= 1000


CHECKS = sorted(name for name in globals() if name.startswith("check_"))


def main(names=None):
    for name in names or CHECKS:
        globals()[name]()
        print(name)
