"""Proofs that are none, on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "attack"))

import proofs  # noqa: E402

ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import proofs
print(proofs.run())
"""


def test_each_is_answered_and_ends_the_association():
    assert proofs.run() == 12 * len(proofs.PROOFS)


def test_on_the_vm(micropython):
    out = micropython(ON_VM, str(TESTS), str(TESTS / "attack"), heap_kib=512)
    assert int(out) == 12 * len(proofs.PROOFS)
