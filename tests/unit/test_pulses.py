"""The test output shows what the registers count."""

from __future__ import annotations

import random

import boardtime
import machine
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wiring import board as wiring

from ams.metrology.pulses import PulseOutput
from drivers.pulse_led import PulseTimer


class Light:
    def __init__(self):
        self.on = False
        self.at_ms = 0
        self.pulses = []  # (begin, end)

    def set(self, on):
        if on and not self.on:
            self.pulses.append([self.at_ms, None])
        if not on and self.on:
            self.pulses[-1][1] = self.at_ms
        self.on = on


def run(steps_mwh, period_ms=200, per_kwh=1000, tail_ms=2000, poll_ms=5):
    light = Light()
    output = PulseOutput(light, per_kwh)
    total = 7_000_123
    output.take(0, total)
    now = 0
    for step in [*steps_mwh, None]:
        end = now + (period_ms if step is not None else tail_ms)
        while now < end:
            light.at_ms = now
            output.poll(now)
            now += poll_ms
        if step is not None:
            total += step
            output.take(now, total)
    return light, output


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=30), st.sampled_from([500, 1000, 2000]))
def test_as_many_pulses_as_energy(steps, per_kwh):
    light, output = run(steps, per_kwh=per_kwh, tail_ms=25_000, poll_ms=10)
    assert len(light.pulses) == sum(steps) * per_kwh // 1_000_000
    assert output.waiting == 0 and not light.on


def test_they_come_evenly():
    """18 kW are five pulses a second; energy comes in steps of 200 ms, one Wh each."""
    light, _ = run([1000] * 100)
    begins = [begin for begin, _ in light.pulses]
    gaps = {b - a for a, b in zip(begins, begins[1:], strict=False)}
    assert gaps <= set(range(190, 211))


def test_many_in_a_step_are_spread():
    light, _ = run([5000] * 20, period_ms=1000)
    begins = [begin for begin, _ in light.pulses]
    gaps = [b - a for a, b in zip(begins, begins[1:], strict=False)]
    assert len(begins) == 100
    assert all(150 <= gap <= 250 for gap in gaps)


def test_a_pulse_is_long_enough_to_be_seen():
    light, _ = run([40_000] * 5)
    assert all(30 <= end - begin <= 40 for begin, end in light.pulses[:-1])


@pytest.mark.parametrize("kw", [0.7, 9.2, 23, 43, 61, 90])
def test_they_are_as_even_as_the_power(kw):
    """Whatever the steps are: to the pace at which the light is looked after, up to 90 kW."""
    step_mwh = round(kw * 1000 / 18)
    even = 200 * 1000 / step_mwh
    light, output = run([step_mwh] * 300, poll_ms=2, tail_ms=0)
    begins = [begin for begin, _ in light.pulses]
    gaps = [b - a for a, b in zip(begins, begins[1:], strict=False)]
    assert all(abs(gap - even) <= 3 for gap in gaps), (min(gaps), max(gaps))
    assert output.waiting * even <= 300 + even
    assert all(29 <= end - begin <= 31 for begin, end in light.pulses if end)


def test_who_looks_seldom_shows_all_the_same():
    """The passes of a board without a timer for it; what they are too long for is made up."""
    for poll_ms, kw in ((10, 90), (25, 70), (40, 44)):
        light, output = run([round(kw * 1000 / 18)] * 300, poll_ms=poll_ms, tail_ms=0)
        begins = [begin for begin, _ in light.pulses]
        gaps = [b - a for a, b in zip(begins, begins[1:], strict=False)]
        assert output.waiting < 12, (poll_ms, output.waiting)
        assert max(gaps) - min(gaps) <= 2 * poll_ms
        assert all(end - begin >= 20 for begin, end in light.pulses if end)
        if gaps[-1] > 40:
            light, output = run([5000] * 40, poll_ms=poll_ms, tail_ms=20_000)
            assert len(light.pulses) == 200 and output.waiting == 0


def test_steps_that_come_late_or_together_lose_none():
    """A flash that is erased holds the loop up: the pulses go on, and what came is shown."""
    rng = random.Random(4)
    light = Light()
    output = PulseOutput(light)
    output.take(0, 0, 0)
    now, total, measured = 0, 0, 0
    for _ in range(300):
        late = rng.choice((0, 0, 0, 25, 60, 400, 3000))
        end = now + 200 + late
        while now < end:
            light.at_ms = now
            output.poll(now)
            now += rng.choice((5, 7, 30))
        for _ in range(1 + late // 200):
            total += 700
            measured += 200
            output.take(now, total, measured)
    for _ in range(2000):
        now += 10
        light.at_ms = now
        output.poll(now)
    assert len(light.pulses) == total // 1000 and output.waiting == 0


class Beat:
    """A board that sleeps by the timer of its shim, and whose loop is held up at times."""

    def __init__(self):
        wiring.clear()
        self.light = Light()
        self.output = PulseOutput(self)
        boardtime.install()
        self.timer = PulseTimer(self.output, machine.Timer())

    def set(self, on):
        self.light.at_ms = wiring.now_us // 1000
        self.light.set(on)


def test_a_timer_shows_them_between_the_passes_of_a_loop():
    beat = Beat()
    total = measured = 0
    start = 840_000_000_000
    for step in range(100):
        # A pass is 25 ms and now and then some more.
        for _ in range(8):
            boardtime.sleep_ms(25)
            beat.timer.show(start + wiring.now_us // 1000)
        total += 5000
        measured += 200
        if step % 20 == 19:
            boardtime.sleep_ms(90)
            beat.timer.show(start + wiring.now_us // 1000)
        beat.output.take(start + wiring.now_us // 1000, total, measured)
    boardtime.sleep_ms(2000)
    # The first take is where it begins.
    assert len(beat.light.pulses) == 99 * 5 and beat.output.waiting == 0
    assert all(end - begin == 30 for begin, end in beat.light.pulses)
    begins = [begin for begin, _ in beat.light.pulses]
    gaps = [b - a for a, b in zip(begins, begins[1:], strict=False)]
    assert sorted(gaps)[:485] == [40] * 485
