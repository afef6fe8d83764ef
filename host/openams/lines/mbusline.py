"""The M-Bus of a running meter: slaves of the bench, or those on a serial device.

A device is a level converter's: 2400 Bd, 8E1. One thread moves what comes from it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

import serial

from openams.emulator.models.mbus_slave import MBus, MBusSlave
from openams.errors import BenchError
from openams.serialport import open_serial

MODEL = "model"
# In the place of a channel of the two-way link, see docs/architecture.md.
MBUS_CHANNEL = 255
_BAUD = 2400
_DATA = 0

_To = Callable[[int, int, bytes], None]


def sub_meters() -> list[MBusSlave]:
    """Water at address 1: 123.456 m3. Heat at 2: 34 567 kWh, 8.5 kW. Gas at 3: 4 321.09 m3."""
    return [
        MBusSlave(1, 0x12345678, [bytes.fromhex("0c1356341200")], medium=7),
        MBusSlave(2, 0x23456789, [bytes.fromhex("0c0667450300"), bytes.fromhex("0b2b008500")],
                  medium=4),
        MBusSlave(3, 0x34567890, [bytes.fromhex("0c1409214300")], medium=3),
    ]  # fmt: skip


class MBusLine:
    """`where`: `model`, or the name of a serial device."""

    def __init__(self, where: str) -> None:
        self._to_meter: _To = lambda *_: None
        self._bus = MBus(sub_meters()) if where == MODEL else None
        self._device: serial.Serial | None = None
        # From the thread that reads the meter, which must not wait for it to take an answer.
        self._asked: queue.Queue[bytes | None] = queue.Queue()
        self._ending = False
        if self._bus is None:
            try:
                self._device = open_serial(
                    where, _BAUD, parity=serial.PARITY_EVEN, timeout=0.1, exclusive=True
                )
            except (serial.SerialException, OSError, ValueError) as error:
                raise BenchError(
                    f"--mbus: cannot open {where}: {error}; "
                    "name the device of a level converter, or model"
                ) from None

    def attach(self, to_meter: _To) -> None:
        self._to_meter = to_meter
        run = self._model if self._bus else self._listen
        threading.Thread(target=self._guarded, args=(run,), daemon=True).start()

    def from_meter(self, frame: bytes) -> None:
        if self._device:
            self._device.write(frame)
        else:
            self._asked.put(frame)

    def _guarded(self, run: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, TypeError, BenchError):
            run()  # until the device or the meter is gone

    def _model(self) -> None:
        assert self._bus
        while (frame := self._asked.get()) is not None:
            answer = self._bus.put(frame)
            if answer:
                self._to_meter(MBUS_CHANNEL, _DATA, answer)

    def _listen(self) -> None:
        assert self._device
        while not self._ending:
            octets = self._device.read(self._device.in_waiting or 1)
            if octets:
                self._to_meter(MBUS_CHANNEL, _DATA, octets)

    def close(self) -> None:
        self._ending = True
        self._asked.put(None)
        if self._device:
            self._device.close()
