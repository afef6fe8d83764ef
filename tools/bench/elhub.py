"""A day of many points to the stand-in for Elhub and back: how long each part takes, on one core.

    python tools/bench/elhub.py [--points 10000] [--store URL]

Messages go through signed SOAP in this process, without a network. With --xsd Elhub's own schema
of elhub-python-sdk is held against one message.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / "headend")]

from elhubstore import FIRST, Chain, add_points, different, terms  # noqa: E402

from openams.headend.elhub import wire  # noqa: E402
from openams.headend.register import series_of  # noqa: E402
from openams.headend.store import StoredRevision, open_store  # noqa: E402
from openams.headend.vee.calendar import starts  # noqa: E402
from openams.meter_time import to_utc_ms  # noqa: E402

NOW = datetime(2024, 5, 4, 3, tzinfo=UTC)


def revisions(points):
    at = to_utc_ms(NOW)
    for number, one in enumerate(points):
        count = len(starts(FIRST, one.resolution_min))
        wh = tuple((number * 7 + k * 131) % 3000 for k in range(count))
        states = ("measured",) * count
        for series in series_of(one.kind):
            yield StoredRevision(FIRST, one.gsrn, series, 1, at, "first", "", "vee-1",
                                 one.resolution_min, wh, states, tuple(range(count)), {}, {},
                                 sum(wh))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--store", help="URL; by default a file that is taken away again")
    parser.add_argument("--xsd", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(options.store or Path(folder) / "store.db") as store,
    ):
        print(json.dumps(run(store, Path(folder), options.points, options.xsd)))


def run(store, folder: Path, count: int, xsd: bool) -> dict:
    points = [terms(number)._replace(resolution_min=60) for number in range(count)]
    add_points(store, points)
    store.put_revisions(list(revisions(points)))
    there = Chain(store, NOW, points, folder / "hub.db")
    sizes = []
    exchange = there.line.exchange

    def counted(service, octets):
        if service.action == "CollectedData":
            sizes.append(len(octets))
        return exchange(service, octets)

    there.line.exchange = counted
    begin, used = time.perf_counter(), time.process_time()
    first = there.delivery.step()
    took, core_s = time.perf_counter() - begin, time.process_time() - used
    there.clock.now += timedelta(hours=1)
    begin = time.perf_counter()
    second = there.delivery.step()
    settled = time.perf_counter() - begin
    assert not first.error and second.accepted == first.series, (first, second)
    assert different(store, there.hub_store, [FIRST]) == []
    out = {
        "points": count,
        "series": first.series,
        "messages": first.messages,
        "octets": sum(sizes),
        "deliver_s": round(took, 2),
        "core_s": round(core_s, 2),
        "series_per_core_s": round(first.series / core_s),
        "settle_s": round(settled, 2),
    }
    if xsd:
        out["xsd_s"] = _judged(there)
    return out


def _judged(there) -> float:
    from elhubsdk import body_faults

    (message_id, created), *_ = there.store.all("SELECT message_id, created_ms FROM message")
    request = wire.collected_request(there.delivery._built(message_id, created))
    begin = time.perf_counter()
    assert body_faults(request) == []
    return round(time.perf_counter() - begin, 2)


if __name__ == "__main__":
    main()
