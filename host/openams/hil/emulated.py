"""A meter in a process, on CPython or on the MicroPython VM; its time is simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openams.grid.frontend import make_front_end
from openams.han.reader import FrameReader
from openams.han.reading import Reading
from openams.hil.meter import CAPABILITIES, HilMeter, LoadScenario
from openams.runtimes.process import Frame, MeterProcess
from openams.session import DEFAULT_METER_ID, METER_TYPES
from openams.state import FLASH_SIZE, StateImage

START_MS = 840_000_000_000
RATE = 4000
# Sample sets per message: one cycle.
BLOCK = 80


def configuration(state: Path, start_ms: int) -> dict[str, Any]:
    """A one-phase meter with the ideal front end and an open HAN port."""
    return {
        "system": "1P2W",
        "calibration": make_front_end("ideal", "1P2W", 1).calibration("1P2W"),
        "identity": {"meter_id": DEFAULT_METER_ID, "meter_type": METER_TYPES["kaifa"]["1P2W"]},
        "han": {"format": "kaifa"},
        "han_open": True,
        "utc_ms": start_ms,
        "flash": str(state),
        "flash_size": FLASH_SIZE,
    }


class ProcessMeter(HilMeter):
    """`runtime` is one of `openams.runtimes.process.RUNTIMES`; the state is kept in `folder`."""

    capabilities = frozenset(CAPABILITIES)
    meter_id = DEFAULT_METER_ID

    def __init__(self, name: str, runtime: str, folder: Path) -> None:
        self.name = name
        self._runtime = runtime
        self._state = StateImage(folder)
        self._grid = LoadScenario()
        self._front_end = make_front_end("ideal", "1P2W", 1)
        self._reader = FrameReader()
        self._readings: list[Reading] = []
        self._now_ms = START_MS
        self._index = 0
        self._process: MeterProcess | None = None
        self.restore_power()

    def _running(self) -> MeterProcess:
        assert self._process, "the power is off"
        return self._process

    def _frame(self, frame: Frame) -> None:
        self._readings.extend(self._reader.feed(frame.data))

    def load(self, watts: float) -> float:
        self._grid.watts = watts
        return watts

    def wait(self, seconds: float) -> float:
        process = self._running()
        blocks = round(seconds * RATE / BLOCK)
        for _ in range(blocks):
            codes = self._front_end.quantise(self._grid.block(RATE, BLOCK))
            self._now_ms += 1000 * BLOCK // RATE
            process.samples(self._now_ms, self._index, codes)
            self._index += BLOCK
        process.view()  # what was sent before it is there when it answers
        return blocks * BLOCK / RATE

    def readings(self) -> list[Reading]:
        out, self._readings = self._readings, []
        return out

    def import_mwh(self) -> int:
        return int(self._running().view()["registers"]["a_plus_mwh"])

    def cut_power(self) -> None:
        self._running().kill()
        self._process = None

    def restore_power(self) -> None:
        self._index = 0
        self._process = MeterProcess(self._runtime, self._frame)
        self._process.configure(configuration(self._state.path, self._now_ms))

    def close(self) -> None:
        if self._process:
            self._process.kill()
        self._state.close()
