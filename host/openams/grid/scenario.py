"""What the grid does: rows of quantities, or samples in volts and amperes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from openams.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]
else:
    # numpy takes longer to load than a command to run that makes no samples.
    Samples = Any

SYSTEMS = ("1P2W", "3P3W", "3P4W")
Triple = tuple[int, int, int]
# (voltage, current) of each element, in the order of the samples.
PAIRS = {
    "1P2W": (("L1", "L1"),),
    "3P4W": (("L1", "L1"), ("L2", "L2"), ("L3", "L3")),
    "3P3W": (("U12", "L1"), ("U32", "L3")),
}


class ScenarioError(BenchError):
    """A scenario that cannot be read or does not fit; one line, with its place."""


@dataclass(frozen=True)
class Row:
    """Quantities that hold for `duration_ms` from `start_ms` of the scenario on.

    Places as in the firmware's `Quantities`: 1P2W place 0; 3P4W L1, L2, L3;
    3P3W voltages L1-L2, L1-L3, L2-L3, currents L1, L2, L3, powers of the two
    elements in places 0 and 2.
    """

    start_ms: int
    duration_ms: int
    voltage_mv: Triple
    current_ua: Triple
    active_power_mw: Triple
    reactive_power_mvar: Triple
    total_active_power_mw: int
    total_reactive_power_mvar: int
    frequency_mhz: int = 50_000


class Scenario(ABC):
    """One thing the grid does. `duration_s` None: it has no end.

    `start`: when it was. `usual_start`: when a meter without a past begins it if nobody says.
    """

    name: str
    system: str
    start: datetime | None = None
    usual_start: datetime | None = None
    duration_s: float | None = None
    gives_quantities: bool = False
    # What its file leaves open or says twice and differently, and what was made of it.
    notes: tuple[str, ...] = ()

    def begin(self, start: datetime) -> None:
        """When it is played, for what follows the clock; before `rows` or `samples`."""
        return

    @abstractmethod
    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        """Blocks (block, channels) in volts and amperes; the last may be shorter.

        Channels: 1P2W U1 I1; 3P4W U1 I1 U2 I2 U3 I3; 3P3W U12 I1 U32 I3.
        """

    def rows(self) -> Iterator[Row]:
        """Contiguous rows from 0 on, where the scenario gives quantities."""
        raise ScenarioError(f"{self.name} is a waveform: it has no rows")
