"""Delivery of the store's values to Elhub: planned, sent, answered, sent again where it has to be.

What is to happen is written before it happens and what happened after it, so that a process that
dies at any moment leaves nothing lost and nothing doubled: a message goes under the identification
that it was prepared with until the hub is known to have it, and the hub takes an identification
once. What a poll brings is kept before it is acknowledged, and handled once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from openams.headend.days import day_date, day_number, local_day
from openams.headend.elhub import plan
from openams.headend.elhub.content import message_of
from openams.headend.elhub.link import Link, Refused, Unanswered
from openams.headend.elhub.model import (
    ACCEPTED,
    MOST_SERIES,
    Acknowledgement,
    CollectedData,
    ElhubError,
    Message,
    Reminder,
    Unread,
)
from openams.headend.elhub.plan import LOST, PARKED, PREPARED, REFUSED, RELEASED, SENT
from openams.headend.store import Store
from openams.meter_time import to_utc_ms

# States of a message, beside prepared and sent: every series of it has its answer.
SETTLED = "settled"
# Faults after which the same octets will not be taken either.
_FOR_GOOD = frozenset(("XSD", "Size", "Date", "Compression"))
_FIRST_WAIT_S, _LONGEST_WAIT_S = 60, 1800
_POLLS = 100
# News that were committed after the plan that should have seen them.
_OVERLAP = timedelta(hours=24)
_SWEPT_DAYS = 8


@dataclass
class Figures:
    """What one step did."""

    messages: int = 0
    series: int = 0
    corrections: int = 0
    accepted: int = 0
    rejected: int = 0
    parked: int = 0
    reminders: int = 0
    waiting: int = 0
    error: str = ""

    def add(self, other: Figures) -> None:
        for name, value in asdict(other).items():
            if name != "error":
                setattr(self, name, getattr(self, name) + value)
        self.error = other.error


@dataclass(frozen=True)
class Settings:
    """`settle`: Elhub says nothing of what it accepts, so what it has not refused for so long
    stands. `since`: the first day of which Elhub is to have values."""

    settle: timedelta = timedelta(minutes=30)
    since: date | None = None


class Delivery:
    """Of one store, over one link. `step` does all that is due and may be called at any time."""

    def __init__(
        self,
        store: Store,
        link: Link,
        clock: Callable[[], datetime],
        settings: Settings | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._store = store
        self._link = link
        self._clock = clock
        self._settings = settings or Settings()
        self._new_id = new_id

    def step(self) -> Figures:
        """Answers, plan, sending. ElhubError never: `error` says what was in the way."""
        out = Figures()
        since = self._since()
        try:
            self._poll(out)
            self._settle(out)
            if since is not None:
                self._plan(since, out)
                self._send_all(out)
                self._poll(out)
        except ElhubError as error:
            out.error = str(error)
            self._alarm(error)
        else:
            self._well()
        return out

    # --- planning ------------------------------------------------------------------------

    def _since(self) -> date | None:
        """The first day that is delivered: as set, or the first one with values; for good."""
        kept = self._setting("since")
        if kept is None:
            row = self._store.one("SELECT MIN(day) FROM value_day")
            first = self._settings.since or (day_date(row[0]) if row and row[0] else None)
            if first is None:
                return None
            self._set("since", str(day_number(first)))
            return first
        return day_date(int(kept))

    def _plan(self, since: date, out: Figures) -> None:
        now = self._clock()
        most = int(self._setting("most_series") or MOST_SERIES)
        planner = plan.Planner(self._store, self._new_id, most)
        seen = int(self._setting("planned_ms") or 0)
        self._sweep(now)
        for day in list(plan.open_days(self._store, seen)):
            planned = plan.Planned() if day < since else planner.day(day, now, since)
            out.corrections += planned.corrections
            out.parked += planned.parked
            out.waiting += planned.waiting
            if not (planned.waiting or planned.messages or local_day(to_utc_ms(now)) <= day):
                self._store.run("DELETE FROM elhub_open WHERE day = ?", day_number(day))
        plan.plan_periods(self._store, now, self._new_id, most)
        self._set("planned_ms", str(to_utc_ms(now - _OVERLAP)))

    def _sweep(self, now: datetime) -> None:
        """Once a day all of the days before their deadline are looked at: whatever time their
        revisions bear."""
        today = local_day(to_utc_ms(now))
        if self._setting("swept") == today.isoformat():
            return
        first = day_number(today - timedelta(days=_SWEPT_DAYS))
        rows = self._store.all("SELECT DISTINCT day FROM value_day WHERE day >= ?", first)
        self._open(number for (number,) in rows)
        self._set("swept", today.isoformat())

    # --- sending -------------------------------------------------------------------------

    def _send_all(self, out: Figures) -> None:
        """In order of days: Elhub wants the day before first. A hub that is away ends it."""
        rows = self._store.all(
            "SELECT message_id, created_ms, detail FROM message WHERE state = ?"
            " ORDER BY created_ms, message_id",
            PREPARED,
        )
        found = [(json.loads(detail), created, message_id) for message_id, created, detail in rows]
        for detail, created, message_id in sorted(found, key=lambda one: (one[0]["day"], one[1])):
            if detail.get("next_ms", 0) <= to_utc_ms(self._clock()):
                self._send(message_id, created, detail, out)

    def _send(self, message_id: str, created: int, detail: dict[str, int], out: Figures) -> None:
        built = message_of(self._store, self._link.parties, message_id, created)
        now_ms = to_utc_ms(self._clock())
        tries = detail.get("tries", 0) + 1
        wait = min(_FIRST_WAIT_S << min(tries - 1, 10), _LONGEST_WAIT_S) * 1000
        # Not all who were refused at once come back at once.
        wait += int(message_id[:4], 16) * wait // (4 << 16)
        before = {**detail, "tries": tries, "tried_ms": now_ms, "next_ms": now_ms + wait}
        self._detail(message_id, before)
        try:
            self._link.send(built)
        except Refused as error:
            if error.fault.group == "UUID":
                # It came there by the try before, of which there was no answer.
                self._sent(message_id, detail.get("tried_ms", now_ms), before, out)
                return
            if error.fault.group in _FOR_GOOD:
                self._refused_for_good(message_id, built, error, now_ms, out)
                return
            raise
        self._sent(message_id, now_ms, before, out)

    def _sent(self, message_id: str, at_ms: int, detail: dict[str, int], out: Figures) -> None:
        with self._store.transaction():
            self._store.run(
                "UPDATE message SET state = ?, sent_ms = ?, detail = ? WHERE message_id = ?",
                SENT, at_ms, json.dumps(detail), message_id,
            )  # fmt: skip
            out.series += self._store.run(
                "UPDATE delivery SET state = ? WHERE message_id = ? AND state = ?",
                SENT, message_id, PREPARED,
            )  # fmt: skip
        out.messages += 1

    def _refused_for_good(
        self, message_id: str, built: CollectedData, error: Refused, now_ms: int, out: Figures
    ) -> None:
        with self._store.transaction():
            if error.fault.group == "Size" and len(built.series) > 1:
                self._set("most_series", str(len(built.series) // 2))
            self._store.run(
                "UPDATE message SET state = ?, answered_ms = ? WHERE message_id = ?",
                SETTLED, now_ms, message_id,
            )  # fmt: skip
            self._refuse(message_id, None, f"{error.fault.group}: {error}", now_ms, out)
            self._store.notice("elhub-fault", error.fault.group, str(error), now_ms)

    # --- answers -------------------------------------------------------------------------

    def _poll(self, out: Figures) -> None:
        for _ in range(_POLLS):
            polled = self._link.poll()
            if polled is None:
                return
            now_ms = to_utc_ms(self._clock())
            with self._store.transaction():
                for one in polled.messages:
                    self._take(one, now_ms, out)
            self._link.taken(polled.poll_id)
        raise ElhubError("Elhub's answers do not end: something polls and acknowledges in vain")

    def _take(self, one: Message | Unread, now_ms: int, out: Figures) -> None:
        """Keeps a message of the hub, and does what it asks for, once."""
        created = now_ms if isinstance(one, Unread) else to_utc_ms(one.header.created)
        kind = one.kind if isinstance(one, Unread) else type(one).__name__
        document = one.document if isinstance(one, Unread) else one.header.message_id
        body = one.text if isinstance(one, Unread) else _kept(one)
        fresh = self._store.run(
            "INSERT INTO elhub_inbox (document_id, kind, created_ms, got_ms, body)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            document, kind, created, now_ms, body,
        )  # fmt: skip
        if not fresh:
            return
        if isinstance(one, Acknowledgement):
            self._answered(one, now_ms, out)
        elif isinstance(one, Reminder):
            self._reminded(one, now_ms, out)
        else:
            text = f"{kind} {document} came from Elhub and is not read here: it is kept"
            self._store.notice("elhub-unread", kind, text, now_ms)

    def _answered(self, one: Acknowledgement, now_ms: int, out: Figures) -> None:
        if one.status == ACCEPTED:
            where, params = _named(one.document, one.payload)
            out.accepted += self._store.run(
                f"UPDATE delivery SET state = ?, at_ms = ? WHERE {where} AND state IN (?, ?)",
                plan.ACCEPTED, now_ms, *params, SENT, PREPARED,
            )  # fmt: skip
            return
        codes = " ".join(code.code for code in one.reasons) or "without a reason"
        self._refuse(one.document, one.payload, codes, now_ms, out)

    def _refuse(
        self, message_id: str, series_id: str | None, reason: str, now_ms: int, out: Figures
    ) -> None:
        """Also what was taken for accepted, or for not yet sent: the hub knows better."""
        sql, params = _named(message_id, series_id)
        days = self._store.all(
            f"SELECT DISTINCT day FROM delivery WHERE {sql} AND state NOT IN (?, ?)",
            *params, REFUSED, PARKED,
        )  # fmt: skip
        for gsrn, number in self._store.all(
            f"SELECT gsrn, day FROM delivery WHERE {sql} AND series = ?", *params, plan.PERIOD
        ):
            text = f"Elhub refuses the period volume of {gsrn} that ends with {number}: {reason}"
            self._store.notice("elhub-parked", f"{gsrn} {number}", text, now_ms)
        count = self._store.run(
            f"UPDATE delivery SET state = ?, reason = ?, at_ms = ? WHERE {sql}"
            " AND state NOT IN (?, ?)",
            REFUSED, reason, now_ms, *params, REFUSED, PARKED,
        )  # fmt: skip
        out.rejected += count
        self._open(number for (number,) in days)
        if not count and self._store.one(f"SELECT 1 FROM delivery WHERE {sql}", *params) is None:
            what = f"{series_id} of {message_id}" if series_id else message_id
            text = f"Elhub refuses {what} ({reason}), which is not known here"
            self._store.notice("elhub-stray", message_id, text, now_ms)

    def _reminded(self, one: Reminder, now_ms: int, out: Figures) -> None:
        """What Elhub misses is sent, or a person is told that it is not there."""
        asked_ms = to_utc_ms(one.header.created)
        for missing in one.missing:
            out.reminders += 1
            day = local_day(to_utc_ms(missing.begin))
            number = day_number(day)
            there = self._store.all(
                "SELECT series FROM value_day WHERE day = ? AND gsrn = ?", number, missing.point
            )
            if one.kind != "IV" or not there:
                text = f"Elhub misses {one.kind} of {missing.point} on {day}: there are none here"
                self._store.notice("elhub-reminder", f"{missing.point} {number}", text, now_ms)
                continue
            # What was with Elhub when it asked, and is missing there, is sent anew.
            self._store.run(
                "UPDATE delivery SET state = ?, reason = 'Elhub reminds of it' WHERE day = ?"
                " AND gsrn = ? AND state = ? AND message_id IN"
                " (SELECT message_id FROM message WHERE sent_ms + ? < ?)",
                LOST, number, missing.point, plan.ACCEPTED, self._settle_ms(), asked_ms,
            )  # fmt: skip
            self._open([number])

    def _settle(self, out: Figures) -> None:
        """What was not refused for long enough is accepted. Polls have just been answered."""
        now_ms = to_utc_ms(self._clock())
        with self._store.transaction():
            rows = self._store.all(
                "SELECT message_id FROM message WHERE state = ? AND sent_ms <= ?",
                SENT, now_ms - self._settle_ms(),
            )  # fmt: skip
            for (message_id,) in rows:
                out.accepted += self._store.run(
                    "UPDATE delivery SET state = ? WHERE message_id = ? AND state = ?",
                    plan.ACCEPTED, message_id, SENT,
                )  # fmt: skip
                self._store.run(
                    "UPDATE message SET state = ?, answered_ms = ? WHERE message_id = ?",
                    SETTLED, now_ms, message_id,
                )  # fmt: skip

    # --- for persons ---------------------------------------------------------------------

    def release(self, gsrn: str, day: date | None = None) -> int:
        """Lets go what was parked of a point, to be sent again; how many series."""
        with self._store.transaction():
            where = "gsrn = ? AND state IN (?, ?)" + ("" if day is None else " AND day = ?")
            params: list[object] = [gsrn, PARKED, REFUSED]
            if day is not None:
                params.append(day_number(day))
            days = self._store.all(f"SELECT DISTINCT day FROM delivery WHERE {where}", *params)
            self._open(number for (number,) in days)
            return self._store.run(
                f"UPDATE delivery SET state = ? WHERE {where}", RELEASED, *params
            )

    def _alarm(self, error: ElhubError) -> None:
        """A person is told when a hub stays away, and at once when a key or a message is wrong."""
        now_ms = to_utc_ms(self._clock())
        failed = int(self._setting("failed") or 0) + 1
        self._set("failed", str(failed))
        security = isinstance(error, Refused) and error.fault.group == "Security"
        distrusted = isinstance(error, Unanswered) and "believed" in str(error)
        if security or distrusted or failed >= 3 or not isinstance(error, Unanswered):
            kind = "elhub-security" if security or distrusted else "elhub-away"
            self._store.notice(kind, "hub", str(error), now_ms)

    def _well(self) -> None:
        if self._setting("failed") not in (None, "0"):
            self._set("failed", "0")
            now_ms = to_utc_ms(self._clock())
            self._store.run(
                "UPDATE notice SET closed_ms = ?, closed_by = '' WHERE closed_ms IS NULL"
                " AND kind IN ('elhub-away', 'elhub-security') AND subject = 'hub'",
                now_ms,
            )

    # --- little things -------------------------------------------------------------------

    def _settle_ms(self) -> int:
        return self._settings.settle // timedelta(milliseconds=1)

    def _open(self, days: Iterable[int]) -> None:
        self._store.put_rows("elhub_open", ("day",), [(number,) for number in days])

    def _detail(self, message_id: str, detail: dict[str, int]) -> None:
        self._store.run(
            "UPDATE message SET detail = ? WHERE message_id = ?", json.dumps(detail), message_id
        )

    def _setting(self, name: str) -> str | None:
        row = self._store.one("SELECT value FROM elhub_setting WHERE name = ?", name)
        return None if row is None else str(row[0])

    def _set(self, name: str, value: str) -> None:
        self._store.run(
            "INSERT INTO elhub_setting (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name, value,
        )  # fmt: skip


def _named(message_id: str, series_id: str | None) -> tuple[str, list[str]]:
    """Which deliveries an answer is about: a series is of the message that it names."""
    if series_id is None:
        return "message_id = ?", [message_id]
    return "message_id = ? AND series_id = ?", [message_id, series_id]


def _kept(one: Message) -> str:
    from lxml import etree

    from openams.headend.elhub.codec import encode

    return str(etree.tostring(encode(one), encoding="unicode"))
