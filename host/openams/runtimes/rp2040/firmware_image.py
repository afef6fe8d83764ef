"""Firmware images, built by tools/firmware when they are not there or no longer up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from openams.errors import BenchError
from openams.progress import Steps

_ROOT = Path(__file__).parents[4]
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
    process = subprocess.Popen(
        [sys.executable, str(_TOOL), board, "--quiet"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stderr
    said = ""
    with Steps(f"firmware for {board}") as steps:
        for line in process.stderr:
            # What the tool does, in its plain lines; or why it could not.
            said = line.strip() or said
            if said.startswith(f"firmware for {board}: "):
                steps.show(said.split(": ", 1)[1])
    found = process.stdout.read().strip().splitlines()
    if process.wait() or not found:
        raise BenchError(said or "the image build failed")
    return Path(found[-1])
