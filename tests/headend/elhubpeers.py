"""A stand-in for Elhub and a company that talks to it, in one process and in given time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from elhubmessages import COMPANY, numbered

from openams.headend.elhub import build, safexml, soap, wire
from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubstore import HubPoint, HubStore

START = datetime(2024, 5, 2, 22, tzinfo=UTC)
PARTIES = build.Parties(COMPANY, COMPANY)


@cache
def identity(name: str) -> soap.Identity:
    return soap.make_identity(name, datetime(2020, 1, 1, tzinfo=UTC), days=365 * 20)


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Peers:
    """`ask` sends one signed request; `path` None: the hub keeps nothing."""

    def __init__(self, now: datetime, path=None, points=()) -> None:
        self.clock = Clock(now)
        self.store = HubStore(path)
        self.store.add_points(points)
        parties = {COMPANY: identity("company").certificate}
        self.hub = Hub(self.store, identity("hub"), parties, self.clock)
        self.new_id = numbered()

    def ask(self, content, who=None):
        """Status, and the content of the answer, whose signature is the hub's."""
        root = soap.sign(soap.envelope(content), who or identity("company"), self.clock.now)
        status, octets = self.hub.answer(safexml.octets_of(root))
        answer = safexml.parse(octets)
        soap.verify(answer, [identity("hub").certificate], self.clock.now)
        return status, soap.content_of(answer)

    def send(self, *series):
        message = build.message(series, PARTIES, self.clock.now, self.new_id())
        status, content = self.ask(wire.collected_request(message))
        assert (status, content) == (200, None), soap.read_fault(content)
        return message

    def poll(self, take=True):
        """Messages of a poll, acknowledged."""
        request = wire.poll_request(PARTIES, self.clock.now, self.new_id())
        status, content = self.ask(request)
        assert status == 200
        polled = wire.read_poll_response(content)
        if polled is not None and take:
            request = wire.taken_request(PARTIES, self.clock.now, self.new_id(), polled.poll_id)
            assert self.ask(request) == (200, None)
        return polled


def point(gsrn, minutes=60, directions=("Out",), begin=START, party=COMPANY, settled=True):
    return HubPoint(gsrn, party, directions, minutes, begin - timedelta(0), None, settled)
