"""Modes A and C at the optical port, with the line's own time: on both VMs."""

from __future__ import annotations

from pathlib import Path

import pytest
import readout_rules

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("boards", "tests", "tests/unit", "host/openams/faultlab")]
CHECKS = [name for name in vars(readout_rules) if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_readout(name):
    getattr(readout_rules, name)()


def test_readout_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport readout_rules\nreadout_rules.main()"
    assert micropython(script, heap_kib=8192).strip() == str(len(CHECKS))
