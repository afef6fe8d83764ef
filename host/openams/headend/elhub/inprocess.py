"""A hub beside the head-end in one process: for runs in virtual time, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from openams.headend.elhub import soap
from openams.headend.elhub.build import DIRECTIONS, Parties
from openams.headend.elhub.deliver import Delivery, Settings
from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubstore import HubPoint, HubStore
from openams.headend.elhub.link import DirectLine, Line, Link
from openams.headend.elhub.plan import delivered
from openams.headend.register import series_of
from openams.headend.store import Store
from openams.headend.vee.calendar import midnight

# A GLN of nobody: GS1 Norway's prefix, all zeros, and the check digit.
COMPANY = "7080000000012"


def hub_points(store: Store, day: date, party: str) -> Iterator[HubPoint]:
    """What the hub has to know of a register, from a day on."""
    for one in store.all_terms(day):
        directions = tuple(DIRECTIONS[series] for series in series_of(one.kind))
        minutes = one.resolution_min or 60
        yield HubPoint(one.gsrn, party, directions, minutes, midnight(day), None, delivered(one))


class LocalHub:
    """A stand-in and a delivery to it. `first`: the first day that it expects; `line`: how requests
    come to it, for a hub that is not well. `path`: of its file, None: it keeps nothing."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        first: date,
        path: Path | None = None,
        party: str = COMPANY,
        settle: timedelta = timedelta(minutes=30),
        line: Callable[[Line], Line] = lambda line: line,
    ) -> None:
        now = clock()
        company, mine = soap.make_identity("company", now), soap.make_identity("hub", now)
        self._source, self._party = store, party
        self.store = HubStore(path)
        self.store.add_points(hub_points(store, first, party))
        self.hub = Hub(self.store, mine, {party: company.certificate}, clock)
        self.line = line(DirectLine(self.hub.answer))
        link = Link(self.line, company, [mine.certificate], Parties(party, party), clock)
        self.delivery = Delivery(store, link, clock, Settings(settle, first))

    def learn(self, day: date) -> None:
        """Tells the hub what the register says from a day on (new points, other terms)."""
        self.store.add_points(hub_points(self._source, day, self._party))

    def close(self) -> None:
        self.store.close()
