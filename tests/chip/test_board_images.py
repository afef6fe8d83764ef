"""The images of every board: they link, and are within their budgets."""

import json

import pytest

from openams.flashing.targets import TARGETS
from openams.runtimes.rp2040.firmware_image import image

NAMES = sorted(name for name, target in TARGETS.items() if target.image)
# The first block of a UF2 says for which chip it is.
FAMILIES = {"RP2040": 0xE48BFF56, "RP2350": 0xE48BFF59}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_links_and_is_in_its_budgets(name):
    built = image(name)
    sizes = json.loads((built.parent / "size.json").read_text())
    assert sizes["image"] <= sizes["image_limit"]
    assert sizes["frozen"] <= sizes["frozen_budget"]
    # The meter's budget, and half as much again.
    assert 2 * sizes["heap"] >= 3 * sizes["heap_budget"]
    if TARGETS[name].chip == "RP2350":
        assert sizes["heap"] >= 400 * 1024
    first = built.read_bytes()[:512]
    assert int.from_bytes(first[28:32], "little") == FAMILIES[TARGETS[name].chip]
