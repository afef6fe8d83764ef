"""Limiter and quota against formula: trip times within one measuring window of the exact answer."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest
from breakerbench import Cells, Relay
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.clock.own_time import OwnTime
from ams.control import control as ct
from ams.control import limiter as lim
from ams.control import quota as qt
from ams.control import transitions as tr
from ams.control.average import SLOTS, SlidingAverage
from ams.control.control import Control
from ams.events import events as ev

WINDOW_MS = 200
UTC_MS = 820_000_000_000


class Bench:
    """A control with what it measures made of a function of time: power in W at t in ms."""

    def __init__(self, cells=None, relay=None, **changes):
        self.q = SimpleNamespace(current_ua=[0, 0, 0], status=0)
        self.energy = SimpleNamespace(mwh=[0] * 8)
        self.rest = 0
        self.log = []
        self.cells = cells or Cells()
        self.own_time = OwnTime(self.cells, ct.CELL_OWN_TIME)
        meter = SimpleNamespace(
            own_time=self.own_time,
            quantities=self.q,
            energy=self.energy,
            events=SimpleNamespace(log=lambda utc, *rest: self.log.append((utc, *rest))),
            clock=SimpleNamespace(status=0),
            local_clock=SimpleNamespace(local_ms=lambda utc_ms: utc_ms + 3_600_000),
            calibration=SimpleNamespace(starting_power_mva=700, nominal_voltage_mv=230_000),
        )
        self.relay = relay or Relay()
        self.control = Control(
            self.relay, self.cells, meter, {"mode": changes.pop("mode", 4)}, lambda: (b"", ())
        )
        self.t = 0
        self.offset = UTC_MS
        if changes:
            s = self.control.limiter.settings.copy()
            for name, value in changes.items():
                # The tests speak of W and mA.
                watts = name == "threshold_normal" and "monitored" not in changes
                setattr(s, name, 1000 * value if watts else value)
            self.cells.set(ct.CELL_LIMITER, s.pack())
            self.control.limiter.change(s)
        self.start(0)

    def start(self, t):
        """Power-up at `t`; the board's clock counts from 0."""
        self.t = t
        self.own_time.start(t, self.offset + t)
        self.control.start(t, self.offset + t)

    def run(self, until_ms, power, step_ms=WINDOW_MS):
        """Windows whose power is the mean of `power(t)` over them; the load goes with the relay."""
        while self.t < until_ms:
            mean = power(self.t + step_ms / 2) if self.relay.contact else 0
            mw = round(1000 * mean)
            self.q.current_ua[0] = abs(mw) * 1000 // 230
            self.t += step_ms
            self.relay.now = self.t
            self.rest += max(mw, 0) * step_ms
            self.energy.mwh[0] += self.rest // 3_600_000
            self.rest %= 3_600_000
            self.control.take(step_ms, mw, self.t, self.offset + self.t)
            self.control.poll(self.t, self.offset + self.t)

    def times(self, code):
        return [utc - self.offset for utc, what, *_ in self.log if what == code]

    def tripped(self):
        times = self.times(ev.LOCAL_DISCONNECTION)
        assert len(times) <= 1 and bool(times) == (self.control.breaker.state == tr.READY)
        return times[0] if times else None


def within_a_window(got_ms, exact_ms):
    assert got_ms is not None and exact_ms - WINDOW_MS <= got_ms <= exact_ms + WINDOW_MS


@pytest.mark.parametrize("step_ms", [200, 100, 50])
@pytest.mark.parametrize(("base", "top", "threshold"), [(0, 9000, 5000), (2000, 6000, 5999)])
def test_step(base, top, threshold, step_ms):
    bench = Bench(threshold_normal=threshold, min_over_s=30)
    bench.run(200_000, lambda t: base if t < 70_000 else top, step_ms)
    # The mean over 60 s passes the threshold when the new power fills enough of it.
    crossing = 70_000 + 60_000 * (threshold - base) / (top - base)
    within_a_window(bench.tripped(), crossing + 30_000)


def test_ramp():
    # P = 100 W/s * t; the mean of the last 60 s is 100 * (t - 30 s).
    bench = Bench(threshold_normal=4000, min_over_s=10)
    bench.run(120_000, lambda t: t / 10)
    within_a_window(bench.tripped(), 70_000 + 10_000)


def test_sawtooth_at_the_threshold():
    # From 4 to 6 kW in 60 s, again and again: the mean over 60 s is 5 kW throughout.
    def saw(t):
        return 4000 + 2000 * (t % 60_000) / 60_000

    assert trip_of(saw, threshold_normal=5001, min_over_s=0) is None
    assert trip_of(saw, threshold_normal=4990, min_over_s=0) is not None
    # The current itself crosses at the middle of each tooth and falls back at its end.
    bench = Bench(monitored=lim.CURRENT_L1, threshold_normal=21_739, min_over_s=31)
    bench.run(400_000, saw)
    assert bench.tripped() is None
    bench = Bench(monitored=lim.CURRENT_L1, threshold_normal=21_739, min_over_s=29)
    bench.run(400_000, saw)
    within_a_window(bench.tripped(), 30_000 + 29_000)


def trip_of(power, **changes):
    bench = Bench(**changes)
    bench.run(400_000, power)
    return bench.tripped()


@pytest.mark.parametrize("kind", [lim.CURRENT_L1, lim.CURRENT_MAX])
def test_inrush_that_is_shorter_than_the_duration(kind):
    for width, trips in ((4_800, False), (5_200, True)):
        end = 10_000 + width
        bench = Bench(monitored=kind, threshold_normal=30_000, min_over_s=5)
        bench.run(60_000, lambda t, end=end: 20_000 if 10_000 <= t < end else 1000)
        assert (bench.tripped() is not None) == trips
        if trips:
            within_a_window(bench.tripped(), 15_000)


def test_export_is_no_import():
    bench = Bench(threshold_normal=1000, min_over_s=0)
    bench.run(300_000, lambda t: -9000)
    assert bench.tripped() is None and bench.control.limiter.value() == 0


def test_change_while_it_counts():
    """New thresholds never trip on what was before."""
    bench = Bench(threshold_normal=3000, min_over_s=60)
    bench.run(80_000, lambda t: 6000)  # over since 30 s
    s = bench.control.limiter.settings.copy()
    s.threshold_normal = 5_000_000
    bench.control.limiter.change(s)
    bench.run(300_000, lambda t: 6000)
    within_a_window(bench.tripped(), 80_000 + 60_000)


def test_switch_of_what_is_monitored():
    bench = Bench(threshold_normal=3000, min_over_s=60)
    bench.run(85_000, lambda t: 6000)
    s = bench.control.limiter.settings.copy()
    s.monitored, s.threshold_normal = lim.CURRENT_L1, 20_000
    bench.control.limiter.change(s)
    bench.run(300_000, lambda t: 6000)
    within_a_window(bench.tripped(), 85_000 + 60_000)


@pytest.mark.parametrize("step_ms", [-86_400_000, -30_000, 30_000, 86_400_000])
def test_the_clock_is_set_while_it_counts(step_ms):
    bench = Bench(monitored=lim.CURRENT_L1, threshold_normal=20_000, min_over_s=60)
    bench.run(30_000, lambda t: 6000)
    bench.offset += step_ms
    bench.run(100_000, lambda t: 6000)
    within_a_window(bench.tripped(), 60_000)


@pytest.mark.parametrize("cut_ms", [None, 20_000, 50_000, 90_000, 150_000])
def test_emergency_window_across_a_power_cut(cut_ms):
    """Normal 100 A, 10 A from 40 s to 140 s; 26 A flow."""
    changes = dict(
        monitored=lim.CURRENT_L1, threshold_normal=100_000, threshold_emergency=10_000,
        min_over_s=70, emergency_id=3, groups=[1, 3], emergency_start_s=UTC_MS // 1000 + 40,
        emergency_duration_s=100,
    )  # fmt: skip
    bench = Bench(**changes)
    log = bench.log
    start = 40_000
    if cut_ms is not None:
        bench.run(cut_ms, lambda t: 6000)
        again = Bench(bench.cells, bench.relay)
        again.log = log
        again.start(cut_ms)
        bench = again
        if 40_000 < cut_ms < 140_000:
            start = cut_ms  # what was counted before the cut is gone: it starts anew
    bench.run(300_000, lambda t: 6000)
    trip = start + 70_000
    if trip <= 140_000:
        assert bench.control.breaker.state == tr.READY
        within_a_window(bench.times(ev.LOCAL_DISCONNECTION)[0], trip)
    else:
        assert bench.tripped() is None
    if cut_ms is None:
        within_a_window(bench.times(ev.EMERGENCY_BEGIN)[0], 40_000)
        within_a_window(bench.times(ev.EMERGENCY_END)[0], 140_000)
    assert not bench.control.limiter.emergency_active


def test_reconnections_are_counted():
    bench = Bench(
        mode=6, monitored=lim.CURRENT_L1, threshold_normal=20_000, min_over_s=10, min_under_s=60,
        action_under=lim.ACTION_RECONNECT,
    )  # fmt: skip
    bench.run(3_000_000, lambda t: 6000)
    assert len(bench.times(ev.LOCAL_RECONNECTION)) == 3
    assert len(bench.times(ev.RECONNECTIONS_USED_UP)) == 1
    assert bench.control.breaker.state == tr.READY


def test_nothing_trips_on_what_is_not_known():
    bench = Bench(monitored=lim.CURRENT_L1, threshold_normal=20_000, min_over_s=10)
    bench.q.status = 0x0008
    bench.run(60_000, lambda t: 6000)
    assert bench.tripped() is None
    bench.q.status = 0
    bench.run(80_000, lambda t: 6000)
    within_a_window(bench.tripped(), 70_000)


def test_settings_survive():
    s = lim.Settings()
    s.groups = [1, 65535]
    s.threshold_normal = 4000
    s.emergency_start_s = 0xFFFFFFFF
    back = lim.Settings.unpack(s.pack())
    assert vars(back) == vars(s)
    assert vars(lim.Settings.unpack(b"\x09" + s.pack()[1:])) == vars(lim.Settings())
    assert vars(lim.Settings.unpack(None)) == vars(lim.Settings())


# --- quota -------------------------------------------------------------------------


def test_quota_warns_then_trips_then_begins_anew():
    bench = Bench(mode=6)
    bench.control.quota.change(1_000_000, 3600, 900, bench.offset, 0)  # 1 kWh an hour
    first = 3_600_000 - bench.offset % 3_600_000  # what is left of the hour: less than 0.9 kWh
    bench.run(first + 7_000_000, lambda t: 4000, 1000)
    # 4 kW: 0.9 kWh after 810 s of an hour, 1 kWh after 900 s.
    within = 1200
    assert abs(bench.times(ev.QUOTA_WARNING)[0] - first - 810_000) <= within
    assert abs(bench.times(ev.LOCAL_DISCONNECTION)[0] - first - 900_000) <= within
    assert abs(bench.times(ev.LOCAL_RECONNECTION)[0] - (first + 3_600_000)) <= within
    assert len(bench.times(ev.QUOTA_EXCEEDED)) == 2


def test_quota_survives_and_a_clock_set_back_gives_nothing():
    bench = Bench()
    bench.control.quota.change(1_000_000, 86400, 900, bench.offset, 0)
    bench.run(600_000, lambda t: 4000, 1000)
    again = Bench(bench.cells, bench.relay)
    again.energy.mwh[0] = bench.energy.mwh[0]
    again.offset -= 2 * 86_400_000
    again.run(600_000, lambda t: 4000, 1000)
    assert abs(again.times(ev.LOCAL_DISCONNECTION)[0] - 300_000) <= 1200


def test_a_remote_reconnection_frees_the_period():
    bench = Bench()
    bench.control.quota.change(1_000_000, 86400, 900, bench.offset, 0)
    bench.run(1_000_000, lambda t: 4000, 1000)
    assert bench.control.breaker.state == tr.READY and bench.control.quota.holds
    bench.control.poll(bench.t + 2000, bench.offset, False)
    assert bench.control.quota.take(bench.energy.mwh[0], bench.offset + bench.t) == qt.NOTHING
    bench.control.quota.release()
    assert not bench.control.quota.holds


# --- the sliding mean ----------------------------------------------------------------

steps = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 100_000_000)), min_size=1, max_size=60
)


@settings(max_examples=200)
@given(steps, st.sampled_from([1000, 60_000]))
def test_the_mean_is_exact(pieces, window_ms):
    average = SlidingAverage(window_ms)
    history = []
    for ms, mw in pieces:
        average.add(ms, mw)
        history.append((ms, mw))
        left, energy = window_ms, Fraction(0)
        for piece_ms, piece_mw in reversed(history):
            part = min(left, piece_ms)
            energy += part * piece_mw
            left -= part
        # A piece that is cut loses less than a micro-watt-second of rounding.
        assert abs(average.mean_mw() - energy / window_ms) <= 2 + len(history)


def test_a_long_window_is_exact_to_its_parts():
    average = SlidingAverage(3_600_000)
    for k in range(3 * 18_000):
        average.add(200, (k * 7919) % 1000)
    assert average._count <= SLOTS
    assert abs(average.mean_mw() - 500) <= 10


def test_the_button():
    bench = Bench(mode=2)
    press = bench.control.button
    assert press.look(0, True) == 0 and press.look(500, False) == 0
    bench.control.breaker.event(tr.LOCAL_DISCONNECT, 0, 0)
    for t in range(0, 30_000, 10):
        bench.relay.now = t
        bench.control.poll(t, UTC_MS + t, 2000 <= t < 3500)
        if t < 3500 + ct.SAFETY_MS:
            assert not bench.relay.contact or t < 200
    assert bench.relay.contact
    assert bench.times(ev.MANUAL_CONNECTION) == [3500 + ct.SAFETY_MS]
    for t in range(30_000, 40_000, 10):
        bench.relay.now = t
        bench.control.poll(t, UTC_MS + t, t < 36_000)
    assert bench.control.breaker.state == tr.READY and not bench.relay.contact
