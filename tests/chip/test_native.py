"""The emulator compiled for this Python runs the chip as the wheel's own does, cycle by cycle."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from openams.runtimes.rp2040 import native

PROGRAM = """
import hashlib, sys
from pathlib import Path
from openams.runtimes.rp2040.machine import Machine
import rp2040py.native._rp2040 as core
machine = Machine(Path(sys.argv[1]))
machine.run(150)
print(core.__file__)
chip = machine.chip
print(chip.core.cycles, list(chip.core.registers), hashlib.sha256(chip.sram).hexdigest())
"""


def run(image, environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(image)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    file, result = done.stdout.split("\n", 1)
    return file, result


def test_both_run_the_same(image):
    if not native.can_build():
        pytest.skip("no C compiler with the headers of this Python")
    quick, result = run(image, {})
    plain, expected = run(image, {native.AS_IT_COMES: "1"})
    assert "rp2040py" in plain and "site-packages" in plain
    assert "emulator" in quick and quick != plain
    assert result == expected


def test_without_a_compiler_it_runs_as_it_comes(image, tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path), "CC": "no-such-compiler"}
    file, result = run(image, environment)
    assert "site-packages" in file and str(tmp_path) not in file
    assert int(result.split()[0]) > 10_000
