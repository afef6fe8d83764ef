"""The services, dialogue by dialogue, on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "unit"))

from dialogues import DIALOGUES, run  # noqa: E402


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name):
    run(name)


ON_VM = """
import gc, sys
sys.path[:0] = sys.argv[1:]
import dialogues
for name in dialogues.DIALOGUES:
    dialogues.run(name)
    gc.collect()
print(len(dialogues.DIALOGUES))
"""


def test_dialogues_on_the_vm(micropython):
    out = micropython(ON_VM, str(TESTS), str(TESTS / "unit"), heap_kib=512)
    assert out.strip() == str(len(DIALOGUES))
