"""Which meters a concentrator has: a CSV file with a head, meter_id and the URL of each."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from openams.client.links import parse_url
from openams.errors import BenchError
from openams.gs1 import check_meter_number

METERS_MOST = 2000


@dataclass(frozen=True)
class Listed:
    """`url`: of the way that has one; "" where the net knows the meter by its number."""

    meter_id: str
    url: str = ""


def check(meters: list[Listed]) -> list[Listed]:
    """The list itself; BenchError for a wrong or a doubled number, or too many."""
    if len(meters) > METERS_MOST:
        raise BenchError(f"{len(meters)} meters are more than a concentrator has: {METERS_MOST}")
    seen = set()
    for listed in meters:
        check_meter_number(listed.meter_id)
        if listed.meter_id in seen:
            raise BenchError(f"meter {listed.meter_id} is in the list twice")
        seen.add(listed.meter_id)
    return meters


def read_list(path: Path) -> list[Listed]:
    """All of a file, or BenchError with the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
    reader = csv.DictReader(io.StringIO(text))
    if not {"meter_id", "url"} <= set(reader.fieldnames or ()):
        raise BenchError(f"{path} is no list of meters: its first line is meter_id,url")
    out: list[Listed] = []
    try:
        for row in reader:
            meter_id, url = ((row[name] or "").strip() for name in ("meter_id", "url"))
            check_meter_number(meter_id)
            if parse_url(url).scheme != "tcp":
                raise BenchError(f"{url} is no way to a meter of a concentrator: tcp://host:port")
            out.append(Listed(meter_id, url))
    except (BenchError, csv.Error) as error:
        raise BenchError(f"{path} line {reader.line_num}: {error}") from None
    if not out:
        raise BenchError(f"{path} names no meter")
    return check(out)
