"""What a flood of requests costs the flash, and that none acts twice for it: on both VMs."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
LAB = TESTS.parent / "host" / "openams" / "faultlab"
sys.path.insert(0, str(TESTS / "attack"))

import flash_wear  # noqa: E402

ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import flash_wear
print(flash_wear.run(400))
"""


def test_floods_of_requests():
    flash_wear.floods(200)


def test_nothing_that_was_done_is_done_again():
    assert flash_wear.replays(150) == 150


def test_on_the_vm(micropython):
    out = micropython(ON_VM, str(LAB), str(TESTS / "attack"), heap_kib=4096)
    assert int(out) == 150
