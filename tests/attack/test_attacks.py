"""The attacks of `attacks.py` on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "attack"))

from attacks import ATTACKS, unharmed  # noqa: E402


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attack(attack):
    bench = attack()
    if bench is not None:
        unharmed(bench)


ON_VM = """
import gc, sys
sys.path[:0] = sys.argv[1:]
import attacks
attacks.GUESSES = 3000
for attack in attacks.ATTACKS:
    bench = attack()
    if bench is not None:
        attacks.unharmed(bench)
    bench = None
    gc.collect()
print(len(attacks.ATTACKS))
"""


def test_attacks_on_the_vm(micropython):
    paths = (str(TESTS), str(TESTS / "attack"))
    assert micropython(ON_VM, *paths, heap_kib=512).strip() == str(len(ATTACKS))
