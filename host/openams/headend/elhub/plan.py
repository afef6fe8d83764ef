"""What is to be sent: of each point and day what Elhub has not yet, and not what it has.

`decide` is the rule, pure; `Planner` asks the store and writes what it decided as rows, prepared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from openams.headend.days import day_bounds, day_date, day_number, local_day
from openams.headend.elhub.build import changes, is_closed, overlay, runs
from openams.headend.elhub.model import MOST_SERIES, Quantity
from openams.headend.register import PROFILE, Terms, series_of
from openams.headend.store import Store
from openams.headend.store.values import StoredRevision
from openams.headend.vee.codes import MEASURED
from openams.meter_time import to_utc_ms

# States of a delivery (a series of values that was or will be sent).
PREPARED, SENT, ACCEPTED, REFUSED, PARKED = "prepared", "sent", "accepted", "rejected", "parked"
# A revision that changes nothing for Elhub; one that a person let go again; one that Elhub lost.
NOTHING, RELEASED, LOST = "nothing", "released", "lost"
IN_FLIGHT = (PREPARED, SENT)

# Refusals that no second try mends: the register, or Elhub's, has to be put right first.
AT_ONCE = frozenset(("E09", "E10", "E16", "EH066", "EH072"))
TRIES = 3
_AGAIN = timedelta(hours=1)


class Sent(NamedTuple):
    """A row of `delivery`. `span`: (first, last + 1) of the intervals, None: the whole day."""

    series_id: str
    revision: int
    span: tuple[int, int] | None
    state: str
    reason: str
    at_ms: int


class Decision(NamedTuple):
    """What is to be done with a series of a day: `what` is one of send, nothing, wait, park."""

    what: str
    spans: tuple[tuple[int, int] | None, ...] = ()
    reason: str = ""


NOTHING_TO_DO = Decision("done")
# The day before is sent, and may still be refused.
ON_ITS_WAY = -1


def decide(
    sent: Sequence[Sent],
    revision: int,
    now_ms: int,
    before: int | None,
    closed: bool,
    changed: Callable[[], tuple[int, ...]],
) -> Decision:
    """Of what was sent of a series of a day, in order, and its current revision.

    `before`: since when the day before is accepted, ms; 0: there is to be none; ON_ITS_WAY; None:
    it is not sent. `changed`: intervals that Elhub holds otherwise, asked only when there is
    something that it holds.
    """
    if any(one.state in IN_FLIGHT for one in sent):
        return Decision("wait", reason="in flight")
    settled = [one.revision for one in sent if one.state in (ACCEPTED, NOTHING)]
    if settled and max(settled) >= revision:
        return NOTHING_TO_DO
    if any(one.state == PARKED and one.revision == revision for one in sent):
        return NOTHING_TO_DO
    if closed:
        return Decision("park", reason="closed: Elhub takes nothing older than three years")
    refused = [one for one in sent if one.state == REFUSED and one.revision == revision]
    whole = any(one.state == ACCEPTED and one.span is None for one in sent)
    if not whole:
        if before is None or (before == ON_ITS_WAY and refused):
            return Decision("wait", reason="the day before is not with Elhub")
        # What was refused before that may have been refused for that.
        refused = [one for one in refused if one.at_ms >= before]
    if refused:
        last = refused[-1]
        codes = set(last.reason.split(":")[0].split())
        if codes & AT_ONCE or len({one.at_ms for one in refused}) >= TRIES:
            return Decision("park", reason=last.reason)
        if now_ms < last.at_ms + _AGAIN // timedelta(milliseconds=1) and len(refused) > 1:
            return Decision("wait", reason=last.reason)
    if not whole:
        return Decision("send", (None,))
    spans = tuple(runs(changed()))
    return Decision("send", spans) if spans else Decision("nothing")


def quantities(revision: StoredRevision) -> tuple[Quantity, ...]:
    """Values of a revision as Elhub takes them."""
    out = []
    for k, (wh, state) in enumerate(zip(revision.wh, revision.states, strict=True)):
        if state == MEASURED:
            out.append(Quantity(wh, state))
        else:
            detail = revision.detail.get(k, {})
            out.append(
                Quantity(
                    wh,
                    state,
                    detail.get("validation") or "V999",
                    detail.get("estimation") or "E008",
                )
            )
    return tuple(out)


@dataclass
class Planned:
    messages: int = 0
    series: int = 0
    corrections: int = 0
    parked: int = 0
    waiting: int = 0


class Planner:
    """Of one store. `most`: series a message."""

    def __init__(self, store: Store, new_id: Callable[[], str], most: int = MOST_SERIES) -> None:
        self._store = store
        self._new_id = new_id
        self._most = most

    def day(self, day: date, now: datetime, since: date) -> Planned:
        """Prepares what is due of a day; all of it in one transaction, or none."""
        with self._store.transaction():
            # Of two who plan at the same time the second one sees what the first one prepared.
            self._store.database.lock("elhub-plan")
            return self._plan(day, now, since)

    def _plan(self, day: date, now: datetime, since: date) -> Planned:
        out = Planned()
        number, now_ms = day_number(day), to_utc_ms(now)
        if day_bounds(day)[1] > now_ms:
            return out
        rest = self._open(number)
        if not rest:
            return out
        terms = {one.gsrn: one for one in self._store.all_terms(day) if delivered(one)}
        sent = self._sent(number)
        ready = self._ready(day, since, terms)
        closed = is_closed(day, now)
        rows: list[tuple[str, int, int, tuple[int, int] | None]] = []
        marks: list[tuple[str, int, int, str, str]] = []
        for gsrn, series, revision in rest:
            if gsrn not in terms or series not in series_of(terms[gsrn].kind):
                continue
            history = sent.get((gsrn, series), ())

            def changed(
                key: tuple[str, int] = (gsrn, series),
                history: Sequence[Sent] = history,
                revision: int = revision,
            ) -> tuple[int, ...]:
                return self._changed(day, key, history, revision)

            decision = decide(history, revision, now_ms, ready.get((gsrn, series)), closed, changed)
            if decision.what == "send":
                rows += [(gsrn, series, revision, span) for span in decision.spans]
                out.corrections += decision.spans != (None,)
            elif decision.what == "nothing":
                marks.append((gsrn, series, revision, NOTHING, ""))
            elif decision.what == "park":
                marks.append((gsrn, series, revision, PARKED, decision.reason))
                text = f"{gsrn} series {series} on {day}: {decision.reason}"
                self._store.notice("elhub-parked", f"{gsrn} {number}", text, now_ms)
                out.parked += 1
            elif decision.what == "wait":
                out.waiting += 1
        self._prepare(number, now_ms, rows, out)
        self._store.put_rows(
            "delivery", _DELIVERY,
            [(self._new_id(), "", number, gsrn, series, revision, "[]", state, reason, now_ms)
             for gsrn, series, revision, state, reason in marks],
        )  # fmt: skip
        return out

    def _prepare(
        self,
        number: int,
        now_ms: int,
        rows: Sequence[tuple[str, int, int, tuple[int, int] | None]],
        out: Planned,
    ) -> None:
        for at in range(0, len(rows), self._most):
            message_id = self._new_id()
            self._store.put_rows(
                "message",
                ("message_id", "process", "created_ms", "state", "detail"),
                [(message_id, "BRS-NO-313", now_ms, PREPARED, json.dumps({"day": number}))],
            )
            some = rows[at : at + self._most]
            self._store.put_rows(
                "delivery", _DELIVERY,
                [(self._new_id(), message_id, number, gsrn, series, revision,
                  None if span is None else json.dumps(span), PREPARED, "", now_ms)
                 for gsrn, series, revision, span in some],
            )  # fmt: skip
            out.messages += 1
            out.series += len(some)

    def _open(self, number: int) -> list[tuple[str, int, int]]:
        """(point, series, revision) of a day of which Elhub has not said yet that it has it: hour
        after hour nearly all are settled, and `decide` would find nothing to do."""
        return self._store.all(
            "SELECT v.gsrn, v.series, v.revision FROM value_day v WHERE v.day = ? AND ("
            " NOT EXISTS (SELECT 1 FROM delivery d WHERE d.day = v.day AND d.gsrn = v.gsrn"
            "  AND d.series = v.series AND d.state IN (?, ?) AND d.revision >= v.revision)"
            " OR EXISTS (SELECT 1 FROM delivery d WHERE d.day = v.day AND d.gsrn = v.gsrn"
            "  AND d.series = v.series AND d.state IN (?, ?))) ORDER BY v.gsrn, v.series",
            number, ACCEPTED, NOTHING, *IN_FLIGHT,
        )  # fmt: skip

    def _sent(self, number: int) -> Mapping[tuple[str, int], list[Sent]]:
        """All that was sent of a day, in order of time."""
        out: dict[tuple[str, int], list[Sent]] = {}
        for gsrn, series, *rest in self._store.all(
            "SELECT gsrn, series, series_id, revision, intervals, state, reason, at_ms"
            " FROM delivery WHERE day = ? ORDER BY at_ms, revision, series_id",
            number,
        ):
            series_id, revision, intervals, state, reason, at_ms = rest
            one = Sent(series_id, revision, span_of(intervals), state, reason, at_ms)
            out.setdefault((gsrn, series), []).append(one)
        return out

    def _ready(
        self, day: date, since: date, terms: Mapping[str, Terms]
    ) -> dict[tuple[str, int], int]:
        """Of (point, series) since when the day before is accepted; see `decide`."""
        before = day - timedelta(days=1)
        every = {(gsrn, series): 0 for gsrn, one in terms.items() for series in series_of(one.kind)}
        if before < since:
            return every
        needed = {
            (one.gsrn, series)
            for one in self._store.all_terms(before)
            if delivered(one)
            for series in series_of(one.kind)
        }
        out = {key: at for key, at in every.items() if key not in needed}
        for gsrn, series, state, answered in self._store.all(
            "SELECT d.gsrn, d.series, d.state, MIN(m.answered_ms) FROM delivery d"
            " JOIN message m ON m.message_id = d.message_id WHERE d.day = ?"
            " AND d.intervals IS NULL AND d.state IN (?, ?, ?)"
            " GROUP BY d.gsrn, d.series, d.state",
            day_number(before), SENT, ACCEPTED, PREPARED,
        ):  # fmt: skip
            if (gsrn, series) in every:
                at = (answered or 0) if state == ACCEPTED else ON_ITS_WAY
                out[gsrn, series] = max(out.get((gsrn, series), ON_ITS_WAY), at)
        return out

    def _changed(
        self, day: date, key: tuple[str, int], history: Sequence[Sent], revision: int
    ) -> tuple[int, ...]:
        now = self._store.revision(day, *key, revision)
        assert now is not None
        want = quantities(now)
        held: tuple[Quantity | None, ...] = (None,) * len(want)
        for one in history:
            if one.state != ACCEPTED:
                continue
            then = self._store.revision(day, *key, one.revision)
            assert then is not None
            first, last = one.span or (0, len(then.wh))
            if len(then.wh) == len(want):
                held = overlay(held, first, quantities(then)[first:last])
        return changes(held, want)


_DELIVERY = (
    "series_id", "message_id", "day", "gsrn", "series", "revision", "intervals", "state", "reason",
    "at_ms",
)  # fmt: skip


# In the place of a series: a period volume (BRS-NO-312), whose `intervals` are its two moments.
PERIOD = 3


def plan_periods(
    store: Store, now: datetime, new_id: Callable[[], str], most: int = MOST_SERIES
) -> Planned:
    """Prepares the newest versions of period volumes; refused ones wait for a person."""
    out, now_ms = Planned(), to_utc_ms(now)
    with store.transaction():
        store.database.lock("elhub-plan")
        rows = store.all(
            "SELECT p.gsrn, p.from_ms, p.to_ms, MAX(p.version) FROM period_volume p"
            " WHERE p.to_ms <= ? AND p.from_ms > ? GROUP BY p.gsrn, p.from_ms, p.to_ms"
            " ORDER BY p.gsrn, p.from_ms",
            now_ms, to_utc_ms(now - timedelta(days=3 * 365)),
        )  # fmt: skip
        # Refused ones are not sent again by themselves: a person looks at the readings.
        told = set(store.all(
            "SELECT gsrn, intervals, revision FROM delivery"
            f" WHERE series = {PERIOD} AND state <> ?",
            RELEASED,
        ))  # fmt: skip
        due = [
            (gsrn, json.dumps([begin, end]), version)
            for gsrn, begin, end, version in rows
            if (gsrn, json.dumps([begin, end]), version) not in told
        ]
        for at in range(0, len(due), most):
            message_id = new_id()
            some = due[at : at + most]
            numbers = [day_number(local_day(json.loads(span)[1] - 1)) for _, span, _ in some]
            store.put_rows(
                "message",
                ("message_id", "process", "created_ms", "state", "detail"),
                [(message_id, "BRS-NO-312", now_ms, PREPARED, json.dumps({"day": min(numbers)}))],
            )
            store.put_rows(
                "delivery", _DELIVERY,
                [(new_id(), message_id, number, gsrn, PERIOD, version, span, PREPARED, "", now_ms)
                 for number, (gsrn, span, version) in zip(numbers, some, strict=True)],
            )  # fmt: skip
            out.messages += 1
            out.series += len(some)
    return out


def span_of(intervals: str | None) -> tuple[int, int] | None:
    """(first, last + 1); None: the whole day. Of rows that stand for nothing: (0, 0)."""
    if intervals is None:
        return None
    found = json.loads(intervals)
    return (found[0], found[1]) if found else (0, 0)


def delivered(terms: Terms) -> bool:
    """Whether Elhub takes intervals of the point: all but those that are settled by a profile."""
    return terms.settlement != PROFILE and terms.resolution_min > 0


def open_days(store: Store, changed_since_ms: int) -> Iterator[date]:
    """Days that may have something to send: those with news, and those that were left open."""
    with store.transaction():
        # By when they came: without the plus SQLite goes through all of them in their days' order.
        news = store.all("SELECT DISTINCT +day FROM revision WHERE at_ms >= ?", changed_since_ms)
        store.put_rows("elhub_open", ("day",), news)
        rows = store.all("SELECT day FROM elhub_open ORDER BY day")
    return (day_date(number) for (number,) in rows)
