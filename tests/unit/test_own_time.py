"""Own time: nothing that acts by time is moved by setting the clock. On both VMs."""

from __future__ import annotations

from pathlib import Path

import own_time_vm
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests", "tests/unit", "host/openams/faultlab")]


@pytest.mark.parametrize("kind", own_time_vm.KINDS)
def test_acts_once_when_its_time_has_passed(kind):
    assert own_time_vm.run(kind) == len(own_time_vm.WAYS)
