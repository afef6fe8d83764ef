"""The tests of a rig on the emulated chip: a slice of them; `--meter rp2040` runs them all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.campaign
def test_the_same_tests_pass_on_the_chip(tmp_path):
    """The HAN port shows a load, the register counts it, without one it stands."""
    report = tmp_path / "hil.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", ROOT / "tests" / "hil" / "test_hil_meter.py",
         "--meter=rp2040", f"--junitxml={report}", f"--rootdir={ROOT}",
         f"-c{ROOT / 'pyproject.toml'}", "-p", "no:cacheprovider",
         "-k", "load[2300] or no_load or counts_the_load"],
        cwd=tmp_path, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert 'tests="3"' in report.read_text()
