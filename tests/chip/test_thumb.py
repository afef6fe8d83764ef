"""The metrology's loop in the chip's own instructions, on the emulated chip."""

import json
from pathlib import Path

import pytest

from openams.runtimes.rp2040.firmware_image import image
from openams.runtimes.rp2040.repl import ReplChip

BENCH = Path(__file__).parents[2] / "tools" / "bench"


@pytest.fixture(scope="module")
def chip():
    return ReplChip(image("pico-bench"))


def test_same_sums_as_the_plain_twin_and_fewer_cycles_than_viper(chip):
    result = json.loads(chip.run((BENCH / "on_chip" / "thumb_check.py").read_text()))
    assert result["checked"] == 20
    # Counted in cycles of the chip: the same on every machine. Viper takes 895.
    assert result["cycles_per_pair"] < 320


def test_frames_of_an_ads131m08_as_its_plain_twin_takes_them(chip):
    code = "TWINS_ALONE = True\n" + (BENCH / "on_chip" / "ads131.py").read_text()
    assert json.loads(chip.run(code))["checked"] == 15
