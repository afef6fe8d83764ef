"""The real firmware on the emulated RP2040 as a meter under test; its time is the chip's."""

from __future__ import annotations

from pathlib import Path

from openams.han.reader import FrameReader
from openams.han.reading import Reading
from openams.hil.emulated import START_MS, configuration
from openams.hil.meter import CAPABILITIES, HilMeter, LoadScenario
from openams.runtimes.process import Frame
from openams.runtimes.rp2040.analog import make_analog
from openams.runtimes.rp2040.meter import ChipMeter
from openams.session import DEFAULT_METER_ID
from openams.state import StateImage


class ChipUnderTest(HilMeter):
    """One phase, by the ADC of the chip."""

    name = "rp2040"
    capabilities = frozenset(CAPABILITIES)
    meter_id = DEFAULT_METER_ID
    load_accuracy = 0.02  # twelve bits

    def __init__(self, folder: Path) -> None:
        self._grid = LoadScenario()
        self._reader = FrameReader()
        self._readings: list[Reading] = []
        self._state = StateImage(folder)
        analog = make_analog("ideal", 1)
        self._chip = ChipMeter(self._grid, analog, self._frame)
        config = configuration(self._state.path, START_MS)
        try:
            self._chip.configure({**config, "calibration": analog.calibration("1P2W")})
        except BaseException:
            self.close()
            raise

    def _frame(self, frame: Frame) -> None:
        self._readings.extend(self._reader.feed(frame.data))

    def load(self, watts: float) -> float:
        self._grid.watts = watts
        return watts

    def wait(self, seconds: float) -> float:
        before_ms = self._chip.utc_ms()
        self._chip.advance(before_ms + round(1000 * seconds))
        return (self._chip.utc_ms() - before_ms) / 1000

    def readings(self) -> list[Reading]:
        out, self._readings = self._readings, []
        return out

    def import_mwh(self) -> int:
        return int(self._chip.view()["registers"]["a_plus_mwh"])

    def cut_power(self) -> None:
        self._chip.power_cut()

    def restore_power(self) -> None:
        self._chip.power_up()

    def close(self) -> None:
        self._chip.kill()
        self._state.close()
