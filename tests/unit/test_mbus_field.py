"""Sub-meters and lines as the field has them: on both VMs."""

from __future__ import annotations

from pathlib import Path

import mbus_vm
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = [
    str(ROOT / path)
    for path in ("tests/unit", "host/openams/faultlab", "host/openams/emulator/models")
]
CHECKS = [name for name in vars(mbus_vm) if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_mbus(name):
    getattr(mbus_vm, name)()


def test_mbus_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport mbus_vm\nmbus_vm.main()"
    assert micropython(script, heap_kib=1024).strip() == str(len(CHECKS))
