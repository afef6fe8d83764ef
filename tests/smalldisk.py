"""A disk of its own for a test, small enough to be filled."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, size_kib: int):
    """A disk of so many KiB at `folder`; root mounts it."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size_kib}k", "openams-small", str(folder)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leaves it no room; the file to remove for some."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast
