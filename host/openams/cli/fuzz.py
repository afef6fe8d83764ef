"""`ams fuzz`: mutated frames into the links and the DLMS server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from openams.cli.common import JsonObjectOption
from openams.errors import BenchError
from openams.faultlab.fuzzing import TARGETS, Fuzz, run
from openams.runtimes.launch import RUNTIMES
from openams.terminal import say


def fuzz(
    target: Annotated[str, typer.Option(help=f"{', '.join(TARGETS)} or all.")] = "all",
    runtime: Annotated[str, typer.Option(help="cpython or micropython.")] = "micropython",
    count: Annotated[int, typer.Option(help="Cases for each target.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the cases.")] = 1,
    case: Annotated[
        int | None, typer.Option(help="Replay up to this case, from the start of its block.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes at a time.")] = 2,
    as_json: JsonObjectOption = False,
) -> None:
    """Send mutated frames: no exception may escape, the heap may not grow, the meter answers on."""
    if target not in (*TARGETS, "all"):
        raise BenchError(f"--target {target!r} is unknown: choose one of {', '.join(TARGETS)}, all")
    if runtime not in RUNTIMES or runtime not in ("cpython", "micropython"):
        raise BenchError(f"--runtime {runtime!r} does not fuzz: choose cpython or micropython")
    if not 1 <= count <= 100_000_000 or not 1 <= jobs <= 64 or (case is not None and case < 0):
        raise BenchError("--count goes from 1 to 100000000, --jobs from 1 to 64, --case from 0")
    results = []
    for name in TARGETS if target == "all" else (target,):
        first = 0 if case is None else case
        cases = count if case is None else 1
        results.append(run(Fuzz(name, runtime, seed, first, cases), jobs))
    if as_json:
        say(json.dumps({"runtime": runtime, "seed": seed, "targets": results}))
    else:
        for result in results:
            heap = result["heap_highest"]
            used = f", heap at most {heap} octets, grown by {result['heap_grown']}" if heap else ""
            failed = len(result["failures"])
            say(f"{result['target']}: {result['frames']} frames, {failed} failures{used}")
            for failure in result["failures"]:
                say(f"  case {failure['failed']}: {failure['why']}")
    if any(result["failures"] for result in results):
        raise typer.Exit(1)
