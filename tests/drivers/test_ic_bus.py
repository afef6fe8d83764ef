"""The metering IC on a bus that spoils, dies and mishears: on both VMs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests/unit", "tests/drivers", "tests")]
sys.path += [path for path in PATHS if path not in sys.path]

import ic_vm  # noqa: E402

CHECKS = [name for name in vars(ic_vm) if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_ic(name):
    getattr(ic_vm, name)()


def test_ic_on_the_vm(micropython):
    # The tests have a folder of the same name.
    paths = [str(ROOT / path) for path in ("boards", "host", "host/openams/faultlab")] + PATHS
    script = f"import sys\nsys.path[:0] = {paths!r}\nimport ic_vm\nic_vm.main()"
    assert micropython(script, heap_kib=4096).strip() == str(len(CHECKS))
