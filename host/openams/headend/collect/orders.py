"""Orders of the operator, given as jobs, done by a process of its own that has the keys for it.

Who collects has readers' keys alone. An order is taken up until its time is over: the HAN port is
the customer's within three working days (of the request), 15 minutes begin at a local midnight.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from openams.client import data as axdr
from openams.client.client import Client
from openams.client.links import Url, parse_url
from openams.client.names import CLOCK, HAN_OPEN
from openams.client.readout import PROFILES
from openams.errors import BenchError
from openams.headend.collect.zone import HOURS, ZONE, Doing, RefusedOrder, check
from openams.headend.days import day_bounds, day_number, local_day
from openams.headend.store import Store
from openams.headend.store.jobs import DUE, Job
from openams.headend.vee.calendar import WORKDAY, kind_of
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms

DONE, REFUSED, EXPIRED = "done", "refused", "expired"
HAN_WORKING_DAYS = 3
_LEASE_MS = 300_000
_AGAIN_MS = 60_000
_LONGEST_MS = 3_600_000
# A clock is set again where the request may have been there so much later than it says.
_CLOCK_TRIES, _CLOCK_LATE_MS = 4, 1_000


def working_days_after(day: date, count: int) -> date:
    """The last day of a limit in working days: the day of the request is not counted."""
    while count:
        day += timedelta(days=1)
        count -= kind_of(day) == WORKDAY
    return day


# --- what an order does ----------------------------------------------------------------------


Now = Callable[[], int]


def _han(opened: bool) -> Callable[[Client, Job, Now], dict[str, Any]]:
    def do(meter: Client, job: Job, now_ms: Now) -> dict[str, Any]:
        meter.set(1, HAN_OPEN, 2, axdr.boolean(opened))
        if meter.get(1, HAN_OPEN, 2) is not opened:
            raise BenchError("the meter says that its HAN port is as it was")
        return {"open": opened}

    return do


def _interval(meter: Client, job: Job, now_ms: Now) -> dict[str, Any]:
    minutes = int(job.detail["minutes"])
    meter.set(7, PROFILES["load"], 4, axdr.uint32(60 * minutes))
    return {"capture_period_s": meter.get(7, PROFILES["load"], 4)}


def _clock(meter: Client, job: Job, now_ms: Now) -> dict[str, Any]:
    """Sets it to the time at which the request will be there, half a way and back later; again
    where that took longer, as by a modem that had gone to sleep."""
    for _ in range(_CLOCK_TRIES):
        ways = []
        for _ in range(2):
            # The first may wake a modem; what it takes then says nothing.
            asked = now_ms()
            meter.get(8, CLOCK, 2)
            ways.append(now_ms() - asked)
        way, sent = min(ways), now_ms()
        now = from_utc_ms(sent + way // 2)
        meter.set(8, CLOCK, 2, axdr.octets(axdr.date_time(now)))
        if now_ms() - sent <= 2 * way + _CLOCK_LATE_MS:
            break
    return {"set": now.isoformat()}


def _operator(
    do: Callable[[Client, Job, Now], dict[str, Any]],
) -> Callable[[Doing], dict[str, Any]]:
    def doing(order: Doing) -> dict[str, Any]:
        with order.session("operator") as meter:
            return do(meter, order.job, order.now_ms)

    return doing


DOES: Mapping[str, Callable[[Doing], dict[str, Any]]] = {
    "han-open": _operator(_han(True)),
    "han-close": _operator(_han(False)),
    "interval": _operator(_interval),
    "clock": _operator(_clock),
    **ZONE,
}


# --- giving ------------------------------------------------------------------------------------


def give(
    store: Store, kind: str, meter_id: str, now_ms: int, who: str, detail: Mapping[str, Any]
) -> int:
    """A new order; its deadline, ms. BenchError where it cannot be."""
    if kind not in DOES:
        raise BenchError(f"there is no order {kind!r}: choose one of {', '.join(DOES)}")
    row = store.meter(meter_id)
    if row is None or not row.url:
        raise BenchError(f"meter {meter_id} is not in the register, or nobody reaches it")
    check(kind, detail)
    today = local_day(now_ms)
    due, number = now_ms, day_number(today)
    until = now_ms + 3_600_000 * HOURS.get(kind, 24)
    if kind.startswith("han-"):
        until = day_bounds(working_days_after(today, HAN_WORKING_DAYS))[1]
    if kind == "interval":
        day = date.fromisoformat(str(detail["day"]))
        due, number = day_bounds(day)[0], day_number(day)
        until = due + 86_400_000
        _check_interval(store, meter_id, day, int(detail["minutes"]), now_ms)
    if any(job.state in (DUE, "trying") for job in store.jobs(kind, number, subjects=[meter_id])):
        raise BenchError(f"meter {meter_id} has this order already")
    # One that is over makes room: it is kept under a number that is no day's.
    store.run(
        "UPDATE job SET day = -job_id WHERE kind = ? AND subject = ? AND day = ?",
        kind, meter_id, number,
    )  # fmt: skip
    store.add_jobs(kind, [(meter_id, number, due, until, {**detail, "who": who})], now_ms)
    return until


def _check_interval(store: Store, meter_id: str, day: date, minutes: int, now_ms: int) -> None:
    begin, end = day_bounds(day)
    if begin < now_ms:
        raise BenchError("the interval changes at a local midnight that is still to come")
    for relation in store.relations(begin, end, meter_id=meter_id):
        terms = store.terms(relation.gsrn, day)
        if terms is None or terms.resolution_min != minutes:
            raise BenchError(
                f"the register has no terms of {minutes} min for point {relation.gsrn} on {day}: "
                "import them first"
            )


# --- doing -------------------------------------------------------------------------------------


@dataclass
class Doer:
    """Takes orders that are due and does them, one after the other. `clock`: the time while one is
    done; None: as the computer's passes."""

    store: Store
    keystore: Keystore
    timeout_s: float = 30.0
    seed: int | None = None
    url_of: Callable[[str, str], Url] = lambda meter_id, url: parse_url(url)
    clock: Now | None = None

    def work(self, now_ms: int, most: int = 50) -> dict[str, int]:
        """Counts what came of them."""
        counts: dict[str, int] = {}
        rng = random.Random(self.seed)
        for job in self.store.take_orders(tuple(DOES), now_ms, most, _LEASE_MS):
            state = self._do(job, now_ms, rng)
            counts[state] = counts.get(state, 0) + 1
        return counts

    def _do(self, job: Job, now_ms: int, rng: random.Random) -> str:
        store = self.store
        row = store.meter(job.subject)
        began = time.monotonic()

        def passing() -> int:
            return now_ms + round(1000 * (time.monotonic() - began))

        leased = now_ms + _LEASE_MS

        def alive(for_s: float) -> None:
            nonlocal leased
            wanted = passing() + round(1000 * for_s)
            if wanted > leased + 60_000:
                leased = wanted
                store.run("UPDATE job SET lease_ms = ? WHERE job_id = ?", leased, job.job_id)

        try:
            if now_ms >= job.until_ms:
                raise BenchError(job.result.get("error", "nobody took it up in time"))
            if row is None or not row.url:
                raise BenchError("the meter has no URL in the register any more")
            url = self.url_of(job.subject, row.url)
            clock = self.clock or passing
            doing = Doing(job, url, self.keystore, self.timeout_s, clock, alive)
            result = DOES[job.kind](doing)
        except RefusedOrder as error:
            with store.transaction():
                store.end_order(job.job_id, REFUSED, now_ms, {"error": str(error)}, now_ms)
                store.notice("order-refused", job.subject, f"{job.kind}: {error}", now_ms)
            return REFUSED
        except BenchError as error:
            over = now_ms >= job.until_ms
            wait = min(_LONGEST_MS, _AGAIN_MS << min(job.attempts, 10))
            again = now_ms + rng.randrange(wait // 2, wait)
            state = EXPIRED if over else DUE
            with store.transaction():
                store.end_order(job.job_id, state, again, {"error": str(error)}, now_ms)
                if over:
                    text = f"order {job.kind} was not done in its time: {error}"
                    store.notice("order-expired", job.subject, text, now_ms)
            return state
        store.end_order(job.job_id, DONE, now_ms, result, now_ms)
        return DONE
