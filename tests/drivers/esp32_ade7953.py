"""The ESP32 board with an ADE7953 on its bus; runs on CPython and on MicroPython."""

import boardtime
from wiring import board as wiring

boardtime.install()

import loop as main  # noqa: E402
from board import Board  # noqa: E402

from drivers import ade7953  # noqa: E402
from openams.emulator.models.ade7953 import Ade7953  # noqa: E402
from openams.emulator.models.ds3231 import Ds3231  # noqa: E402

CONFIG = {
    "system": "1P2W",
    "front_end": "ade7953",
    "calibration": ade7953.default_calibration(),
    "identity": {"meter_id": "7359990000000017"},
    "han": {"format": "kaifa"},
}


def power_up(ic):
    wiring.clear()
    wiring.partitions["ams_state"] = bytearray(b"\xff" * (1 << 20))
    wiring.attach_spi(2, 5, ic)
    clock = Ds3231()
    clock.write(bytes((0x0F, 0)))
    clock.write(bytes((0, 0x07, 0x36, 0x21, 2, 0x27, 0x08, 0x26)))
    wiring.attach_i2c(0, clock)
    wiring.levels.update({34: 0, 35: 0, 36: 0, 39: 1, 4: 1, 13: 1})
    passed = [0]

    def advance(now_us):
        ic.advance(now_us - passed[0])
        clock.advance(now_us - passed[0])
        passed[0] = now_us

    wiring.alarms.append(advance)


def refusal(ic, name):
    power_up(ic)
    try:
        main.build(Board(), dict(CONFIG, front_end=name))
    except ValueError as error:
        return str(error)


ic = Ade7953()
ic.set_quantities(230000, 10000000, 2300000, 0)
power_up(ic)
board = Board()
meter = main.build(board, dict(CONFIG))
print("ic", type(board.frontend).__name__, board.frontend.resets)
loop = main.Loop(board, meter, CONFIG)
begun = board.clock.utc_ms()
for _ in range(3000):
    loop.step()
    boardtime.sleep_ms(20)
seconds = (board.clock.utc_ms() - begun) // 1000
print("counted", meter.energy.mwh[0] * 36 // 10, seconds)
q = meter.quantities
print("quantities", q.voltage_mv[0], q.current_ua[0], q.total_active_power_mw, q.frequency_mhz)
print("nobody", refusal(ic, "ade7880"))
print("other", refusal(ic, "atm90e32"))
