"""MicroPython's VM with words of 32 bits, for this computer: what an object takes of a heap there
is what it takes on a chip. Needs an x86-64 Debian; prints where the program is."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import sources
from problem import Problem
from shell import run

_DEBIAN = Path(__file__).parent.parent / "debian.sh"
# The rest of the port does not need them, and they want libraries of 32 bits.
_WITHOUT = ("MICROPY_PY_FFI=0", "MICROPY_PY_BTREE=0", "FROZEN_MANIFEST=")
_TLS = ("MICROPY_PY_SSL=1", "MICROPY_SSL_MBEDTLS=1", "MICROPY_SSL_AXTLS=0")


def vm32() -> Path:
    """The program, built if it is not there. Raises Problem."""
    cache = sources.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = sources.tree(cache)
        program = tree / "ports" / "unix" / "vm32" / "micropython"
        if not program.exists():
            _compiler(cache / "logs")
            _make(tree / "mpy-cross", cache / "logs" / "mpy-cross.log")
            _make(
                tree / "ports" / "unix", cache / "logs" / "vm32.log",
                "MICROPY_FORCE_32BIT=1", "BUILD=vm32", *_WITHOUT, *_TLS,
            )  # fmt: skip
    return program


def _make(folder: Path, log: Path, *words: str) -> None:
    run(["make", f"-j{os.cpu_count() or 1}", "-C", folder, *words], log)


def _compiler(logs: Path) -> None:
    """A C compiler with the libraries of 32 bits."""
    if shutil.which("cc") and shutil.which("make"):
        # A file of the C library's for 32 bits, which the compiler finds where it is installed.
        found = subprocess.run(
            ["cc", "-m32", "-print-file-name=crt1.o"], capture_output=True, text=True
        )
        if "/" in found.stdout:
            return
    words = 'debian_update "no C compiler for 32 bits" $*; debian_install $*'
    packages = ("make", "gcc", "gcc-multilib")
    run(["sh", "-euc", f'. "$0"; {words}', _DEBIAN, *packages], logs / "vm32-packages.log")


if __name__ == "__main__":
    try:
        print(vm32())
    except Problem as problem:
        sys.exit(f"vm32: {problem}")
