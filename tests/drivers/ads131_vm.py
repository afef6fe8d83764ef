"""The ADS131M08 as a front end: what comes, what is missing, what is told. Checks for both VMs.

Each conversion carries its number, so that each set of samples can be held against the number
that the driver gives it: nothing is invented, and what is missing is where it was lost.
"""

import boardtime

boardtime.install()

from machine import SPI  # noqa: E402
from rp2 import DMA, PIO  # noqa: E402
from wiring import board  # noqa: E402

from ams import hal  # noqa: E402
from drivers import ads131m08_dma as dma  # noqa: E402
from openams.emulator.models.ads131m08 import Ads131m08 as Model  # noqa: E402

CS, MISO, DRDY = 17, 16, 20
ROOM = 1024 + 120 * 32  # a ring of 120 frames: 30 ms
PASS_US = 10_000


def codes_of(number):
    """Of three phases: the number, and what follows from it, over all 24 bits."""
    return [((number * k + 7 * k) & 0xFFFFFF) - 0x800000 for k in (1, 3, 5, 7, 11, 13, 17, 19)]


class Bench:
    """The driver on a bus with the model of the chip; frames come by the chip's clock."""

    def __init__(self, channels=6, ppm=0, late_us=0):
        board.clear()
        self.model = Model()
        board.attach_spi(0, CS, self.model)
        board.levels[DRDY] = lambda: self.model.drdy
        self.driver = dma.Ads131m08Dma(
            channels,
            lambda: SPI(0, 4000000, polarity=0, phase=1),
            *(MISO, CS, DRDY),
            bytearray(ROOM),
            4,
        )
        self.rate = 4000 * (1000000 + ppm)  # per 10**6 s
        self.number = 0
        self.lose = 0  # one conversion in so many is not seen by the state machine; 0: none
        self.stands = False  # the chip converts no more
        self.taken = []  # (number that the driver gives, number of the conversion)
        self.faults = []
        board.alarms.append(self._time)
        self.driver.WELL_S = 1
        self.driver.begin()
        board.advance(late_us)
        self.driver.start()

    def _time(self, now_us):
        """What the chip has converted by now, one frame after the other."""
        while (self.number + 1) * 1000000000000 <= now_us * self.rate:
            self.number += 1
            if self.stands:
                continue
            self.model.convert(codes_of(self.number))
            if self.lose and self.number % self.lose == 0:
                continue
            machine = self.driver._machine
            if machine is not None and machine.runs:
                self._frame()

    def _frame(self):
        octets = self.model.frame()
        channels = self.driver.channels
        store = self.driver._data.store
        for place in list(range(channels + 1)) + [9]:
            at = 3 * place
            store(octets[at] << 24 | octets[at + 1] << 16 | octets[at + 2] << 8)

    def read(self):
        """One pass of the main loop."""
        driver = self.driver
        count = driver.SETS_MAX
        while count == driver.SETS_MAX:
            count = driver.read()
            channels = driver.channels
            for k in range(count):
                codes = list(driver.samples[k * channels : (k + 1) * channels])
                number = (codes[0] + 0x800000 - 7) & 0xFFFFFF
                assert codes == codes_of(number)[:channels], (number, codes)
                self.taken.append((driver.index + k, number))
            if count:
                driver.taken(count)
        if driver.fault and (not self.faults or self.faults[-1] != driver.fault):
            self.faults.append(driver.fault)
        if not driver.fault and self.faults and self.faults[-1]:
            self.faults.append(0)

    def run(self, seconds, pass_us=PASS_US):
        """In steps of a conversion: in each of them the state machine has its turn."""
        for _ in range(int(seconds * 1000000) // pass_us):
            for _ in range(pass_us // 250):
                board.advance(250)
            self.read()

    def long_ago(self):
        """It was set up a while ago: it may be again."""
        self.driver._tried_us = boardtime.ticks_add(self.driver._tried_us, -2000000)

    def check(self, off=3):
        """Each number is that of its conversion, but for `off`; none comes twice."""
        assert self.taken
        first = self.taken[0][0] - self.taken[0][1]
        before = -1, -1
        for given, number in self.taken:
            assert given > before[0] and number > before[1], (before, given, number)
            before = given, number
            assert -off <= given - number - first <= off, (given, number, first)


def check_every_set_of_each_system_comes_once():
    for channels in (2, 4, 6, 7):  # 7: with the neutral
        bench = Bench(channels)
        assert bench.driver.channels == channels
        bench.run(0.2)
        bench.check(0)
        assert len(bench.taken) > 780 and bench.faults == [] and bench.driver.begins == 1
        assert bench.taken[-1][1] - bench.taken[0][1] == len(bench.taken) - 1


def check_what_came_before_it_was_started_is_no_hole():
    bench = Bench(late_us=80000)
    bench.run(1.2)
    bench.check(0)
    assert bench.taken[0][0] == 0 and bench.faults == []


def check_what_it_took_of_the_chip_it_gives_back():
    """A state machine's memory holds one such program, and there are twelve DMA channels."""
    before = len(PIO.programs), DMA.claimed
    for _ in range(2):
        bench = Bench()
        bench.run(0.3)
        bench.check()
        assert (len(PIO.programs), DMA.claimed) == (before[0] + 1, before[1] + 2)
        # Set up anew it takes no more.
        bench.driver._anew()
        assert (len(PIO.programs), DMA.claimed) == (before[0] + 1, before[1] + 2)
        bench.driver.stop()
        bench.driver.stop()
        assert (len(PIO.programs), DMA.claimed) == before
    bench.driver.start()
    bench.taken = []
    bench.run(0.3)
    bench.check(off=2000)
    bench.driver.stop()


def check_a_crystal_may_err_by_what_it_may():
    for ppm in (-200, 200):
        bench = Bench(ppm=ppm)
        bench.run(2.1)
        bench.check(0)
        assert bench.faults == []


def check_a_wrong_rate_is_told():
    """Too fast as well: its energy would be too much, so each second is marked."""
    for ppm in (-5000, 5000):
        bench = Bench(ppm=ppm)
        bench.run(2.1)
        assert bench.faults == [hal.FRONT_RATE]
        assert bench.taken[-1][0] - bench.taken[0][0] >= len(bench.taken)


def check_what_is_spoilt_is_left_out_and_told_once():
    bench = Bench()
    bench.run(1)
    bench.model.disturb(1, 20000)
    bench.run(1.5)
    assert 0 < bench.driver.spoilt <= bench.model.spoilt
    bench.model.calm()
    bench.run(3)
    assert bench.faults == [hal.FRONT_SPOILT, 0] and bench.driver.begins == 1
    bench.check(0)
    # A hole is as long as what was spoilt, and the two cycles after it.
    missing = bench.taken[-1][0] - bench.taken[0][0] + 1 - len(bench.taken)
    assert 0 < missing <= bench.driver.spoilt * 161


def check_a_bad_line_makes_no_energy_and_takes_no_time():
    bench = Bench()
    bench.run(1)
    before = len(bench.taken)
    bench.model.disturb(2, 40)
    bench.run(3)
    # Of two cycles without a fault there is none, most of the time.
    assert len(bench.taken) - before < 800
    assert set(bench.faults) == {hal.FRONT_SPOILT}
    bench.model.calm()
    bench.run(3)
    bench.check(30)
    assert bench.faults[-1] == 0


def check_a_line_that_is_stuck_is_told_once_and_mended():
    for level in (0, 1):
        bench = Bench()
        bench.run(1)
        bench.model.stuck = level
        bench.run(3)
        before = len(bench.taken)
        assert bench.faults == [hal.FRONT_SPOILT] and 3 <= bench.driver.begins <= 5
        bench.model.stuck = None
        bench.run(4)
        assert bench.faults == [hal.FRONT_SPOILT, 0]
        assert len(bench.taken) > before + 4000 * 2
        bench.check(40)


def check_a_reset_of_the_chip_is_told_and_mended_at_once():
    bench = Bench()
    bench.run(0.2)
    bench.long_ago()
    before = len(bench.taken)
    bench.model.dip()
    bench.run(0.4)
    assert bench.faults == [hal.FRONT_RESET], bench.faults
    assert bench.driver.begins == 2, bench.driver.begins
    # Nothing of it is lost but the pass, the set-up and two cycles.
    assert len(bench.taken) - before > 1600 - 250
    bench.check(6)


def check_settings_that_change_are_told_and_set_anew():
    for address, bit in ((0x04, 1), (0x03, 3), (0x03, 9), (0x02, 8)):
        bench = Bench()
        bench.run(2)
        bench.model.flip(address, bit)
        bench.run(1)
        assert bench.faults == [hal.FRONT_SETTINGS], (address, bit, bench.faults)
        assert bench.driver.begins == 2 and bench.model.register(0x04) == 0
        bench.check(6)


def check_a_chip_that_falls_silent_is_told_and_comes_back():
    bench = Bench()
    bench.run(1)
    bench.stands = True
    bench.run(2.5)
    assert bench.faults == [hal.FRONT_SILENT]
    bench.stands = False
    bench.run(3.5)
    assert bench.faults == [hal.FRONT_SILENT, 0]
    bench.check(30)


def check_a_chip_that_is_not_there_at_power_up_is_waited_for():
    bench = Bench()
    there = board.spi.pop(0)
    bench.driver.stop()
    assert not bench.driver.begin()
    bench.run(3)
    assert bench.faults == [hal.FRONT_NO_ANSWER] and bench.driver.begins >= 3
    board.spi[0] = there
    bench.run(4)
    assert bench.faults == [hal.FRONT_NO_ANSWER, 0] and len(bench.taken) > 10000
    bench.check(30)


def check_conversions_that_are_not_seen_are_missing():
    """A dead contact at DRDY: they have no number of their own, only the clock tells."""
    bench = Bench()
    bench.run(1)
    bench.lose = 50
    bench.run(2.5)
    bench.lose = 0
    assert set(bench.faults) == {hal.FRONT_RATE}
    given = bench.taken[-1][0] - bench.taken[0][0]
    truly = bench.taken[-1][1] - bench.taken[0][1]
    assert abs(given - truly) <= 90


def check_a_ring_that_was_full_leaves_a_hole_as_long_as_it_was():
    bench = Bench()
    bench.run(1)
    for away_ms in (25, 29, 31, 60, 90, 500):
        for _ in range(away_ms * 4):
            board.advance(250)
        bench.read()
        bench.run(0.3)
    # Each look at the clock can be off by a frame.
    bench.check(6)
    assert 4 <= bench.driver.overruns <= 5 and bench.faults == []


CHECKS = sorted(name for name in globals() if name.startswith("check_"))


def main(names=None):
    for name in names or CHECKS:
        globals()[name]()
        print(name)
