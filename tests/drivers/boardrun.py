"""Scenarios of a board's code on the emulated modules of MicroPython, on both Pythons."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from openams.runtimes.launch import find_micropython
from tests.conftest import ROOT

HERE = Path(__file__).parent
SHIMS = "host/openams/emulator/boardshims"


def run_board(python: str, script: str, code: tuple[str, ...], directory: Path, *words) -> str:
    """What the scenario prints, run in `directory`; `code`: folders of the board's own."""
    paths = [str(ROOT / path) for path in (SHIMS, "firmware", *code, "boards", "host")]
    environment = dict(os.environ)
    argv = [str(HERE / script), *map(str, words)]
    if python == "micropython":
        environment["MICROPYPATH"] = ":".join(paths)
        argv = [find_micropython(), "-X", "heapsize=6M", *argv]
    else:
        paths.append(str(ROOT / "host/openams/emulator/shims"))
        environment["PYTHONPATH"] = ":".join(paths)
        argv = [sys.executable, *argv]
    done = subprocess.run(
        argv, env=environment, cwd=directory, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
