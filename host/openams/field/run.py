"""A field that runs by itself: its time, its ports, its share of the processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.field.faults import DAY_MS, Rates
from openams.field.field import Field
from openams.field.gateways import Gateways
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
    0: any free ones. `all_ports`: meters behind concentrators have one too. `gateway_port`: of the
    first concentrator, as `first_port`. `stay`: it goes on at real pace when its days are over."""

    plan: FieldPlan
    keystore: Keystore
    ledger: Path
    rates: Rates | None
    orders: Sequence[Order] = ()
    days: int = 1
    speed: float | None = None
    first_port: int | None = None
    all_ports: bool = False
    gateway_port: int | None = None
    stay: bool = False
    workers: int = 1

    @property
    def serves(self) -> bool:
        return self.first_port is not None or self.gateway_port is not None


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
    if running.workers > 1 and running.serves:
        raise BenchError("--workers goes without ports: who answers clients is one process")
    if running.gateway_port is not None:
        if not running.plan.masters:
            raise BenchError("no meter is behind a concentrator: leave --gateway-port out")
        _check_ports(running.gateway_port, len(running.plan.masters), "--gateway-port")
    if running.first_port is not None:
        meters = running.plan.meters
        count = sum(meter.direct or running.all_ports for meter in meters)
        if not count:
            raise BenchError("no meter is called directly: give --all-ports, or another --net")
        _check_ports(running.first_port, count, "--port")


def _check_ports(first: int, count: int, option: str) -> None:
    if not 0 <= first <= 65535 or count > _MOST_PORTS or first + count > 65536:
        raise BenchError(f"{option}: {count} ports are needed: fewer meters, or a lower one")


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
    if not running.serves and running.speed is None:
        try:
            field.advance_to(end_ms, lambda done, of: told("meters", done, of))
        except KeyboardInterrupt:
            return True
        return False
    try:
        with ExitStack() as stack:
            # Whoever is put up later has its port from the begin on, and refuses until then.
            named, hidden = _named(running, field)
            ports = stack.enter_context(
                Ports(field, named, running.first_port or 0, running.speed, hidden)
            )
            gateways = None
            urls = {meter_id: ports.urls[meter_id] for meter_id in named}
            if running.gateway_port is not None:
                gateways = stack.enter_context(Gateways(field, ports, running.gateway_port))
                urls |= {meter_id: gateways.url(meter_id) for meter_id in hidden}
            if opened is not None:
                opened(urls)
            look = gateways.look if gateways else lambda: None
            _passing(running, field, ports, begin_ms, end_ms, told, look)
            if running.stay:
                # Whoever has something to ask after the last day.
                ports.speed = 1.0
                _passing(running, field, ports, field.utc_ms, None, told, look)
    except KeyboardInterrupt:
        return True
    return False


def _named(running: Running, field: Field) -> tuple[list[str], list[str]]:
    """Meters whose ports are for everybody; and those that concentrators alone call."""
    named, hidden = [], []
    for spec in field.specs():
        if running.first_port is not None and (spec.direct or running.all_ports):
            named.append(spec.meter_id)
        elif running.gateway_port is not None and not spec.direct:
            hidden.append(spec.meter_id)
    return named, hidden


def _passing(
    running: Running,
    field: Field,
    ports: Ports,
    begin_ms: int,
    end_ms: int | None,
    told: Told,
    look: Callable[[], None],
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
        look()
        hours = (field.utc_ms - running.plan.begin_ms) // _STEP_MS
        told("hours", hours, 24 * running.days)


def plan_text(plan: FieldPlan, urls: dict[str, str]) -> str:
    """Number, URL and concentrator of the meters that have a port, as CSV: for `ams ration`,
    `ams concentrator` and others."""
    masters = {meter.meter_id: meter.master for meter in plan.meters}
    rows = (f"{meter},{url},{masters[meter]}\n" for meter, url in urls.items() if meter in masters)
    return "meter_id,url,master\n" + "".join(rows)
