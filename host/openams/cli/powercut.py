"""`ams powercut`: the power goes at every flash operation of a meter's work."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from openams.bench.options import DEFAULT_METER_ID
from openams.cli.common import JsonObjectOption
from openams.errors import BenchError
from openams.faultlab.campaign import LAST, TORN, Campaign, Part
from openams.runtimes.launch import RUNTIMES
from openams.terminal import say

_SAY_EVERY_S = 10.0


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
    update: Annotated[
        bool, typer.Option("--update", help="The work is a firmware update, to its end.")
    ] = False,
    halves: Annotated[
        bool, typer.Option("--halves", help="With --update: of a whole firmware, in two halves.")
    ] = False,
    operation: Annotated[
        int | None, typer.Option(metavar="N", help="Cut at this one only: plays a failure again.")
    ] = None,
    from_: Annotated[
        int, typer.Option("--from", metavar="N", help="Begin here: goes on with a run that ended.")
    ] = 0,
    meter_id: Annotated[
        str, typer.Option(help="Whose image it is: its GS1 number.")
    ] = DEFAULT_METER_ID,
    seed: Annotated[int, typer.Option(help="Seed of the work and of what tears.")] = 1,
    jobs: Annotated[int, typer.Option(help="Processes at a time.")] = 2,
    as_json: JsonObjectOption = False,
) -> None:
    """Cut the power at flash operations; every start afterwards must find all that was kept."""
    if runtime not in RUNTIMES:
        raise BenchError(f"--runtime {runtime!r} is unknown: choose one of {', '.join(RUNTIMES)}")
    if torn not in (*TORN, "all"):
        raise BenchError(f"--torn {torn!r} is unknown: choose one of {', '.join(TORN)}, all")
    if not 10 <= operations <= 1_000_000 or not 1 <= jobs <= 64:
        raise BenchError("--operations goes from 10 to 1000000, --jobs from 1 to 64")
    if from_ < 0 or (operation or 0) < 0:
        raise BenchError("operations are numbered from 0: give --operation or --from no less")
    image = None
    if state:
        image = state / "flash.bin"
        if not image.is_file():
            raise BenchError(f"no state image {image}: make one with ams run --state {state}")
    campaign = Campaign(
        runtime=runtime,
        operations=operations,
        torn=[torn] if torn != "all" else list(TORN),
        second=second,
        seed=seed,
        every=1 if every or operation is not None else 25,
        image=image,
        meter_id=meter_id,
        first=from_ if operation is None else operation,
        last=LAST if operation is None else operation,
        update=update or halves,
        halves=halves,
    )
    parts = _play(campaign, jobs if operation is None else 1)
    counts = [part.counts for part in parts]
    if not sum(count["tried"] for count in counts):
        most = counts[0]["operations"] - 1
        raise BenchError(f"nothing was cut: the operations of this work are 0 to {most}")
    result: dict[str, Any] = {
        "runtime": runtime,
        "seed": seed,
        "operations": counts[0]["operations"],
        "minutes": counts[0]["minutes"],
        "cuts": sum(count["tried"] for count in counts),
        "second_cuts": sum(count["second"] for count in counts),
        "failures": [failure for part in parts for failure in part.failed],
    }
    if as_json:
        say(json.dumps(result))
    else:
        say(
            f"{result['operations']} flash operations in {result['minutes']} minutes of work; "
            f"{result['cuts']} cuts, {result['second_cuts']} second cuts, "
            f"{len(result['failures'])} failures"
        )
        for failure in result["failures"][:20]:
            say(f"  operation {_where(failure)}: {failure['failure']}")
    if result["failures"]:
        raise typer.Exit(1)


def _where(failure: dict[str, Any]) -> str:
    text = f"{failure['operation']} ({failure['torn'] or 'clean'})"
    if "second" in failure:
        text += f", then {failure['second']} of the start ({failure['second_torn'] or 'clean'})"
    return text


def _play(campaign: Campaign, jobs: int) -> list[Part]:
    """Runs the parts side by side; says how far they are, on stderr."""
    parts = [Part(campaign, part, jobs) for part in range(jobs)]
    said = [time.monotonic()]

    def on_message() -> None:
        now = time.monotonic()
        if now - said[0] < _SAY_EVERY_S:
            return
        said[0] = now
        counts = [part.counts for part in parts]
        say(
            f"operation {min(count['done'] for count in counts)} of {counts[0]['operations']}: "
            f"{sum(count['tried'] for count in counts)} cuts, "
            f"{sum(count['second'] for count in counts)} second cuts, "
            f"{sum(len(part.failed) for part in parts)} failures",
            error=True,
        )

    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(part.run, on_message) for part in parts]
        try:
            for run in runs:
                run.result()
        except BaseException:
            for part in parts:
                part.stop()
            raise
    return parts
