"""Loads that SimBench measured: weeks of its profiles, of each month one. May be used by the field
alone; quarters.csv is data of others, LICENSE says whose.

A load `simbench:A+B` is the sum of some of them, of each its rated power times a site's own scale.
"""

from __future__ import annotations

import csv
import functools
from array import array
from pathlib import Path

from openams.errors import BenchError

PREFIX = "simbench:"
# Rated powers in W. SimBench rates homes 1 to 12 kW, shops 8 to 13, farms 3 to 14.
RATED_W = {
    "H0-A": 6_000,
    "H0-C": 5_000,
    "H0-G": 6_000,
    "H0-L": 6_000,
    "G1-A": 11_000,
    "L1-A": 9_000,
    "heat-pump": 4_000,
    "ev": 11_000,
    "pv": -10_000,
    "hydro": -20_000,
}
_MONTH = 7 * 96


def parts(name: str) -> list[str]:
    """Of `simbench:A+B`; BenchError if there is no such."""
    found = name.removeprefix(PREFIX).split("+")
    unknown = [part for part in found if part not in RATED_W]
    if unknown:
        raise BenchError(
            f"profile {name!r}: SimBench's are {', '.join(RATED_W)}, also several, as "
            f"{PREFIX}H0-A+pv"
        )
    return found


@functools.cache
def _columns() -> dict[str, array[int]]:
    """Thousandths of the rated power: by month, weekday from Monday on, and quarter of the day."""
    with (Path(__file__).parent / "quarters.csv").open(newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        columns = zip(*rows, strict=True)
        return {name: array("h", map(int, one)) for name, one in zip(names, columns, strict=True)}


def powers(names: list[str], month: int, weekday: int, quarter: int) -> tuple[int, int]:
    """(W, var) of a local quarter at rated power; month from 0 on."""
    place = month * _MONTH + weekday * 96 + quarter
    columns = _columns()
    active = reactive = 0
    for name in names:
        rated = RATED_W[name]
        active += rated * columns[name][place] // 1000
        if f"{name} q" in columns:
            reactive += rated * columns[f"{name} q"][place] // 1000
    return active, reactive
