"""An ADS131M08 at the pins of the emulated board, and what stands before it.

Its errors are as the datasheet (SBAS950B) has them or worse, by a seed: noise of 5.35 uV
(table 7-1, OSR 1024), a gain that is off by half a per cent and known to the calibration, an
offset of a millivolt, and a crystal that runs up to 94 ppm beside the chip's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rp2040py.gpio_pin import GPIOPinState

from openams.emulator.models.ads131m08 import Ads131m08
from openams.grid.scenario import PAIRS, Samples, Scenario
from openams.runtimes.rp2040.machine import Chip

_CS, _CLOCK, _MISO, _DRDY = 17, 18, 16, 22
_PER_CONVERSION = 8
_RATE = 4000 * _PER_CONVERSION
_BLOCK = 3200
# Of the parts: dividers 991 to one, transformers 2000 to one with 11.2 ohm.
_PER_VOLT, _PER_AMPERE = 1 / 991, 11.2 / 2000
_LSB_V = 1.2 / 2**23
_CHANNELS = 8
_HIGH, _LOW = GPIOPinState.HIGH, GPIOPinState.LOW


def _filter() -> NDArray[np.float64]:
    """Sinc of third order over one conversion, in eighths of it."""
    box = np.ones(_PER_CONVERSION) / _PER_CONVERSION
    return np.convolve(np.convolve(box, box), box)


class Ads131Board:
    """Dividers, transformers and converter of one board; the front end of a `ChipMeter`.

    `neutral`: one more transformer, around the neutral of 3P4W.
    """

    driver = "ads131m08"

    def __init__(self, system: str, errors: bool, seed: int, neutral: bool = False) -> None:
        self.system = system
        self._neutral = neutral
        channels = 2 * len(PAIRS[system]) + neutral
        self._rng = rng = np.random.default_rng([seed, 131])
        wide = 1.0 if errors else 0.0
        self._gain = 1 + wide * rng.uniform(-0.005, 0.005, channels)
        self._offset = wide * rng.uniform(-1e-3, 1e-3, channels) / _LSB_V
        self._noise = wide * 5.35e-6 / _LSB_V
        # Eighths of a conversion in a second.
        self.rate = _RATE + (int(rng.integers(-3, 4)) if errors else 0)
        self._is_current = [number % 2 == 1 or number == 6 for number in range(channels)]
        per_unit = [(_PER_VOLT, _PER_AMPERE)[current] for current in self._is_current]
        self._per_unit = np.array(per_unit) / _LSB_V

    def calibration(self, system: str) -> dict[str, Any]:
        """What a calibration bench finds: gains at 50 Hz; of the offset it knows nothing."""
        angle = np.pi * 50 / _RATE
        eighths = _PER_CONVERSION
        through = (np.sin(eighths * angle) / (eighths * np.sin(angle))) ** 3
        channels = []
        for number, gain in enumerate(self._gain):
            kind, name = (("voltage", "lsb_pv"), ("current", "lsb_pa"))[self._is_current[number]]
            lsb = round(float(1e12 / self._per_unit[number]))
            ppb = round(float(1 / (gain * through) - 1) * 1e9)
            channels.append({"kind": kind, name: lsb, "gain_ppb": ppb})
        return {
            "sample_rate_hz": 4000,
            "full_scale": 0x7FFFFF,
            "lowest_code": -0x800000,
            "starting_power_mva": 1000,
            "nominal_voltage_mv": 230000,
            "channels": channels,
        }

    def codes(self, scenario: Scenario) -> Iterator[list[list[int]]]:
        """Blocks of conversions, one list of eight codes each."""
        taps = _filter()
        before: Samples | None = None
        for block in scenario.samples(self.rate, _BLOCK):
            if self._neutral:
                # What the phases leave.
                block = np.column_stack((block, -block[:, 1::2].sum(axis=1)))
            if before is None:
                before = np.repeat(block[:1], len(taps) - 1, axis=0)
            whole = np.vstack([before, block])
            before = whole[-(len(taps) - 1) :]
            passed = np.stack([np.convolve(wave, taps, "valid") for wave in whole.T], axis=1)
            conversions = passed[_PER_CONVERSION - 1 :: _PER_CONVERSION]
            codes = conversions * self._gain * self._per_unit + self._offset
            if self._noise:
                codes += self._rng.normal(0, self._noise, codes.shape)
            clipped = np.clip(np.rint(codes), -0x800000, 0x7FFFFF).astype(int)
            padded = np.zeros((len(clipped), _CHANNELS), dtype=int)
            padded[:, : clipped.shape[1]] = clipped
            yield padded.tolist()


class Converter:
    """The chip at SPI0 and at the pins of a state machine, and its crystal.

    `stands`: it converts no more.
    """

    def __init__(self, chip: Chip, board: Ads131Board, scenario: Scenario) -> None:
        self.model = Ads131m08()
        self.stands = False
        self._chip = chip
        self._period_ns = 1e9 * _PER_CONVERSION / board.rate
        self._blocks = board.codes(scenario)
        self._block: Iterator[list[int]] = iter(())
        self._due_ns = self._period_ns
        self._selected = False
        self._bit = 0
        self._octet = 0
        self._answer = 0
        self._level = 0
        self.model.on_drdy = lambda level: chip.set_pin(_DRDY, bool(level))
        chip.set_pin(_DRDY, True)
        chip.gpio[_CS].add_listener(self._select)
        chip.gpio[_CLOCK].add_listener(self._clock)
        self._spi = chip.spi[0]
        self._spi.on_transmit = self._transmit
        self._done = chip.clock.create_alarm(lambda: self._spi.complete_transmit(self._answer))
        self._conversion = chip.clock.create_alarm(self._convert)
        self._conversion.schedule(self._period_ns)

    def _convert(self) -> None:
        self._due_ns += self._period_ns
        self._conversion.schedule(self._due_ns - self._chip.clock.nanos)
        codes = next(self._block, None)
        if codes is None:
            self._block = iter(next(self._blocks, ()))
            codes = next(self._block, [0] * _CHANNELS)
        if not self.stands:
            self.model.convert(codes)

    def _select(self, level: GPIOPinState, before: GPIOPinState) -> None:
        selected = level is _LOW
        if selected != self._selected:
            self._selected = selected
            self._bit = 0
            self.model.select(selected)

    def _clock(self, level: GPIOPinState, before: GPIOPinState) -> None:
        """A rising edge brings the next bit; DIN is low."""
        if level is not _HIGH or not self._selected:
            return
        bit = self._bit
        if not bit & 7:
            self._octet = self.model.peek()
        out = self._octet >> (7 - (bit & 7)) & 1
        if out != self._level:
            self._level = out
            self._chip.set_pin(_MISO, bool(out))
        self._bit = bit + 1
        if bit & 7 == 7:
            self.model.put(0)

    def _transmit(self, value: int) -> None:
        self._answer = self.model.transfer(value & 0xFF) if self._selected else 0xFF
        self._done.schedule(8e9 / (self._spi.clock_frequency or 1e6))
