"""What a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openams.bench.orders import LONGEST_S, Order
from openams.errors import BenchError
from openams.grid.scenario import Scenario
from openams.han.formats import FORMATS

if TYPE_CHECKING:
    from openams.keys.keystore import Keystore

# The runtime that samples by itself.
CHIP = "rp2040"
# A GS1 number of the right length for a meter of no real maker.
DEFAULT_METER_ID = "7359990000000017"


@dataclass
class Options:
    """What `ams run` was asked for."""

    runtime: str = "micropython"
    front_end: str = "ideal"
    han_format: str = "kaifa"
    han_variant: str | None = None
    han_options: dict[str, str | int | bool] = field(default_factory=dict)
    han_summer_time: bool | None = None  # None: as the maker's meters do
    # By the operator with the keys of `keystore`; without one the port was left open at the works.
    han_open: bool = False
    keystore: Keystore | None = None
    # What the optical port shows as text (READOUT_LEVELS), opened as the HAN port is.
    readout: str | None = None
    readout_list: str = "landis"
    mbus: str | None = None  # see mbusline
    # Ways of lines.modbusline, and {unit: map}; opened as the HAN port is.
    modbus: list[str] = field(default_factory=list)
    modbus_units: dict[str, str] = field(default_factory=dict)
    # Settings of the firmware's home.broker; opened as the HAN port is.
    mqtt: dict[str, Any] | None = None
    # (kind, file of the last picture), see lines.displayline; "page": only the web page shows it.
    display: tuple[str, Path | None] | None = None
    quirk: str | None = None
    han_keys: Path | None = None
    meter_id: str = DEFAULT_METER_ID
    state: Path | None = None
    start: datetime | None = None
    duration_s: float | None = None
    speed: float | None = 1.0  # None: as fast as it goes
    seed: int = 1
    capture_period_min: int | None = None
    format: bool = False
    at: list[Order] = field(default_factory=list)
    breaker: dict[str, Any] | None = None  # policy; None: what the meter has
    transformers: dict[str, list[int]] | None = None  # ratios; None: what the meter has
    security: dict[str, Any] | None = None  # keys of the two-way link, for a meter without any


def check(options: Options, scenario: Scenario) -> None:
    """Refuses what cannot be: one clear line."""
    duration = options.duration_s
    if duration is not None and not 0 < duration <= LONGEST_S:
        raise BenchError("--duration must be more than 0 seconds, and less than 100 years")
    if not 0 <= options.seed < 1 << 32:
        raise BenchError("--seed must be a whole number from 0 to 4294967295")
    endless = options.duration_s is None and scenario.duration_s is None
    if options.speed is None and endless:
        raise BenchError(f"{scenario.name} has no end: --speed max needs --duration")
    if options.mbus and options.runtime == CHIP:
        raise BenchError("--mbus: a Pico has no UART left for it; choose another --runtime")
    if options.modbus and options.runtime == CHIP:
        raise BenchError("--modbus: a Pico has no line left for it; choose another --runtime")
    if options.mqtt and options.runtime == CHIP:
        raise BenchError("--mqtt: a Pico has no network; choose another --runtime")
    if options.quirk == "rekey" and not options.han_keys:
        raise BenchError("--quirk rekey encrypts the lists: name a key file with --han-keys")
    if options.han_keys and not FORMATS[options.han_format].ciphered:
        raise BenchError(f"--han-keys encrypts DLMS lists: {options.han_format} has none")
    if not options.meter_id.isdigit() or len(options.meter_id) != 16:
        raise BenchError("--meter-id must be a GS1 number of 16 digits")
