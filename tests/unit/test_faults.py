"""What fails in one part of a meter stops no other, and is told: on both VMs."""

from __future__ import annotations

from pathlib import Path

import fault_vm
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = (str(ROOT / "tests/unit"), str(ROOT / "host/openams/faultlab"))
CHECKS = [name for name in vars(fault_vm) if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_fault(name):
    getattr(fault_vm, name)()


def test_faults_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {list(PATHS)!r}\nimport fault_vm\nfault_vm.main()"
    assert micropython(script, heap_kib=2048).strip() == str(len(CHECKS))
