"""A meter on the emulated chip, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from han import autodecoder, hdlc

from openams.bench.options import DEFAULT_METER_ID
from openams.grid.cases import Case
from openams.runtimes.rp2040.flash import ONE, Parts
from openams.runtimes.rp2040.meter import ChipMeter, provision
from openams.runtimes.rp2040.service import ServiceLine
from openams.runtimes.rp2040.session import make_chip_front_end
from openams.runtimes.wire import Frame

START_MS = 840_000_000_000


def steady(
    system: str, voltage_v: float, current_a: float | list[float], lag_degrees: float
) -> Case:
    """The same load on every phase, or one for each; it goes on for a minute."""
    turns = {"L1": 0.0, "L2": -120.0, "L3": 120.0} if system == "3P4W" else {"L1": 0.0}
    if isinstance(current_a, float):
        current_a = [current_a] * len(turns)
    return Case(
        name="steady",
        system=system,
        frequency_hz=50.0,
        duration_s=60.0,
        voltage={name: [(1, voltage_v, turn)] for name, turn in turns.items()},
        current={
            name: [(1, current_a[k], turn - lag_degrees)]
            for k, (name, turn) in enumerate(turns.items())
        },
        expected=None,
        limit_percent={"active": 1.0, "reactive": 1.0},
    )


class ChipBench:
    def __init__(
        self, image: Path, folder: Path, case: Case, front_end: str = "ideal", parts: Parts = ONE
    ) -> None:
        self.state = folder / "flash.bin"
        self.state.write_bytes(b"\xff" * parts.state_size)
        self._parts = parts
        self.frames: list[Frame] = []
        self.lines: list[dict[str, Any]] = []
        self.log: list[str] = []
        self.service = bytearray()  # what the service port said
        scenario = case.scenario()
        self._front_end = make_chip_front_end(scenario, front_end, 1)
        self.meter = ChipMeter(
            scenario, self._front_end, self.frames.append, self.lines.append, self.log.append,
            on_link=self._said,
            image=image, parts=parts,
        )  # fmt: skip
        self.line = ServiceLine(self.meter)  # what a client opens
        self.config = {
            "system": case.system,
            "calibration": self._front_end.calibration(case.system),
            "identity": {"meter_id": DEFAULT_METER_ID, "meter_type": "MA304H3E"},
            "han": {"format": "kaifa"},
            "han_open": True,
            "utc_ms": START_MS,
            "flash": str(self.state),
        }
        if hasattr(self._front_end, "driver"):
            self.config["front_end"] = self._front_end.driver

    def _said(self, channel: int, kind: int, data: bytes) -> None:
        self.service.extend(data)
        self.line.take(channel, kind, data)

    def provision(self) -> None:
        provision(self.state, self.config, self._parts.state_size)

    def boot(self) -> None:
        self.meter.configure(self.config)

    def run(self, seconds: float) -> None:
        self.meter.advance(self.meter.utc_ms() + round(1000 * seconds))


def amshan_frames(octets: bytes) -> list[dict[str, Any]]:
    """What amshan makes of a stream: its good frames, decoded."""
    out = []
    for frame in hdlc.HdlcFrameReader(False).read(octets):
        if frame.is_good_ffc and frame.is_expected_length:
            decoded = autodecoder.AutoDecoder().decode_message(frame)
            if decoded is not None:
                out.append(decoded)
    return out


def register_change(before: dict[str, Any], after: dict[str, Any], name: str, place: int) -> float:
    """Of a register between two views, in milli-watt-hours, with what is carried."""
    whole = after["registers"][name] - before["registers"][name]
    rest = after["remainder_uws"][place] - before["remainder_uws"][place]
    return float(whole + rest / 3_600_000)
