"""The clock of the meter and of its board: checks on both VMs, and properties."""

from __future__ import annotations

from pathlib import Path

import clock_vm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.clock.meter_clock import SLEW_MOST_MS, MeterClock

ROOT = Path(__file__).resolve().parents[2]
# Before `tests`, which has drivers too.
PATHS = [str(ROOT / path) for path in ("boards", "tests", "tests/unit", "host/openams/faultlab")]


@pytest.mark.parametrize("name", clock_vm.CHECKS)
def test_clock(name):
    getattr(clock_vm, name)()


def test_clock_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport clock_vm\nclock_vm.main()"
    out = micropython(script, heap_kib=4096)
    assert out.split() == clock_vm.CHECKS


MOVES = st.lists(
    st.tuples(st.integers(1, 40_000_000), st.integers(-20_000, 20_000), st.integers(0, 600)),
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(MOVES, st.integers(-200_000, 200_000), st.data())
def test_a_disciplined_clock_never_goes_back_or_leaves_out(moves, drift_ppb, data):
    """From each millisecond to the next it shows one more, none or two; over an hour what its
    slew and drift allow."""
    clock = MeterClock()
    clock.restore(drift_ppb)
    raw = 10**12
    clock.begin(raw, raw)
    for passed, off, unsure in moves:
        for at in data.draw(st.lists(st.integers(0, passed), max_size=4)):
            shown = [clock.utc_ms(raw + at + k) for k in range(4)]
            assert all(0 <= b - a <= 2 for a, b in zip(shown, shown[1:], strict=False))
        before = clock.utc_ms(raw)
        after = clock.utc_ms(raw + passed)
        assert abs(after - before - passed) <= passed * 1200 // 1_000_000 + 1
        raw += passed
        if not clock.sync(raw, after + off, unsure):
            # What was told changes nothing at once, and all of it in time.
            assert abs(clock.utc_ms(raw) - after) <= 1
            assert abs(off) <= SLEW_MOST_MS + unsure
            wanted = max(abs(off) - unsure, 0)
            if wanted or not unsure:
                assert abs(clock.left_ms(raw)) == wanted
                done = raw + wanted * 1000
                more = (wanted * 1000) * clock.drift_ppb // 1_000_000_000
                assert (
                    abs(clock.utc_ms(done) - done - (clock.utc_ms(raw) - raw))
                    - abs((wanted if off > 0 else -wanted) + more)
                    <= 2
                )
