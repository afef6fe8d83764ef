"""Power line behind a concentrator: noise by the hour, on the feeder where its source is.

A transformer has some feeders; a message that is too weak at the end of one is repeated by a meter
on the way. What appliances do on a feeder is heard on all of it behind their place.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from openams.field.link import LinkState, distance_m, loss_ppm, noise
from openams.meter_time import NORWAY, from_utc_ms

_FEEDERS = 4
_LEVEL_M = 130  # from one that repeats to the next
_HOP_MS = 120
_RATE_BPS = 28_800
# dB of noise above the quiet of the night, by the local hour: cooking, lamps, chargers.
_NOISE_DB = (0, 0, 0, 0, 0, 2, 5, 8, 7, 5, 5, 6, 6, 5, 6, 8, 11, 13, 13, 12, 11, 9, 6, 3)


class Plc:
    """`places` of the meters of one concentrator; `middle`: the transformer."""

    def __init__(
        self, seed: int, places: Mapping[str, tuple[int, int]], middle: tuple[int, int]
    ) -> None:
        self._seed = seed
        self._places = dict(places)
        self._middle = middle

    def group(self, name: str) -> str:
        """Its feeder."""
        x, y = self._places[name]
        turn = math.atan2(y - self._middle[1], x - self._middle[0]) / (2 * math.pi)
        return str(int((turn % 1) * _FEEDERS))

    def link(self, name: str, utc_ms: int) -> LinkState:
        length_m = distance_m(self._places[name], self._middle)
        levels = 1 + int(length_m // _LEVEL_M)
        hour = from_utc_ms(utc_ms).astimezone(NORWAY).hour
        feeder = self.group(name)
        source = 8 * noise(self._seed, "noise", feeder, utc_ms // 1_800_000) ** 4
        own = 4 * noise(self._seed, "house", name)
        dbm = round(-84 - length_m % _LEVEL_M / 12 - _NOISE_DB[hour] / 2 - source - own)
        per_level = (loss_ppm(dbm) / 1_000_000) ** 2
        lost = round(1_000_000 * (1 - (1 - per_level) ** levels))
        latency_ms = round(levels * _HOP_MS * (1 + noise(self._seed, name, utc_ms)))
        return LinkState(True, latency_ms, _RATE_BPS // levels, lost, dbm)

    def outage(self, name: str, rng: random.Random) -> tuple[str, ...]:
        """A source of noise beside a meter: those of its feeder from there on."""
        from_m = distance_m(self._places[name], self._middle)
        feeder = self.group(name)
        return tuple(
            other
            for other, place in self._places.items()
            if self.group(other) == feeder and distance_m(place, self._middle) >= from_m
        )
