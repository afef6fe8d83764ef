"""A meter on signals as parts give them, on either VM: noise, odd frequencies, open phases.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

import math
from array import array

from breakerbench import Relay

from ams.control import breaker as br
from ams.control.transitions import REMOTE_DISCONNECT
from ams.events import events as ev
from ams.metrology import quantities as qu

START_MS = 840000000000
RATE = 4000
BLOCK = 200
ROOT2 = math.sqrt(2)
# 24 bits as the ideal front end has them, and the 12 bits of a chip's own converter.
FINE = {"full_scale": 8388607, "lowest_code": -8388607, "starting_power_mva": 700}
FINE_LSB = (100000000, 40000000)
COARSE = {"full_scale": 2047, "lowest_code": -2048, "starting_power_mva": 10000}
COARSE_LSB = (219726562500, 102539062500)
PAIRS = {"1P2W": 1, "3P3W": 2, "3P4W": 3}


def calibration(system, coarse=False, **more):
    lsb_u, lsb_i = COARSE_LSB if coarse else FINE_LSB
    record = dict(COARSE if coarse else FINE)
    record["sample_rate_hz"] = RATE
    record["channels"] = [
        {"kind": "voltage", "lsb_pv": lsb_u},
        {"kind": "current", "lsb_pa": lsb_i},
    ] * PAIRS[system]
    record.update(more)
    return record


class Sampled:
    """A whole meter that is fed samples; time is theirs.

    `run(seconds, channels)`: for each channel (RMS in V or A, angle in degrees).
    """

    def __init__(self, system="1P2W", coarse=False, noise=0.0, seed=1, **more):
        self.relay = Relay()
        board = flash_lab.LabBoard(None)
        board.clock = flash_lab.LabClock()
        board.relay = self.relay
        board.frontend = self
        record = calibration(system, coarse, **more)
        self.scale = [
            1e12 / channel.get("lsb_pv", channel.get("lsb_pa")) for channel in record["channels"]
        ]
        self.rails = record["lowest_code"], record["full_scale"]
        self.meter = flash_lab.Meter(
            board,
            {
                "system": system,
                "calibration": record,
                "identity": {"meter_id": "7359990000000017", "meter_type": "x"},
                "han": {"format": "aidon"},
            },
        )
        self.meter.start(START_MS)
        self.noise = noise  # codes RMS
        self.random = flash_lab.Random(seed)
        self.index = 0
        self.turn = 0.0
        self.reads = []  # the current of L1 after each block, in uA
        self.told = []  # and the frequency, in mHz

    @property
    def now_ms(self):
        return START_MS + self.index * 1000 // RATE

    def _noise(self):
        # The sum of four even ones is as good as normal; its deviation is one.
        below = self.random.below
        return (below(1000) + below(1000) + below(1000) + below(1000) - 1998) * 0.001732

    def run(self, seconds, channels, hz=50.0):
        low, high = self.rails
        waves = []
        for k, (rms, degrees) in enumerate(channels):
            waves.append((rms * ROOT2 * self.scale[k], math.radians(degrees)))
        step = 2 * math.pi * hz / RATE
        buffer = array("i", bytes(4 * BLOCK * len(waves)))
        for _ in range(round(seconds * RATE / BLOCK)):
            at = 0
            for _ in range(BLOCK):
                for amplitude, angle in waves:
                    value = amplitude * math.cos(self.turn + angle)
                    if self.noise:
                        value += self.noise * self._noise()
                    buffer[at] = min(max(round(value), low), high)
                    at += 1
                self.turn += step
            self.turn %= 2 * math.pi
            first, self.index = self.index, self.index + BLOCK
            self.relay.now = self.now_ms
            self.meter.samples(self.now_ms, first, buffer, BLOCK)
            self.meter.tick(self.now_ms)
            self.reads.append(self.meter.quantities.current_ua[0])
            self.told.append(self.meter.quantities.frequency_mhz)

    def codes(self):
        return [event[1] for event in self.meter.events.entries()]


# --- durations -----------------------------------------------------------------------


def check_the_limiter_sees_the_power_at_any_frequency():
    """Windows are ten cycles: 199.96 ms are neither 199 nor 200."""
    for hz in (50.01, 49.99, 47.5):
        bench = Sampled()
        control = bench.meter.control
        s = control.limiter.settings.copy()
        s.threshold_normal = 10003000
        s.min_over_s = 3
        s.window_s = 5
        control.limiter.change(s)
        bench.run(16, [(230.0, 0), (10000 / 230.0, 0)], hz)
        seen_mw = control.limiter.value()
        assert abs(seen_mw - 10000000) < 2000, (hz, seen_mw)
        assert ev.LIMITER_EXCEEDED not in bench.codes()
        # All but the open window, and what was there before the first began.
        left_ms = bench.now_ms - START_MS - bench.meter.measured_ms
        assert 0 <= left_ms <= 10000 / hz + 1, (hz, left_ms)
        # A tenth of a percent more is seen, too.
        bench.run(10, [(230.0, 0), (10010 / 230.0, 0)], hz)
        assert bench.codes().count(ev.LIMITER_EXCEEDED) == 1, hz
        assert ev.LOCAL_DISCONNECTION in bench.codes(), hz


def check_ten_minutes_are_ten_minutes_at_any_frequency():
    bench = Sampled()
    profile = bench.meter.recorder.voltage
    bench.run(20, [(230.0, 0), (1.0, 0)], 50.03)
    assert 19600 <= profile._measured_ms <= 20000


# --- frequency -------------------------------------------------------------------------


def check_a_frequency_is_told_when_it_is_known():
    """45 to 65 Hz, from any phase; half a second after power-up at the latest."""
    for coarse in (False, True):
        for hz in (45.0, 47.7, 50.0, 54.9, 60.1, 62.5, 65.0):
            bench = Sampled(coarse=coarse, noise=2.0 if coarse else 0.0)
            bench.turn = hz
            bench.run(1.5, [(230.0, 0), (10.0, -40)], hz)
            wrong = [f for f in bench.told if f and abs(f - 1000 * hz) > 30]
            assert not wrong, (hz, wrong)
            assert min(bench.told[14:]) > 0, (hz, bench.told)
            assert abs(bench.told[-1] - 1000 * hz) <= (20 if coarse else 5), (hz, bench.told[-1])
            q = bench.meter.quantities
            angle = math.radians(40)
            assert abs(q.total_active_power_mw - 2300000 * math.cos(angle)) < 23000, hz
            assert abs(q.total_reactive_power_mvar - 2300000 * math.sin(angle)) < 23000, hz


def check_what_is_beyond_is_not_told_and_its_energy_is_counted():
    for hz in (20.0, 30.0, 38.0, 43.0, 67.0, 75.0, 100.0, 125.0, 250.0):
        bench = Sampled()
        bench.run(2, [(230.0, 0), (10.0, 0)], hz)
        assert not any(bench.told), hz
        assert bench.meter.quantities.status & qu.STATUS_ACQUIRING
        counted = bench.meter.energy.mwh[0] * 3600000 + bench.meter.energy.remainder_uws[0]
        assert abs(counted - 2300e6 * 1.98) < 2300e6 * 0.04, (hz, counted)


def check_a_jump_is_not_told_as_what_it_was_nor_as_what_it_looks_like():
    """Five hertz are a whole turn a window: the phase stands still where all has changed."""
    for before, after in ((50.0, 55.0), (50.0, 45.0), (50.0, 60.0), (55.0, 50.0), (50.0, 75.0)):
        bench = Sampled()
        bench.run(1, [(230.0, 0), (10.0, 0)], before)
        assert bench.told[-1] == 1000 * before
        bench.told.clear()
        bench.run(1.5, [(230.0, 0), (10.0, 0)], after)
        late = bench.told[9:]
        known = 45 <= after <= 65
        assert all(f == 0 or (known and abs(f - 1000 * after) < 30) for f in late), (after, late)
        assert bool(late[-1]) == known


def check_an_interruption_ends_no_lock_by_its_edge():
    """A piece of a window is enough to go on by: what follows is counted at once."""
    bench = Sampled()
    bench.run(1.13, [(230.0, 0), (10.0, 0)])
    for _ in range(3):
        bench.run(0.4, [(0.0, 0), (0.0, 0)])
        assert not bench.told[-1]
        bench.run(1.25, [(230.0, 0), (10.0, 0)])
        assert bench.told[-1] == 50000
    codes = bench.codes()
    assert codes.count(ev.MISSING_VOLTAGE) == codes.count(ev.NORMAL_VOLTAGE) == 3


# --- open wires ------------------------------------------------------------------------

THIRD = 2 * math.pi / 3
WHOLE = tuple((math.cos(k * THIRD), -math.sin(k * THIRD)) for k in range(3))
MIDDLE = (0.0, 0.0)
AMPERES = (6.0, 5.0, 4.0)


def between(k, part, up=0.0, base=WHOLE):
    """The phases, of which k lies between the others: at `part` of the way, `up` off the line.

    Of the height: 1 is where it belongs.
    """
    (ax, ay), (bx, by) = base[(k + 1) % 3], base[(k + 2) % 3]
    x, y = ax + part * (bx - ax), ay + part * (by - ay)
    mx, my = (ax + bx) / 2, (ay + by) / 2
    out = list(base)
    out[k] = (x + up * (base[k][0] - mx), y + up * (base[k][1] - my))
    return out


def moved(x, y):
    """The phases about a neutral that is elsewhere."""
    return [(a - x, b - y) for a, b in WHOLE]


def scaled(*factors):
    return [(f * WHOLE[k][0], f * WHOLE[k][1]) for k, f in enumerate(factors)]


def channels(system, points, volts, amperes=AMPERES):
    """Of points in units of the voltage to the middle: (RMS, degrees) of each channel."""
    if system == "3P3W":
        volts /= math.sqrt(3)
        points = [(points[k][0] - points[1][0], points[k][1] - points[1][1]) for k in range(3)]
    out = []
    for k in (0, 2) if system == "3P3W" else (0, 1, 2):
        x, y = points[k]
        degrees = math.degrees(math.atan2(y, x)) if x or y else 0
        out += [(volts * math.sqrt(x * x + y * y), degrees), (amperes[k], -120 * k)]
    return out


def open_cases():
    """(system, points, amperes, bits of the phases, whether the neutral is open)"""
    both = "3P4W", "3P3W"
    for k in range(3):
        for system in both:
            for part, up in ((0.5, 0.0), (0.25, 0.0), (0.8, 0.1), (0.5, 0.3)):
                amperes = [0.0 if p == k else 5.0 for p in range(3)]
                yield system, between(k, part, up), amperes, 1 << k, False
            # All of what hangs on it hangs on one other: no current flows in the open one.
            yield system, between(k, 0.0), amperes, 1 << k, False
        zero = list(WHOLE)
        zero[k] = MIDDLE
        yield "3P4W", zero, AMPERES, 1 << k, False
        other = list(zero)
        other[(k + 1) % 3] = MIDDLE
        yield "3P4W", other, AMPERES, 7 & ~(1 << (k + 2) % 3), False
        fed = [0.0, 0.0, 0.0]
        fed[k] = 3.0
        yield "3P4W", [WHOLE[k]] * 3, fed, 7 & ~(1 << k), False
        # The neutral hangs on what is between it and the phases.
        x, y = WHOLE[k]
        for part in (0.25, 0.6, 1.0):
            yield "3P4W", moved(part * x, part * y), AMPERES, 0, True
    for system in both:
        yield system, WHOLE, AMPERES, 0, False
        yield system, WHOLE, (0.0, 0.0, 0.0), 0, False
        # What EN 50160 allows and some more: 10 % less in one phase, 3 % of the reversed sequence.
        yield system, scaled(1.1, 0.9, 1.0), AMPERES, 0, False
        yield system, scaled(0.85, 1.0, 1.0), AMPERES, 0, False
        mirrored = [(x + 0.03 * x, y - 0.03 * y) for x, y in WHOLE]
        yield system, mirrored, AMPERES, 0, False
        # All of them low: that is the voltage, not a phase.
        yield system, scaled(0.65, 0.65, 0.65), AMPERES, 0, False
    # A neutral with much current in it.
    yield "3P4W", moved(0.07, 0.0), AMPERES, 0, False
    yield "3P4W", scaled(0.7, 1.0, 1.0), AMPERES, 0, False


def check_the_shape_tells_what_is_open():
    from ams.metrology import phases

    for system, points, amperes, lost, neutral in open_cases():
        ua = [round(1e6 * i) for i in amperes]
        whole = [(round(1000 * x), round(1000 * y)) for x, y in points]
        if system == "3P4W":
            u = [round(1000 * math.sqrt(x * x + y * y)) for x, y in points]
            found = phases.open_of_phases(u, whole, ua)
            assert found == lost | (phases.NEUTRAL if neutral else 0), (points, found)
            # Whichever way the phases turn, and whatever is the first of them.
            turned = [(-y, -x) for x, y in whole]
            assert phases.open_of_phases(u, turned, ua) == found
        else:
            sides = []
            for a, b in ((0, 1), (0, 2), (1, 2)):
                dx, dy = points[a][0] - points[b][0], points[a][1] - points[b][1]
                sides.append(round(1000 * math.sqrt((dx * dx + dy * dy) / 3)))
            assert phases.open_of_sides(sides, ua) == lost, (points, sides)


def check_what_is_open_is_open_until_it_is_back():
    """A phase at the edge is not lost and back again from window to window."""
    from ams.metrology import phases

    for system in ("3P4W", "3P3W"):
        seen = []
        before = 0
        for step in range(-90, 91):
            points = between(0, 0.5, 0.5 + abs(step) / 150 - 0.2 + (step & 1) * 0.03)
            whole = [(round(1000 * x), round(1000 * y)) for x, y in points]
            if system == "3P4W":
                u = [round(math.sqrt(x * x + y * y)) for x, y in whole]
                before = phases.open_of_phases(u, whole, (0, 0, 0), before)
            else:
                low = round(1000 * math.sqrt(0.25 + (points[0][0] + 0.5) ** 2 / 3))
                before = phases.open_of_sides((low, low, 1000), (0, 0, 0), before)
            seen.append(before)
        changes = [k for k in range(1, len(seen)) if seen[k] != seen[k - 1]]
        assert len(changes) == 2 and max(seen) == 1, (system, seen)


def told(bench):
    """The events of wires: (code, detail)."""
    wires = (ev.PHASE_LOST, ev.PHASE_BACK, ev.MISSING_NEUTRAL, ev.NEUTRAL_BACK)
    return [event[1:3] for event in bench.meter.events.entries() if event[1] in wires]


def check_an_open_wire_is_told_once_and_so_is_its_end():
    bit = qu.STATUS_PHASE_LOSS_L1
    lost = ev.PHASE_LOST, ev.PHASE_BACK
    neutral = ev.MISSING_NEUTRAL, ev.NEUTRAL_BACK
    for system, nominal, points, code, detail in (
        ("3P3W", 230, between(0, 0.5), lost, bit),
        ("3P3W", 400, between(1, 0.3), lost, bit << 1),
        ("3P4W", 230, between(2, 0.5), lost, bit << 2),
        ("3P4W", 57.7, between(0, 0.6, 0.2), lost, bit),
        ("3P4W", 230, (WHOLE[0], MIDDLE, WHOLE[2]), lost, bit << 1),
        ("3P4W", 230, moved(0.3, 0.2), neutral, qu.STATUS_NEUTRAL_LOST),
    ):
        bench = Sampled(system, nominal_voltage_mv=round(1000 * nominal))
        bench.run(0.6, channels(system, WHOLE, nominal))
        amperes = [0.0 if point is not WHOLE[k] else 5.0 for k, point in enumerate(points)]
        bench.run(2.4, channels(system, points, nominal, amperes))
        assert told(bench) == [(code[0], detail)], (system, points, told(bench))
        assert ev.log_of(code[0]) == ev.log_of(code[1]) == ev.LOG_QUALITY
        bench.run(2.4, channels(system, WHOLE, nominal))
        assert told(bench) == [(code[0], detail), (code[1], detail)], (system, nominal)


def check_a_dip_is_no_open_wire():
    """Short circuits that a fuse ends, deep dips of one phase, all of them for seconds."""
    short = between(0, 0.0)
    for system in ("3P4W", "3P3W"):
        bench = Sampled(system, noise=50.0 if system == "3P3W" else 0.0)
        whole = channels(system, WHOLE, 230)
        bench.run(1, whole)
        for points, seconds in (
            (scaled(0.1, 1.0, 1.0), 1.5),
            (short, 1.5),
            (scaled(0.4, 0.4, 0.4), 2.5),
            (scaled(0.0, 0.0, 0.0), 2.5),
        ):
            bench.run(seconds, channels(system, points, 230))
            bench.run(0.5, whole)
        assert not told(bench), (system, told(bench))
        assert bench.codes().count(ev.VOLTAGE_LOST) == bench.codes().count(ev.VOLTAGE_BACK) == 1


def check_one_phase_has_no_other_to_lose():
    bench = Sampled("1P2W")
    for volts in (230.0, 100.0, 0.0, 150.0, 230.0):
        bench.run(2.5, [(volts, 0), (1.0, 0)])
    assert not told(bench)
    assert ev.VOLTAGE_LOST in bench.codes() and ev.UNDERVOLTAGE in bench.codes()


# --- a reference that is gone ----------------------------------------------------------


class Broken(Sampled):
    """`spoil(code)` is what the converter makes of a code while its reference is not there."""

    spoil = None

    def run(self, seconds, channels, hz=50.0):
        if self.spoil is None:
            return super().run(seconds, channels, hz)
        low, high = self.rails
        buffer = array("i", bytes(4 * BLOCK * len(channels)))
        for _ in range(round(seconds * RATE / BLOCK)):
            for at in range(len(buffer)):
                buffer[at] = min(max(self.spoil(), low), high)
            first, self.index = self.index, self.index + BLOCK
            self.relay.now = self.now_ms
            self.meter.samples(self.now_ms, first, buffer, BLOCK)
            self.meter.tick(self.now_ms)


def check_a_reference_that_is_gone_is_told_once_and_counts_nothing():
    from ams.registers import profile

    random = flash_lab.Random(3)
    load = [(230.0, 0), (10.0, 0)]
    for spoil in (
        lambda: 2047,  # nothing to compare with: all ones
        lambda: -2048,
        lambda: 1024,  # half of it
        lambda: random.below(4096) - 2048,  # it floats
    ):
        bench = Broken(coarse=True, noise=1.0)
        bench.run(2.03, load)
        meter = bench.meter
        bench.spoil = spoil
        bench.run(12, load)
        codes = bench.codes()
        assert codes.count(ev.MEASUREMENT_ERROR) == codes.count(ev.SAMPLES_MISSING) == 1
        assert ev.VOLTAGE_LOST not in codes
        # The window that is half and half can pass for one of a swell.
        noise = spoil() != spoil()
        assert noise or (ev.OVERVOLTAGE not in codes and ev.SAMPLES_SATURATED not in codes)
        q = meter.quantities
        assert not q.voltage_mv[0] and not q.total_active_power_mw and not q.frequency_mhz
        assert q.status & qu.STATUS_SAMPLES_MISSING
        assert meter.recorder.load_profile.status & profile.STATUS_ENERGY_MISSING
        bench.spoil = None
        bench.run(3, load)
        assert q.frequency_mhz and abs(q.voltage_mv[0] - 230000) < 1000
        assert noise or len(bench.codes()) == len(codes), bench.codes()
        energy = meter.energy
        counted = [energy.mwh[k] * 3600000 + energy.remainder_uws[k] for k in range(2)]
        assert 4.5 * 2300e6 < counted[0] < 5.1 * 2300e6, counted
        # Of codes that mean nothing, those of one window may pass.
        assert counted[1] < 2300e6 * 0.3 if noise else not counted[1], counted


def check_what_a_mains_may_have_is_no_broken_reference():
    """Rails that a short circuit or a surge reaches, harmonics, a current with DC."""
    bench = Sampled(coarse=True)
    for load in (
        [(230.0, 0), (160.0, 0)],
        [(20.0, 0), (300.0, -80)],
        [(0.0, 0), (0.0, 0)],
        [(330.0, 0), (5.0, 0)],
        [(0.0, 0), (0.0, 0)],
        [(230.0, 0), (5.0, 0)],
        [(0.0, 0), (0.0, 0)],
        [(260.0, 77), (5.0, 0)],
        [(230.0, 180), (5.0, 0)],
    ):
        bench.run(1.23, load)
    codes = bench.codes()
    assert ev.MEASUREMENT_ERROR not in codes and ev.SAMPLES_SATURATED in codes
    assert ev.OVERVOLTAGE in codes and ev.VOLTAGE_LOST in codes


# --- contacts --------------------------------------------------------------------------


def opened(bench, load):
    bench.run(2, load)
    bench.meter.control.breaker.event(REMOTE_DISCONNECT, 1, bench.now_ms)
    return bench.meter.control.breaker


def check_noise_is_no_welded_contact():
    """The 12-bit front end reads 0.2 A where there is none, and three times that on a bad board."""
    for noise, seed in ((2.0, 1), (2.0, 2), (4.0, 3)):
        bench = Sampled(coarse=True, noise=noise, seed=seed)
        breaker = opened(bench, [(230.0, 0), (5.0, 0)])
        bench.reads.clear()
        bench.run(8, [(230.0, 0), (0.0, 0)])
        assert max(bench.reads[20:]) > 150000, "no noise to speak of"
        assert not breaker.alarms and ev.BREAKER_WELDED not in bench.codes(), (noise, seed)


def check_a_welded_contact_is_told_by_what_the_front_end_can_see():
    # 12 bits: from twice the starting power on, whatever the angle; 24 bits: 100 mA.
    for coarse, noise, current, degrees in (
        (True, 2.0, 0.12, 0),
        (True, 2.0, 0.3, -80),
        (False, 0.0, 0.1, 0),
        (False, 20.0, 0.03, 30),
    ):
        bench = Sampled(coarse=coarse, noise=noise)
        breaker = opened(bench, [(230.0, 0), (5.0, 0)])
        bench.run(5, [(230.0, 0), (current, degrees)])
        assert breaker.alarms == br.ALARM_WELDED, (coarse, current)
        assert bench.codes().count(ev.BREAKER_WELDED) == 1


def check_what_is_no_more_measured_welds_nothing():
    """The samples end with the load that was there: that says nothing of the contact."""
    bench = Sampled()
    breaker = opened(bench, [(230.0, 0), (5.0, 0)])
    for _ in range(500):
        bench.index += 100
        bench.relay.now = bench.now_ms
        bench.meter.tick(bench.now_ms)
    assert bench.meter.quantities.current_ua[0] == 0
    assert not breaker.alarms and ev.BREAKER_WELDED not in bench.codes()


# --- the neutral ------------------------------------------------------------------------


def with_neutral(**more):
    voltage = {"kind": "voltage", "lsb_pv": FINE_LSB[0]}
    current = {"kind": "current", "lsb_pa": FINE_LSB[1]}
    last = dict(current, lsb_pa=2 * FINE_LSB[1], gain_ppb=2000000, offset=-70 * 256)
    return Sampled("3P4W", channels=[voltage, current] * 3 + [last], **more)


def left_of(amperes):
    """What the phases leave to the neutral: (RMS, degrees)."""
    x = sum([i * math.cos(math.radians(-120 * k)) for k, i in enumerate(amperes)])
    y = sum([i * math.sin(math.radians(-120 * k)) for k, i in enumerate(amperes)])
    return math.sqrt(x * x + y * y) / 1.002, math.degrees(math.atan2(-y, -x))


def check_the_neutral_has_its_current_and_takes_nothing_from_the_phases():
    from ams.objects import catalogue

    for amperes in ((5.0, 5.0, 5.0), (20.0, 3.0, 0.5), (0.0, 0.0, 0.2)):
        bench = with_neutral(noise=2.0)
        plain = Sampled("3P4W", noise=2.0)
        waves = channels("3P4W", WHOLE, 230.0, amperes)
        plain.run(1.0, waves, 50.02)
        bench.run(1.0, waves + [left_of(amperes)], 50.02)
        q, other = bench.meter.quantities, plain.meter.quantities
        true = left_of(amperes)[0] * 1.002
        assert abs(q.neutral_current_ua - 1e6 * true) <= 1000 * true + 300, (
            q.neutral_current_ua,
            true,
        )
        for k in range(3):
            # The noise is another.
            assert abs(q.current_ua[k] - other.current_ua[k]) <= 60 + q.current_ua[k] // 10000
            power = q.active_power_mw[k]
            assert abs(power - other.active_power_mw[k]) <= 60 + abs(power) // 10000
        register, _ = bench.meter.model.find(3, (1, 0, 91, 7, 0, 255))
        tag, value, scaler, unit = register.reading()
        assert (value, scaler, unit) == ((q.neutral_current_ua + 500) // 1000, -3, 33)
        assert other.neutral_current_ua is None and 91 in catalogue.absent_phases(other)
        q.clear()
        assert q.neutral_current_ua == 0


def check_a_neutral_at_its_rail_is_told_as_a_phase_is():
    """Once each time that it comes; right below the rail it is a current as any other."""
    waves = channels("3P4W", WHOLE, 230.0, (20.0, 5.0, 5.0))
    bench = with_neutral()
    calibration = bench.meter.metrology.calibration
    most = calibration.headroom(calibration.neutral)
    count = 0
    for amperes, saturated in ((13.0, False), (500.0, True), (470.0, False), (600.0, True)):
        bench.run(0.8, waves + [(amperes, 30.0)])
        assert (amperes * ROOT2 * bench.scale[6] > most) == saturated, amperes
        assert bool(bench.meter.quantities.status & qu.STATUS_SATURATED) == saturated, amperes
        count += saturated
        assert bench.codes().count(ev.SAMPLES_SATURATED) == count, amperes
    # A twentieth of a second, wherever in a window and over its end.
    for tail in (0.6, 0.65, 0.7, 0.75, 0.6):
        bench.run(tail, waves + [(13.0, 30.0)])
        bench.run(0.05, waves + [(600.0, 90.0)])
        bench.run(0.4, waves + [(13.0, 30.0)])
        count += 1
        assert bench.codes().count(ev.SAMPLES_SATURATED) == count, tail


def check_an_open_neutral_is_seen_sooner_where_its_current_is():
    """Seven per cent beside the middle: with its current none, it is open; with 18 %, it is not."""
    amperes = (9.0, 5.0, 4.0)
    for carried, expected in ((0.0, [(ev.MISSING_NEUTRAL, qu.STATUS_NEUTRAL_LOST)]), (1.7, [])):
        bench = with_neutral()
        bench.run(0.6, channels("3P4W", WHOLE, 230.0, amperes) + [left_of(amperes)])
        bench.run(4.2, channels("3P4W", moved(0.05, 0.05), 230.0, amperes) + [(carried, 0.0)])
        assert told(bench) == expected, (carried, told(bench))
    bench = with_neutral()
    # Nothing flows anywhere: that tells nothing.
    bench.run(3.6, channels("3P4W", moved(0.05, 0.05), 230.0, (0.0, 0.0, 0.0)) + [(0.0, 0.0)])
    assert told(bench) == []


def main():
    done = 0
    for name in sorted(globals()):
        if name.startswith("check_"):
            globals()[name]()
            done += 1
    print(done)
