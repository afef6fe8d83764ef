"""Points behind instrument transformers: on both VMs."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers_vm

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests/unit", "host/openams/faultlab")]


@pytest.mark.parametrize("test", transformers_vm.TESTS, ids=lambda test: test.__name__)
def test_of_a_point(test):
    assert test() == 1


def test_on_the_vm(micropython):
    script = (
        f"import sys\nsys.path[:0] = {PATHS!r}\nimport transformers_vm as vm\nprint(vm.all_of())"
    )
    assert micropython(script, heap_kib=4096).strip() == str(len(transformers_vm.TESTS))
