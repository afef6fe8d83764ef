"""Own time: nothing that acts by time is moved by setting the clock. On both VMs."""

from __future__ import annotations

from pathlib import Path

import own_time_vm
import pytest
from breakerbench import Cells
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ams.clock import own_time
from ams.clock.own_time import OwnTime
from ams.objects import catalogue

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests", "tests/unit", "host/openams/faultlab")]


@pytest.mark.parametrize("kind", own_time_vm.KINDS)
def test_acts_once_when_its_time_has_passed(kind):
    assert own_time_vm.run(kind) == len(own_time_vm.WAYS)


def test_on_the_vm(micropython):
    ways = "('to_its_time', 'back_behind_it', 'many_small_steps', 'set_and_reset', 'shifted'"
    ways += ", 'back_and_cut_at_once', 'chip_lost_in_the_dark', 'cut_and_back')"
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport own_time_vm as vm\n"
    script += f"ways = [getattr(vm, name) for name in {ways}]\n"
    script += "print(sum(vm.run(kind, ways) for kind in vm.KINDS))"
    assert micropython(script, heap_kib=4096).strip() == str(8 * len(own_time_vm.KINDS))


class World:
    """The true time, the board's counter and what the clock shows; all moved by a test."""

    def __init__(self, keeps):
        self.keeps = keeps
        self.cells = Cells()
        self.true_ms = 10**12
        self.chip_off = 0  # what the chip shows, less the true time
        self.kept_ms = None
        self.start()

    @property
    def raw_ms(self):
        return self.true_ms + self.raw_off

    def start(self):
        self.raw_off = self.shown_off = self.chip_off
        self.own = OwnTime(self.cells, 1, self.keeps)
        self.own.start(self.raw_ms, self.shown_ms, self.kept_ms)

    @property
    def shown_ms(self):
        return self.true_ms + self.shown_off

    def wait(self, ms):
        while ms > 0:
            step = min(ms, 10_000)
            ms -= step
            self.true_ms += step
            self.own.look(self.raw_ms, self.shown_ms)
            self.kept_ms = self.shown_ms
            if self.keeps and step == 10_000:
                # Ten seconds after it was set the chip shows it, whatever is set later.
                self.chip_off = self.shown_off

    def set(self, step_ms):
        self.own.look(self.raw_ms, self.shown_ms)
        self.own.setting(self.raw_ms, self.shown_ms + step_ms)
        self.shown_off += step_ms
        self.kept_ms = self.shown_ms

    def cut(self, off_ms, chip_set):
        """Without supply for so long; whether the chip had been set with the clock."""
        if self.keeps and chip_set:
            self.chip_off = self.shown_off
        self.true_ms += off_ms
        self.start()


STEPS = st.one_of(st.integers(-2000, 2000), st.integers(-(10**11), 10**11))
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 3_000_000)),
        st.tuples(st.just("set"), STEPS),
        st.tuples(st.just("slew"), st.integers(-700, 700)),
        st.tuples(st.just("cut"), st.integers(0, 10**8), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.booleans())
@example([("set", 1001), ("wait", 1001), ("cut", 0, False)], False)
def test_own_time_keeps_its_bound(events, keeps):
    """However the clock is moved: what is shown counts for 200 ppm of what passed, no more.

    A cut right after the clock was set leaves open what the chip shows. Then less may count, never
    more, than what passed.
    """
    world = World(keeps)
    own = world.own.of(own_time.EMERGENCY, world.raw_ms)
    lived = world.own.lived(world.raw_ms)
    begin_ms = world.true_ms
    sure = True
    fresh = False  # the clock was set less than ten seconds ago
    since_set = 0
    last = own
    for name, value, *more in events:
        # What was followed and not stored a cut takes away.
        unstored = 1000
        if name == "wait":
            world.wait(value)
            fresh = fresh and value < 10_000
            since_set += value
        elif name == "set":
            world.set(value)
            fresh = True
            since_set = 0
        elif name == "slew":
            for _ in range(20):
                world.shown_off += value * 10_000 // 1_000_000
                world.wait(10_000)
            fresh = False
        else:
            if fresh and keeps or not keeps and world.shown_off != world.raw_off:
                sure = False
            if fresh:
                # And where chip and registers may not know the clock, what passed since it was set.
                unstored += since_set
            world.cut(value, more[0] or not fresh)
            fresh = False
        now = world.own.of(own_time.EMERGENCY, world.raw_ms)
        assert now >= last - unstored
        last = now
        passed = world.true_ms - begin_ms
        # A chip's seconds are whole; what passed without supply is followed from the next look on.
        most = passed * own_time.FOLLOWS_PPM // 1_000_000 + 2000
        assert now - own <= passed + most
        assert world.own.lived(world.raw_ms) - lived <= passed + 2000
        if sure:
            assert now - own >= passed - most
            assert world.own.lived(world.raw_ms) - lived >= passed - 2000


def test_a_month_of_a_slow_crystal_that_is_set_each_day():
    """What must go on as it did: at its end the schedule is right to some seconds."""
    world = World(True)
    for _ in range(30):
        world.wait(86_400_000)
        # The board's counter is 30 ppm slow: the clock is set forward by what it lost.
        world.set(2592)
    shown = world.own.of(own_time.EMERGENCY, world.raw_ms)
    assert 0 <= world.shown_ms - shown <= 2592


def test_the_paths_of_the_clock_are_all_in_the_table():
    """Each thing that has an own time is one of those that are tried above."""
    places = [name for name in vars(own_time) if name.isupper() and name[0] != "_"]
    assert sorted(places) == ["CALENDAR", "EMERGENCY", "FOLLOWS_PPM", "ORDERS", "QUOTA", "WINDOWS"]
    # The end of a billing period, 0, goes by the calendar's.
    assert [own_time.place_of(e) for e in (0, 1, 2, 4, 5)] == [own_time.CALENDAR, 3, 4, 5, 6]
    scheduled = [row for row in catalogue.ROWS if row[0] == 22]
    assert sorted(row[4][0] for row in scheduled) == [0, 1, 2, 4, 5]
