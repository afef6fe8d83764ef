"""From what was measured to what a company needs: the tables of docs/scale.md.

    .venv/bin/python tools/bench/plan.py          writes them into the page
    .venv/bin/python tools/bench/plan.py --check  says whether the page has them

Inputs are tools/bench/figures/*.json, as tools/bench/collect.py --json and sessions.py --json write
them. Nothing else is known here but how long a night is and how full a processor may be.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIGURES = Path(__file__).resolve().parent / "figures"
PAGE = ROOT / "docs" / "scale.md"
COMPANIES = (100_000, 3_240_000, 100_000_000)
# Of the plan (host/openams/headend/collect/plan.py): the first reading of all is from 00:05 to
# 04:00; by 06:00 the day is evaluated, by 07:00 delivered.
COLLECT_S, EVALUATE_S = 235 * 60, 2 * 3600
# The rest of a processor is for what does not come evenly.
FULL = 0.5
# Cores of one database: what is more is another, by grid area.
DATABASE_CORES = 32
# Of values that Elhub takes (3 years), and of what is kept beside them.
KEPT_DAYS = 3 * 365
BUS = "postgresql, nats, 4"


def load() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(FIGURES.glob("*.json"))}


def each_us(run: dict[str, Any], name: str) -> dict[str, float]:
    """Processor time of each process by meter-day, us."""
    found = run["runs"][name]
    return {
        key: 1e6 * value / run["meters"]
        for key, value in found.items()
        if "wall" not in key and key != "octets"
    }


def cores(meters: int, us: float, window_s: int) -> int:
    return max(1, math.ceil(meters * us / 1e6 / (window_s * FULL)))


def measured(found: dict[str, Any]) -> list[str]:
    out = ["| engine | values a day | meter-days/s | collector, us | dispatch, us | NATS, us | "
           "PostgreSQL, us | evaluation, us | of it PostgreSQL |",
           "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name in ("hourly", "quarters"):
        run = found[name]
        for engine, figures in run["runs"].items():
            us = each_us(run, engine)
            cells = [f"{us[k]:.0f}" if us.get(k) else "" for k in (
                "collector", "dispatch", "nats", "postgres", "evaluate", "evaluate_postgres"
            )]  # fmt: skip
            rate = run["meters"] / figures["wall"]
            values = 24 * 60 // run["minutes"]
            out.append(f"| {engine} | {values} | {rate:.0f} | {' | '.join(cells)} |")
    return out


def plan(found: dict[str, Any], name: str) -> list[str]:
    run, sessions = found[name], found["sessions"]
    bus, alone = each_us(run, BUS), each_us(run, "postgresql")
    octets = run["runs"]["postgresql"]["octets"]
    session_us = 1e6 * sessions["cpu_s"] / sessions["sessions"]
    rows = []
    for meters in COMPANIES:
        direct = cores(meters, session_us, COLLECT_S)
        masters = cores(meters, bus["collector"], COLLECT_S)
        dispatch = cores(meters, bus["dispatch"], COLLECT_S)
        engines = cores(meters, alone["evaluate"], EVALUATE_S)
        database = max(
            cores(meters, bus["postgres"], COLLECT_S),
            cores(meters, alone["evaluate_postgres"], EVALUATE_S),
        )
        nats = cores(meters, bus["nats"], COLLECT_S)
        rows.append([
            f"{meters:,}".replace(",", " "), f"{meters / COLLECT_S:.0f}", direct, masters, dispatch,
            engines, database, math.ceil(database / DATABASE_CORES), nats,
            f"{meters * octets / 1e9:.1f}", f"{meters * octets * KEPT_DAYS / 1e12:.1f}",
        ])  # fmt: skip
    head = ["meters", "meter-days/s in the window", "collector cores, all called directly",
            "collector cores, all behind concentrators", "dispatch", "engines",
            "PostgreSQL cores", "databases", "NATS cores", "GB a day", "TB in 3 years"]  # fmt: skip
    out = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return out + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def filled(text: str, found: dict[str, Any]) -> str:
    parts = {
        "measured": measured(found),
        "plan-hourly": plan(found, "hourly"),
        "plan-quarters": plan(found, "quarters"),
    }
    for name, lines in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = before + begin + "\n".join(lines) + "\n" + end + after
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    text = PAGE.read_text()
    new = filled(text, load())
    if chosen.check:
        return int(new != text)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
