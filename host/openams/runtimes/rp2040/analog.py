"""What stands before the on-chip ADC: divider and current transformer, to codes.

The converter's errors are those of `adc12`, at the instants at which the
firmware converts; `ideal` is the same 12 bits without noise and errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from openams.errors import BenchError
from openams.grid.frontend import Adc12, Codes
from openams.grid.scenario import Samples, Scenario

# Conversions per second of boards/pico/adc.py, and how it weighs them.
CONVERSIONS_HZ = 32000
_BLOCK = 3200
_VOLTAGE, _CURRENT = 0, 1
# A set is eight times the code.
_GAIN = 8


class OnChipAdc(Adc12):
    """The chain up to the codes of the ADC, and the calibration of the sets made of them."""

    full_scale = _GAIN * 4095
    # Eight conversions a set: half the noise of `adc12`.
    starting_power_mva = 5_000

    def __init__(self, errors: bool, seed: int) -> None:
        super().__init__("1P2W", seed)
        self._noise = self._NOISE_CODES if errors else 0.0
        if not errors:
            self._gain = np.ones(2)
            self._zero = np.full(2, 2048.0)
            self._curve = np.zeros(4096)

    def quantise(self, block: Samples) -> Codes:
        """Codes 0 to 4095 of a block whose rows are conversions; both channels of each."""
        codes = block * self._gain / self._lsb + self._zero
        if self._noise:
            codes += self._rng.normal(0, self._noise, codes.shape)
        clipped = np.clip(np.rint(self._transfer(codes)), 0, 4095)
        return np.ascontiguousarray(clipped.astype(np.int32))

    def _channel(self, number: int) -> dict[str, Any]:
        channel = super()._channel(number)
        # The weights of a set let a little less than all of 50 Hz through.
        angle = 2 * math.pi * 50 / CONVERSIONS_HZ
        through = math.sin(4 * angle) / (4 * math.sin(angle))
        if number % 2 == _VOLTAGE:
            through *= math.cos(angle)
        channel["gain_ppb"] = round(((1 + channel["gain_ppb"] / 1e9) / through - 1) * 1e9)
        name = "lsb_pv" if number % 2 == _VOLTAGE else "lsb_pa"
        channel[name] = round(channel[name] / _GAIN)
        channel["offset"] *= _GAIN
        # Both centres of a set lie on the same conversion.
        channel["phase_urad"] = 0
        return channel


def make_analog(front_end: str, seed: int) -> OnChipAdc:
    if front_end not in ("ideal", "adc12"):
        raise BenchError(f"--front-end {front_end!r} is unknown: choose one of ideal, adc12")
    return OnChipAdc(front_end == "adc12", seed)


class WaveSource:
    """The grid at the ADC's inputs: `code(channel, nanos)`, forward in time.

    Conversions come every 31.25 us from the chip's power-up on, give or take a
    shift that stays the same; other rates read the nearest one.
    """

    def __init__(self, scenario: Scenario, analog: OnChipAdc) -> None:
        self._blocks: Iterator[Samples] = scenario.samples(CONVERSIONS_HZ, _BLOCK)
        self._analog = analog
        self._first = 0  # number of the first conversion of the block
        self._codes: list[list[int]] = [[], []]
        self._length = 0
        self.ended = False

    def code(self, channel: int, nanos: float) -> int:
        at = round(nanos * 3.2e-5) - self._first
        while at >= self._length:
            if not self._next():
                return 2048
            at = round(nanos * 3.2e-5) - self._first
        return self._codes[channel][at] if channel < 2 else 0

    def _next(self) -> bool:
        block = next(self._blocks, None)
        if block is None or not len(block):
            self.ended = True
            return False
        self._first += self._length
        codes = self._analog.quantise(block)
        self._length = len(codes)
        self._codes = [codes[:, 0].tolist(), codes[:, 1].tolist()]
        return True
