"""What a bench sees and does, on either VM: angles of voltages, quirks that come and go."""

import amsbench as bench
from ams.clock.local import LocalClock
from ams.hal import Uart
from ams.han import make_format
from ams.han.port import HanPort, make_quirk
from ams.metrology.quantities import Quantities
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity

START_MS = 840002400000


class Recorder(Uart):
    def __init__(self):
        self.frames = []
        self.lines = []

    def init(self, *line):
        self.lines.append(line)

    def write(self, data):
        self.frames.append(bytes(data))


def port_of(name, quirk=None):
    uart = Recorder()
    port = HanPort(
        uart,
        make_format(name, None, None),
        Quantities("3P4W"),
        EnergyRegisters(),
        Identity("7359990000000017", "6534"),
        LocalClock(),
        None,
        quirk,
    )
    return port, uart


def angles():
    """[hundredths of a degree] of some phasors; the numbers are as large as a window's sums."""
    big = 1 << 40
    return [
        bench.angles([(big, 0), (-big // 2, -(big * 866) // 1000), (-big // 2, big * 866 // 1000)]),
        bench.angles([(0, big), (0, -big)]),
        bench.angles([(7, 7)]),
        bench.angles([(0, 0), (0, 0)]),
    ]


def frames(name, quirks, minutes=2):
    """[(frames, line)] of a port that is open, some minutes with each quirk after the other."""
    port, uart = port_of(name)
    port.open(START_MS)
    now_ms = START_MS
    out = []
    for quirk in quirks:
        port.misbehave(make_quirk(quirk, port, 1), now_ms)
        uart.frames = []
        for _ in range(minutes * 1200):
            now_ms += 50
            port.poll(now_ms)
        out.append((uart.frames, uart.lines[-1]))
    return out


def counts():
    """Of two minutes of each: frames, those that end as a frame does, parity of the line."""
    out = []
    for sent, line in frames("kaifa", (None, "cut", "parity", "silent", None)):
        whole = [frame for frame in sent if frame[0] == 0x7E and frame[-1] == 0x7E]
        out.append((len(sent), len(whole), line[2]))
    sent, line = frames("p1", ("sweden-hybrid",))[0]
    out.append((sent[-1][:1], line[0]))
    sent, line = frames("p1", ("sweden-hybrid", None))[1]
    out.append((sent[-1][:1], line[0]))
    # A port that has become one of text is one of frames again.
    (text, _), (sent, _) = frames("kaifa", ("to-p1", None), 11)
    out.append((text[-1][:1], sent[-1][:1]))
    return out
