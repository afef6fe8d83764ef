"""A meter whose parts fail, on either VM: what is left goes on, and what is missing is told.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

try:
    import powercut
except ImportError:
    from openams.faultlab import powercut

from ams.registers import events as ev
from ams.registers import profile
from ams.registers import quantities as qu

HOUR_MS = 3600000
START_MS = powercut.START_MS - powercut.START_MS % HOUR_MS
NUMBER = "7359990000000017"
# 1P2W of the ideal front end is not needed here: an IC says what it measured.
CALIBRATION = {
    "sample_rate_hz": 4000,
    "full_scale": 8388607,
    "starting_power_mva": 700,
    "channels": [
        {"kind": "voltage", "lsb_pv": 100000000},
        {"kind": "current", "lsb_pa": 40000000},
    ]
    * 3,
}


class Bench:
    """A meter with a front end of its own; time is ours."""

    def __init__(self, flash=None, raw_ms=START_MS, backup_s=None, frontend=True, **config):
        self.flash = powercut.LabFlash(64) if flash is None else flash
        self.raw_ms = raw_ms
        self.sent = []
        self.said = []
        board = powercut.LabBoard(self.flash)
        board.clock = powercut.LabClock()
        board.clock.backup_s = backup_s
        board.han_uart.write = lambda data: self.sent.append(bytes(data))
        board.log = self.said.append
        if frontend:
            board.frontend = self
        self.board = board
        whole = {
            "system": "3P4W",
            "calibration": CALIBRATION,
            "identity": {"meter_id": NUMBER},
            "han": {"format": "kaifa"},
        }
        whole.update(config)
        self.meter = powercut.Meter(board, whole)
        self.meter.start(raw_ms)

    def measure(self, seconds, power_w=1000, step_ms=200):
        powercut.set_power(self.meter, power_w)
        for _ in range(seconds * 1000 // step_ms):
            self.raw_ms += step_ms
            self.meter.measured(self.raw_ms, step_ms, power_w * 1000 * step_ms, 0, 0)

    def wait(self, seconds, step_ms=1000):
        for _ in range(seconds * 1000 // step_ms):
            self.raw_ms += step_ms
            self.meter.tick(self.raw_ms)

    def marks(self):
        """Of the closed intervals: what says that they are not whole."""
        wanted = profile.STATUS_ENERGY_MISSING | profile.STATUS_DATA_NOT_VALID
        return [entry[2] & wanted for entry in powercut.entries(self.meter)]

    def codes(self):
        return [event[1] for event in self.meter.events.entries()]


MISSING = profile.STATUS_ENERGY_MISSING | profile.STATUS_DATA_NOT_VALID


def check_every_interval_of_a_dead_front_end_is_marked():
    bench = Bench()
    bench.measure(60)
    bench.wait(3 * 3600, 60000)
    assert bench.marks() == [MISSING] * 3
    # Back in the fourth: that one has a hole too, the fifth has none.
    bench.measure(2)
    bench.wait(60)
    while len(bench.marks()) < 5:
        bench.measure(60, step_ms=1000)
    assert bench.marks() == [MISSING] * 4 + [0]
    codes = bench.codes()
    assert codes.count(ev.MEASUREMENT_ERROR) == 2 and codes.count(ev.SAMPLES_MISSING) == 2


def check_a_front_end_that_never_answers_is_told():
    bench = Bench()
    bench.wait(7200, 60000)
    assert bench.marks() == [MISSING] * 2
    assert ev.MEASUREMENT_ERROR in bench.codes()
    assert bench.meter.quantities.status & qu.STATUS_SAMPLES_MISSING
    assert not bench.meter.fed


def check_a_bench_without_a_front_end_is_none_that_is_dead():
    bench = Bench(frontend=False)
    bench.wait(3600, 60000)
    assert bench.marks() == [0] and ev.SAMPLES_MISSING not in bench.codes()


def main():
    done = 0
    for name in sorted(globals()):
        if name.startswith("check_"):
            globals()[name]()
            done += 1
    print(done)
