"""Blocks of a long answer that are made while the line sends the last: on both VMs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "unit"))

import ahead_vm  # noqa: E402

ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import ahead_vm
print(ahead_vm.run(%d, %d), ahead_vm.keys_that_change_meanwhile())
"""


def test_answers_are_the_same_made_ahead_or_not():
    assert ahead_vm.run(0, 40) > 1000


def test_on_the_vm(micropython):
    out = micropython(ON_VM % (0, 12), str(TESTS), str(TESTS / "unit"), heap_kib=2048)
    assert out.split() == [str(ahead_vm.run(0, 12)), "True"]


def test_keys_that_change_meanwhile():
    assert ahead_vm.keys_that_change_meanwhile()


@pytest.mark.campaign
def test_many_dialogues():
    """OPENAMS_SEED is the first of 2000."""
    first = int(os.environ.get("OPENAMS_SEED", "1000"))
    for seed in range(first, first + 2000):
        ahead_vm.dialogue(seed)
