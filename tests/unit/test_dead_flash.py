"""Requests on a flash that takes nothing: answered, told, no error of ours. On both VMs."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
LAB = TESTS.parent / "host" / "openams" / "faultlab"
sys.path.insert(0, str(TESTS / "unit"))

import dead_flash  # noqa: E402

ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import dead_flash
print(dead_flash.run())
"""


def test_every_change_on_a_dead_flash():
    assert dead_flash.run() > 110


def test_on_the_vm(micropython):
    out = micropython(ON_VM, str(LAB), str(TESTS / "unit"), heap_kib=4096)
    assert int(out) > 110
