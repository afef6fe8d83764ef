"""A share of a field in a process of its own: its meters, its concentrators, and nothing of the
head-end.

Whoever asks gives the time at which he asks. What a concentrator does until then it does when it is
asked, so that several shares work beside one another.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from openams.client.errors import LateError
from openams.client.links import Transport
from openams.concentrator.clock import VirtualClock
from openams.concentrator.door import Door
from openams.concentrator.state import Settings
from openams.errors import BenchError
from openams.field.channel import ChannelLink
from openams.field.faults import Rates
from openams.field.field import Field
from openams.field.loads import PROFILES, QUARTER_MS, Load
from openams.field.masters import FieldMasters
from openams.field.meters import FieldPlan, MeterSpec
from openams.field.nets import make_nets
from openams.keys.handover import give_readers
from openams.keys.keystore import Keystore
from openams.meter_time import NORWAY, from_utc_ms

# Days by which a yearly volume is known: one of each quarter of the year.
_SAMPLES = 4
# Meters that are awake at a time: a quarter of a MiB each, and more from day to day. The others are
# in a file.
_AWAKE = 192
_HOUR_MS = 3_600_000
# Of the local day.
_DOOR_HOURS = (8, 21)


@dataclass(frozen=True)
class Setup:
    """What all shares of a field have in common. `first`, `last`: days that are collected; `days`:
    for so long there are faults."""

    plan: FieldPlan
    keys: Keystore
    folder: Path
    rates: Rates | None
    days: int
    first: date
    last: date
    parts: int = 1

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"


class Change(NamedTuple):
    """A fitter's visit to come: `new` counts from then on in the place of `old`."""

    at_ms: int
    old: MeterSpec
    new: MeterSpec


def _by_day(at_ms: int) -> int:
    """The first moment from then on at which somebody goes to a customer's door."""
    while not _DOOR_HOURS[0] <= from_utc_ms(at_ms).astimezone(NORWAY).hour < _DOOR_HOURS[1]:
        at_ms += _HOUR_MS
    return at_ms


class FieldPart:
    """Made in the process that has it."""

    def __init__(self, setup: Setup, number: int) -> None:
        plan, folder = setup.plan, setup.folder
        mine = plan.part(number, setup.parts)
        self.field = Field(
            plan,
            setup.keys,
            setup.ledger,
            setup.rates,
            days=setup.days,
            nets=make_nets(plan, plan.seed) if setup.rates else None,
            part=(number, setup.parts),
            awake=_AWAKE,
        )
        readers = {}
        for master in mine.masters:
            path = folder / f"{master.master_id}.keys"
            readers[master.master_id] = Keystore(path, b"concentrator", 1 << 4)
            # The keys of meters that will be put up later are there before them.
            theirs = [s.meter_id for s in self.field.specs() if s.master == master.master_id]
            give_readers(setup.keys, readers[master.master_id], theirs)
        self.masters = {}
        if mine.masters:
            settings = Settings(first=setup.first, last=setup.last)
            self.masters = FieldMasters(
                self.field, readers, folder / "concentrators", settings
            ).masters
        self._specs = mine.meters
        self._gasps: list[tuple[str, int]] = []
        self.field.on_dark = self._on_dark
        self._links: dict[int, tuple[Transport, VirtualClock]] = {}
        self._serial = 0

    def close(self) -> None:
        for master in self.masters.values():
            master.close()
        self.field.close()

    def _on_dark(self, meter_id: str, utc_ms: int) -> None:
        master = self.masters.get(self.field.spec(meter_id).master)
        if master is None:
            self._gasps.append((meter_id, utc_ms))
        else:
            master.gasped(meter_id, utc_ms)

    # --- what the chain asks -----------------------------------------------------------------

    def changes(self) -> list[Change]:
        """Meters that will be changed, in order."""
        out = []
        for fault in self.field.faults:
            if fault.kind == "meter-changed":
                try:
                    old, new = self.field.spec(fault.meters[0]), self.field.spec(fault.detail)
                except BenchError:
                    continue
                out.append(Change(fault.begin_ms, old, new))
        return sorted(out)

    def visits(self) -> list[tuple[int, str]]:
        """(moment, meter) of the fitters who find nobody in: by day, and again each week."""
        out = []
        for fault in self.field.faults:
            if fault.kind == "no-access":
                at_ms = _by_day(fault.begin_ms + _HOUR_MS)
                while at_ms < fault.end_ms:
                    out += [(at_ms, meter_id) for meter_id in fault.meters]
                    at_ms = _by_day(at_ms + 7 * 24 * _HOUR_MS)
        return out

    def annual_kwh(self) -> dict[str, float]:
        """Of the meters that are up at the begin."""
        return {spec.meter_id: _annual_kwh(spec) for spec in self._specs}

    def direct(self) -> list[str]:
        """Meters that are called by the head-end itself, those to come too."""
        return [spec.meter_id for spec in self.field.specs() if spec.direct]

    def gasps(self, at_ms: int) -> list[tuple[str, int]]:
        """Modems whose supply fell since the last time: their last words came to the head-end."""
        self.field.advance_to(at_ms)
        out, self._gasps = self._gasps, []
        return out

    def display(self, meter_id: str, at_ms: int) -> tuple[int, int] | None:
        """What a fitter reads off, mWh; None where the display is dark."""
        return self.field.played(meter_id, at_ms).register_mwh()

    def order(self, kind: str, begin_ms: int, end_ms: int, meters: list[str]) -> None:
        self.field.order(kind, begin_ms, end_ms, meters)

    def settle(self, until_ms: int) -> None:
        """The ledger has all up to then, and the field is over."""
        self.field.settle(last=True, until_ms=until_ms)

    def memory_mib(self) -> float:
        """The most that this process ever had."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    # --- concentrators -----------------------------------------------------------------------

    def door(
        self, master_id: str, path: str, order: Mapping[str, Any] | None, at_ms: int
    ) -> dict[str, Any]:
        """GET, or POST of an order. LateError while it is down."""
        master = self.masters[master_id]
        master.work(at_ms)
        self.field.advance_to(at_ms)
        concentrator = master.concentrator
        if concentrator is None or master.is_down(at_ms):
            raise LateError(f"no answer from concentrator {master_id}")
        door = Door(concentrator, lambda what: None)
        parts = urlsplit(path)
        if order is None:
            code, body = door.get(parts.path, dict(parse_qsl(parts.query)))
        else:
            code, body = door.post(parts.path, dict(order))
        if code >= 400:
            raise BenchError(f"concentrator {master_id} refuses: {body.get('error', code)}")
        return body

    def signal_dbm(self, meter_id: str, at_ms: int) -> int | None:
        """How the net hears a meter."""
        return getattr(self.field.heard(meter_id, at_ms), "signal_dbm", None)

    # --- meters ------------------------------------------------------------------------------

    def call(self, meter_id: str, sap: int, at_ms: int) -> int:
        """A connection; its number."""
        self.field.advance_to(at_ms)
        clock = VirtualClock(at_ms)
        master = self.masters.get(self.field.spec(meter_id).master)
        link: Transport
        if master is not None:
            link = master.opener(meter_id, clock)(sap, 30.0)
        else:
            channel = self.field.call(meter_id, at_ms)
            link, clock.true_ms = ChannelLink(channel, sap), channel.utc_ms
        self._serial += 1
        self._links[self._serial] = link, clock
        return self._serial

    def exchange(self, number: int, message: bytes) -> tuple[bytes, int]:
        """The answer, and the time at which it is there."""
        link, clock = self._links[number]
        answer = link.send_request(message) if message else link.receive()
        if isinstance(link, ChannelLink):
            clock.advance_to(link.channel.utc_ms)
        return answer, clock.true_ms

    def hang_up(self, number: int) -> None:
        link, _ = self._links.pop(number, (None, None))
        if link is not None:
            link.disconnect()


def _annual_kwh(spec: MeterSpec) -> float:
    """Imported in a year, as the years before had it: by a few days of it."""
    load = Load(spec.profile, spec.seed)
    ct = PROFILES[spec.profile].ct if spec.profile in PROFILES else None
    ratio = ct[0] // ct[1] if ct else 1
    mws = 0
    for k in range(_SAMPLES):
        # Of the year before any that a field plays.
        active, _ = load.day(9131 + k * 365 // _SAMPLES)
        mws += sum(power for power in active if power > 0)
    kwh = mws * ratio * QUARTER_MS / 3.6e12 * 365 / _SAMPLES
    return float(round(kwh))
