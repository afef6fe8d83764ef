"""A small register for tests, as text of CSV files."""

from __future__ import annotations

from openams.gs1 import check_digit
from openams.headend.numbers import eic_check

AREA = "50YTEST0OPENAMS"
AREA += eic_check(AREA)


def gsrn(k):
    digits = f"70705750{k:09d}"
    return digits + check_digit(digits)


def meter_id(k):
    digits = f"73599900{k:07d}"
    return digits + check_digit(digits)


def files(folder, count=3, url="tcp://127.0.0.1:4059", begin="2026-01-01", **texts):
    """`count` points, each with a meter that is called directly; `texts` replace files."""
    points = [gsrn(k) for k in range(count)]
    meters = [meter_id(k) for k in range(count)]
    named = {
        "areas": f"area,name\n{AREA},Test\n",
        "terms": "gsrn,from,to,kind,settlement,reason,resolution_min,fuse_a,system,area\n"
        + "".join(
            f"{point},{begin},,consumption,interval,,60,63,3P3W,{AREA}\n" for point in points
        ),
        "meters": "meter_id,make,net,url,segment\n"
        + "".join(f"{meter},aidon,cellular,{url},cell-1\n" for meter in meters),
        "relations": "gsrn,meter_id,from,to\n"
        + "".join(
            f"{point},{meter},{begin},\n" for point, meter in zip(points, meters, strict=True)
        ),
    }
    named.update(texts)
    paths = []
    for name, text in named.items():
        path = folder / f"{name}.csv"
        path.write_text(text)
        paths.append(path)
    return paths
