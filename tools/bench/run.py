"""`make bench`: what the meter costs, measured on this machine.

Ratios and rates, printed as a table and, with --json, as one object. Nothing
here is a test: a number that is slow today fails nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from openams.runtimes.launch import HEAP_KIB, command

ROOT = Path(__file__).resolve().parents[2]
AMS = Path(sys.executable).with_name("ams")
DAY = ROOT / "tests" / "data" / "kaifa_ma304h3e_2017-09-15.csv"


def kernel(runtime: str) -> dict[str, Any]:
    argv, environment = command(runtime)
    argv[-1] = str(Path(__file__).with_name("kernel_vm.py"))
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def run(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(AMS), "run", "--json", *arguments], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def measure() -> dict[str, Any]:
    result: dict[str, Any] = {name: kernel(name) for name in ("micropython", "cpython")}
    for runtime in ("micropython", "cpython"):
        quantities = run(
            "--scenario", str(DAY), "--speed", "max", "--han-open", "--runtime", runtime
        )
        sampled = run("--scenario", "fault", "--speed", "max", "--duration", "60", "--han-open",
                      "--runtime", runtime)  # fmt: skip
        result[runtime]["simulated_s_per_s_quantities"] = round(
            quantities["simulated_s"] / quantities["wall_s"]
        )
        result[runtime]["simulated_s_per_s_samples"] = round(
            sampled["simulated_s"] / sampled["wall_s"], 1
        )
        if quantities["heap"]["used"] is not None:
            result[runtime]["heap_used_after_day"] = quantities["heap"]["used"]
            result[runtime]["heap_used_sampling_3P4W"] = sampled["heap"]["used"]
            result[runtime]["heap_kib"] = HEAP_KIB
    vm = result["micropython"]
    vm["viper_gain"] = round(vm["plain_ns_per_pair"] / vm["viper_ns_per_pair"], 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure()
    if arguments.json:
        print(json.dumps(result))
        return
    names = sorted({name for figures in result.values() for name in figures})
    print(f"{'':34}" + "".join(f"{runtime:>14}" for runtime in result))
    for name in names:
        cells = "".join(f"{figures.get(name, ''):>14}" for figures in result.values())
        print(f"{name:34}{cells}")


if __name__ == "__main__":
    main()
