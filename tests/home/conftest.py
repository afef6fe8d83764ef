"""A script on both Pythons, and brokers that are started once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from openams.runtimes.launch import find_micropython
from tests.conftest import ROOT

PATHS = ("firmware", "boards/unix", "boards", "tests/home")
PYTHONS = ("cpython", "micropython")


def command(python: str, script: str, *argv: str) -> tuple[list[str], dict[str, str]]:
    """(argv, environment) of a script of this folder."""
    paths = [str(ROOT / path) for path in PATHS]
    if python == "micropython":
        environment = dict(os.environ, MICROPYPATH=":".join(paths))
        first = [find_micropython(), "-X", "heapsize=1M"]
    else:
        paths.append(str(ROOT / "host/openams/emulator/shims"))
        environment = dict(os.environ, PYTHONPATH=":".join(paths))
        first = [sys.executable]
    return [*first, str(ROOT / "tests" / "home" / script), *argv], environment


def run(python: str, script: str, *argv: str) -> str:
    """Its output."""
    arguments, environment = command(python, script, *argv)
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def twin():
    """Runs a script of this folder on both; what they print has to be the same."""

    def both(script: str, *argv: str) -> str:
        here = run("cpython", script, *argv)
        assert run("micropython", script, *argv) == here
        return here

    return both
