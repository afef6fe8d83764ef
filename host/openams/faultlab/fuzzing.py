"""Runs fuzz.py on a runtime: slices of whole blocks in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from openams.errors import BenchError
from openams.places import PACKAGE, SHIMS, repository_root
from openams.runtimes.launch import find_micropython

TARGETS = ("hdlc", "wrapper", "server", "meter", "keyed")
BLOCK = 1000
# Links, server and their sources compiled on the VM, and what the laboratory itself needs.
_HEAP = {"meter": "4m", "keyed": "6m"}


@dataclass
class Fuzz:
    target: str
    runtime: str
    seed: int
    first: int
    count: int


def run_slice(fuzz: Fuzz) -> dict[str, Any]:
    """Figures of the slice; `failed` is the number of the case that failed, if any did."""
    root = repository_root()
    lab = PACKAGE / "faultlab"
    argv = [str(lab / "fuzz.py"), fuzz.target, str(fuzz.seed), str(fuzz.first), str(fuzz.count)]
    environment = dict(os.environ)
    if fuzz.runtime == "micropython":
        argv = [find_micropython(), "-X", f"heapsize={_HEAP.get(fuzz.target, '512k')}", *argv]
        environment["MICROPYPATH"] = f"{root}/firmware:{lab}"
    else:
        argv = [sys.executable, *argv]
        environment["PYTHONPATH"] = f"{root}/firmware:{PACKAGE.parent}:{SHIMS}"
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    if done.returncode:
        # The VM itself fell over: that is a finding, not a fault of the bench.
        why = (done.stderr or done.stdout).strip()[-300:] or f"exit code {done.returncode}"
        return {"failed": fuzz.first, "why": f"the runtime ended: {why}"}
    return dict(json.loads(done.stdout))


def run(fuzz: Fuzz, jobs: int) -> dict[str, Any]:
    """All cases, in `jobs` processes at a time."""
    blocks = -(-fuzz.count // BLOCK)
    share = max(1, -(-blocks // jobs)) * BLOCK
    slices = [
        Fuzz(fuzz.target, fuzz.runtime, fuzz.seed, at, min(share, fuzz.first + fuzz.count - at))
        for at in range(fuzz.first, fuzz.first + fuzz.count, share)
    ]
    if fuzz.target not in TARGETS:
        raise BenchError(f"no such target: {fuzz.target}")
    with ThreadPoolExecutor(jobs) as pool:
        parts = list(pool.map(run_slice, slices))
    return {
        "target": fuzz.target,
        "runtime": fuzz.runtime,
        "seed": fuzz.seed,
        "cases": fuzz.count,
        "frames": sum(part.get("frames", 0) for part in parts),
        "heap_highest": max(part.get("heap_highest", 0) for part in parts) or None,
        "heap_grown": max(part.get("heap_grown", 0) for part in parts),
        "failures": [part for part in parts if "failed" in part],
    }
