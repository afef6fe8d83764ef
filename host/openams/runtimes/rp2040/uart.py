"""The RP2040's UART at the pace of its line, with FIFOs and their interrupts.

rp2040py's own UART sends in no time and asserts its transmit interrupt for
ever; see docs/chip.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rp2040py.peripherals.uart import RPUART, IUARTDMAChannels
from rp2040py.rp2040 import RP2040

_DR, _RSR, _FR, _IFLS, _ICR, _DMACR = 0x00, 0x04, 0x18, 0x34, 0x44, 0x48
_LCR_PEN, _LCR_EPS, _LCR_STP2 = 1 << 1, 1 << 2, 1 << 3
_FR_BUSY, _FR_RXFE, _FR_TXFF, _FR_RXFF, _FR_TXFE = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7
_RX, _TX, _RX_TIMEOUT, _OVERRUN = 1 << 4, 1 << 5, 1 << 6, 1 << 10
_FRAMING, _BREAK = 1 << 7, 1 << 9
# Beside the octet in UARTDR, for each entry of the FIFO.
_DR_FRAMING, _DR_BREAK = 1 << 8, 1 << 10
_DEPTH = 32
# GPIOn_CTRL.FUNCSEL.
_FUNCTION_UART = 2
# Eighths of the FIFO at which the interrupt comes, by the code in UARTIFLS.
_LEVELS = (4, 8, 16, 24, 28, 28, 28, 28)
# The receiver's timeout, in bits (PL011, 3.2.6).
_TIMEOUT_BITS = 32


@dataclass(frozen=True)
class Line:
    """How a UART is set: `parity` None, 0 (even) or 1 (odd)."""

    baudrate: int
    bits: int
    parity: int | None
    stop: int


class PacedUart(RPUART):
    """`on_octet(value, nanos)` is called when the last bit of an octet has left.

    `rx_pins`: where its RX may be led to.
    """

    def __init__(
        self, rp2040: RP2040, name: str, irq: int, dreq: IUARTDMAChannels, rx_pins: Sequence[int]
    ) -> None:
        self._tx: deque[int] = deque()
        self._shifting: int | None = None
        self._incoming: deque[int] = deque()
        self._levels = 0x12
        self._dma = 0
        self.lost = 0  # octets that came while the receive FIFO was full
        self._held = False
        super().__init__(rp2040, name, irq, dreq)
        self._rx_pins = [rp2040.gpio[number] for number in rx_pins]
        self._clock = rp2040.clock
        self._tx_alarm = self._clock.create_alarm(self._shifted)
        self._rx_alarm = self._clock.create_alarm(self._arrived)
        self._quiet_alarm = self._clock.create_alarm(self._quiet)
        self._break_alarm = self._clock.create_alarm(self._broken)
        self.on_octet: Callable[[int, float], None] | None = None

    def reset(self) -> None:
        super().reset()
        self._tx.clear()
        self._shifting = None
        self._levels = 0x12
        self._dma = 0
        self._tx_alarm.cancel()
        self._quiet_alarm.cancel()

    # --- the line ------------------------------------------------------------

    @property
    def line(self) -> Line:
        control = self._line_ctrl_register
        parity = None
        if control & _LCR_PEN:
            parity = 0 if control & _LCR_EPS else 1
        stop = 2 if control & _LCR_STP2 else 1
        rate = self.baud_rate if self.baud_divider else 0
        return Line(rate, self.word_length, parity, stop)

    def bit_nanos(self) -> float:
        return 16e9 * self.baud_divider / self.rp2040.clk_peri

    def frame_nanos(self) -> float:
        line = self.line
        bits = 1 + line.bits + (line.parity is not None) + line.stop
        return bits * self.bit_nanos()

    def _depth(self) -> int:
        return _DEPTH if self.fifos_enabled else 1

    # --- sending -------------------------------------------------------------

    def _write(self, octet: int) -> None:
        if not self.enabled or not self.tx_enabled or len(self._tx) >= self._depth():
            return
        self._tx.append(octet & 0xFF)
        if len(self._tx) > self._tx_level():
            self._interrupt_status &= ~_TX
        if self._shifting is None:
            self._shift()
        self.check_interrupts()

    def _tx_level(self) -> int:
        return _LEVELS[self._levels & 7] if self.fifos_enabled else 0

    def _shift(self) -> None:
        level = self._tx_level()
        above = len(self._tx) > level
        self._shifting = self._tx.popleft()
        if above and len(self._tx) <= level:
            self._interrupt_status |= _TX
        self._tx_alarm.schedule(self.frame_nanos())

    def _shifted(self) -> None:
        octet = self._shifting
        self._shifting = None
        if self._tx:
            self._shift()
        else:
            # The byte is gone and nothing follows: whoever waits for that is told.
            self._interrupt_status |= _TX
        self.check_interrupts()
        if octet is not None and self.on_octet:
            self.on_octet(octet, self._clock.nanos)

    # --- receiving -----------------------------------------------------------

    @property
    def incoming(self) -> int:
        """Octets that are still to arrive."""
        return len(self._incoming)

    def send_to_chip(self, octets: Iterable[int], framed: bool = True) -> None:
        """Puts octets on the receive line, one behind the other; without stop bits, if not
        `framed`, as a line at another rate or in noise has them."""
        idle = not self._incoming
        self._incoming.extend(octet | (0 if framed else _DR_FRAMING) for octet in octets)
        if idle and self._incoming:
            self._rx_alarm.schedule(self.frame_nanos() if self.baud_divider else 1e6)

    def hold(self, low: bool) -> None:
        """The line is held low, a break: one octet of zeros, and nothing more before it is high
        again (PL011, UARTDR). What is sent meanwhile is lost."""
        self._held = low
        for pin in self._rx_pins:
            if pin.function_select != _FUNCTION_UART:
                continue
            if low:
                pin.set_input_value(False)
            else:
                pin.release_input()
        if low:
            self._break_alarm.schedule(self.frame_nanos() if self.baud_divider else 1e6)
        else:
            self._break_alarm.cancel()

    def _broken(self) -> None:
        self._take(_DR_BREAK | _DR_FRAMING)

    def _arrived(self) -> None:
        octet = self._incoming.popleft()
        if not self._held:
            self._take(octet)
        if self._incoming:
            self._rx_alarm.schedule(self.frame_nanos() if self.baud_divider else 1e6)

    def _take(self, octet: int) -> None:
        if octet & _DR_FRAMING:
            self._interrupt_status |= _FRAMING
        if octet & _DR_BREAK:
            self._interrupt_status |= _BREAK
        if self.enabled and self.rx_enabled:
            if self.rx_fifo.item_count >= self._depth():
                self.lost += 1
                self._interrupt_status |= _OVERRUN
            else:
                self.rx_fifo.push(octet)
                if self.rx_fifo.item_count >= self._rx_level():
                    self._interrupt_status |= _RX
            self._quiet_alarm.schedule(_TIMEOUT_BITS * self.bit_nanos())
            self.check_interrupts()

    def _rx_level(self) -> int:
        return _LEVELS[self._levels >> 3 & 7] if self.fifos_enabled else 1

    def _quiet(self) -> None:
        if not self.rx_fifo.empty:
            self._interrupt_status |= _RX_TIMEOUT
            self.check_interrupts()

    def _read(self) -> int:
        value = self.rx_fifo.pull()
        if self.rx_fifo.item_count < self._rx_level():
            self._interrupt_status &= ~_RX
        if self.rx_fifo.empty:
            self._interrupt_status &= ~_RX_TIMEOUT
            self._quiet_alarm.cancel()
        else:
            self._quiet_alarm.schedule(_TIMEOUT_BITS * self.bit_nanos())
        self.check_interrupts()
        return value

    # --- registers -------------------------------------------------------------

    def check_interrupts(self) -> None:
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))

    @property
    def flags(self) -> int:
        depth = self._depth()
        count = self.rx_fifo.item_count
        return (
            (_FR_BUSY if self._shifting is not None or self._tx else 0)
            | (_FR_RXFE if not count else 0)
            | (_FR_TXFF if len(self._tx) >= depth else 0)
            | (_FR_RXFF if count >= depth else 0)
            | (_FR_TXFE if not self._tx else 0)
        )

    def read_uint32(self, offset: int) -> int:
        if offset == _DR:
            return self._read()
        if offset == _IFLS:
            return self._levels
        if offset == _DMACR:
            return self._dma
        if offset in (_RSR, _ICR):
            return 0
        return super().read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == _DR:
            self._write(value)
        elif offset == _IFLS:
            self._levels = value & 0x3F
        elif offset == _DMACR:
            self._dma = value
        elif offset == _ICR:
            self._interrupt_status &= ~(value | self.raw_write_value)
            self.check_interrupts()
        elif offset != _RSR:
            super().write_uint32(offset, value)
