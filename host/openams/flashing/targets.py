"""The boards that can be flashed, and how one knows them."""

from __future__ import annotations

from collections.abc import Collection
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
    known = TARGETS.get(board)
    folders = (known.code, known.base) if known else (board,)
    papers = (ROOT / "boards" / folder / "pins.yaml" for folder in folders if folder)
    data = yaml.safe_load(next(path for path in papers if path.exists()).read_text())
    blocks = (*data["left"], *data["right"])
    return tuple(name for block in blocks for name in block.get(what, ()))


# What a meter and its code take in RAM, and what Wi-Fi, DLMS over TCP, MQTT and Modbus take more.
_RAM_KIB, _NETWORK_KIB = 416, 56
_NETWORK = frozenset(("wifi", "home", "modbus"))
_IMAGE = "take away what else starts there (boot.py), or take the image (make firmware)"


@dataclass(frozen=True)
class Target:
    """`platform`: its sys.platform. `chip`: what stands behind "with" in
    sys.implementation._machine; `wireless`: there is " W" before it. `stock`: the name of
    MicroPython's own image for it, as on micropython.org/download.

    `arch`: of viper code in .mpy files, as mpy-cross names it. `code`: its folder of boards/, and
    `base` the one that holds what that has not. `image`: there is one of ours (make firmware).
    `files`: on MicroPython as it comes the meter has room as files. It loads their code into RAM:
    a Pico has neither the heap for the meter then, nor the stack (8 KiB).
    `joined`: its modules are flashed as one file, since each file takes whole blocks.
    `ram_kib`: MicroPython has so much for Python where code in files and the meter have room
    (tests/drivers/test_board_heap.py measures it). `roomier`: what has it. See `ram_for`.
    """

    name: str
    platform: str
    chip: str
    arch: str
    code: str
    stock: str
    base: str = ""
    wireless: bool = False
    image: bool = False
    files: bool = True
    joined: bool = False
    ram_kib: int = 0
    roomier: str = ""

    def ram_for(self, settings: Collection[str]) -> int:
        """KiB that a meter with these settings takes, `ram_kib` and what goes over a network."""
        return self.ram_kib + (_NETWORK_KIB if _NETWORK.intersection(settings) else 0)

    def is_on(self, platform: str, machine: str) -> bool:
        """Whether a board that says this of itself is such a one."""
        if not self.chip:
            return platform == self.platform
        name, _, chip = machine.rpartition(" with ")
        if platform != self.platform or chip != self.chip:
            return False
        return platform != "rp2" or name.endswith(" W") == self.wireless


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("pico", "rp2", "RP2040", "armv6m", "pico", "RPI_PICO", image=True, files=False),
        Target("pico-w", "rp2", "RP2040", "armv6m", "pico", "RPI_PICO_W", wireless=True,
               image=True, files=False),
        # 520 KiB of RAM: the whole meter has room.
        Target("pico2", "rp2", "RP2350", "armv7emsp", "pico2", "RPI_PICO2", base="pico", image=True,
               joined=True, ram_kib=_RAM_KIB, roomier=_IMAGE),
        Target("pico2-w", "rp2", "RP2350", "armv7emsp", "pico2", "RPI_PICO2_W", base="pico",
               wireless=True, image=True, joined=True, ram_kib=_RAM_KIB, roomier=_IMAGE),
        Target("esp32", "esp32", "ESP32", "xtensawin", "esp32", "ESP32_GENERIC", joined=True,
               ram_kib=_RAM_KIB,
               roomier="take a module with PSRAM (ESP32-WROVER), with the image "
               "ESP32_GENERIC-SPIRAM"),
        Target("esp32-s3", "esp32", "ESP32S3", "xtensawin", "esp32s3", "ESP32_GENERIC_S3",
               base="esp32", joined=True, ram_kib=_RAM_KIB,
               roomier="take a module with PSRAM; if that has eight lines (N8R8, N16R8), with the "
               "image ESP32_GENERIC_S3-SPIRAM_OCT"),
    )
}  # fmt: skip


def target(name: str) -> Target:
    found = TARGETS.get(name)
    if found is None:
        raise BenchError(f"no board {name}: there are {', '.join(TARGETS)}")
    if not (ROOT / "boards" / found.code).is_dir():
        raise BenchError(f"boards/{found.code} is not there: install OpenAMS again")
    return found
