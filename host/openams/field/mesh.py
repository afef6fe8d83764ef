"""Radio mesh behind a master: each meter hands on what is for those behind it.

A message goes by the way that costs least: a hop, and more the weaker it is. All of a master's
meters share one air, so that each hop takes its part of the rate. Who loses a neighbour takes
another way while there is one; without one it is lost, and all that had no other way than by it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Mapping

from openams.field.link import LinkState, distance_m, loss_ppm, near, noise, signal

_RANGE_M = 600  # farther than that nobody is a neighbour, but for want of a nearer one
_EXPONENT = 3.1  # of the loss over distance, among houses
_HOP_MS = 180
_RATE_BPS = 19_200
_SHADOW_DB = 6
# What a lost neighbour takes with it, by what it was: one radio; a house in the way; a jammer.
_RADII_M = ((0, 0.5), (250, 0.35), (500, 0.15))


class Mesh:
    """`places` of the meters of one master; `middle` its own."""

    def __init__(
        self, seed: int, places: Mapping[str, tuple[int, int]], middle: tuple[int, int]
    ) -> None:
        self._seed = seed
        self._places = dict(places)
        self._middle = middle
        self.parents: dict[str, str] = {}  # "" is the master
        self.hops: dict[str, int] = {}
        self._worst: dict[str, int] = {}  # signal of the weakest hop
        self._grow()

    def _grow(self) -> None:
        """Dijkstra from the master over all pairs."""
        left = dict(self._places)
        queue: list[tuple[float, str, str]] = []
        self._offer(queue, 0.0, "", self._middle, left)
        while left:
            cost, name, parent = heapq.heappop(queue)
            if name not in left:
                continue
            place = left.pop(name)
            self.parents[name] = parent
            self.hops[name] = self.hops.get(parent, 0) + 1
            from_ = self._places.get(parent, self._middle)
            shadow = _SHADOW_DB * (2 * noise(self._seed, "shadow", name) - 1)
            hop_dbm = signal(distance_m(place, from_), _EXPONENT, shadow)
            self._worst[name] = min(hop_dbm, self._worst.get(parent, 0))
            self._offer(queue, cost, name, place, left)

    @staticmethod
    def _offer(
        queue: list[tuple[float, str, str]],
        cost: float,
        name: str,
        at: tuple[int, int],
        left: Mapping[str, tuple[int, int]],
    ) -> None:
        for other, place in left.items():
            step = 1 + (distance_m(place, at) / _RANGE_M * 1.5) ** 3
            heapq.heappush(queue, (cost + step, other, name))

    def link(self, name: str, utc_ms: int) -> LinkState:
        hops = self.hops[name]
        # Others are on the air too, more of them nearer to the master.
        busy = noise(self._seed, "air", utc_ms // 2000) ** 3
        fade = 4 * (noise(self._seed, "fade", name, utc_ms // 600_000) - 0.5)
        dbm = round(self._worst[name] + fade)
        # A hop repeats what is lost on it; what stays lost is lost three times in a row.
        per_hop = (loss_ppm(dbm) / 1_000_000) ** 3
        lost = round(1_000_000 * (1 - (1 - per_hop) ** hops))
        latency_ms = round(hops * _HOP_MS * (1 + busy) + 60 * noise(self._seed, name, utc_ms))
        return LinkState(True, latency_ms, _RATE_BPS // (2 * hops), lost, dbm)

    def group(self, name: str) -> str:
        """By whom its link falls for a while: the meter next to the master on its way."""
        while self.parents[name]:
            name = self.parents[name]
        return name

    def cut_off(self, lost: Iterable[str]) -> tuple[str, ...]:
        """Who is not reached while these are lost: themselves, and who has no way but by them."""
        gone = set(lost)
        ways: dict[str, list[str]] = {}
        for name, parent in self.parents.items():
            ways.setdefault(parent, []).append(name)
            ways.setdefault(name, []).append(parent)
        left = {name: place for name, place in self._places.items() if name not in gone}
        reached, heads = set(), [""]
        while heads:
            head = heads.pop()
            at = self._places.get(head, self._middle)
            beside = near(left.items(), at, _RANGE_M) + [n for n in ways.get(head, ()) if n in left]
            for name in beside:
                if left.pop(name, None) is not None:
                    reached.add(name)
                    heads.append(name)
        return tuple(name for name in self._places if name not in reached)

    def outage(self, name: str, rng: random.Random) -> tuple[str, ...]:
        """A neighbour is lost: whom that takes."""
        radius = rng.choices([m for m, _ in _RADII_M], [weight for _, weight in _RADII_M])[0]
        return self.cut_off(near(self._places.items(), self._places[name], radius))
