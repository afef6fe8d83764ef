"""Orders that move a meter or change its firmware: of a process that has the keys for it.

The keystore of a collector has none of them. Each order to the breaker or limiter is sealed for its
meter (openams.control); an image is signed by the release key and released to its meter beforehand
(openams.image).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from openams.client.client import Client, session
from openams.client.errors import ClientError, LateError
from openams.client.links import Transport, Url, open_link
from openams.errors import BenchError
from openams.headend.store.jobs import Job
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms

ACTIONS = ("disconnect", "reconnect")
_MOST_WATT = 1_000_000
# An image is confirmed by the meter once it has run for a while; a block of it may be sent again.
_CONFIRMED_S = 600.0
_BLOCK_S = 300.0
# Others wait for who does an order: none has a session of more than so many seconds, but one that
# brings an image.
_SESSION_S, _IMAGE_S = 900.0, 6 * 3600.0
# A session that goes on is nobody else's for so long.
_ALIVE_S = 300.0


class RefusedOrder(BenchError):
    """The order will not be done however often it is tried: a person must see to it."""


class SentError(BenchError):
    """The meter was given a sealed order, of this number, and nobody knows what came of it."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number


class Doing(NamedTuple):
    """An order, its meter, and what it takes to talk to it. `now_ms`: the time as it passes;
    `alive`: for so many seconds more nobody else takes it up; `again`: a sealed order may have come
    to the meter before."""

    job: Job
    url: Url
    keystore: Keystore
    timeout_s: float
    now_ms: Callable[[], int]
    alive: Callable[[float], None]
    again: bool = False

    def now(self) -> datetime:
        return from_utc_ms(self.now_ms())

    def session(self, role: str) -> AbstractContextManager[Client]:
        bound_s = _IMAGE_S if role == "update" else _SESSION_S
        end = time.monotonic() + bound_s

        def opener(sap: int, timeout_s: float) -> Transport:
            return _Bounded(open_link(self.url, sap, timeout_s), end, self.alive)

        url = replace(self.url, opener=opener)
        return session(url, role, self.keystore, self.job.subject, self.timeout_s)


class _Bounded:
    """A link until a time of `time.monotonic`: others wait for who speaks on it."""

    def __init__(self, transport: Transport, end: float, alive: Callable[[float], None]) -> None:
        self._transport, self._end, self._alive = transport, end, alive

    def connect(self) -> None:
        """There already."""

    def disconnect(self) -> None:
        self._transport.disconnect()

    def send_request(self, apdu: bytes) -> bytes:
        self._go_on()
        return self._transport.send_request(apdu)

    def receive(self) -> bytes:
        self._go_on()
        return self._transport.receive()

    def _go_on(self) -> None:
        if time.monotonic() > self._end:
            raise LateError("the session has not ended in time")
        self._alive(_ALIVE_S)


def limit(order: Doing) -> dict[str, Any]:
    """`watt`: the limiter's threshold on mean import; None: off. What an order that had no answer
    may have done is looked up first."""
    from openams.control.client import Operator

    watt = order.job.detail["watt"]
    wanted = None if watt is None else 1000 * watt
    operator = None
    try:
        with order.session("breaker") as meter:
            operator = Operator(meter, order.keystore, order.job.subject, now=order.now)
            if order.again and _is_limited(found := operator.limits(), wanted):
                return {"watt": watt, "limits": found, "order": None}
            operator.set_threshold(4, "average-import", wanted)
            found = operator.limits()
    except ClientError as error:
        if operator is None or operator.last_order is None:
            raise
        text = f"sent, no answer that is one: {error}"
        raise SentError(text, operator.last_order) from None
    if not _is_limited(found, wanted):
        raise RefusedOrder("the meter takes the order and has another limit since")
    return {"watt": watt, "limits": found, "order": operator.last_order}


def _is_limited(found: Mapping[str, Any], wanted: int | None) -> bool:
    return bool(found.get("threshold_normal_mw", -1) == wanted)


def ration(order: Doing) -> dict[str, Any]:
    """`action` of the breaker, as a plan of rationing has it. What may have happened unseen, by an
    order that had no answer, is looked up first."""
    from openams.control.ration import Entry, act

    # Without the key this process cannot do it; another may.
    order.keystore.get(order.job.subject).key("breaker")
    detail = order.job.detail
    entry = Entry(order.job.subject, order.url.text, detail.get("group", ""), False)
    found = act(
        entry, detail["action"], order.keystore, order.timeout_s, order.again,
        functools.partial(order.session, "breaker"), order.now,
    )  # fmt: skip
    if found.status in ("critical", "refused"):
        raise RefusedOrder(f"{detail['action']}: {found.detail}")
    if found.status != "done" and found.order is not None:
        raise SentError(found.detail, found.order)
    if found.status != "done":
        raise BenchError(found.detail)
    return {"status": found.status, "detail": found.detail, "order": found.order}


def firmware(order: Doing) -> dict[str, Any]:
    """`image`: the file that is released to this meter. What the meter has of it already is not
    sent again."""
    from openams.image.file import load_all
    from openams.image.transfer import Refusal, Sender

    images = load_all(Path(order.job.detail["image"]))
    sender = Sender(functools.partial(order.session, "update"))
    try:
        image = sender.choose(images)
        sender.send(image, 256, lambda done, of: order.alive(_BLOCK_S))
        order.alive(_CONFIRMED_S + _BLOCK_S)
        sender.activate()
        found = sender.outcome(_CONFIRMED_S)
    except Refusal as error:
        raise RefusedOrder(str(error)) from None
    if found["state"] != "activated":
        raise RefusedOrder(f"the meter has gone back to its old firmware: {found['state']}")
    if found["version"] != image.contents()["version"]:
        raise RefusedOrder("the meter has the image, and runs another version")
    return {"state": found["state"], "blocks": sender.sent}


ZONE: Mapping[str, Callable[[Doing], dict[str, Any]]] = {
    "limit": limit,
    "ration": ration,
    "firmware": firmware,
}
# Hours that an order is good for: who rations does it now or not at all.
HOURS = {"limit": 24, "ration": 6, "firmware": 14 * 24}


def check(kind: str, detail: Mapping[str, Any]) -> None:
    """BenchError for an order that says nothing that can be done."""
    if kind == "limit":
        watt = detail.get("watt")
        if watt is not None and (not isinstance(watt, int) or not 0 <= watt <= _MOST_WATT):
            raise BenchError(f"a limit is 0 to {_MOST_WATT} W, or off")
    if kind == "ration" and detail.get("action") not in ACTIONS:
        raise BenchError(f"rationing is one of {', '.join(ACTIONS)}")
    if kind == "firmware":
        from openams.image.file import load_all

        images = load_all(Path(str(detail.get("image", ""))))
        if not all(image.is_released for image in images):
            raise BenchError("the image is released to no meter: ams image release makes it so")
