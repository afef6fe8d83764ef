"""A field that runs by itself: its time, its ports, its share of the processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.field.faults import DAY_MS, Rates
from openams.field.field import Field
from openams.field.meters import FieldPlan
from openams.field.nets import make_nets
from openams.field.serve import Ports
from openams.keys.keystore import Keystore

# At full speed clients are listened to once in so much of the field's time.
_STEP_MS = 3_600_000
_POLL_S = 0.05
_MOST_PORTS = 20_000


@dataclass(frozen=True)
class Order:
    """A fault by hand, as the command line gives it."""

    kind: str
    begin_ms: int
    end_ms: int
    meters: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Running:
    """`speed`: seconds of the field in one, None: as fast as it goes. `first_port` None: no ports;
    0: any free ones. `all_ports`: meters behind concentrators have one too. `stay`: it goes on at
    real pace when its days are over."""

    plan: FieldPlan
    keystore: Keystore
    ledger: Path
    rates: Rates | None
    orders: Sequence[Order] = ()
    days: int = 1
    speed: float | None = None
    first_port: int | None = None
    all_ports: bool = False
    stay: bool = False
    workers: int = 1


Told = Callable[[str, int, int], None]
Opened = Callable[[dict[str, str]], None]


def check(running: Running) -> None:
    """BenchError, before anything is made."""
    if not 1 <= running.days <= 3660:
        raise BenchError("--days is 1 to 3660")
    if running.speed is not None and not 0 < running.speed <= 1_000_000:
        raise BenchError("--speed is real, max, or a number above 0")
    if not 1 <= running.workers <= 64:
        raise BenchError("--workers is 1 to 64")
    if running.workers > 1 and running.first_port is not None:
        raise BenchError("--workers goes without ports: who answers clients is one process")
    if running.first_port is not None:
        count = len(_with_port(running))
        if not count:
            raise BenchError("no meter is called directly: give --all-ports, or another --net")
        if count > _MOST_PORTS or running.first_port + count > 65536:
            raise BenchError(f"{count} meters need a port each: fewer, or a lower --port")


def _with_port(running: Running) -> list[str]:
    meters = running.plan.meters
    return [meter.meter_id for meter in meters if meter.direct or running.all_ports]


def run(running: Running, told: Told, opened: Opened | None = None) -> dict[str, Any]:
    """The days of a field; what came of it. Ctrl-C ends it after what it is doing."""
    check(running)
    began = time.monotonic()
    # The ledger and its faults are there before anybody writes in it.
    with _field(running, (0, running.workers)) as field:
        _order(field, running.orders)
        others = [_worker(running, number) for number in range(1, running.workers)]
        try:
            stopped = _pass(running, field, told, opened)
            if not stopped:
                field.settle(lambda done, of: told("meters", done, of), last=True)
        finally:
            for process in others:
                process.join()
        if any(process.exitcode for process in others):
            raise BenchError("a process of the field has ended: the ledger is not whole")
        ledger = field.ledger
        differing = ledger.differing()
        return {
            "ledger": str(running.ledger),
            "meters": len(running.plan.meters),
            "concentrators": len(running.plan.masters),
            "seed": running.plan.seed,
            "begin_ms": running.plan.begin_ms,
            "end_ms": field.utc_ms,
            "stopped": stopped,
            "faults": len(field.faults),
            "registers": len(ledger.registers()),
            "differing": [row["meter_id"] for row in differing],
            "wall_s": round(time.monotonic() - began, 1),
        }


def _field(running: Running, part: tuple[int, int]) -> Field:
    return Field(
        running.plan,
        running.keystore,
        running.ledger,
        running.rates,
        days=running.days,
        nets=make_nets(running.plan, running.plan.seed) if running.rates else None,
        part=part,
    )


def _order(field: Field, orders: Sequence[Order]) -> None:
    for order in orders:
        field.order(order.kind, order.begin_ms, order.end_ms, order.meters, order.detail)


def _worker(running: Running, number: int) -> Any:
    process = multiprocessing.get_context("fork").Process(target=_work, args=(running, number))
    process.start()
    return process


def _work(running: Running, number: int) -> None:
    code = 1
    try:
        with _field(running, (number, running.workers)) as field:
            field.take_orders()
            field.advance_to(running.plan.begin_ms + running.days * DAY_MS)
            field.settle(last=True)
        code = 0
    except KeyboardInterrupt:
        code = 0
    finally:
        # A fork: what the parent would do at its end is the parent's.
        os._exit(code)


def _pass(running: Running, field: Field, told: Told, opened: Opened | None) -> bool:
    """Lets the days pass. Gives whether somebody stopped them."""
    begin_ms, end_ms = field.utc_ms, running.plan.begin_ms + running.days * DAY_MS
    if running.first_port is None and running.speed is None:
        try:
            field.advance_to(end_ms, lambda done, of: told("meters", done, of))
        except KeyboardInterrupt:
            return True
        return False
    names = _with_port(running) if running.first_port is not None else []
    try:
        with Ports(field, names, running.first_port or 0, running.speed) as ports:
            if opened is not None:
                opened(ports.urls)
            _passing(running, field, ports, begin_ms, end_ms, told)
            if running.stay:
                # Whoever has something to ask after the last day.
                ports.speed = 1.0
                _passing(running, field, ports, field.utc_ms, None, told)
    except KeyboardInterrupt:
        return True
    return False


def _passing(
    running: Running, field: Field, ports: Ports, begin_ms: int, end_ms: int | None, told: Told
) -> None:
    began = time.monotonic()
    speed = ports.speed
    while end_ms is None or field.utc_ms < end_ms:
        if speed is None:
            ports.poll(0)
            to_ms = field.utc_ms + _STEP_MS
        else:
            ports.poll(_POLL_S)
            to_ms = begin_ms + round(1000 * speed * (time.monotonic() - began))
        field.advance_to(to_ms if end_ms is None else min(to_ms, end_ms))
        hours = (field.utc_ms - running.plan.begin_ms) // _STEP_MS
        told("hours", hours, 24 * running.days)


def plan_text(plan: FieldPlan, urls: dict[str, str]) -> str:
    """Number, URL and concentrator of the meters that have a port, as CSV: for `ams ration`,
    `ams concentrator` and others."""
    masters = {meter.meter_id: meter.master for meter in plan.meters}
    rows = (f"{meter},{url},{masters[meter]}\n" for meter, url in urls.items())
    return "meter_id,url,master\n" + "".join(rows)
