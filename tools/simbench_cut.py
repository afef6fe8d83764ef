"""Cuts weeks of SimBench's profiles for the field: `python tools/simbench_cut.py simbench-*.whl`.

Of each month of its year the week from Monday to Sunday that has the 15th, in thousandths of the
rated active power. Source and licence: host/openams/field/simbench/LICENSE.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

PLACE = Path(__file__).resolve().parents[1] / "host/openams/field/simbench/quarters.csv"
NETWORK = "simbench/networks/1-complete_data-mixed-all-0-sw/"
# Column of the cut: file, active power, reactive power or none, and its share of the rated
# active power (what the loads of SimBench's own low-voltage nets have).
COLUMNS = {
    **{
        name: ("LoadProfile.csv", f"{name}_pload", f"{name}_qload", 0.39525)
        for name in ("H0-A", "H0-C", "H0-G", "H0-L", "G1-A", "L1-A")
    },
    "heat-pump": (
        "LoadProfile.csv", "Soil_Alternative_1_pload", "Soil_Alternative_1_qload", 0.39525
    ),
    "ev": ("LoadProfile.csv", "HLS_A_11.0_pload", "", 0.0),
    "pv": ("RESProfile.csv", "PV5", "", 0.0),
    "hydro": ("RESProfile.csv", "Hydro1", "", 0.0),
}  # fmt: skip


def weeks() -> list[str]:
    out = []
    for month in range(1, 13):
        middle = datetime(2016, month, 15)
        monday = middle - timedelta(days=middle.weekday())
        out += [
            (monday + timedelta(minutes=15 * k)).strftime("%d.%m.%Y %H:%M") for k in range(7 * 96)
        ]
    return out


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: simbench_cut.py FILE: a wheel of simbench")
    tables: dict[str, dict[str, dict[str, str]]] = {}
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        for name in ("LoadProfile.csv", "RESProfile.csv"):
            with wheel.open(NETWORK + name) as file:
                rows = csv.DictReader(io.TextIOWrapper(file), delimiter=";")
                tables[name] = {row["time"]: row for row in rows}
    head = [
        part
        for name, one in COLUMNS.items()
        for part in ([name, f"{name} q"] if one[2] else [name])
    ]
    with PLACE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for moment in weeks():
            line = []
            for table, active, reactive, share in COLUMNS.values():
                row = tables[table][moment]
                line.append(round(1000 * float(row[active])))
                if reactive:
                    line.append(round(1000 * share * float(row[reactive])))
            writer.writerow(line)


if __name__ == "__main__":
    main()
