"""Concentrators: what they have stored is taken from a number on, and acknowledged once it is here.

The number lies in the store, and is written with what it stands for: whoever dies between, asks
again from there. A concentrator that lost its store has another `store_id`: then from the start.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from openams.client.errors import LateError, LinkError
from openams.client.meterday import MeterDay
from openams.errors import BenchError
from openams.headend.collect.reading import of_day, stored_number
from openams.headend.collect.taking import Came
from openams.headend.collect.work import Seqs, Visit, Work, shown
from openams.headend.days import day_bounds, day_date, day_number
from openams.headend.store import Store
from openams.meter_time import to_utc_ms

_PAGE = 100
_BODY_MOST = 64 << 20
# Days that are asked for in one visit: a concentrator reads them in its own time.
_ASK = 50
# Values of a day may be corrected for three years.
_OLDEST_MS = 4 * 366 * 86_400_000


class NonsenseError(LinkError):
    """An answer that is none: nothing of it is taken, and a person should know."""


class Door(Protocol):
    """A concentrator's door: bodies as docs/concentrator.md has them."""

    async def get(self, path: str) -> dict[str, Any]: ...
    async def post(self, path: str, order: dict[str, Any]) -> dict[str, Any]: ...


class HttpDoor:
    """JSON over HTTP/1.1, a connection for each request, with a token."""

    def __init__(self, url: str, token: str, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "tcp") or not parts.hostname or not parts.port:
            raise BenchError(f"{url!r} is no URL of a concentrator: write it like http://host:4080")
        self._host, self._port = parts.hostname, parts.port
        self._token, self._timeout_s = token, timeout_s
        self.octets = 0

    async def get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", path, b"")

    async def post(self, path: str, order: dict[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", path, json.dumps(order).encode())

    async def _ask(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        where = f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout(self._timeout_s):
                status, answer = await self._exchange(method, path, body)
        except TimeoutError:
            raise LateError(f"no answer from the concentrator at {where}") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            reason = getattr(error, "strerror", None) or "it has closed the connection"
            raise LinkError(f"no concentrator at {where}: {reason}") from None
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise LinkError(f"what answers at {where} is no concentrator")
        if status >= 400:
            said = str(found.get("error", status))[:200]
            raise BenchError(f"the concentrator at {where} refuses: {said}")
        return found

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
                f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode("latin-1", "replace") + body)
            await writer.drain()
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            length = fields.get("content-length", "")
            words = lines[0].split(" ")
            if not length.isdigit() or len(words) < 2 or not words[1].isdigit():
                raise LinkError(f"what answers at {self._host}:{self._port} does not speak HTTP")
            if int(length) > _BODY_MOST:
                raise LinkError(f"an answer of {length} octets is too long")
            answer = await reader.readexactly(int(length))
            self.octets += len(head) + len(body) + len(answer)
            return int(words[1]), answer
        finally:
            writer.close()


async def visit(door: Door, work: Work, now_ms: int) -> Visit:
    """One page of days, and the alarms and pushes; what was written before is acknowledged."""
    state = await door.get("/v1/state")
    store_id = shown(state.get("store_id"))
    anew = work.seqs is not None and work.seqs.store_id != store_id
    before = Seqs(store_id, 0, 0, 0) if work.seqs is None or anew else work.seqs
    if before.day:
        await door.post("/v1/days/taken", {"store_id": store_id, "seq": before.day})
    body = await door.get(f"/v1/days?after={before.day}&limit={_PAGE}")
    source = f"concentrator {work.turn.subject}"
    days = [_day(record, source, now_ms) for record in _list(body, "days")]
    alarms = _list(await door.get(f"/v1/alarms?after={before.alarm}"), "alarms")
    pushes = _list(await door.get(f"/v1/pushes?after={before.push}"), "pushes")
    seqs = Seqs(
        store_id,
        _whole(body.get("next", before.day)),
        max([before.alarm, *(_whole(one.get("seq")) for one in alarms)]),
        max([before.push, *(_whole(one.get("seq")) for one in pushes)]),
    )
    found = Visit(seqs, days, alarms, pushes, bool(body.get("more")), anew)
    if not found.more:
        here = {(one.meter_id, one.days[0]) for one in days}
        missing = [one for one in work.asked if one not in here]
        found.missing = bool(missing)
        if missing:
            found.unread = _unread(await door.get("/v1/meters"))
        await _ask(door, missing)
    return found


def _unread(body: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    out = []
    for one in _list(body, "meters"):
        signal = one.get("signal_dbm")
        if one.get("failures"):
            heard = stored_number(signal, 999, -999)
            out.append((shown(one.get("meter_id")), heard, shown(one.get("reason"))))
    return out


async def _ask(door: Door, missing: Sequence[tuple[str, int]]) -> None:
    """Days that are open here and did not come: the concentrator may read them again."""
    for meter_id, day in missing[:_ASK]:
        order = {"meter_id": meter_id, "day": day_date(day).isoformat()}
        await door.post("/v1/ask", order)


def _list(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = body.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise NonsenseError(f"the concentrator's answer has no list {name!r}")
    return found


def _whole(value: Any) -> int:
    number = stored_number(value, (1 << 62) - 1)
    if number is None:
        raise NonsenseError("the concentrator's answer has a number that is none")
    return number


def _day(record: dict[str, Any], source: str, now_ms: int) -> Came:
    try:
        day = MeterDay.from_json(record)
        of = date.fromisoformat(day.day)
        number = day_number(of)
        if not now_ms - _OLDEST_MS < day_bounds(of)[0] < now_ms:
            raise ValueError("a day that is to come, or that nobody asks for any more")
        got = of_day(day, source, now_ms)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise NonsenseError("the concentrator's answer has a day that is none") from None
    # Whether the meter has more is the concentrator's to know: it comes as a better revision.
    return Came(day.meter_id, got, source, (number,), 0)


def take_visits(store: Store, visits: Mapping[str, Visit], now_ms: int) -> None:
    """Amid a transaction, and after what they brought: the numbers that it stands for, by
    concentrator, alarms and pushes, and what a person should know."""
    days = [(name, one.meter_id) for name, found in visits.items() for one in found.days]
    known = dict(store.by_key(
        "SELECT meter_id, concentrator FROM meter WHERE meter_id IN (?*)",
        sorted({meter_id for _, meter_id in days}),
    ))  # fmt: skip
    for name, meter_id in sorted(set(days)):
        if known.get(meter_id) != name:
            text = f"concentrator {name} has values of a meter that is not its"
            store.notice("foreign-meter", meter_id, text, now_ms)
    alarms = []
    for name, found in visits.items():
        if found.began_anew:
            text = (
                "it has lost its store: all that it has is taken anew, and missing days are asked"
            )
            store.notice("store-lost", name, text, now_ms)
        for one in found.pushes:
            if "refused" in one:
                text = f"concentrator {name} brings {one['refused']}"
                store.notice("push", shown(one.get("meter_id")), shown(text), now_ms)
        for kind, rows in (("alarm", found.alarms), ("push", found.pushes)):
            alarms += [
                (shown(one.get("meter_id")), _at(one, now_ms), f"{name} {kind}",
                 json.dumps(one), one["seq"])
                for one in rows
            ]  # fmt: skip
    store.put_rows("alarm", ("meter_id", "at_ms", "source", "body", "number"), alarms)
    store.upsert(
        "concentrator_seen",
        ("concentrator_id", "store_id", "day_seq", "alarm_seq", "push_seq", "at_ms"),
        [(name, *found.seqs, now_ms) for name, found in visits.items()],
        "(concentrator_id) DO UPDATE SET store_id = excluded.store_id, "
        "day_seq = excluded.day_seq, alarm_seq = excluded.alarm_seq, "
        "push_seq = excluded.push_seq, at_ms = excluded.at_ms",
    )


def _at(row: dict[str, Any], now_ms: int) -> int:
    try:
        return to_utc_ms(datetime.fromisoformat(str(row.get("time"))))
    except (ValueError, TypeError, OverflowError):
        return now_ms
