"""A script on both Pythons: drivers and chip models run on CPython and MicroPython alike."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pytest
from wiring import board

from tests.conftest import run_micropython

PATHS = ("host/openams/emulator/boardshims", "firmware", "boards", "host")


def run_twice(script: str) -> str:
    """Its output, which must be the same on CPython and on the MicroPython VM."""
    board.clear()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(script, "<twin>", "exec"), {"__name__": "__main__"})
    other = run_micropython(script, paths=PATHS, heap_kib=512)
    assert other == out.getvalue()
    return other


@pytest.fixture
def twin() -> Callable[[str], str]:
    return run_twice
