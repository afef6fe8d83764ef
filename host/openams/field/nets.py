"""The nets of a field: how the link of each meter is at any time, and their outages, by a seed.

Pure: the same plan, seed and question give the same answer, in whatever order it is asked. What
goes wrong goes wrong together, as it does in the country: a neighbour in a mesh takes those
behind it, a base station its cell, noise the rest of its feeder, and there are bad nights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from openams.field.cellular import Cellular
from openams.field.faults import Fault, lost_days, nights
from openams.field.link import LinkState, noise
from openams.field.mesh import Mesh
from openams.field.meters import FieldPlan, MeterSpec
from openams.field.plc import Plc

__all__ = ["LinkState", "Nets", "make_nets"]

_KINDS = {"mesh": "neighbour-lost", "plc": "plc-noise", "cellular": "out-of-coverage"}
_SIGNAL = frozenset(_KINDS.values())
_HOUR_MS = 3_600_000
# An outage goes on for another night with this chance; a bad night has so many times as many.
_GOES_ON = 0.44
_BAD_NIGHTS, _BAD = 0.1, 5.0
# A group of links falls for so long in so many of a million such times: nothing is lost by it.
_DIP_MS, _DIPS_PPM = 300_000, 4000
_SIGNAL_DOWN_DBM = -127
_TRIES = 200_000


class Nets:
    """Made by `make_nets`."""

    def __init__(self, plan: FieldPlan, seed: int) -> None:
        self._seed = seed
        self._specs = {meter.meter_id: meter for meter in plan.meters}
        self._numbers = list(self._specs)
        self._middles = {master.master_id: (master.x_m, master.y_m) for master in plan.masters}
        self._groups: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
        for meter in plan.meters:
            self._groups.setdefault((meter.net, meter.master), {})[meter.meter_id] = (
                meter.x_m,
                meter.y_m,
            )
        self._made: dict[tuple[str, str], Mesh | Cellular | Plc] = {}
        self._faults: dict[str, list[Fault]] = {}

    def _net(self, meter: MeterSpec) -> Mesh | Cellular | Plc:
        """That of a master, or the one of all modems; made when it is first asked for."""
        key = (meter.net, meter.master)
        net = self._made.get(key)
        if net is None:
            places = self._groups[key]
            if meter.net == "cellular":
                net = Cellular(self._seed, places)
            else:
                kind = Mesh if meter.net == "mesh" else Plc
                net = kind(self._seed, places, self._middles[meter.master])
            self._made[key] = net
        return net

    # --- a link ------------------------------------------------------------------------------

    def state(self, meter_id: str, utc_ms: int) -> LinkState:
        """KeyError for a meter that the plan has not."""
        meter = self._specs[meter_id]
        net = self._net(meter)
        link = net.link(meter_id, utc_ms)
        kind = self._outage_of(meter, net, utc_ms)
        dip = noise(self._seed, "dip", meter.net, meter.master, net.group(meter_id))
        slot = utc_ms // _DIP_MS
        falls = noise(self._seed, "dip", dip, slot) * 1_000_000 < _DIPS_PPM
        if not kind and not falls:
            return link
        return LinkState(False, link.latency_ms, link.rate_bps, 1_000_000, _SIGNAL_DOWN_DBM, kind)

    def _outage_of(self, meter: MeterSpec, net: Mesh | Cellular | Plc, utc_ms: int) -> str:
        for fault in self._faults.get(meter.meter_id, ()):
            end_ms = fault.end_ms
            if isinstance(net, Cellular):
                end_ms += net.registers_ms(meter.meter_id, end_ms)
            if fault.begin_ms <= utc_ms < end_ms:
                return fault.kind
        return ""

    def cut_off_by(self, meter_id: str) -> tuple[str, ...]:
        """Whom a field loses with this meter's radio: itself, and in a mesh those that have no
        way but by it."""
        net = self._net(self._specs[meter_id])
        return net.cut_off([meter_id]) if isinstance(net, Mesh) else (meter_id,)

    # --- outages -----------------------------------------------------------------------------

    def outages(self, begin_ms: int, end_ms: int, lost_meter_days: float) -> list[Fault]:
        """Outages that take so many meter-days as `faults.lost_days` counts them, to within one
        outage; from then on `state` shows them."""
        there = nights(begin_ms, end_ms)
        rng = random.Random(f"nets {self._seed}")
        weights = [_BAD if rng.random() < _BAD_NIGHTS else 1.0 for _ in there]
        out: list[Fault] = []
        lost = 0.0
        for fault in self._drawn(rng, there, weights, begin_ms, end_ms):
            size = lost_days(fault, there)
            # The last one is there as often as it takes for the mean to be right.
            if lost + size > lost_meter_days and rng.random() * size >= lost_meter_days - lost:
                break
            lost += size
            out.append(fault)
            if lost >= lost_meter_days:
                break
        for fault in out:
            self.order(fault)
        return out

    def _drawn(
        self,
        rng: random.Random,
        there: list[tuple[int, int]],
        weights: list[float],
        begin_ms: int,
        end_ms: int,
    ) -> Iterator[Fault]:
        for _ in range(_TRIES if there and self._numbers else 0):
            name = rng.choice(self._numbers)
            meter = self._specs[name]
            first = last = rng.choices(range(len(there)), weights)[0]
            while last + 1 < len(there) and rng.random() < _GOES_ON:
                last += 1
            # It begins in the evening before, and ends in the course of the day.
            begin = max(begin_ms, there[first][0] - rng.randrange(6 * _HOUR_MS))
            end = min(end_ms, there[last][1] + rng.randrange(9 * _HOUR_MS))
            taken = self._net(meter).outage(name, rng)
            yield Fault(_KINDS[meter.net], "signal", begin, max(end, there[last][1]), taken)

    def order(self, fault: Fault) -> None:
        """An outage by hand."""
        if fault.kind in _SIGNAL:
            for meter_id in fault.meters:
                self._faults.setdefault(meter_id, []).append(fault)


def make_nets(plan: FieldPlan, seed: int) -> Nets:
    return Nets(plan, seed)
