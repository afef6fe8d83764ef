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
from ams.registers import events as ev
from ams.registers import quantities as qu

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
    profile = bench.meter.keeper.voltage
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


def main():
    done = 0
    for name in sorted(globals()):
        if name.startswith("check_"):
            globals()[name]()
            done += 1
    print(done)
