"""What takes long says how far it is: one line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys

from openams import progress
from openams.progress import Steps
from tests.conftest import DATA, ROOT


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_one_line_changes_and_nothing_is_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = Screen()
    with Steps("making", out) as steps:
        for k in range(1, 4):
            now[0] += 1
            steps.show("parts", k, 3)
        now[0] += 0.01
        steps.show("parts", 3, 3)  # too soon to be shown again
        steps.show("the rest of it " * 10)
    lines = out.getvalue().split("\r\x1b[K")
    assert lines[:5] == ["", "making: parts 1 of 3 (1 s)", "making: parts 2 of 3 (2 s)",
                         "making: parts 3 of 3 (3 s)", lines[4]]  # fmt: skip
    assert len(lines[4]) == 78 and lines[-1] == "" and "\n" not in out.getvalue()


def test_elsewhere_each_step_is_a_line_and_a_long_one_says_that_it_goes_on(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with Steps("making", out) as steps:
        for percent in range(101):
            now[0] += 0.5
            steps.show("compiling", percent)
        steps.show("packing")
        steps.note("a word")
    lines = out.getvalue().splitlines()
    assert lines[0] == "making: compiling 0 %" and lines[-2:] == ["making: packing", "a word"]
    assert 4 <= len(lines) <= 7 and "\r" not in out.getvalue()


def test_measure_says_how_far_it_is_on_a_terminal_and_its_json_is_alone(tmp_path):
    every = json.loads((DATA / "grid-cases" / "cases.json").read_text())
    few = tmp_path / "few.json"
    few.write_text(json.dumps(every[:2]))
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "openams", "measure", few,
         "--runtime", "cpython", "--json"], stdout=subprocess.PIPE, stderr=slave, cwd=ROOT,
    )  # fmt: skip
    os.close(slave)
    said = b""
    try:
        while piece := os.read(master, 65536):
            said += piece
    except OSError:
        pass
    os.close(master)
    assert done.returncode == 0 and done.stdout.startswith(b'{"runtime"')
    assert b"ams measure: cases 1 of " in said and said.endswith(b"\r\x1b[K")
