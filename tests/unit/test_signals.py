"""Signals as parts give them, from the samples to what the meter says of them: on both VMs."""

from __future__ import annotations

from pathlib import Path

import pytest
import signals_vm

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests", "tests/unit", "host/openams/faultlab")]
CHECKS = [name for name in vars(signals_vm) if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_signal(name):
    getattr(signals_vm, name)()


def test_signals_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport signals_vm\nsignals_vm.main()"
    assert micropython(script, heap_kib=1024).strip() == str(len(CHECKS))
