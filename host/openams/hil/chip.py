"""The real firmware on the emulated RP2040 as a meter under test; its time is the chip's.

It passes while a test waits, and while a DLMS client is answered.
"""

from __future__ import annotations

import threading
from pathlib import Path

from openams.hil.emulated import DEFAULTS, EmulatedMeter
from openams.hil.options import MeterOptions
from openams.lines.gateway import Gateway
from openams.lines.linkports import LinkPorts
from openams.runtimes.rp2040.analog import OnChipAdc
from openams.runtimes.rp2040.meter import ChipMeter
from openams.runtimes.rp2040.service import ServiceLine
from openams.runtimes.rp2040.session import make_chip_front_end

_SLICE_MS = 10


class ChipUnderTest(EmulatedMeter):
    """One phase by the ADC of the chip, three by a metering IC."""

    def __init__(self, folder: Path, options: MeterOptions = DEFAULTS) -> None:
        super().__init__("rp2040", folder, options)
        front_end = make_chip_front_end(self._grid, "ideal", 1)
        if isinstance(front_end, OnChipAdc):
            self.load_accuracy = 0.02  # twelve bits
        self._chip = ChipMeter(
            self._grid, front_end, self._frame, self._set_line, on_link=self._from_meter
        )
        self._turn = threading.RLock()  # who lets the chip's time pass
        self._gateway: Gateway | None = None
        config = self._configuration(options.start_ms)
        config["calibration"] = front_end.calibration(options.system)
        try:
            self._chip.configure(config)
            self._open_links()
        except BaseException:
            self.close()
            raise

    # --- clients -------------------------------------------------------------------

    def _open_links(self) -> None:
        """A Pico has no network: TCP clients come to its service port."""
        ports: LinkPorts | None = self._open_ports()
        if ports:
            # Who waits for an answer there lets the chip run.
            line = ServiceLine(self._chip, turn=self._turn)
            self._gateway = Gateway(self._chip.link, ports.from_meter, line)
            ports.attach(self._gateway.from_client)

    def _from_meter(self, channel: int, kind: int, data: bytes) -> None:
        if self._gateway:
            self._gateway.from_meter(channel, kind, data)

    def _close_ports(self) -> None:
        super()._close_ports()
        self._gateway = None

    # --- what a test does ------------------------------------------------------------

    def wait(self, seconds: float) -> float:
        before_ms = self._chip.utc_ms()
        end_ms = before_ms + round(1000 * seconds)
        while (now_ms := self._chip.utc_ms()) < end_ms:
            with self._turn:
                self._chip.advance(min(end_ms, now_ms + _SLICE_MS))
        return (self._chip.utc_ms() - before_ms) / 1000

    def import_mwh(self) -> int:
        with self._turn:
            return int(self._chip.view()["registers"]["a_plus_mwh"])

    def cut_power(self) -> None:
        with self._turn:
            self._chip.power_cut()
        self._close_ports()

    def restore_power(self) -> None:
        self._chip.power_up()
        self._open_links()

    def close(self) -> None:
        with self._turn:
            self._chip.kill()
        super().close()
