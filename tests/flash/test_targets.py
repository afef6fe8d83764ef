"""Which board is which, and what each may be told."""

import re
import sys
from pathlib import Path

import pytest

from openams.flashing.targets import ROOT, TARGETS, metering_ics

sys.path.append(str(ROOT / "tools" / "firmware"))

import images

# sys.platform and sys.implementation._machine of MicroPython 1.25 as it comes, by the name of the
# image; and of ours.
SAYS = {
    "RPI_PICO": ("rp2", "Raspberry Pi Pico with RP2040"),
    "RPI_PICO_W": ("rp2", "Raspberry Pi Pico W with RP2040"),
    "RPI_PICO2": ("rp2", "Raspberry Pi Pico2 with RP2350"),
    "RPI_PICO2_W": ("rp2", "Raspberry Pi Pico 2 W with RP2350"),
    "ESP32_GENERIC": ("esp32", "Generic ESP32 module with ESP32"),
    "ESP32_GENERIC_S3": ("esp32", "Generic ESP32S3 module with ESP32S3"),
    "ESP32_GENERIC_C3": ("esp32", "ESP32C3 module with ESP32C3"),
}
OURS = {
    "pico": "OpenAMS Pico with RP2040",
    "pico-w": "OpenAMS Pico W with RP2040",
    "pico2": "OpenAMS Pico 2 with RP2350",
    "pico2-w": "OpenAMS Pico 2 W with RP2350",
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_board_is_no_other(name):
    said = [*((t.stock, SAYS[t.stock]) for t in TARGETS.values()),
            *((n, ("rp2", machine)) for n, machine in OURS.items())]  # fmt: skip
    mine = {TARGETS[name].stock, name}
    for key, (platform, machine) in said:
        assert TARGETS[name].is_on(platform, machine) == (key in mine), machine


@pytest.mark.parametrize("stock", sorted(SAYS))
def test_what_no_board_is_for_is_taken_by_none(stock):
    taken = [t.name for t in TARGETS.values() if t.is_on(*SAYS[stock])]
    assert taken == [t.name for t in TARGETS.values() if t.stock == stock]


def test_images_are_there_for_the_boards_that_say_so():
    assert {t.name for t in TARGETS.values() if t.image} == set(OURS)
    for name, machine in OURS.items():
        header = ROOT / "tools" / "firmware" / "boards" / name / "mpconfigboard.h"
        found = re.search(r'HW_BOARD_NAME "([^"]*)"', header.read_text())[1]
        assert machine == f"{found} with {images.BOARDS[name].chip}"
        assert images.BOARDS[name].chip == TARGETS[name].chip


@pytest.mark.parametrize("name", TARGETS)
def test_metering_ics_are_those_of_its_wiring(name):
    assert "atm90e32" in metering_ics(name)


ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (.*) \|$", re.MULTILINE)


def test_the_table_of_boards_says_what_is_so():
    """docs/boards/README.md: every board has its row, with its image and MicroPython's own."""
    text = (Path(ROOT) / "docs" / "boards" / "README.md").read_text()
    section = text.split("## What is shown by what\n")[1].split("\n| image |")[0]
    rows = {name: rest.split(" | ") for name, rest in ROW.findall(section)}
    assert set(rows) == set(TARGETS)
    for name, (chip, image, stock, *_) in rows.items():
        target = TARGETS[name]
        assert chip == {"ESP32S3": "ESP32-S3", "ESP32C3": "ESP32-C3"}.get(target.chip, target.chip)
        assert image.startswith("built") == target.image
        assert f"`{target.stock}`" in stock
        assert ("no room" in stock) == (not target.files)
