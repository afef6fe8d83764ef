"""The test output shows what the registers count."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ams.registers.pulses import PulseOutput


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
