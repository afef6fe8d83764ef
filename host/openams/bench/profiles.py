"""Profiles and event logs of a meter: as rows with names, as CSV, as a picture."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any

from openams.client.event_details import means
from openams.client.firmware_names import LOGS
from openams.client.names import status_names
from openams.csvtable import shown
from openams.errors import BenchError
from openams.meter_time import NORWAY, local_text, to_utc_ms
from openams.runtimes.process import MeterProcess
from openams.runtimes.state import FLASH_SIZE, StateImage
from openams.terminal import say

NAMES = ("load", "daily", "monthly", "voltage", "events")
# Load profile: the first four, behind transformers all. The process gives them in these units.
_ENERGIES = (
    "a_plus_mwh", "a_minus_mwh", "r_plus_mvarh", "r_minus_mvarh",
    "r_q1_mvarh", "r_q2_mvarh", "r_q3_mvarh", "r_q4_mvarh",
)  # fmt: skip


def named(name: str, row: list[Any]) -> dict[str, Any]:
    """A row as the process gives it, with names. Times are local with their offset."""
    if name == "events":
        number, utc_ms, log, code, text, detail, extra = row
        return {
            "number": number,
            "time": local_text(utc_ms),
            "log": LOGS[log],
            "code": code,
            "name": text,
            "detail": detail,
            "extra": extra,
            "means": means(code, detail, extra),
        }
    if name == "voltage":
        utc_s, measured_s, status, *values = row
        out: dict[str, Any] = {"time": local_text(utc_s * 1000), "measured_s": measured_s}
        out["status"] = status
        for k in range(3):
            for j, what in enumerate(("min", "mean", "max")):
                out[f"u{k + 1}_{what}_v"] = values[3 * k + j] / 10
                out[f"i{k + 1}_{what}_a"] = values[9 + 3 * k + j] / 1000
        return out
    if name == "load":
        number, utc_s, status, length_s, *values = row
        return {
            "number": number,
            "time": local_text(utc_s * 1000),
            "length_s": length_s,
            "status": status,
            "status_names": status_names(status),
            **dict(zip(_ENERGIES, values, strict=False)),
        }
    number, utc_s, status, *values = row
    return {
        "number": number,
        "time": local_text(utc_s * 1000),
        "status": status,
        "status_names": status_names(status),
        **dict(zip(_ENERGIES, values, strict=True)),
    }


def read(folder: Path, name: str, runtime: str, **limits: Any) -> list[dict[str, Any]]:
    """The entries of one profile of a state image, read by the firmware, which writes nothing."""
    if name not in NAMES:
        raise BenchError(f"no profile {name!r}: choose one of {', '.join(NAMES)}")
    if not (folder / "flash.bin").exists():
        raise BenchError(f"no state image in {folder}: name the folder given to `ams run --state`")
    state = StateImage(folder)
    try:
        found, rows = _stored(state.path, name, runtime, **limits)
    finally:
        state.close()
    for line in found:
        say(f"ams: storage: {line}", error=True)
    return [named(name, row) for row in rows]


def _stored(
    image: Path, name: str, runtime: str, **limits: Any
) -> tuple[list[str], list[list[Any]]]:
    """What is odd in an image, and the rows of one profile, as the process gives them."""
    process = MeterProcess(runtime)
    try:
        built = process.configure(
            {
                "system": "inspect",
                "flash": str(image),
                "flash_size": FLASH_SIZE,
            }
        )
        return built["found"], process.rows(name, **limits)
    finally:
        process.kill()


def events_before(image: Path, newest: list[list[Any]], numbers: list[int]) -> list[list[Any]]:
    """The stored events of a run that came before the `newest`, in the order of their times.

    `numbers`: that of each log's newest event when the run began. What the rings no longer
    hold is not there.
    """
    held = Counter(event[4] for event in newest)
    out: list[list[Any]] = []
    _, rows = _stored(image, "events", "cpython")
    for log, name in enumerate(LOGS):
        of_run = [row for row in rows if row[2] == log and row[0] > numbers[log]]
        for _, utc_ms, _, code, text, detail, extra in of_run[: max(0, len(of_run) - held[name])]:
            out.append([utc_ms, code, text, detail, name, extra])
    return sorted(out, key=lambda event: int(event[0]))


def write_csv(rows: Iterable[dict[str, Any]], out: IO[str]) -> None:
    rows = list(rows)
    if not rows:
        return
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        if "status_names" in row:
            row = {**row, "status_names": " ".join(row["status_names"])}
        if "means" in row:
            row = {**row, "means": " ".join(f"{k}={v}" for k, v in row["means"].items())}
        writer.writerow({name: shown(value) for name, value in row.items()})


def day_limits(day: date) -> tuple[int, int]:
    """From just after a local midnight to the next, as the times of the intervals that end."""
    start = datetime.combine(day, time(), NORWAY)
    end = datetime.combine(day + timedelta(days=1), time(), NORWAY)
    return to_utc_ms(start) + 1, to_utc_ms(end)


def plot(rows: list[dict[str, Any]], width: int = 48) -> str:
    """Mean power of each interval as bars; what is marked says so."""
    powers = [
        (row["a_plus_mwh"] - row["a_minus_mwh"]) * 3.6 / max(row["length_s"], 1) for row in rows
    ]
    largest = max([1.0, *map(abs, powers)])
    out = [f"{'interval ends':<17}{'mean W':>9}  bar of {largest:.0f} W: + import, - export"]
    for row, power in zip(rows, powers, strict=True):
        bar = ("+" if power >= 0 else "-") * round(abs(power) / largest * width)
        marks = " ".join(name for name in row["status_names"] if name != "dst")
        out.append(
            f"{row['time'][5:16].replace('T', ' '):<17}{power:>9.1f}  {bar} {marks}".rstrip()
        )
    return "\n".join(out)
