"""Programs that are run for the build, their output kept in a log."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from problem import Problem

_LOOK_S = 0.5


def run(
    command: Sequence[str | Path],
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    told: Callable[[int | None], None] | None = None,
) -> None:
    """`told` is given now and then how many percent make says are done, None where it does not.

    Raises Problem with the line of the log that says most."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # Called from make, its flags are not for the makes in here.
    clean = {k: v for k, v in (env or os.environ).items() if not k.startswith(("MAKE", "MFLAGS"))}
    # MicroPython's makers of tables walk through sets of names: the same way each time.
    clean["PYTHONHASHSEED"] = "0"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(c) for c in command],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env=clean,
        )  # fmt: skip
        while True:
            try:
                code = process.wait(timeout=_LOOK_S if told else None)
                break
            except subprocess.TimeoutExpired:
                assert told
                told(_percent(log))
    if code:
        raise Problem(f"{Path(command[0]).name} failed: {telling_line(log)} (all in {log})")


def _percent(log: Path) -> int | None:
    """What cmake's makefiles said last; of several that are made in it, of the last."""
    with log.open("rb") as text:
        text.seek(max(0, log.stat().st_size - 8192))
        found = re.findall(rb"^\[ *(\d+)%\]", text.read(), re.MULTILINE)
    return int(found[-1]) if found else None


def telling_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    for sign in ("too large", "overflowed", "error:", "Error:", "E:", "Error"):
        for number, line in enumerate(lines):
            if sign in line:
                # CMake says where first, and what in the next line.
                more = lines[number + 1 : number + 2] if line.endswith("(message):") else []
                return " ".join([line, *more])
    return lines[-1] if lines else "it said nothing"


def output(command: Sequence[str | Path]) -> str:
    done = subprocess.run(
        [str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise Problem(f"{Path(command[0]).name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout
