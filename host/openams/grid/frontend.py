"""Models of what samples: volts and amperes in, integer codes out.

`adc12` stands for the on-chip ADC of an RP2040 with a divider and current
transformers before it. Its errors are of the size that the RP2040 datasheet
gives (section 4.9.3: 8.7 effective bits; erratum RP2040-E11: the differential
non-linearity peaks at codes 512, 1536, 2560 and 3584).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openams.errors import BenchError
from openams.grid import ideal
from openams.grid.scenario import PAIRS, Samples

Codes = NDArray[np.int32]
FRONT_ENDS = ("ideal", "adc12")


class FrontEndModel(ABC):
    """Quantises blocks (n, channels) of one system; see `Scenario.samples`."""

    name: str
    sample_rate_hz = ideal.SAMPLE_RATE_HZ
    full_scale: int
    lowest_code: int
    starting_power_mva: int

    def __init__(self, system: str) -> None:
        self.system = system
        self.channels = 2 * len(PAIRS[system])

    @abstractmethod
    def quantise(self, block: Samples) -> Codes:
        """Codes (n, channels), C-contiguous; what is beyond the rails stands at them."""

    @abstractmethod
    def _channel(self, number: int) -> dict[str, Any]:
        """Calibration of a channel: what a calibration bench found."""

    def calibration(self, system: str) -> dict[str, Any]:
        """The record that the firmware's `Calibration` takes."""
        if system != self.system:
            raise BenchError(f"front end is made for {self.system}, not {system}")
        return {
            "sample_rate_hz": self.sample_rate_hz,
            "full_scale": self.full_scale,
            "lowest_code": self.lowest_code,
            "starting_power_mva": self.starting_power_mva,
            "channels": [self._channel(number) for number in range(self.channels)],
        }


def _kind(number: int) -> str:
    return "current" if number % 2 else "voltage"


class Ideal(FrontEndModel):
    """As `grid.ideal` says, and no errors."""

    name = "ideal"
    full_scale = ideal.FULL_SCALE
    lowest_code = ideal.LOWEST_CODE
    starting_power_mva = ideal.STARTING_POWER_MVA
    _LSB = (100e-6, 40e-6)

    def __init__(self, system: str) -> None:
        super().__init__(system)
        self._scale = np.array([1 / self._LSB[number % 2] for number in range(self.channels)])

    def quantise(self, block: Samples) -> Codes:
        codes = np.rint(block * self._scale)
        clipped: Codes = np.clip(codes, self.lowest_code, self.full_scale).astype(np.int32)
        return clipped

    def _channel(self, number: int) -> dict[str, Any]:
        return ideal.channel(number)


class Adc12(FrontEndModel):
    """12 bits from 0 to 3.3 V around mid-rail: +-450 V and +-210 A.

    100 A with 40 % of 5th harmonic in phase peaks at 198 A and does not clip.
    Noise of 2 codes RMS; codes 512, 1536, 2560 and 3584 are 8 codes wide and
    the transfer between them is steeper by as much (E11); a bow of 2 codes;
    gain off by about 1 %, zero by some codes, and 2 us from channel to channel
    for the multiplexer. Noise runs on from call to call; a seed fixes it.
    """

    name = "adc12"
    full_scale = 4095
    lowest_code = 0
    # Noise of 0.2 A against 230 V is 1.6 W in a window of 800 samples.
    starting_power_mva = 10_000
    _PEAK = (450.0, 210.0)
    _NOISE_CODES = 2.0
    _BOW_CODES = 2.0
    _WIDE_CODES = 8.0
    _SKEW_S = 2e-6
    # Where the calibration bench sets the gain: reference voltage and current.
    _REFERENCE = (230.0, 20.0)

    def __init__(self, system: str, seed: int) -> None:
        super().__init__(system)
        self._rng = np.random.default_rng([seed, 12])
        self._gain = 1 + self._rng.uniform(-0.01, 0.01, self.channels)
        self._zero = 2048 + self._rng.uniform(-12, 12, self.channels)
        self._lsb = np.array([self._PEAK[number % 2] / 2048 for number in range(self.channels)])
        code = np.arange(4096, dtype=np.float64)
        # A sawtooth that falls by the width at each wide code, and a bow.
        steps = (code - 512) / 1024
        self._curve = self._WIDE_CODES * (steps - np.floor(steps) - 0.5)
        self._curve += self._BOW_CODES * np.sin(np.pi * code / 4096)
        self._before: Samples | None = None

    def _transfer(self, codes: Samples) -> Samples:
        return np.asarray(codes + np.interp(codes, np.arange(4096), self._curve))

    def _found_gain_ppb(self, number: int) -> int:
        """What a bench with a reference finds: true over read, to 100 ppm."""
        reference = self._REFERENCE[number % 2] * math.sqrt(2) / self._lsb[number]
        angle = np.arange(4096) * (2 * np.pi / 4096)
        wave = reference * np.cos(angle)
        read = self._transfer(wave * self._gain[number] + self._zero[number])
        amplitude = 2 * float(np.mean(read * np.cos(angle)))
        return round(float(reference / amplitude - 1) * 1e4) * 100_000

    def _skewed(self, block: Samples) -> Samples:
        """Later channels see the wave later: a fraction of a sample, interpolated."""
        before = block[:1] if self._before is None else self._before
        ahead = np.vstack([before, block])
        self._before = block[-1:].copy()
        # Sampled late by t is the same wave, calibrated as leading; interpolate backwards
        # from the last channel, which is the one that is on time.
        late = (self.channels - 1 - np.arange(self.channels)) * self._SKEW_S * self.sample_rate_hz
        return np.asarray(ahead[1:] * (1 - late) + ahead[:-1] * late)

    def quantise(self, block: Samples) -> Codes:
        if not len(block):
            return np.zeros(block.shape, dtype=np.int32)
        codes = self._skewed(block) * self._gain / self._lsb + self._zero
        codes += self._rng.normal(0, self._NOISE_CODES, codes.shape)
        clipped = np.clip(np.rint(self._transfer(codes)), 0, 4095)
        return np.ascontiguousarray(clipped.astype(np.int32))

    def _channel(self, number: int) -> dict[str, Any]:
        kind = _kind(number)
        late_s = (self.channels - 1 - number) * self._SKEW_S
        channel: dict[str, Any] = {
            "kind": kind,
            "offset": round(float(self._zero[number])) * 256,
            "gain_ppb": self._found_gain_ppb(number),
            "phase_urad": round(2 * math.pi * 50 * late_s * 1e6),
        }
        lsb = round(float(self._lsb[number]) * 1e12)
        channel["lsb_pv" if kind == "voltage" else "lsb_pa"] = lsb
        return channel


def make_front_end(name: str, system: str, seed: int = 1) -> FrontEndModel:
    """A front end by name. Raises BenchError for an unknown name, system or seed."""
    if system not in PAIRS:
        raise BenchError(f"system {system!r} is unknown: choose one of {', '.join(PAIRS)}")
    if seed < 0:
        raise BenchError(f"--seed {seed} is below 0: choose a whole number from 0 on")
    if name == "ideal":
        return Ideal(system)
    if name == "adc12":
        return Adc12(system, seed)
    raise BenchError(f"--front-end {name!r} is unknown: choose one of {', '.join(FRONT_ENDS)}")
