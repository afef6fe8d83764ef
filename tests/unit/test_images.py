"""State images of every bad kind, on both VMs: said, kept, never overwritten unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import images_vm

ROOT = Path(__file__).resolve().parents[2]
CASES = 80


def test_bad_images(tmp_path: Path) -> None:
    count, wrong = images_vm.run(str(tmp_path / "flash.bin"))
    assert wrong == [] and count >= CASES


def test_bad_images_on_the_vm(micropython: Any, tmp_path: Path) -> None:
    paths = [str(ROOT / "host/openams/faultlab"), str(ROOT / "tests/unit")]
    script = f"import sys\nsys.path[:0] = {paths!r}\nimport json, images_vm\n"
    script += f"print(json.dumps(images_vm.run({str(tmp_path / 'flash.bin')!r})))"
    count, wrong = json.loads(micropython(script, heap_kib=16384))
    assert wrong == [] and count >= CASES
