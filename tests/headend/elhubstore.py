"""A store with points and values, to deliver from."""

from __future__ import annotations

import random
from datetime import date, timedelta

from elhubmessages import COMPANY, numbered
from elhubpeers import PARTIES, Clock, identity, point

from openams.gs1 import check_digit
from openams.headend.days import day_date, day_number
from openams.headend.elhub import soap
from openams.headend.elhub.build import DIRECTIONS
from openams.headend.elhub.deliver import Delivery, Settings
from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.link import DirectLine, Link
from openams.headend.register import Terms, series_of
from openams.headend.vee.calendar import midnight, starts
from openams.meter_time import to_utc_ms

FIRST = date(2024, 5, 3)
KINDS = ("consumption", "prosumer", "production", "exchange")


def gsrn(number: int) -> str:
    digits = f"70705750000{number:06d}"
    return digits + check_digit(digits)


def terms(number: int, first: date = FIRST, settlement: str = "interval") -> Terms:
    kind = KINDS[number % 4]
    minutes = 15 if number % 3 == 2 else 60
    return Terms(gsrn(number), day_number(first), None, kind, settlement, "", minutes, 63.0,
                 "3P4W", "50YTESTTESTTESTB", None)  # fmt: skip


def add_points(store, points) -> None:
    store.put_rows("terms", Terms._fields, points)


def put(store, one: Terms, day: date, at, seed: int = 0, change=None, series=None) -> None:
    """The next revision of a point's day: made by the seed, or the last one changed."""
    for which in series or series_of(one.kind):
        count = len(starts(day, one.resolution_min))
        old = store.value(day, one.gsrn, which)
        dice = random.Random(f"{seed} {one.gsrn} {day} {which}")
        wh = [dice.randrange(3000) for _ in range(count)] if old is None else list(old.wh)
        states = ["measured"] * count if old is None else list(old.states)
        detail = {}
        if old is None and dice.random() < 0.3:
            states[5] = "estimated"
        for k, (value, state) in (change or {}).items():
            wh[k], states[k] = value, state
        for k, state in enumerate(states):
            if state != "measured":
                detail[k] = {"validation": "V002", "estimation": "E001"}
        number = 1 if old is None else old.revision + 1
        store.put_revision(
            day, one.gsrn, which, number, to_utc_ms(at), "test", "", "vee-1", one.resolution_min,
            wh, states, tuple(range(count)), detail, sum(wh),
        )  # fmt: skip


def hub_points(points):
    return [
        point(one.gsrn, one.resolution_min, tuple(DIRECTIONS[s] for s in series_of(one.kind)),
              midnight(day_date(one.from_day)))
        for one in points
    ]  # fmt: skip


class Chain:
    """A store, a delivery and a hub, in given time."""

    def __init__(self, store, now, points, path=None, line=None, settle_min: int = 30) -> None:
        self.store, self.clock = store, Clock(now)
        self.hub_store = HubStore(path)
        self.hub_store.add_points(hub_points(points))
        parties = {COMPANY: identity("company").certificate}
        self.hub = Hub(self.hub_store, identity("hub"), parties, self.clock)
        self.line = (line or (lambda inner: inner))(DirectLine(self.hub.answer))
        link = Link(
            self.line, identity("company"), [identity("hub").certificate], PARTIES, self.clock
        )
        settings = Settings(timedelta(minutes=settle_min))
        self.delivery = Delivery(store, link, self.clock, settings)

    def run(self, hours: float = 1, steps: int = 1):
        """Steps with time between them; the figures of all."""
        total = None
        for _ in range(steps):
            found = self.delivery.step()
            if total is None:
                total = found
            else:
                total.add(found)
            self.clock.now += timedelta(hours=hours / steps)
        return total


def different(store, hub_store, days):
    """(day, point, series) that the hub does not hold as the store has it."""
    out = []
    for day in days:
        for one in store.values(day):
            held = hub_store.values(one.gsrn, DIRECTIONS[one.series], day)
            if held is None or [value and value.wh for value in held] != list(one.wh):
                out.append((day, one.gsrn, one.series))
    return out


__all__ = ["Chain", "add_points", "different", "gsrn", "numbered", "put", "soap", "terms"]
