"""Frames out of the octets of a UART: a pause ends one."""

from __future__ import annotations

from collections.abc import Callable

from openams.runtimes.rp2040.uart import Line, PacedUart

# In octets of silence.
_PAUSE = 3
_RATES = (300, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


def nominal(line: Line) -> Line:
    """The line with its rate named as people do: a divider meets it only nearly."""
    for rate in _RATES:
        if abs(line.baudrate - rate) < 0.01 * rate:
            return Line(rate, line.bits, line.parity, line.stop)
    return line


class FrameTap:
    """`on_frame(began_ns, octets)`; `on_line` is called when the line is set otherwise."""

    def __init__(
        self,
        uart: PacedUart,
        on_frame: Callable[[float, bytes], None],
        on_line: Callable[[Line], None],
    ) -> None:
        self._uart = uart
        self._on_frame = on_frame
        self._on_line = on_line
        self._line: Line | None = None
        self._octets = bytearray()
        self._began_ns = 0.0
        self._alarm = uart.rp2040.clock.create_alarm(self.flush)
        self.octet_times_ns: list[float] = []  # when each octet of the last frame had left
        uart.on_octet = self._take

    def _take(self, octet: int, nanos: float) -> None:
        line = nominal(self._uart.line)
        if line != self._line:
            self._line = line
            self._on_line(line)
        if not self._octets:
            self._began_ns = nanos - self._uart.frame_nanos()
            self.octet_times_ns = []
        self._octets.append(octet)
        self.octet_times_ns.append(nanos)
        self._alarm.schedule(_PAUSE * self._uart.frame_nanos())

    def flush(self) -> None:
        if self._octets:
            octets = bytes(self._octets)
            self._octets.clear()
            self._on_frame(self._began_ns, octets)
