"""The field of a test: meters with ports that are answered while the test runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from openams.errors import BenchError
from openams.field.faults import Fault, Rates
from openams.field.field import Field
from openams.field.ledger import Ledger
from openams.field.meters import MeterSpec, make_plan
from openams.field.nets import make_nets
from openams.field.serve import Ports
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms, parse_start, to_utc_ms

Made = TypeVar("Made")
# Passphrases of tests need no stretching.
_SCRYPT_N = 2
_POLL_S = 0.01


@dataclass(frozen=True)
class FieldOptions:
    """As the options of `ams field run`. `faults`: by the seed, for `days` from the start on."""

    meters: int = 10
    seed: int = 1
    start: str = "2026-01-10"
    days: int = 31
    period: int | None = None
    faults: bool = False
    missing: float = 0.013
    lasting: float = 0.004
    net: Mapping[str, float] | None = None
    load: Mapping[str, float] | None = None
    per_master: int = 82


def parse_options(given: Mapping[str, Any]) -> FieldOptions:
    """Raises BenchError, one line, for what there is not."""
    names = [field.name for field in fields(FieldOptions)]
    for name in given:
        if name not in names:
            raise BenchError(f"no field option {name!r}: there are {', '.join(names)}")
    return FieldOptions(**given)


class FieldUnderTest:
    """`urls`: of every meter, by number, those behind concentrators too. `keystore` has the keys.

    Clients may call from any thread, and other processes; answers come at once. The field's time
    stands still but for `wait`.
    """

    def __init__(self, options: FieldOptions, folder: Path) -> None:
        folder.chmod(0o700)
        more: dict[str, Any] = {}
        if options.net:
            more["shares"] = options.net
        if options.load:
            more["mix"] = options.load
        plan = make_plan(
            options.meters,
            options.seed,
            begin_ms=to_utc_ms(parse_start(options.start)),
            per_master=options.per_master,
            period_min=options.period,
            **more,
        )
        rates = Rates(options.missing, options.lasting) if options.faults else None
        self.keystore = Keystore(folder / "keystore", b"field of a test", _SCRYPT_N)
        self.ledger_path = folder / "field.db"
        self._field = Field(
            plan,
            self.keystore,
            self.ledger_path,
            rates,
            days=options.days,
            # Without faults nothing is lost on the way either, but what is ordered.
            nets=make_nets(plan, plan.seed) if rates else None,
        )
        try:
            numbers = [meter.meter_id for meter in self._field.plan.meters]
            self._ports = Ports(self._field, numbers, speed=None)
        except BenchError:
            self._field.close()
            raise
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="openams field", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ending.is_set():
            self._ports.poll(_POLL_S)
            while not self._asked.empty():
                future, job = self._asked.get()
                try:
                    future.set_result(job())
                except Exception as error:
                    future.set_exception(error)

    def _do(self, job: Callable[[], Made]) -> Made:
        """The thread that answers is the only one that touches the field."""
        future: Future[Made] = Future()
        self._asked.put((future, job))
        return future.result()

    @property
    def urls(self) -> dict[str, str]:
        return self._ports.urls

    @property
    def meters(self) -> tuple[MeterSpec, ...]:
        return self._field.plan.meters

    @property
    def faults(self) -> list[Fault]:
        return list(self._field.faults)

    @property
    def now(self) -> Any:
        """The field's time, UTC."""
        return from_utc_ms(self._field.utc_ms)

    def wait(self, **span: float) -> None:
        """So much time passes: `days`, `hours`, `minutes` ..., as timedelta has them."""
        ms = timedelta(**span) // timedelta(milliseconds=1)
        self._do(lambda: self._field.advance_to(self._field.utc_ms + ms))

    def order(self, kind: str, *meters: str, detail: str = "", **span: float) -> Fault:
        """A fault by hand, from now on for so long: `hours=7`. Of concentrator kinds `detail` is
        its name. Raises BenchError for what there is not."""
        ms = timedelta(**span) // timedelta(milliseconds=1)
        begin = self._field.utc_ms
        return self._do(lambda: self._field.order(kind, begin, begin + ms, meters, detail))

    def ledger(self) -> Ledger:
        """The truth up to now. Close it."""
        self._do(self._field.settle)
        return Ledger.open(self.ledger_path)

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._ports.close()
        self._field.close()
