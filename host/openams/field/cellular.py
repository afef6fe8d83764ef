"""A modem a meter: cells of a mobile network, coverage by place, and sleep.

A modem sleeps and listens at intervals (extended discontinuous reception); who calls waits for
that, and is heard at once while it is still awake from the last message. After an outage each
has to register again, not all of them at once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from openams.field.link import LinkState, distance_m, loss_ppm, near, noise, signal

_CELL_M = 4000  # between base stations
_EXPONENT = 3.0
_SHADOW_DB = 14  # behind how many walls it hangs
_CYCLE_MS, _AWAKE_MS = 40_960, 20_480
_RATE_BPS = 60_000
_REGISTER_MS = 600_000
# A base station, a place without coverage for a while, one modem.
_KINDS = (("cell", 0.02), ("place", 0.28), ("one", 0.70))
_PLACE_M = 300


class Cellular:
    def __init__(self, seed: int, places: Mapping[str, tuple[int, int]]) -> None:
        self._seed = seed
        self._places = dict(places)
        self._cells: dict[str, list[str]] = {}
        for name in self._places:
            self._cells.setdefault(self.group(name), []).append(name)

    def group(self, name: str) -> str:
        """Its cell."""
        x, y = self._places[name]
        return f"{x // _CELL_M} {y // _CELL_M}"

    def link(self, name: str, utc_ms: int) -> LinkState:
        x, y = self._places[name]
        station = (x // _CELL_M * _CELL_M + _CELL_M // 2, y // _CELL_M * _CELL_M + _CELL_M // 2)
        walls = -_SHADOW_DB * noise(self._seed, "walls", name)
        fade = 6 * (noise(self._seed, "fade", name, utc_ms // 900_000) - 0.5)
        # Coverage of sparse country repeats what it sends: 18 dB.
        dbm = signal(distance_m((x, y), station), _EXPONENT, walls + fade + 10)
        phase = (utc_ms + round(_CYCLE_MS * noise(self._seed, "phase", name))) % _CYCLE_MS
        sleeps_ms = _CYCLE_MS - phase if phase > _AWAKE_MS else 0
        latency_ms = 120 + round(300 * noise(self._seed, name, utc_ms) ** 2) + sleeps_ms
        rate = _RATE_BPS if dbm > -100 else _RATE_BPS // 8
        return LinkState(True, latency_ms, rate, loss_ppm(dbm + 18), dbm)

    def registers_ms(self, name: str, ended_ms: int) -> int:
        """How long after the end of an outage it is back."""
        return round(_REGISTER_MS * noise(self._seed, "register", name, ended_ms))

    def outage(self, name: str, rng: random.Random) -> tuple[str, ...]:
        kind = rng.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])[0]
        cell = self._cells[self.group(name)]
        if kind == "cell":
            return tuple(cell)
        if kind == "place":
            there = ((other, self._places[other]) for other in cell)
            return tuple(near(there, self._places[name], _PLACE_M))
        return (name,)
