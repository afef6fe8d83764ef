"""PIO blocks that run by the clock of the chip, whether its core is busy or asleep.

The package steps them in its loop over instructions, and jumps over the time in which the core
sleeps: a program that waits for a pin or a DMA channel would stand still meanwhile. Here alarms
run them, a piece of some instructions at a time, between which DMA has its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rp2040py.peripherals.peripheral import Peripheral
from rp2040py.peripherals.pio import RPPIO

_CYCLE_NS = 8
# Of the system clock. A FIFO of four words is not filled in it: each takes as many instructions
# as it has bits.
_PIECE = 256
_NEVER = 1 << 62


class FedPio(RPPIO):
    """Instructions are run at most `_PIECE` cycles after their time, in their order."""

    def __init__(self, rp2040: Any, name: str, first_irq: int, index: int) -> None:
        self._chip = rp2040
        self._clock = rp2040.clock
        self._alarm = self._clock.create_alarm(self._run)
        self._origin_ns = self._clock.nanos
        self._runs = False

    def reset(self) -> None:
        super().reset()
        self._alarm.cancel()
        self._origin_ns = self._clock.nanos

    def write_uint32(self, offset: int, value: int) -> None:
        self._keep_up()
        super().write_uint32(offset, value)
        # The package's loop has no part in it.
        self.stopped = True
        self._wait()

    def notify_due(self, due_fp: int) -> None:
        """The wait of a state machine has ended: by a pin, a FIFO or another one."""
        if self.next_due_fp == _NEVER:
            before_fp = self.cycle_fp
            self._keep_up()
            passed_fp = self.cycle_fp - before_fp
            for machine in self.machines:
                if machine.enabled and not machine.waiting and machine.next_due_fp == due_fp:
                    machine.next_due_fp += passed_fp
            due_fp += passed_fp
        super().notify_due(due_fp)
        if not self._runs:
            self._wait()

    def _keep_up(self) -> None:
        """Nothing is due, so time may have passed unseen."""
        if self.next_due_fp == _NEVER:
            self.cycle_fp = int((self._clock.nanos - self._origin_ns) / _CYCLE_NS) << 8

    def _wait(self) -> None:
        if self.next_due_fp == _NEVER:
            self._alarm.cancel()
            return
        at_ns = self._origin_ns + (self.next_due_fp / 256 + _PIECE) * _CYCLE_NS
        self._alarm.schedule(max(at_ns - self._clock.nanos, 0))

    def _run(self) -> None:
        end_fp = int((self._clock.nanos - self._origin_ns) / _CYCLE_NS) << 8
        self._runs = True
        self._chip.held_values = self._chip.gpio_values
        advance = self.advance
        due_fp, now_fp = self.next_due_fp, self.cycle_fp
        while due_fp <= end_fp:
            # Two million times a second: no call that is not needed.
            cycles = due_fp - now_fp + 255 >> 8
            if cycles > 0:
                now_fp += cycles << 8
                advance(cycles)
            else:
                advance(0)
            due_fp = self.next_due_fp
        self._runs = False
        self._chip.held_values = None
        if due_fp == _NEVER:
            self.cycle_fp = max(end_fp, now_fp)
        self._wait()


class SleepingPio:
    """Stands for a PIO block that nobody has written to: a stopped PIO costs time every step."""

    def __init__(self, block: Peripheral, wake: Callable[[], None]) -> None:
        self._block = block
        self._wake = wake

    def read_uint32(self, offset: int) -> int:
        return self._block.read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        self._wake()
        self._block.write_uint32(offset, value)

    def write_uint32_atomic(self, offset: int, value: int, atomic_type: int) -> None:
        self._wake()
        self._block.write_uint32_atomic(offset, value, atomic_type)

    def reset(self) -> None:
        self._block.reset()
