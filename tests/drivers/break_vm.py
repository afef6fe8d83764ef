"""A break at the service port: told once, cleared when the line is back. Checks for both VMs."""

from wiring import board

from ams.events import events as ev
from ams.link import LineWatch
from drivers.line import Line
from drivers.links import Links

RX = 5
PASS_MS = 25


class Link:
    """The meter's link as far as the carrier knows it, with the watch in it."""

    def __init__(self):
        self.events = []
        self.watch = LineWatch(self.log)
        self.now_ms = 0

    def log(self, code, detail=0, extra=0):
        self.events.append((code, detail))

    def has_line(self, line, room, sending):
        line(9600, 8, None, 1)

    def line_stands(self, held, ticks_ms):
        self.watch.look(held, self.now_ms)

    def feed(self, channel, data, ticks_ms):
        self.watch.heard()

    def poll(self, ticks_ms, work=True):
        pass


class Bench:
    def __init__(self, knows=True):
        board.clear()
        board.levels[RX] = 1
        level = (lambda: board.levels[RX]) if knows else None
        self.link = Link()
        self.links = Links(self.link, Line(1, None, None, 480, 256, 32, level))
        self.run(100)

    def run(self, ms, octet=None):
        for _ in range(ms // PASS_MS):
            self.link.now_ms += PASS_MS
            if octet is not None:
                board.line(1).waiting.extend(octet)
            self.links.poll(self.link.now_ms & 0x3FFFFFFF)

    def hold(self, seconds):
        board.levels[RX] = 0
        board.line(1).waiting.extend(b"\0")  # what a UART makes of the begin
        self.run(1000 * seconds)
        board.levels[RX] = 1
        self.run(2000)
        return self.link.events


def check_a_break_is_told_once_and_its_end():
    assert Bench().hold(60) == [(ev.SERVICE_LINE_HELD, 0), (ev.SERVICE_LINE_BACK, 60)]


def check_a_short_one_and_zeros_are_none():
    bench = Bench()
    board.levels[RX] = 0
    bench.run(950)
    board.levels[RX] = 1
    bench.run(2000)
    # Octets of zeros look so at nine moments of ten.
    board.levels[RX] = 0
    bench.run(5000, b"\0")
    assert bench.link.events == []


def check_a_line_that_flutters_is_told_once_an_hour():
    bench = Bench()
    for _ in range(300):
        bench.hold(3)
    assert [code for code, _ in bench.link.events] == [ev.SERVICE_LINE_HELD, ev.SERVICE_LINE_BACK]
    bench.run(3600000)
    assert len(bench.hold(3)) == 4


def check_a_break_that_lasts_is_told_once():
    bench = Bench()
    board.levels[RX] = 0
    bench.run(3 * 3600000)
    assert [code for code, _ in bench.link.events] == [ev.SERVICE_LINE_HELD]


def check_a_line_that_tells_no_level_is_let_alone():
    assert Bench(False).hold(5) == []


CHECKS = sorted(name for name in globals() if name.startswith("check_"))


def main():
    for name in CHECKS:
        globals()[name]()
        print(name)
