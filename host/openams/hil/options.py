"""What a test may ask of an emulated meter: the marker `meter` or the fixture `meter_options`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from openams.bench.options import DEFAULT_METER_ID
from openams.errors import BenchError
from openams.grid.scenario import SYSTEMS
from openams.han.formats import FORMATS
from openams.meter_time import parse_start, to_utc_ms

_START_MS = 840_000_000_000


@dataclass(frozen=True)
class MeterOptions:
    """As the options of `ams run`. `scenario` and `speed` are for a `han_port` without `meter`."""

    system: str = "1P2W"
    han_format: str = "kaifa"
    han_variant: str | None = None
    han_options: Mapping[str, str | int | bool] = field(default_factory=dict)
    han_summer_time: bool | None = None
    han_open: bool = True
    quirk: str | None = None
    seed: int = 1  # of the quirk
    meter_id: str = DEFAULT_METER_ID
    start: str | None = None
    dlms: bool = False
    scenario: str = "house"
    speed: float = 1.0

    @property
    def start_ms(self) -> int:
        return to_utc_ms(parse_start(self.start)) if self.start else _START_MS

    @property
    def identity(self) -> dict[str, str]:
        return {
            "meter_id": self.meter_id,
            "meter_type": FORMATS[self.han_format].types[self.system],
        }


def parse_options(given: Mapping[str, Any]) -> MeterOptions:
    """Raises BenchError, one line, for what there is not."""
    names = [field.name for field in fields(MeterOptions)]
    for name in given:
        if name not in names:
            raise BenchError(f"no meter option {name!r}: there are {', '.join(names)}")
    options = MeterOptions(**given)
    for name, value, choices in (
        ("system", options.system, SYSTEMS),
        ("han_format", options.han_format, tuple(FORMATS)),
    ):
        if value not in choices:
            raise BenchError(f"meter option {name} {value!r}: choose one of {', '.join(choices)}")
    if not options.speed > 0:
        raise BenchError(f"meter option speed {options.speed}: give a number above 0")
    if not (options.meter_id.isdigit() and len(options.meter_id) == 16):
        raise BenchError(f"meter option meter_id {options.meter_id!r}: give 16 digits")
    return options
