"""Runs powercut.py on a runtime: a slice of the operations in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.grid.frontend import make_front_end
from openams.places import PACKAGE, SHIMS, repository_root
from openams.runtimes.process import find_micropython
from openams.session import DEFAULT_METER_ID
from openams.state import FLASH_SIZE

TORN = ("clean", "bytes", "bits")
# A small flash, so that every ring wraps within the work: registers 2 sectors,
# load profile 3, and so on (see storage/layout.py).
_SECTORS = 37
_SHARES = (2, 2, 2, 2, 2, 3, 3, 3, 3, 0)
# The laboratory keeps the flash and its history on the heap, the meter is a small part of it.
_HEAP = "128m"


@dataclass
class Campaign:
    runtime: str
    operations: int
    torn: list[str]
    second: bool
    seed: int
    every: int
    image: Path | None = None


def run_part(campaign: Campaign, part: int, parts: int) -> dict[str, Any]:
    """Cuts at operations `part * every`, and then each `parts * every`."""
    root = repository_root()
    script = PACKAGE / "faultlab" / "powercut.py"
    request = {
        "config": {
            "system": "3P4W",
            "calibration": make_front_end("ideal", "3P4W", 1).calibration("3P4W"),
            "identity": {"meter_id": DEFAULT_METER_ID},
            "han": {"format": "kaifa"},
        },
        "sectors": FLASH_SIZE // 4096 if campaign.image else _SECTORS,
        "shares": None if campaign.image else _SHARES,
        "image": str(campaign.image) if campaign.image else None,
        "operations": campaign.operations,
        "torn": [None if name == "clean" else name for name in campaign.torn],
        "second": campaign.second,
        "seed": campaign.seed,
        "of": parts * campaign.every,
        "part": part * campaign.every,
    }
    environment = dict(os.environ)
    paths = [str(root / "firmware")]
    if campaign.runtime == "micropython":
        argv = [find_micropython(), "-X", f"heapsize={_HEAP}", str(script)]
        environment["MICROPYPATH"] = ":".join(paths)
    else:
        argv = [sys.executable, str(script)]
        paths.append(str(SHIMS))
        environment["PYTHONPATH"] = ":".join(paths)
    done = subprocess.run(
        argv, input=json.dumps(request), env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise BenchError(f"the campaign failed: {(done.stderr or done.stdout).strip()[-300:]}")
    out: dict[str, Any] = {"failed": []}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if "failure" in message:
            out["failed"].append(message)
        else:
            out.update(message)
    return out
