"""Links without a net: what a meter is called by where nobody models one."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from openams.field.faults import Fault, nights, poisson
from openams.field.meters import FieldPlan


class State(Protocol):
    """How a meter's link is at a time."""

    @property
    def up(self) -> bool: ...
    @property
    def latency_ms(self) -> int: ...
    @property
    def rate_bps(self) -> int: ...
    @property
    def loss_ppm(self) -> int: ...


class Nets(Protocol):
    """What the field asks the nets; see field.nets."""

    def state(self, meter_id: str, utc_ms: int) -> State: ...
    def outages(self, begin_ms: int, end_ms: int, lost_meter_days: float) -> list[Fault]: ...
    def order(self, fault: Fault) -> None: ...


@dataclass(frozen=True)
class PlainState:
    up: bool = True
    latency_ms: int = 50
    rate_bps: int = 100_000
    loss_ppm: int = 0


_KINDS = {"mesh": "neighbour-lost", "plc": "plc-noise", "cellular": "out-of-coverage"}


class PlainNets:
    """Always up, but for outages of one meter each, without what they have in common."""

    def __init__(self, plan: FieldPlan) -> None:
        self._plan = plan

    def state(self, meter_id: str, utc_ms: int) -> PlainState:
        return PlainState()

    def outages(self, begin_ms: int, end_ms: int, lost_meter_days: float) -> list[Fault]:
        rng = random.Random(f"plain nets {self._plan.seed}")
        there = nights(begin_ms, end_ms)
        out = []
        for _ in range(poisson(rng, lost_meter_days) if there else 0):
            meter = rng.choice(self._plan.meters)
            first, last = rng.choice(there)
            begin = max(begin_ms, first - rng.randrange(6 * 3_600_000))
            end = last + rng.randrange(9 * 3_600_000)
            out.append(Fault(_KINDS[meter.net], "signal", begin, end, (meter.meter_id,)))
        return out

    def order(self, fault: Fault) -> None:
        """The field holds who is silent by itself."""
