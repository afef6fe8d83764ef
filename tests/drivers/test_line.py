"""A UART that takes a part, or nothing: a HAN list goes whole or not at all, on both Pythons."""

from __future__ import annotations

SCRIPT = """
from drivers.line import Line
from machine import UART
from wiring import board

from ams.han import make_format
from ams.han.port import HanPort
from ams.clock.local import LocalClock
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity
from ams.metrology.quantities import Quantities

wire = board.line(0)
wire.takes_time = True
bare = UART(0, 2400, 8, 0, 1, txbuf=256)
# The port's own way: a part, then nothing.
print(bare.write(bytes(200)), bare.write(bytes(200)), bare.write(b"x"), bare.txdone())
board.now_us = wire.busy_until_us
print(bare.txdone(), len(wire.sent))

wire.sent[:] = b""
line = Line(0, None, None, 256, 32, 32)
line.init(2400, 8, 0, 1)
print([line.write(bytes(count)) for count in (280, 9, 8, 1)], len(wire.sent))
board.now_us = wire.busy_until_us - 1
print(line.idle(), line.write(b"x"))
board.now_us += 1
print(line.idle(), line.write(b"x"))

# A port whose lists do not fit such a line: the long ones are left out, the others whole.
port = HanPort(line, make_format("aidon"), Quantities("3P4W"), EnergyRegisters(),
               Identity("7359990000000017", "6534"), LocalClock())
start = 840002400000
board.now_us = 0
wire.busy_until_us = 0
wire.sent[:] = b""
port.open(start)
for ms in range(0, 600000, 50):
    board.now_us = ms * 1000
    port.poll(start + ms)
sent = wire.sent
print(port.sent, port.missed, len(sent))
sizes = []
at = 0
while at < len(sent):
    assert sent[at] == 0x7E
    size = ((sent[at + 1] & 7) << 8 | sent[at + 2]) + 2
    assert sent[at + size - 1] == 0x7E
    sizes.append(size)
    at += size
print(len(sizes), sorted(set(sizes)))
"""


def test_a_line_with_little_room_cuts_nothing(twin):
    out = twin(SCRIPT).splitlines()
    assert out[0] == "200 88 None False"
    assert out[1] == "True 288"
    assert out[2] == "[None, False, None, False] 288"
    assert out[3:5] == ["False False", "True None"]
    # The hourly list of 396 octets, and with it nothing else, does not fit 288.
    assert out[5] == "[180, 59, 0] 1 24912"
    assert out[6] == "239 [44, 288]"
