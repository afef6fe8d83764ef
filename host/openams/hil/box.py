"""A load bank or relay box: lines of ASCII over a serial port; see docs/hil.md.

?                -> box load 0 500 2300    what it can do: the loads in watts,
                    box supply             or the meter's supply
load 2300        -> ok 2300                the load that is on now
supply off       -> ok off
"""

from __future__ import annotations

from openams.errors import BenchError
from openams.serialport import open_serial

_TIMEOUT_S = 3.0


class Box:
    def __init__(self, port: str, baud: int = 115200) -> None:
        self._port = port
        try:
            self._line = open_serial(port, baud, timeout=_TIMEOUT_S, exclusive=True)
        except (OSError, ValueError) as error:
            raise BenchError(f"cannot open {port}: {_why(error)}") from None
        # Whatever was said before we listened is no answer.
        self._line.reset_input_buffer()
        self.abilities = self._ask("?").split()
        if self.abilities[:1] != ["box"]:
            self.close()
            raise BenchError(f"{port} is no load bank or relay box: it says {self.abilities!r}")

    def _ask(self, order: str) -> str:
        try:
            self._line.write(order.encode() + b"\n")
            line: bytes = self._line.read_until(b"\n")
        except OSError as error:
            raise BenchError(f"{self._port}: {_why(error)}") from None
        answer = line.decode("ascii", "replace").strip()
        if not answer:
            raise BenchError(f"{self._port} does not answer {order!r}")
        return answer

    def _order(self, order: str) -> str:
        answer = self._ask(order)
        if not answer.startswith("ok "):
            raise BenchError(f"{self._port} refused {order!r}: {answer}")
        return answer[3:]

    def loads_w(self) -> list[float]:
        """The loads that the bank has; [] of a box without any."""
        if self.abilities[1:2] != ["load"]:
            return []
        return [float(word) for word in self.abilities[2:]]

    def load(self, watts: float) -> float:
        """Switches the load on that is nearest to `watts`."""
        nearest = min(self.loads_w(), key=lambda load: abs(load - watts))
        return float(self._order(f"load {nearest:g}"))

    def supply(self, on: bool) -> None:
        self._order(f"supply {'on' if on else 'off'}")

    def close(self) -> None:
        self._line.close()


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0]
