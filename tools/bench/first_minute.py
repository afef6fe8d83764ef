"""How long a user waits: `ams --help`, and the fixture `meter` from its first import to its meter.

Computing time of the process and its children, the least of some runs, beside what an empty Python
takes on the same machine: the ratio is what can be compared between machines.
"""

from __future__ import annotations

import os
import subprocess
import sys

RUNS = 7
HELP = "import sys; sys.argv = ['ams', '--help']; from openams.entry import main; main()"
FIXTURE = """
import tempfile
from pathlib import Path
from openams.hil.plugin import make_meter
make_meter({choice!r}, None, Path(tempfile.mkdtemp())).close()
"""
MEASURED = {
    "ams --help": HELP,
    "fixture meter, emulator": FIXTURE.format(choice="emulator"),
    "fixture meter, micropython": FIXTURE.format(choice="micropython"),
}


def seconds(code: str) -> float:
    """The least computing time of a Python that runs `code`."""
    found = []
    for _ in range(RUNS):
        before = os.times()
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        found.append(
            after.children_user + after.children_system
            - before.children_user - before.children_system
        )  # fmt: skip
    return min(found)


def main() -> None:
    empty = seconds("pass")
    print(f"{'an empty Python':<30} {empty:.3f} s")
    for name, code in MEASURED.items():
        taken = seconds(code)
        print(f"{name:<30} {taken:.3f} s, {taken / empty:.1f} times that")


if __name__ == "__main__":
    main()
