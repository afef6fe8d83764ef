"""`ams powercut`: the power goes at every flash operation of a meter's work."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from openams.errors import BenchError
from openams.faultlab.campaign import TORN, Campaign, run_part
from openams.runtimes.process import RUNTIMES
from openams.state import FLASH_SIZE


def powercut(
    every: Annotated[
        bool, typer.Option("--every", help="Cut at every operation (else at every 25th).")
    ] = False,
    state: Annotated[
        Path | None, typer.Option(help="Begin with a copy of the image in this folder.")
    ] = None,
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUNTIMES)}.")] = "micropython",
    operations: Annotated[int, typer.Option(help="Flash operations of the work.")] = 2000,
    torn: Annotated[str, typer.Option(help="clean, bytes, bits or all.")] = "all",
    second: Annotated[
        bool, typer.Option("--second", help="Cut the start after each cut too, everywhere.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the work and of what tears.")] = 1,
    jobs: Annotated[int, typer.Option(help="Processes at a time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Cut the power at flash operations; every start afterwards must find all that was kept."""
    if runtime not in RUNTIMES:
        raise BenchError(f"--runtime {runtime!r} is unknown: choose one of {', '.join(RUNTIMES)}")
    if torn not in (*TORN, "all"):
        raise BenchError(f"--torn {torn!r} is unknown: choose one of {', '.join(TORN)}, all")
    if not 10 <= operations <= 1_000_000 or not 1 <= jobs <= 64:
        raise BenchError("--operations goes from 10 to 1000000, --jobs from 1 to 64")
    image = None
    if state:
        image = state / "flash.bin"
        if not image.exists() or image.stat().st_size != FLASH_SIZE:
            raise BenchError(f"no state image of {FLASH_SIZE} bytes in {state}")
    campaign = Campaign(
        runtime=runtime,
        operations=operations,
        torn=[torn] if torn != "all" else list(TORN),
        second=second,
        seed=seed,
        every=1 if every else 25,
        image=image,
    )
    with ThreadPoolExecutor(jobs) as pool:
        parts = list(pool.map(lambda part: run_part(campaign, part, jobs), range(jobs)))
    result: dict[str, Any] = {
        "runtime": runtime,
        "seed": seed,
        "operations": parts[0]["operations"],
        "minutes": parts[0]["minutes"],
        "cuts": sum(part["tried"] for part in parts),
        "second_cuts": sum(part["second"] for part in parts),
        "failures": [failure for part in parts for failure in part["failed"]],
    }
    if as_json:
        print(json.dumps(result))
    else:
        print(
            f"{result['operations']} flash operations in {result['minutes']} steps of work; "
            f"{result['cuts']} cuts, {result['second_cuts']} second cuts, "
            f"{len(result['failures'])} failures"
        )
        for failure in result["failures"][:20]:
            torn_as = failure["torn"] or "clean"
            print(f"  operation {failure['operation']} ({torn_as}): {failure['failure']}")
    if result["failures"]:
        raise typer.Exit(1)
