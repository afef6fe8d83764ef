"""Which meters a concentrator has: a CSV file with a head, meter_id and the URL of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from openams import csvtable
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
    out: list[Listed] = []
    text, place = csvtable.text_of(path), str(path)
    try:
        for line, row in csvtable.read(text, ("meter_id", "url")):
            place = f"{path} line {line}"
            meter_id, url = row["meter_id"], row["url"]
            check_meter_number(meter_id)
            if parse_url(url).scheme != "tcp":
                raise BenchError(f"{url} is no way to a meter of a concentrator: tcp://host:port")
            out.append(Listed(meter_id, url))
    except csvtable.TableError as error:
        raise BenchError(f"{path} is no list of meters: {error}") from None
    except BenchError as error:
        raise BenchError(f"{place}: {error}") from None
    if not out:
        raise BenchError(f"{path} names no meter")
    return check(out)
