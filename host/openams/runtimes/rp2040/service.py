"""The service port of an emulated chip as a serial line.

Reading from it runs the chip until it has said something: whoever waits for an
answer waits as long as the chip needs for it, and no longer.
"""

from __future__ import annotations

import threading

from openams.lines.channels import DATA
from openams.lines.linkports import SERVICE_CHANNEL
from openams.runtimes.rp2040.meter import ChipMeter

_STEP_MS = 1


class ServiceLine:
    """The part of serial.Serial that clients use. `timeout` is in seconds of chip time.

    `take` is to be the `on_link` of the meter. Who reads here lets the chip run only while it
    has `turn`.
    """

    def __init__(
        self, meter: ChipMeter, timeout: float = 0.5, turn: threading.RLock | None = None
    ) -> None:
        self.timeout = timeout
        self.clock = meter.seconds
        self._turn = turn or threading.RLock()
        self._meter = meter
        self.sent = self.received = 0
        self._heard = bytearray()

    def take(self, channel: int, kind: int, data: bytes) -> None:
        self._heard += data

    @property
    def in_waiting(self) -> int:
        return len(self._heard)

    def write(self, data: bytes) -> int:
        self.sent += len(data)
        self._meter.link(SERVICE_CHANNEL, DATA, bytes(data))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        end_ms = self._meter.utc_ms() + 1000 * self.timeout
        while not self._heard and self._meter.utc_ms() < end_ms:
            with self._turn:
                if self._meter.off:
                    raise OSError("the meter has no power")
                self._meter.advance(self._meter.utc_ms() + _STEP_MS)
        out = bytes(self._heard[:size])
        del self._heard[:size]
        self.received += len(out)
        return out

    def close(self) -> None:
        """The line is the meter's."""
