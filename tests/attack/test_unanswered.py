"""The attacks of `unanswered.py` on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "attack"))

from attacks import unharmed  # noqa: E402
from unanswered import ATTACKS  # noqa: E402


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attack(attack):
    unharmed(attack())


ON_VM = """
import gc, sys
sys.path[:0] = sys.argv[1:]
import attacks, unanswered
for attack in unanswered.ATTACKS:
    attacks.unharmed(attack())
    gc.collect()
print(len(unanswered.ATTACKS))
"""


def test_attacks_on_the_vm(micropython):
    paths = (str(TESTS), str(TESTS / "attack"))
    assert micropython(ON_VM, *paths, heap_kib=512).strip() == str(len(ATTACKS))
