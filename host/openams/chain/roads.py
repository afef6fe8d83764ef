"""The head-end's ways into a field: as its own links and doors, at the time of its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from openams.chain.parts import Part
from openams.client.links import Transport, Url, parse_url
from openams.headend.collect.collector import Roads
from openams.headend.collect.concentrators import Door
from openams.headend.collect.link import Link, Opener
from openams.headend.register import ConcentratorRow, MeterRow

Find = Callable[[str], Part]
Now = Callable[[], int]


class FieldRoads(Roads):
    """`part_of`: the share of a meter or a concentrator, by its number or name."""

    def __init__(self, part_of: Find, now_ms: Now) -> None:
        super().__init__()
        self._part_of, self._now_ms = part_of, now_ms

    def meter(self, row: MeterRow) -> Opener:
        part, now_ms, meter_id = self._part_of(row.meter_id), self._now_ms, row.meter_id

        async def opened(sap: int) -> Link:
            at_ms = now_ms()
            return FieldLink(part, await part.ask("call", meter_id, sap, at_ms), at_ms)

        return opened

    async def signal_dbm(self, row: MeterRow) -> int | None:
        """As the operator of the mobile network says it of a modem."""
        found: int | None = await self._part_of(row.meter_id).ask(
            "signal_dbm", row.meter_id, self._now_ms()
        )
        return found

    def door(self, row: ConcentratorRow) -> Door:
        return FieldDoor(self._part_of(row.concentrator_id), row.concentrator_id, self._now_ms)


class FieldLink:
    """Of a collector."""

    def __init__(self, part: Part, number: int, at_ms: int) -> None:
        self._part, self._number, self._began_ms = part, number, at_ms
        self.octets = 0
        self.spent_ms = 0

    async def exchange(self, message: bytes) -> bytes:
        answer: bytes
        answer, at_ms = await self._part.ask("exchange", self._number, message)
        self.octets += len(message) + len(answer)
        self.spent_ms = at_ms - self._began_ms
        return answer

    async def close(self) -> None:
        await self._part.ask("hang_up", self._number)


class FieldDoor:
    def __init__(self, part: Part, concentrator_id: str, now_ms: Now) -> None:
        self._part, self._name, self._now_ms = part, concentrator_id, now_ms

    async def get(self, path: str) -> dict[str, Any]:
        return await self._ask(path, None)

    async def post(self, path: str, order: dict[str, Any]) -> dict[str, Any]:
        return await self._ask(path, order)

    async def _ask(self, path: str, order: dict[str, Any] | None) -> dict[str, Any]:
        found: dict[str, Any] = await self._part.ask(
            "door", self._name, path, order, self._now_ms()
        )
        return found


class _Waiting:
    """A transport of one who waits: of the orders' process."""

    def __init__(self, part: Part, meter_id: str, sap: int, clock: OrderClock) -> None:
        self._part, self._clock = part, clock
        self._number = part.ask_now("call", meter_id, sap, clock.now_ms())

    def connect(self) -> None:
        """There already."""

    def send_request(self, apdu: bytes) -> bytes:
        return self._exchange(apdu)

    def receive(self) -> bytes:
        return self._exchange(b"")

    def _exchange(self, apdu: bytes) -> bytes:
        answer: bytes
        answer, at_ms = self._part.ask_now("exchange", self._number, apdu)
        self._clock.link_ms = at_ms
        return answer

    def disconnect(self) -> None:
        self._part.ask_now("hang_up", self._number)


class OrderClock:
    """The head-end's, and within a session as late as its link has come."""

    def __init__(self, now_ms: Now) -> None:
        self._now_ms = now_ms
        self.link_ms = 0

    def now_ms(self) -> int:
        return max(self._now_ms(), self.link_ms)


def order_url(part_of: Find, clock: OrderClock) -> Callable[[str, str], Url]:
    """For orders: the URL of a meter as the register has it, with the way into the field."""

    def url_of(meter_id: str, url: str) -> Url:
        def opener(sap: int, timeout_s: float) -> Transport:
            clock.link_ms = 0
            return _Waiting(part_of(meter_id), meter_id, sap, clock)

        return replace(parse_url(url), opener=opener)

    return url_of
