"""The boards that can be flashed, and how one knows them."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from openams.errors import BenchError
from openams.places import repository_root

ROOT = repository_root()


def metering_ics(board: str) -> tuple[str, ...]:
    """The drivers that may be named as `front_end` on a board: those of its pins.yaml."""
    return _named(board, "drivers")


def samplers(board: str) -> tuple[str, ...]:
    """The converters that may be named so: what they sample the meter measures by itself."""
    return _named(board, "samplers")


def _named(board: str, what: str) -> tuple[str, ...]:
    data = yaml.safe_load((ROOT / "boards" / board / "pins.yaml").read_text())
    blocks = (*data["left"], *data["right"])
    return tuple(name for block in blocks for name in block.get(what, ()))


@dataclass(frozen=True)
class Target:
    """`platform`: its sys.platform. `machine`: must stand in sys.implementation._machine.

    `arch`: of viper code in .mpy files, as mpy-cross names it. `code`: its folder of boards/.
    `roots`: where imports are followed from; none: it takes every module. MicroPython as it
    comes loads code into RAM, and on a Pico has none left for the two-way link.
    `joined`: its modules are flashed as one file, since each file takes whole blocks.
    """

    name: str
    platform: str
    machine: str
    arch: str
    code: str
    roots: tuple[str, ...] = ()
    joined: bool = False


# What is imported while it runs, and not when a module is loaded.
_PICO_METER = (
    "main", "loop", "ams/meter", "ams/han/", "ams/metrology/pulses",
    "adc", "drivers/ic_reader", "drivers/metering_ic", "drivers/sectorfiles",
    *(f"drivers/{name}" for name in metering_ics("pico")),
    *(f"drivers/{name}_dma" for name in samplers("pico")), "ring",
)  # fmt: skip

TARGETS = {
    target.name: target
    for target in (
        Target("pico", "rp2", "RP2040", "armv6m", "pico", _PICO_METER),
        Target("esp32", "esp32", "ESP32", "xtensawin", "esp32", joined=True),
    )
}


def target(name: str) -> Target:
    found = TARGETS.get(name)
    if found is None:
        raise BenchError(f"no board {name}: there are {', '.join(TARGETS)}")
    if not (ROOT / "boards" / found.code).is_dir():
        raise BenchError(f"boards/{found.code} is not there: install OpenAMS again")
    return found
