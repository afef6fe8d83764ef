"""The two-way link of a whole meter on the emulated chip, by its own clock.

Three phases by the metering IC, HAN port open, ten days of quarter hours behind it; the
service port at 115200 Bd. Our client waits for nothing but the chip.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from openams.bench.options import DEFAULT_METER_ID, Options
from openams.bench.session import Session
from openams.client import data as axdr
from openams.client.client import Client, session
from openams.client.links import Url
from openams.client.names import HAN_OPEN
from openams.grid.house import House
from openams.grid.registry import load
from openams.han.formats import FORMATS
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.meter_time import NORWAY, to_utc_ms
from openams.runtimes.rp2040.meter import ChipMeter
from openams.runtimes.rp2040.service import ServiceLine
from openams.runtimes.rp2040.session import make_chip_front_end
from openams.runtimes.wire import Frame

START = datetime(2026, 1, 5, tzinfo=NORWAY)
DAYS = 10
# Rows of the 90 days that a head-end reads, and octets of one.
WHOLE, ROW = 8640, 39
_LOAD = "1.0.99.1.0.255"
_VIEW_EVERY = 4
_WATCHED = 120  # rows


class WatchedLine(ServiceLine):
    """Looks at the heap between two requests, where `watched`: that takes the chip some 70 ms."""

    heap = 0
    watched = False
    _requests = 0

    def write(self, data: bytes) -> int:
        self._requests += 1
        if self.watched and self._requests % _VIEW_EVERY == 0:
            self.heap = max(self.heap, self._meter.view()["heap_used"])
        return super().write(data)


def _entries(count: int) -> bytes:
    """The selection of so many rows of the profile, from the tenth on."""
    return struct.pack(">4sIBI6s", b"\x02\x02\x04\x06", 10, 6, 9 + count, b"\x12\0\0\x12\0\0")


def _past(folder: Path) -> Path:
    """The state of a meter that has measured a house for ten days."""
    rows = ["time,active_import_W,active_export_W"]
    for k in range(96 * DAYS):
        when = START.replace(tzinfo=None) + timedelta(minutes=15 * k)
        rows.append(f"{when:%Y-%m-%d %H:%M:%S},{300 + k * 7919 % 4000},{k % 5 // 4 * 900}")
    (folder / "house.csv").write_text("\n".join(rows) + "\n")
    options = Options(
        runtime="cpython", speed=None, capture_period_min=15, state=folder / "state", start=START
    )
    past = Session(load(str(folder / "house.csv"), "3P4W", 1), options)
    past.play(lambda: None)
    past.finish()
    past.close()
    return folder / "state" / "flash.bin"


@contextmanager
def _meter(folder: Path) -> Iterator[tuple[ChipMeter, WatchedLine, Keystore, list[Frame]]]:
    store = Keystore(folder / "keys", b"bench", SCRYPT_N_RANDOM)
    scenario = House("3P4W")
    front_end = make_chip_front_end(scenario, "ideal", 1)
    frames: list[Frame] = []
    meter = ChipMeter(
        scenario, front_end, frames.append, on_link=lambda *message: line.take(*message)
    )
    line = WatchedLine(meter)
    try:
        meter.configure(
            {
                "system": "3P4W",
                "calibration": front_end.calibration("3P4W"),
                "identity": {
                    "meter_id": DEFAULT_METER_ID,
                    "meter_type": FORMATS["kaifa"].types["3P4W"],
                },
                "han": {"format": "kaifa"},
                "utc_ms": to_utc_ms(START + timedelta(days=DAYS, seconds=5)),
                "flash": str(_past(folder)),
                "security": provisioned(store, DEFAULT_METER_ID),
            }
        )
        yield meter, line, store, frames
    finally:
        meter.kill()


def measure(rows: int = 480) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as work,
        _meter(Path(work)) as (meter, line, store, frames),
    ):
        result: dict[str, Any] = {}
        url = Url("the service port", "serial", line=line)

        def timed(name: str, what: Callable[[], Any]) -> Any:
            begin_ms, octets = meter.utc_ms(), line.sent + line.received
            value = what()
            result[name + "_ms"] = meter.utc_ms() - begin_ms
            result[name + "_octets"] = line.sent + line.received - octets
            return value

        with session(url, "operator", store, DEFAULT_METER_ID) as client:
            client.set(1, HAN_OPEN, 2, axdr.boolean(True))
            client.set(23, "0.0.22.0.0.255", 2, axdr.enum(9))
        meter.advance(meter.utc_ms() + 100)
        opening = session(url, "reader", store, DEFAULT_METER_ID)
        reader: Client = timed("association", opening.__enter__)
        timed("first_get", lambda: reader.get(3, "1.0.1.8.0.255", 2))
        timed("get", lambda: reader.get(3, "1.0.1.8.0.255", 2))
        before = len(frames)
        answer = timed("profile", lambda: reader.get_raw(7, _LOAD, 2, _entries(rows)))
        # Once more for the heap: looking at it would be counted as the meter's time.
        lists = len(frames) - before
        view = meter.view()
        line.watched = True
        reader.get_raw(7, _LOAD, 2, _entries(_WATCHED))
        # An array, its count in one to three octets.
        assert 2 <= len(answer) - ROW * rows <= 4, len(answer)
        opening.__exit__(None, None, None)
        heap = max(line.heap, meter.view()["heap_used"])
        baud = meter.machine.chip.uarts[1].line.baudrate  # type: ignore[union-attr]
        octet_ms = 10_000 / baud
        result.update(
            rows=rows,
            line_percent=100 * result["profile_octets"] * octet_ms / result["profile_ms"],
            data_percent=100 * len(answer) * octet_ms / result["profile_ms"],
            whole_s=result["profile_ms"] / 1000 * WHOLE / rows,
            heap_highest=heap,
            lists=lists,
            lists_missed=view["han"]["missed"],
            list_late_max_ms=view["han"]["late_max_ms"],
            samples_missing=view["samples_missing"],
        )
        return result
