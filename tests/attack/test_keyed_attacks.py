"""The attacks of `keyed_attacks.py` on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "attack"))

from keyed_attacks import ATTACKS  # noqa: E402


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attack(attack):
    attack()


ON_VM = """
import gc, sys
sys.path[:0] = sys.argv[1:]
import keyed_attacks
for attack in keyed_attacks.ATTACKS:
    attack()
    gc.collect()
print(len(keyed_attacks.ATTACKS))
"""


def test_attacks_on_the_vm(micropython):
    paths = [str(ROOT / path) for path in ("tests", "tests/attack", "host/openams/faultlab")]
    assert micropython(ON_VM, *paths, heap_kib=4096).strip() == str(len(ATTACKS))
