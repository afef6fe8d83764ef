"""`python tools/bench/vee.py`: how far estimates are from the truth, and what a day costs.

Error: sum of |estimate - truth| over sum of truth (WAPE), of ours, of a flat estimate, and of the
same weekday a week ago; where the total is known all three have it. SimBench, if its two profile
files are there (--simbench FOLDER; PyPI `simbench`, ODbL), are other people's series.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from households import KINDS, Series, household

from openams.grid.registry import load as load_scenario
from openams.headend.vee import Day, Point, Reading, RegisterSpan, evaluate
from openams.headend.vee.calendar import starts
from openams.headend.vee.cases import load
from openams.meter_time import NORWAY

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
HISTORY_DAYS = 28
FIRST = date(2026, 1, 1)


class Trial(NamedTuple):
    """A day whose truth is known, with intervals taken out."""

    day: Day
    gap: tuple[int, ...]
    truth: tuple[int, ...]


def estimate(trial: Trial) -> list[float]:
    values = evaluate(trial.day).values
    return [values[k].wh for k in trial.gap]


def flat(trial: Trial) -> list[float]:
    total = total_of(trial)
    if not trial.gap:
        return []
    if total is None:
        good = [one.wh for one in trial.day.readings if one is not None and one.wh is not None]
        past = [wh for values in trial.day.history.values() for wh in values if wh is not None]
        known = good or past or [0]
        return [sum(known) / len(known)] * len(trial.gap)
    return [total / len(trial.gap)] * len(trial.gap)


def last_week(trial: Trial) -> list[float]:
    day = trial.day
    for back in (7, 14, 1, 2, 3):
        past = day.history.get(day.day - timedelta(days=back))
        if past is not None and len(past) == len(day.readings):
            break
    else:
        return flat(trial)
    values = [float(past[k] or 0) for k in trial.gap]
    total = total_of(trial)
    if total is None:
        return values
    return [wh * total / sum(values) for wh in values] if sum(values) else flat(trial)


def total_of(trial: Trial) -> int | None:
    return sum(trial.truth[k] for k in trial.gap) if trial.day.registers else None


METHODS = {"ours": estimate, "flat": flat, "last week": last_week}


def wape(trials: Sequence[Trial]) -> dict[str, float]:
    truth = sum(trial.truth[k] for trial in trials for k in trial.gap)
    out = {}
    for name, method in METHODS.items():
        off = 0.0
        for trial in trials:
            found = method(trial)
            off += sum(abs(a - trial.truth[k]) for a, k in zip(found, trial.gap, strict=True))
        out[name] = round(off / truth, 3) if truth else 0.0
    return out


def trials_of(
    series: Series, kind: str, resolution: int, count: int, seed: int, registers: bool
) -> Iterator[Trial]:
    """Days of a series, each with a stretch of 1 to 24 hours taken out."""
    rng = random.Random(seed)
    days = sorted(series)
    most = max(max(values) for values in series.values()) * 60 / resolution
    point = Point(kind, most / 400 + 25, "3P4W", resolution)
    for _ in range(count):
        day = rng.choice(days[HISTORY_DAYS:])
        truth = series[day]
        past = {
            at: series[at]
            for at in (day - timedelta(days=k) for k in range(1, HISTORY_DAYS + 1))
            if at in series
        }
        length = min(len(truth), rng.choice((1, 2, 3, 4, 6, 9, 12, 18, 24)) * 60 // resolution)
        first = rng.randrange(len(truth) - length + 1)
        yield made(point, day, truth, range(first, first + length), past, registers)


def made(
    point: Point, day: date, truth: Sequence[int], gap: range, past: Series, registers: bool
) -> Trial:
    readings = tuple(None if k in gap else Reading(wh) for k, wh in enumerate(truth))
    span = (RegisterSpan(10**6, 10**6 + sum(truth)),) if registers else ()
    return Trial(Day(point, day, readings, span, past), tuple(gap), tuple(truth))


# --- series ---------------------------------------------------------------------------------


def synthetic(kind: str, resolution: int, registers: bool, count: int) -> list[Trial]:
    out: list[Trial] = []
    for seed in range(8):
        series = household(kind, seed, FIRST, 365, resolution)
        of = "production" if kind == "roof" else "consumption"
        out += trials_of(series, of, resolution, count // 8, seed, registers)
    return out


def the_cases() -> list[Trial]:
    """Those of tests/data/vee that have a history and registers."""
    path = DATA / "vee" / "cases.json"
    raws = {raw["name"]: raw["expect"] for raw in json.loads(path.read_text())["cases"]}
    return [
        Trial(case.day, tuple(raws[case.name]["replace"]), tuple(raws[case.name]["truth"]))
        for case in load(path)
        if case.day.history and case.day.registers[0].start_wh is not None
    ]


def by_day(name: str, resolution: int) -> dict[date, dict[int, int]]:
    """A recording of tests/data, added up: Wh of the intervals that it has the whole of."""
    energy: dict[datetime, float] = {}
    held_ms: dict[datetime, int] = {}
    recording = load_scenario(str(DATA / name))
    assert recording.start is not None
    begin = recording.start.astimezone(UTC)
    for row in recording.rows():
        at = begin + timedelta(milliseconds=row.start_ms)
        at -= (at - datetime.min.replace(tzinfo=UTC)) % timedelta(minutes=resolution)
        wh = max(0, row.total_active_power_mw) * row.duration_ms / 3.6e9
        energy[at] = energy.get(at, 0.0) + wh
        held_ms[at] = held_ms.get(at, 0) + row.duration_ms
    days: dict[date, dict[int, int]] = {}
    for at, wh in energy.items():
        if held_ms[at] >= 0.98 * resolution * 60_000:
            day = at.astimezone(NORWAY).date()
            days.setdefault(day, {})[starts(day, resolution).index(at)] = round(wh)
    return days


def recorded(name: str, resolution: int, registers: bool, count: int) -> list[Trial]:
    """Gaps of one to six hours in a recording; what it has of days before is the history."""
    days = by_day(name, resolution)
    rng = random.Random(1)
    point = Point("consumption", 63, "3P3W", resolution)
    step = timedelta(minutes=resolution)
    out = []
    for day, found in sorted(days.items()):
        times = starts(day, resolution)
        past = {
            at: [days[at].get(k) for k in range(len(starts(at, resolution)))]
            for at in days
            if at < day and len(days[at]) > len(times) // 2
        }
        # What was not recorded counts as a cut: no gap of ours.
        cuts = tuple((at, at + step) for k, at in enumerate(times) if k not in found)
        truth = tuple(found.get(k, 0) for k in range(len(times)))
        for _ in range(count if len(found) > len(times) // 3 else 0):
            length = rng.choice((1, 2, 3, 4, 6)) * 60 // resolution
            gap = rng.choice([range(k, k + length) for k in found if k + length <= max(found)])
            trial = made(point, day, truth, gap, past, registers)
            out.append(trial._replace(day=replace(trial.day, cuts=cuts)))
    return out


def simbench(folder: Path, registers: bool, count: int) -> Iterator[tuple[str, list[Trial]]]:
    """Households, shops and roofs of SimBench: 2016, German, by the quarter hour."""
    loads, roofs = "LoadProfile.csv", "RESProfile.csv"
    for name, file, kw, of in (
        ("H0-A", loads, 8, "consumption"), ("H0-C", loads, 8, "consumption"),
        ("H0-G", loads, 8, "consumption"), ("H0-L", loads, 8, "consumption"),
        ("G1-B", loads, 20, "consumption"), ("L0-A", loads, 20, "consumption"),
        ("PV3", roofs, 8, "production"), ("PV5", roofs, 8, "production"),
    ):  # fmt: skip
        column = name + ("_pload" if of == "consumption" else "")
        quarters: dict[date, list[float]] = {}
        with (folder / file).open() as lines:
            for row in csv.DictReader(lines, delimiter=";"):
                day = datetime.strptime(row["time"], "%d.%m.%Y %H:%M").date()
                quarters.setdefault(day, []).append(max(0.0, float(row[column])) * kw * 250)
        series = {
            day: [round(sum(values[k : k + 4])) for k in range(0, 96, 4)]
            for day, values in quarters.items()
            if len(values) == 96 and len(starts(day, 60)) == 24
        }
        yield f"SimBench {name}", list(trials_of(series, of, 60, count, 1, registers))


# --- cost ---------------------------------------------------------------------------------------


def days_a_second() -> dict[str, float]:
    """One process, one core: days without faults, with a gap, with a value to be found."""
    out = {}
    series = household("house", 1, FIRST, 120)
    trials = list(trials_of(series, "consumption", 60, 200, 1, True))
    whole = [
        Day(t.day.point, t.day.day, tuple(map(Reading, t.truth)), t.day.registers, t.day.history)
        for t in trials
    ]
    spike = [
        Day(
            d.point, d.day, (*d.readings[:9], Reading(15_000), *d.readings[10:]),
            d.registers, d.history,
        )
        for d in whole
    ]  # fmt: skip
    for name, days in (("whole", whole), ("gap", [t.day for t in trials]), ("spike", spike)):
        begin = time.process_time()
        for day in days:
            evaluate(day)
        out[name] = round(len(days) / (time.process_time() - begin))
    return out


def measure(count: int, folder: Path | None) -> dict[str, Any]:
    rows: dict[str, dict[str, float]] = {"tests/data/vee": wape(the_cases())}
    for registers, known in ((True, "total known"), (False, "no total")):
        for kind in KINDS:
            rows[f"{kind}, {known}"] = wape(synthetic(kind, 60, registers, count))
        rows[f"house, 15 min, {known}"] = wape(synthetic("house", 15, registers, count))
        for label, name in (
            ("UCI household", "household_2007-02-01_02.txt"),
            ("Kaifa day", "kaifa_ma304h3e_2017-09-15.csv"),
        ):
            rows[f"{label}, 15 min, {known}"] = wape(recorded(name, 15, registers, count))
        if folder is not None:
            for label, trials in simbench(folder, registers, count):
                rows[f"{label}, {known}"] = wape(trials)
    return {"wape": rows, "days_per_s": days_a_second()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=160, help="days of each row")
    parser.add_argument("--simbench", type=Path, help="folder of LoadProfile.csv, RESProfile.csv")
    arguments = parser.parse_args()
    result = measure(arguments.count, arguments.simbench)
    if arguments.json:
        json.dump(result, sys.stdout)
        return
    print(f"{'error over truth':38}" + "".join(f"{name:>12}" for name in METHODS))
    for row, figures in result["wape"].items():
        print(f"{row:38}" + "".join(f"{figures[name]:12.3f}" for name in METHODS))
    print("days a second on one core: " + ", ".join(
        f"{name} {rate}" for name, rate in result["days_per_s"].items()
    ))  # fmt: skip


if __name__ == "__main__":
    main()
