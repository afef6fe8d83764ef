"""What a test of tests/hil sees of a meter, whatever the meter is."""

from __future__ import annotations

import cmath
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

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


def _elements(system: str) -> list[tuple[complex, complex]]:
    """(volts, amperes per watt) of each element, for a balanced resistive load."""
    turn = [cmath.rect(1, -2 * math.pi * k / 3) for k in range(3)]
    if system == "1P2W":
        return [(NOMINAL_V, 1 / NOMINAL_V)]
    if system == "3P4W":
        return [(NOMINAL_V * u, u / (3 * NOMINAL_V)) for u in turn]
    # 3P3W: 230 V between the lines, elements U12 I1 and U32 I3.
    star = [NOMINAL_V / math.sqrt(3) * u for u in turn]
    ampere = 1 / (math.sqrt(3) * NOMINAL_V)
    return [(star[k] - star[1], ampere * turn[k]) for k in (0, 2)]


class LoadScenario(Scenario):
    """230 V, 50 Hz and a resistive load that can be changed as time goes."""

    def __init__(self, system: str = "1P2W") -> None:
        self.name = "load"
        self.system = system
        self.watts = 0.0
        self._elements = _elements(system)
        self._at = 0

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        """Goes on where the last one ended: the phase is kept."""
        while True:
            yield self.block(sample_rate_hz, block)

    def block(self, sample_rate_hz: int, count: int) -> Samples:
        """The next `count` sets of volts and amperes."""
        import numpy as np

        t = np.arange(self._at, self._at + count) / sample_rate_hz
        self._at += count
        wave = np.sqrt(2) * np.exp(2j * np.pi * 50 * t)
        channels = [
            (phasor * wave).real
            for volts, amperes in self._elements
            for phasor in (volts, amperes * self.watts)
        ]
        return np.stack(channels, axis=1)
