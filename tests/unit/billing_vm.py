"""Energy by rate, the highest demands and the end of a billing period, on either VM.

The truth is counted beside the meter: energy is power times time, and every power cut here is
after a stored record or loses what the meter says it lost.
"""

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

from ams.clock.local import norway_utc_ms, utc_ms_of
from ams.cosem import access
from ams.cosem.axdr import Reader, Writer
from ams.registers import billing
from ams.registers.demand import HOUR, QUARTER
from ams.results import AccessError
from ams.storage import layout
from amsbench.hold import hold

HOUR_MS = 3600000
DAY_MS = 86400000
CONFIG = {
    "system": "3P4W",
    "identity": {"meter_id": "7359990000000017", "meter_type": "OAM-3"},
    "han": {"format": "kaifa"},
    "calibration": {
        "sample_rate_hz": 4000,
        "full_scale": 8388607,
        "starting_power_mva": 700,
        "channels": [
            {"kind": "voltage", "lsb_pv": 100000000},
            {"kind": "current", "lsb_pa": 40000000},
        ]
        * 3,
    },
}
CALENDAR = bytes((0, 0, 13, 0, 0, 255))
BILLING = bytes((0, 0, 15, 0, 0, 255))
SCRIPT = bytes((0, 0, 10, 0, 1, 255))
# 00:00 on the first of December 2026, Norwegian time.
DECEMBER_MS = norway_utc_ms(utc_ms_of(2026, 12, 1, 0))


class Bench:
    def __init__(self, start_ms, flash=None):
        self.flash = flash_lab.LabFlash(64) if flash is None else flash
        self.raw_ms = start_ms
        self.power_up()

    def power_up(self, off_ms=0):
        self.raw_ms += off_ms
        self.meter = flash_lab.start(self.flash, CONFIG, self.raw_ms)
        self.energy = self.meter.energy
        self.model = self.meter.model

    def hold(self, ms, power_w):
        flash_lab.set_power(self.meter, power_w)
        hold(self.meter, self.raw_ms, ms, self.meter._board.clock)
        self.raw_ms += ms
        self.meter.tick(self.raw_ms)

    def set(self, class_id, ln, attribute, value):
        try:
            self.model.set(class_id, ln, attribute, access.OPERATOR, Reader(value))
        except AccessError as error:
            return error.code
        return 0

    def call(self, class_id, ln, method, value, who=access.OPERATOR):
        try:
            self.model.call(class_id, ln, method, who, Reader(value), Writer(64))
        except AccessError as error:
            return error.code
        return 0

    def get(self, class_id, ln, attribute=2):
        out = Writer(640)
        pieces = self.model.get(class_id, bytes(ln), attribute, access.READER, out)
        whole = b""
        for _ in pieces or ():
            whole += bytes(out.view())
            out.clear()
        return whole + bytes(out.view())

    def number(self, class_id, c, d, e):
        return int.from_bytes(self.get(class_id, (1, 0, c, d, e, 255))[1:], "big")

    def months(self):
        return [billing.unpack_month(d) for d in self.meter.nv_memory.entries(layout.MONTHLY)]

    def whole(self):
        """What has to hold at any moment."""
        for way in range(4):
            shares = self.energy.rates.all()[4 * way : 4 * way + 4]
            assert sum(shares) == self.energy.mwh[way], (shares, self.energy.mwh)
            assert min(shares) >= 0, shares


def octets(data):
    return b"\x09" + bytes((len(data),)) + data


def set_calendar(bench, switches):
    """One day for all weeks and seasons, `switches`: (hour, minute, rate)."""
    day = b"\x01\x01\x02\x02\x11\x01\x01" + bytes((len(switches),))
    for hour, minute, rate in switches:
        day += b"\x02\x03" + octets(bytes((hour, minute, 0, 0)))
        day += octets(bytes((0, 0, 10, 0, 100, 255))) + b"\x12\x00" + bytes((rate,))
    season = b"\x01\x01\x02\x03" + octets(b"s")
    season += octets(b"\xff\xff\x01\x01\xff\x00\x00\x00\x00\x80\x00\x00") + octets(b"w")
    week = b"\x01\x01\x02\x08" + octets(b"w") + b"\x11\x01" * 7
    for attribute, value in ((7, season), (8, week), (9, day)):
        assert bench.set(20, CALENDAR, attribute, value) == 0
    assert bench.call(20, CALENDAR, 1, b"\x0f\x00") == 0


# --- rates -----------------------------------------------------------------------------------

SWITCHES = ((0, 0, 1), (6, 0, 2), (6, 45, 3), (16, 0, 4), (22, 0, 2), (23, 59, 1))


def rate_at(utc_ms):
    minute = (utc_ms + HOUR_MS) % DAY_MS // 60000
    return [rate for hour, at, rate in SWITCHES if 60 * hour + at <= minute][-1]


def until_switch(utc_ms):
    """ms to the next time of SWITCHES."""
    passed = (utc_ms + HOUR_MS) % DAY_MS
    return min(
        (60 * hour + at) * 60000 - passed
        for hour, at, _ in SWITCHES + ((24, 0, 0),)
        if (60 * hour + at) * 60000 > passed
    )


def rates(seed):
    """Four rates over days, with stops, cuts and steps of the clock."""
    random = flash_lab.Random(seed)
    bench = Bench(utc_ms_of(2026, 1, 12, 3, 7))
    bench.hold(HOUR_MS, 1000)  # before there is a calendar: of rate 1
    set_calendar(bench, SWITCHES)
    truth = [0] * 8
    truth[0] = 1000 * HOUR_MS
    exact = True
    for _ in range(24):
        power_w = random.below(9000) - 3000
        left = 60000 * (1 + random.below(200))
        while left:
            # To the next switch.
            step = min(left, until_switch(bench.raw_ms))
            truth[rate_at(bench.raw_ms) - 1 + (4 if power_w < 0 else 0)] += abs(power_w) * step
            bench.hold(step, power_w)
            left -= step
        bench.whole()
        what = random.below(6)
        if what == 0:
            bench.meter.stop()
            bench.power_up(1000 * random.below(20000))
        elif what == 1:
            # The power goes without a word: what is lost is of the rate that was in force.
            exact = False
            bench.power_up(1000 * random.below(20000))
        bench.whole()
    for _ in range(8):
        # In the midst of an operation of the flash, at a switch: old or new, and whole.
        exact = False
        bench.hold(until_switch(bench.raw_ms) - 1000, 1000)
        bench.flash.cut_at = bench.flash.operations + random.below(12)
        bench.flash.torn = "bytes"
        bench.flash.random = random
        try:
            bench.hold(300000, 2000)
        except flash_lab.PowerCut:
            bench.flash.cut_at = flash_lab.NEVER
        bench.flash.cut_at = flash_lab.NEVER
        bench.power_up(60000)
        bench.whole()
    if exact:
        for k in range(8):
            # Each rate to the mWh: what a switch finds of one is the next one's.
            off = truth[k] // 3600 - bench.energy.rates.all()[k]
            assert abs(off) <= 60, (k, off)
    for way in (0, 1):
        for rate in (1, 2, 3, 4):
            value = bench.number(3, 1 + way, 8, rate)
            assert value == bench.energy.rates.of(way, rate)
    return seed


def exact_rates():
    """Without a cut each rate has its energy to the mWh, and that of its intervals."""
    bench = Bench(utc_ms_of(2026, 1, 12, 5))
    set_calendar(bench, ((0, 0, 1), (6, 0, 2), (22, 0, 3)))
    truth = [0] * 4
    for hour in range(6, 6 + 49):
        power_w = 100 * (1 + hour % 24)
        truth[1 if 6 <= hour % 24 < 22 else 2 if hour % 24 >= 22 else 0] += 1000 * power_w
        bench.hold(HOUR_MS, power_w)
        bench.whole()
    assert bench.energy.rates.all()[:8] == truth + [0] * 4, (bench.energy.rates.all(), truth)
    bench.meter.set_clock(bench.raw_ms, utc_ms_of(2026, 1, 20, 21, 30))
    bench.hold(60000, 60000)
    assert bench.energy.rates.active == 3 and bench.energy.rates.of(0, 3) == truth[2] + 10**6
    bench.whole()
    return 1


def lost_registers():
    """Registers that are less than what rests: the sum is theirs all the same."""
    bench = Bench(utc_ms_of(2026, 1, 12, 5))
    set_calendar(bench, ((0, 0, 1), (6, 0, 2), (22, 0, 3)))
    for hour in range(40):
        bench.hold(HOUR_MS, 1000 + hour)
    for number in list(bench.flash.own):
        if number < 16:
            del bench.flash.own[number]
    bench.meter.energy.mwh[0] = bench.meter.energy.mwh[0] // 8
    bench.meter.energy.rates.load(bench.meter.energy.rates.pack())
    bench.whole()
    return 1


# --- demands ---------------------------------------------------------------------------------


def expected(values):
    """The highest three of different days, of (power in W, begin, end)."""
    best = {}
    for power_w, begin, end in values:
        day = (begin + HOUR_MS) // DAY_MS
        if day not in best or power_w > best[day][0]:
            best[day] = (power_w, end)
    found = sorted(best.values(), key=lambda one: (-one[0], one[1]))
    return [(1000 * power_w, end // 1000) for power_w, end in found[:3]]


def demands(seed):
    """A week of November, quarters with powers of their own; a supply that is off now and then."""
    random = flash_lab.Random(seed)
    bench = Bench(utc_ms_of(2026, 11, 9, 23))
    quarters = []
    hours = []
    for _ in range(24 * 6):
        powers = [4 * random.below(2500) + 4 for _ in range(4)]
        begin = bench.raw_ms
        for power_w in powers:
            at = bench.raw_ms
            bench.hold(HOUR_MS // 4, power_w)
            quarters.append((power_w, at, bench.raw_ms))
        hours.append((sum(powers) // 4, begin, bench.raw_ms))
        if random.below(12) == 0:
            bench.meter.stop()
            bench.power_up(HOUR_MS)
            # An hour without supply is an hour without energy, and no highest.
    highest = bench.energy.highest
    assert [highest.of(HOUR, rank) for rank in range(3)] == expected(hours)
    assert [highest.of(QUARTER, rank) for rank in range(3)] == expected(quarters)
    for d, place in ((6, HOUR), (16, QUARTER)):
        for e, rank in ((0, 0), (128, 0), (129, 1), (130, 2)):
            assert bench.number(4, 1, d, e) == highest.of(place, rank)[0]
        assert bench.number(4, 2, d, 0) == 0
    assert highest.of(HOUR + 1, 0) == (0, 0)
    return seed


def hour_over_a_stop():
    """An hour in which the supply was gone is an hour with what was used of it."""
    bench = Bench(utc_ms_of(2026, 11, 9, 12))
    bench.hold(HOUR_MS // 2, 5000)
    bench.meter.stop()
    bench.power_up(60000)
    bench.hold(HOUR_MS // 2 - 60000, 1000)
    assert bench.energy.highest.of(HOUR, 0)[0] == (5000 * 30 + 1000 * 29) * 1000 // 60
    return 1


# --- billing periods ---------------------------------------------------------------------------


def month_end():
    """The month ends at its midnight; the entry has what it held, and all begins anew."""
    bench = Bench(DECEMBER_MS - 3 * DAY_MS)
    set_calendar(bench, ((0, 0, 1), (6, 0, 2), (22, 0, 3)))
    for hour in range(3 * 24):
        bench.hold(HOUR_MS, 1000 + 10 * hour)
    assert bench.energy.highest.of(HOUR, 0) == (0, 0)
    (row,) = bench.months()
    assert row[1] == DECEMBER_MS // 1000
    assert list(row[3:11]) == bench.energy.mwh
    assert list(row[11:19]) == bench.energy.rates.all()[:8]
    ends = [(DECEMBER_MS - days * DAY_MS) // 1000 for days in range(3)]
    assert row[19:25] == (1710000, ends[0], 1470000, ends[1], 1230000, ends[2]), row
    # The quarters of an hour are alike: the first counts.
    assert (row[25], row[27], row[29]) == (1710000, 1470000, 1230000)
    assert bench.number(1, 0, 1, 0) == 1
    data = bench.get(7, (0, 0, 98, 1, 0, 255))
    # One row: structure of 34, its clock first.
    assert data[:2] == b"\x01\x01" and data[2:4] == b"\x02\x22" and len(data) == 2 + 315
    bench.hold(HOUR_MS, 700)
    assert bench.energy.highest.of(HOUR, 0) == (700000, (DECEMBER_MS + HOUR_MS) // 1000)
    bench.power_up(1000)
    assert bench.energy.highest.of(HOUR, 0) == (700000, (DECEMBER_MS + HOUR_MS) // 1000)
    assert bench.months() == [row]
    return 1


def cut_at_month_end():
    """A cut at any operation around it: one entry, with what it should hold, and a new begin."""
    lab = Bench(DECEMBER_MS - 2 * HOUR_MS)
    lab.hold(2 * HOUR_MS - 1, 3000)
    state = {number: bytes(data) for number, data in lab.flash.own.items()}
    count = 0
    while True:
        flash = flash_lab.LabFlash(64, state)
        bench = Bench(DECEMBER_MS - 1000, flash)
        flash.cut_at = flash.operations + count
        try:
            bench.hold(70000, 3000)
            ended = True
        except flash_lab.PowerCut:
            ended = False
        flash.cut_at = flash_lab.NEVER
        bench.raw_ms = DECEMBER_MS + HOUR_MS
        bench.power_up()
        rows = bench.months()
        assert len(rows) == 1 and rows[0][1] == DECEMBER_MS // 1000, rows
        assert rows[0][19] // 1000 in (2999, 3000) or rows[0][19] == 0, rows[0]
        assert bench.energy.highest.periods == 1
        assert bench.energy.highest.of(HOUR, 0) == (0, 0)
        bench.whole()
        if ended:
            return count
        count += 1


def by_operator():
    """The script ends it now; the values are kept; and not again and again."""
    bench = Bench(utc_ms_of(2026, 11, 9, 12))
    bench.hold(2 * HOUR_MS + 600000, 2000)
    assert bench.number(4, 1, 6, 0) == 2000000
    assert bench.call(9, SCRIPT, 1, b"\x12\x00\x01", access.READER) != 0
    assert bench.call(9, SCRIPT, 1, b"\x12\x00\x02") != 0
    assert bench.call(7, bytes((0, 0, 98, 1, 0, 255)), 2, b"\x0f\x00") != 0, "by its script alone"
    assert not bench.months()
    assert bench.call(9, SCRIPT, 1, b"\x12\x00\x01") == 0
    (row,) = bench.months()
    assert row[1] == bench.raw_ms // 1000 and row[19] == 2000000 and row[3] == bench.energy.mwh[0]
    assert bench.number(4, 1, 6, 0) == 0
    codes = [bench.call(9, SCRIPT, 1, b"\x12\x00\x01") for _ in range(8)]
    assert codes[:5] == [0] * 5 and codes[5:] == [2] * 3, codes
    assert len(bench.months()) == 6
    # The month's own end is kept nonetheless.
    bench.meter.stop()
    bench.power_up(DECEMBER_MS - HOUR_MS - bench.raw_ms)
    bench.hold(HOUR_MS, 1000)
    assert [row[1] for row in bench.months()][6:] == [DECEMBER_MS // 1000]
    return 1


def times(*entries):
    out = bytes((1, len(entries)))
    for time, date in entries:
        out += b"\x02\x02" + octets(time) + octets(date)
    return out


def by_schedule():
    """Another day and time: at it, once, and made up for when there was no supply."""
    bench = Bench(utc_ms_of(2026, 11, 13, 12))
    assert bench.get(22, BILLING, 4) == times((bytes(4), b"\xff\xff\xff\x01\xff"))
    for bad in (b"\xff\x00\x00\x00", b"\x0c\xff\x00\x00", b"\x0c\x00\x05\x00"):
        assert bench.set(22, BILLING, 4, times((bad, b"\xff\xff\xff\x0f\xff"))) != 0
    at = (b"\x0c\x1e\x00\x00", b"\xff\xff\xff\x0f\xff")
    assert bench.set(22, BILLING, 4, times(at)) == 0
    bench.power_up(46 * HOUR_MS)
    bench.hold(4 * HOUR_MS, 1000)
    moment = utc_ms_of(2026, 11, 15, 11, 30) // 1000
    assert [row[1] for row in bench.months()] == [moment]
    bench.meter.stop()
    bench.power_up(DECEMBER_MS - HOUR_MS - bench.raw_ms)
    bench.hold(2 * HOUR_MS, 1000)
    assert [row[1] for row in bench.months()] == [moment], "the first is no end any more"
    bench.meter.stop()
    bench.power_up(20 * DAY_MS)
    bench.hold(120000, 1000)
    assert len(bench.months()) == 2, "made up for"
    bench.meter.stop()
    bench.power_up(DAY_MS)
    bench.hold(HOUR_MS, 1000)
    assert len(bench.months()) == 2
    assert bench.set(22, BILLING, 4, b"\x01\x00") == 0
    bench.meter.stop()
    bench.power_up(40 * DAY_MS)
    bench.hold(HOUR_MS, 1000)
    assert len(bench.months()) == 2, "the operator ends it by hand"
    assert bench.set(22, BILLING, 4, times((bytes(4), b"\xff\xff\xff\x01\xff"))) == 0
    bench.meter.stop()
    bench.power_up(31 * DAY_MS)
    bench.hold(HOUR_MS, 1000)
    assert len(bench.months()) == 3
    return 1


def former_version():
    """Entries and registers as they were before there were periods."""
    bench = Bench(utc_ms_of(2026, 11, 9, 12))
    bench.hold(3 * HOUR_MS, 2000)
    old = bytes(billing.pack(1, utc_ms_of(2026, 11, 1, 0), 0, bench.energy))
    row = billing.unpack_month(old)
    assert row[11:19] == (row[3], 0, 0, 0, row[4], 0, 0, 0) and not any(row[19:])
    cells = bench.meter.nv_memory.cells(layout.CONTROL)
    for key in (16, 17):
        cells.set(key, b"\x00")
    bench.meter.stop()
    bench.power_up(1000)
    assert bench.energy.highest.of(HOUR, 0)[0] == 2000000
    assert bench.energy.rates.of(0, 1) == bench.energy.mwh[0]
    bench.whole()
    return 1


def all_of(seeds):
    done = sum(rates(seed) and 1 for seed in range(1, 1 + seeds))
    done += sum(demands(seed) and 1 for seed in range(1, 1 + seeds))
    for test in TESTS:
        assert test() > 0
        done += 1
    return done


TESTS = (
    exact_rates,
    lost_registers,
    hour_over_a_stop,
    month_end,
    cut_at_month_end,
    by_operator,
    by_schedule,
    former_version,
)
