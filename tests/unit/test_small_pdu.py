"""Every size that a client may take at the most, on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "unit"))

import small_pdu  # noqa: E402

SIZES = [*range(12, 66), 127, 128, 129, 134, 135, 136, 137, 255, 1000, 1024, 0xFFFF]
ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import small_pdu
print(small_pdu.run([12, 13, 30, 31, 43, 44, 63, 64, 128]))
"""


def test_every_answer_fits():
    assert small_pdu.run(SIZES) == len(SIZES)


def test_on_the_vm(micropython):
    out = micropython(ON_VM, str(TESTS), str(TESTS / "unit"), heap_kib=512)
    assert out.strip() == "9"
