"""A break at the service port, on both Pythons; tests/chip/test_stuck_lines.py has the chip."""

from __future__ import annotations

from pathlib import Path

import break_vm
import pytest


@pytest.mark.parametrize("name", break_vm.CHECKS)
def test_on_cpython(name):
    getattr(break_vm, name)()


def test_on_both(twin):
    here = str(Path(__file__).parent)
    out = twin(f"import sys\nsys.path.insert(0, {here!r})\nimport break_vm\nbreak_vm.main()")
    assert out.split() == break_vm.CHECKS
