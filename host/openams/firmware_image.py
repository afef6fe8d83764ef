"""Firmware images, built by tools/firmware when they are not there or no longer up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from openams.errors import BenchError

_ROOT = Path(__file__).parents[2]
_TOOL = _ROOT / "tools" / "firmware" / "build.py"


def image(board: str) -> Path:
    """The UF2 of a board. OPENAMS_IMAGES names a folder with ready ones: BOARD/firmware.uf2."""
    ready = os.environ.get("OPENAMS_IMAGES")
    if ready:
        path = Path(ready) / board / "firmware.uf2"
        if not path.exists():
            raise BenchError(f"no {path}: build it with  make firmware BOARD={board}")
        return path
    if not _TOOL.exists():
        raise BenchError("firmware images are built in a checkout: set OPENAMS_IMAGES instead")
    done = subprocess.run(
        [sys.executable, str(_TOOL), board, "--quiet"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise BenchError((done.stderr.strip().splitlines() or ["the image build failed"])[-1])
    return Path(done.stdout.strip().splitlines()[-1])
