"""What a test of tests/hil sees of a meter, whatever the meter is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from openams.grid.scenario import Samples, Scenario
from openams.han.reading import Reading

# What a rig may have; a test asks for it with `@pytest.mark.needs(...)`.
LOAD = "load"  # a load of known power can be put on the meter
HAN = "han"  # its HAN port is heard
REGISTERS = "registers"  # its registers can be read
POWER = "power"  # its supply can be cut
CAPABILITIES = (LOAD, HAN, REGISTERS, POWER)
NOMINAL_V = 230.0


class HilMeter(ABC):
    """A meter under test. Time is the meter's: emulated ones need not wait for it."""

    name: str
    capabilities: frozenset[str]
    meter_id: str
    # How finely its registers can be read.
    register_step_mwh: int = 1
    # How exactly `load` is known, as a share of it.
    load_accuracy: float = 1e-3

    @abstractmethod
    def load(self, watts: float) -> float:
        """Puts a resistive load on; gives what it really is, which a load bank may round."""

    @abstractmethod
    def wait(self, seconds: float) -> float:
        """Lets time pass; gives how much it was."""

    @abstractmethod
    def readings(self) -> list[Reading]:
        """What the HAN port sent since the last call."""

    @abstractmethod
    def import_mwh(self) -> int:
        """The register A+."""

    @abstractmethod
    def cut_power(self) -> None: ...

    @abstractmethod
    def restore_power(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...


class LoadScenario(Scenario):
    """230 V, 50 Hz and a resistive load that can be changed as time goes."""

    def __init__(self) -> None:
        self.name = "load"
        self.system = "1P2W"
        self.watts = 0.0
        self._at = 0

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        """Goes on where the last one ended: the phase is kept."""
        while True:
            yield self.block(sample_rate_hz, block)

    def block(self, sample_rate_hz: int, count: int) -> Samples:
        """The next `count` sets of volts and amperes."""
        t = np.arange(self._at, self._at + count) / sample_rate_hz
        self._at += count
        wave = np.sqrt(2) * np.cos(2 * np.pi * 50 * t)
        return np.stack([NOMINAL_V * wave, self.watts / NOMINAL_V * wave], axis=1)
