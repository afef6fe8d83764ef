"""A small field for tests, and clients of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from openams.client.client import Client, session
from openams.client.links import parse_url
from openams.field.field import Field
from openams.field.meters import FieldPlan, MeterSpec
from openams.field.serve import Ports
from openams.gs1 import meter_number
from openams.keys.keystore import Keystore
from openams.meter_time import NORWAY, to_utc_ms

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# A Saturday in winter, local midnight.
BEGIN_MS = to_utc_ms(datetime(2026, 1, 10, tzinfo=NORWAY))
ONE = meter_number(0)


def keystore(folder: Path) -> Keystore:
    folder.chmod(0o700)
    return Keystore(folder / "keystore", b"a test's own", 2)


def plan_of(*specs: MeterSpec, begin_ms: int = BEGIN_MS) -> FieldPlan:
    return FieldPlan(specs, (), begin_ms)


def one(profile: str = "household", **more: Any) -> FieldPlan:
    return plan_of(MeterSpec(ONE, profile, **more))


@contextmanager
def served(field: Field, *meters: str) -> Iterator[dict[str, str]]:
    """URLs of the meters, answered as fast as they answer. The field's time stands still."""
    numbers = meters or [spec.meter_id for spec in field.specs()]
    with Ports(field, numbers, speed=None) as ports, answering(ports):
        yield ports.urls


@contextmanager
def answering(ports: Ports) -> Iterator[None]:
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            ports.poll(0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@contextmanager
def reading(store: Keystore, url: str, meter_id: str, timeout_s: float = 5) -> Iterator[Client]:
    with session(parse_url(url), "reader", store, meter_id, timeout_s) as client:
        yield client
