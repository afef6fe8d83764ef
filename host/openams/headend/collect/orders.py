"""Orders of the operator, given as jobs, done by a process of its own that has the keys for it.

Who collects has readers' keys alone. An order is taken up until its time is over: the HAN port is
the customer's within three working days (of the request), 15 minutes begin at a local midnight.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from openams.client import data as axdr
from openams.client.client import Client
from openams.client.errors import understood
from openams.client.links import Url, parse_url
from openams.client.meterday import clock_ahead
from openams.client.names import CLOCK, HAN_OPEN
from openams.client.readout import PROFILES
from openams.errors import BenchError
from openams.headend.collect.taking import ADJUST_MS
from openams.headend.collect.work import shown
from openams.headend.collect.zone import HOURS, ZONE, Doing, RefusedOrder, SentError, check
from openams.headend.days import day_bounds, day_number, local_day
from openams.headend.store import Store
from openams.headend.store.jobs import DUE, TRYING, Job
from openams.headend.vee.calendar import WORKDAY, kind_of
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms

DONE, REFUSED, EXPIRED = "done", "refused", "expired"
HAN_WORKING_DAYS = 3
_LEASE_MS = 300_000
_AGAIN_MS = 60_000
_LONGEST_MS = 3_600_000
# Characters of what went wrong with an order.
_WORDS = 1000
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
    period_s = 60 * int(job.detail["minutes"])
    meter.set(7, PROFILES["load"], 4, axdr.uint32(period_s))
    if meter.get(7, PROFILES["load"], 4) != period_s:
        raise BenchError("the meter says that its intervals are as they were")
    return {"capture_period_s": period_s}


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


def _right_clock(meter: Client, job: Job, now_ms: Now) -> dict[str, Any]:
    """Sets it, and looks whether it is right since."""
    result = _clock(meter, job, now_ms)
    asked = from_utc_ms(now_ms())
    clock = axdr.parse_date_time(meter.get(8, CLOCK, 2))
    if clock is None:
        raise BenchError("the meter says that it has no time")
    off = clock_ahead(clock, asked, from_utc_ms(now_ms()))
    if abs(off) > timedelta(milliseconds=ADJUST_MS):
        raise BenchError(f"the meter's clock was set, and is {off.total_seconds():+.0f} s off")
    return result


def _operator(
    do: Callable[[Client, Job, Now], dict[str, Any]],
) -> Callable[[Doing], dict[str, Any]]:
    def doing(order: Doing) -> dict[str, Any]:
        with order.session("operator") as meter, understood("values"):
            return do(meter, order.job, order.now_ms)

    return doing


DOES: Mapping[str, Callable[[Doing], dict[str, Any]]] = {
    "han-open": _operator(_han(True)),
    "han-close": _operator(_han(False)),
    "interval": _operator(_interval),
    "clock": _operator(_right_clock),
    **ZONE,
}
# Of these each try may spend a sealed order, which is not to be repeated without a word.
SEALED = ("limit", "ration")


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
        began = time.monotonic()

        def passing() -> int:
            return now_ms + round(1000 * (time.monotonic() - began))

        lease = now_ms + _LEASE_MS
        for job in self.store.take_orders(tuple(DOES), now_ms, most, _LEASE_MS):
            # Those before it took their time: by now it may be another's.
            now = now_ms if self.clock else passing()
            if not self.store.lease_order(job.job_id, lease, now + _LEASE_MS):
                continue
            state = self._do(job, now, passing, rng)
            counts[state] = counts.get(state, 0) + 1
        return counts

    def _do(self, job: Job, now_ms: int, passing: Now, rng: random.Random) -> str:
        leased = now_ms + _LEASE_MS

        def alive(for_s: float) -> None:
            nonlocal leased
            wanted = passing() + round(1000 * for_s)
            if wanted > leased + 60_000:
                self.store.lease_order(job.job_id, leased, wanted)
                leased = wanted

        state, result = DONE, {}
        # Sealed orders that the meter may have: of a try that did not end nobody knows.
        sent = list(job.result.get("sent", ())) or [None] * (job.state == TRYING)
        try:
            if now_ms >= job.until_ms:
                raise BenchError(job.result.get("error", "nobody took it up in time"))
            result = self._done(job, self.clock or passing, alive, bool(sent))
        except RefusedOrder as error:
            state, result = REFUSED, {"error": shown(error, _WORDS)}
        except BenchError as error:
            state, result = DUE, {"error": shown(error, _WORDS)}
            if isinstance(error, SentError):
                sent.append(error.number)
        except Exception as error:
            # Whatever one meter made of it, the orders of the others are done.
            state, result = DUE, {"error": shown(f"it broke: {error!r}", _WORDS)}
            sent += [None] * (job.kind in SEALED)
        if state == DUE and now_ms >= job.until_ms:
            state = EXPIRED
        self._ended(job, state, result, sent, now_ms, rng)
        return state

    def _done(
        self, job: Job, clock: Now, alive: Callable[[float], None], again: bool
    ) -> dict[str, Any]:
        row = self.store.meter(job.subject)
        if row is None or not row.url:
            raise BenchError("the meter has no URL in the register any more")
        url = self.url_of(job.subject, row.url)
        doing = Doing(job, url, self.keystore, self.timeout_s, clock, alive, again)
        return DOES[job.kind](doing)

    def _ended(
        self,
        job: Job,
        state: str,
        result: dict[str, Any],
        sent: Sequence[int | None],
        now_ms: int,
        rng: random.Random,
    ) -> None:
        store = self.store
        told = f"; it was sent before ({_numbers(sent)}), and nobody knows what came of that"
        told *= bool(sent) and job.kind in SEALED and state != DONE
        if sent and job.kind in SEALED:
            result = {**result, "sent": sent}
        wait = min(_LONGEST_MS, _AGAIN_MS << min(job.attempts, 10))
        following = now_ms + rng.randrange(wait // 2, wait) if state in (DUE, EXPIRED) else now_ms
        with store.transaction():
            store.end_order(job.job_id, state, following, result, now_ms)
            if state == REFUSED:
                text = f"{job.kind}: {result['error']}{told}"
                store.notice("order-refused", job.subject, text, now_ms)
            elif state == EXPIRED:
                text = f"order {job.kind} was not done in its time: {result['error']}{told}"
                store.notice("order-expired", job.subject, text, now_ms)
            elif sent and job.kind in SEALED and (again := result.get("order")) is not None:
                text = f"order {job.kind} was sent again ({again}): {_numbers(sent)} had no answer"
                store.notice("order-again", job.subject, text, now_ms)


def _numbers(sent: Iterable[int | None]) -> str:
    return ", ".join("a number that is not known" if n is None else str(n) for n in sent)
