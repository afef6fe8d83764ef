"""What a head-end is made of, each as a process that may be killed: functions for a fork server,
which has all of it imported before it is asked for one."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from cryptography import x509

from openams.concentrator.clock import SystemClock
from openams.concentrator.core import Concentrator
from openams.concentrator.roster import Listed
from openams.concentrator.service import Service, token_of
from openams.concentrator.state import Settings as MasterSettings
from openams.concentrator.ways import TcpWay
from openams.errors import BenchError
from openams.headend.bus.broker import Bus
from openams.headend.bus.dispatch import Dispatcher, Settings
from openams.headend.bus.engine import Engine, evaluate_over
from openams.headend.bus.gang import BusCollector
from openams.headend.collect.clock import WallClock
from openams.headend.collect.sessions import Roads
from openams.headend.elhub import soap
from openams.headend.elhub.build import Parties
from openams.headend.elhub.deliver import Delivery
from openams.headend.elhub.deliver import Settings as Delivering
from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubserver import HubServer
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.link import HttpLine, Link
from openams.headend.elhub.openapi import Desk
from openams.headend.store import GoneError, open_store
from openams.keys.keystore import Keystore

ACK_WAIT_S = 1.5
LEASE_S = 8
# Of hub and delivery: how often one asks again is a matter of minutes.
_FASTER = 600


def _over(url, name, doing):
    async def run():
        bus = Bus(url, name, ACK_WAIT_S)
        while True:
            with suppress(BenchError):
                await bus.open()
                break
        await doing(bus)

    asyncio.run(run())


def dispatch(told):
    with _stored(told) as store:

        async def run(bus):
            dispatcher = Dispatcher(store, bus, WallClock(), Settings(lease_s=LEASE_S), seed=1)
            # What is due is the test's to say, day by day.
            dispatcher._planner.plan = lambda now_ms: None
            await dispatcher.run()

        _over(told.nats, "dispatch", run)


def _stored(told):
    """A store, once the database answers."""
    while True:
        try:
            opened = open_store(told.store)
            store = opened.__enter__()
        except BenchError:
            time.sleep(0.1)
            continue
        return _Held(opened, store)


class _Held:
    def __init__(self, opened, store):
        self.opened, self.store = opened, store

    def __enter__(self):
        return self.store

    def __exit__(self, *error):
        return self.opened.__exit__(*error)


def collect(told, name):
    async def run(bus):
        keys = Keystore(Path(told.readers), b"c", scrypt_n=2)
        roads = Roads(3.0, {"C0001": told.token})
        await BusCollector(bus, keys, WallClock(), name, 4, roads).run()

    _over(told.nats, name, run)


def engine(told):
    with _stored(told) as store:
        _over(told.nats, "engine", lambda bus: Engine(store, bus).run())


def evaluate(told):
    """Asks for each day, again and again."""
    with _stored(told) as store:

        async def run(bus):
            while True:
                for day in told.days:
                    with suppress(BenchError):
                        await evaluate_over(store, bus, date.fromisoformat(day), datetime.now(UTC))
                await asyncio.sleep(0.3)

        _over(told.nats, "evaluate", run)


def _fast(told):
    return lambda: datetime.fromtimestamp(told.t0 + (time.time() - told.t0) * _FASTER, UTC)


def hub(told):
    store = HubStore(Path(told.hub_path))
    parties = {told.party: x509.load_pem_x509_certificate(told.company)}
    clock = _fast(told)
    HubServer(
        Hub(store, soap.Identity.from_pem(told.hub_pem), parties, clock), Desk({}), clock,
        port=told.hub_port,
    ).serve()  # fmt: skip


def deliver(told):
    clock = _fast(told)
    link = Link(
        HttpLine(f"http://127.0.0.1:{told.hub_port}", timeout_s=5),
        soap.Identity.from_pem(told.company), [x509.load_pem_x509_certificate(told.hub_pem)],
        Parties(told.party, told.party), clock,
    )  # fmt: skip
    while True:
        with suppress(GoneError), _stored(told) as store:
            chosen = Delivering(timedelta(minutes=5), date.fromisoformat(told.days[0]))
            delivery = Delivery(store, link, clock, chosen)
            while True:
                delivery.step()
                time.sleep(0.1)


def concentrate(told):
    import socket

    ports = []
    for port in told.master_ports:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(64)
        ports.append(listening)
    listed = [Listed(*one) for one in told.behind]
    way = TcpWay(listed, None)
    settings = MasterSettings(
        window_begin=datetime.min.time(), window_end=datetime.max.time(), retry_s=1,
        back_days=len(told.days), timeout_s=5,
    )  # fmt: skip
    keys = Keystore(Path(told.readers), b"c", scrypt_n=2)
    folder = Path(told.master_folder)
    concentrator = Concentrator("C0001", folder, listed, keys, way, SystemClock(), settings)
    Service(concentrator, way, tuple(ports), token_of(folder)).run()


PARTS = {
    "dispatch": dispatch,
    "c1": lambda told: collect(told, "c1"),
    "c2": lambda told: collect(told, "c2"),
    "engine": engine,
    "evaluate": evaluate,
    "hub": hub,
    "deliver": deliver,
    "concentrator": concentrate,
}


def part(name, told, log):
    """The process itself; what it says goes to a file."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    PARTS[name](SimpleNamespace(**told))
