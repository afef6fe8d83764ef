"""A PIO program of the emulated chip goes on while its core sleeps, fed and emptied by DMA."""

from __future__ import annotations

import struct

import pytest
from rp2040py.peripherals.dma import DREQChannel
from rp2040py.utils import pio_assembler as pa

from openams.runtimes.rp2040.machine import Chip, Loop, Machine

SRAM, RING, LENGTH = 0x20000000, 0x20001000, 64
PIO0, DMA, PADS = 0x50200000, 0x50000000, 0x4001C004
CTRL, RXF0, INSTR_MEM0, CLKDIV, EXECCTRL, SHIFTCTRL, PINCTRL = (
    0x000, 0x020, 0x048, 0x0C8, 0x0CC, 0x0D0, 0x0DC,
)  # fmt: skip
READY = 20


class Bare(Machine):
    """A machine without firmware: its core sleeps, or counts."""

    def __init__(self, sleeps: bool) -> None:
        self.chip = Chip()
        self.clock = self.chip.clock
        self.chip.simulator = self._loop = Loop(self.chip)
        self.off = False
        self._until = self.clock.create_alarm(self._stop)
        # wfi or nop; b back to it
        self.chip.sram[0:4] = struct.pack("<HH", 0xBF30 if sleeps else 0xBF00, 0xE7FD)
        self.chip.core.pc = SRAM

    def begin(self, program: list[int], divider: int) -> None:
        """State machine 0 runs `program` in a circle, DMA takes its words to RAM."""
        chip = self.chip
        chip.write_uint32(PADS + 4 * READY, 0x40)  # the pin is an input
        for place, word in enumerate(program):
            chip.write_uint32(PIO0 + INSTR_MEM0 + 4 * place, word)
        chip.write_uint32(PIO0 + CLKDIV, divider << 16)
        chip.write_uint32(PIO0 + EXECCTRL, len(program) - 1 << 12)
        chip.write_uint32(PIO0 + SHIFTCTRL, 1 << 16)  # autopush of 32, to the left
        chip.write_uint32(PIO0 + PINCTRL, READY << 15)
        chip.write_uint32(DMA, PIO0 + RXF0)
        chip.write_uint32(DMA + 4, RING)
        chip.write_uint32(DMA + 8, LENGTH)
        chip.write_uint32(DMA + 12, DREQChannel.DREQ_PIO0_RX0 << 15 | 1 << 5 | 2 << 2 | 1)
        chip.write_uint32(PIO0 + CTRL, 1)

    def words(self) -> list[int]:
        return [self.chip.read_uint32(RING + 4 * k) for k in range(LENGTH)]


@pytest.mark.parametrize("sleeps", [True, False])
def test_a_program_that_waits_for_a_pin_is_fed(sleeps):
    """One word each time the pin falls, whatever the core does."""
    machine = Bare(sleeps)
    pin = machine.chip.gpio[READY]
    pin.set_input_value(True)
    program = [
        pa.pio_wait(True, pa.PIO_WAIT_SRC_PIN, 0),
        pa.pio_wait(False, pa.PIO_WAIT_SRC_PIN, 0),
        pa.pio_set(pa.PIO_DEST_X, 31),
        pa.pio_in(pa.PIO_SRC_X, 0),
    ]
    machine.begin(program, 4)
    for count in range(10):
        assert machine.words() == [31] * count + [0] * (LENGTH - count)
        machine.run(0.1)
        pin.set_input_value(False)
        machine.run(0.01)
        pin.set_input_value(True)
        machine.run(0.14)
    assert machine.now_ns == pytest.approx(2.5e6, abs=100)


@pytest.mark.parametrize("sleeps", [True, False])
def test_its_pace_is_that_of_its_divider(sleeps):
    """33 instructions a word, 8 cycles each: 2.112 us."""
    machine = Bare(sleeps)
    program = [pa.pio_in(pa.PIO_SRC_NULL, 1)] * 31 + [pa.pio_set(pa.PIO_DEST_X, 1)]
    program[-1] = pa.pio_in(pa.PIO_SRC_NULL, 1, 1)
    machine.begin(program, 8)
    machine.chip.sram[RING - SRAM : RING - SRAM + 4 * LENGTH] = b"\xff" * 4 * LENGTH
    machine.run(0.05)
    came = machine.words().count(0)
    # A word more or less, and a piece of what runs at a time.
    assert came == pytest.approx(50 / 2.112, abs=2)
    machine.run(0.05)
    assert machine.words().count(0) == pytest.approx(100 / 2.112, abs=2)


def test_a_reset_ends_it():
    machine = Bare(True)
    machine.begin([pa.pio_in(pa.PIO_SRC_NULL, 0)], 8)
    machine.run(0.01)
    machine.chip.enter_reset()
    machine.chip.leave_reset()
    assert not machine.chip.pio and machine.chip.read_uint32(PIO0 + CTRL) == 0
