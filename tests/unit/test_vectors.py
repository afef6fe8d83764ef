"""Published vectors on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CAVP = TESTS / "data" / "gcm" / "cavp.txt"
sys.path.insert(0, str(TESTS / "unit"))

import vectors  # noqa: E402


def test_vectors():
    assert vectors.all_of(CAVP) == len(CAVP.read_text().splitlines()) > 200


def test_vectors_on_the_vm(micropython):
    script = "import sys\nsys.path.insert(0, sys.argv[1])\nimport vectors\n"
    script += "print(vectors.all_of(sys.argv[2]))"
    out = micropython(script, str(TESTS / "unit"), str(CAVP))
    assert int(out) == len(CAVP.read_text().splitlines())
