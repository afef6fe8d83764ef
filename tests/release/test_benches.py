"""The benchmarks that documents name begin and end: small, for figures come from whole ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

BENCHES = (
    ("collect.py", "--help"),
    ("elhub.py", "--points", "20"),
    ("field.py", "2", "1"),
    ("headend.py", "--meters", "5"),
    ("keys.py", "60"),
    ("sessions.py", "--sessions", "4"),
    ("vee.py", "--help"),
)


@pytest.mark.parametrize("words", BENCHES, ids=lambda words: words[0])
def test_a_benchmark_runs(words):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "bench" / words[0]), *words[1:]],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip(), done.stderr[-2000:]
