"""What is to be done, as rows: days of meters that are due, whose turn it is, orders, notices.

A meter (or concentrator) has one turn; who takes it has a lease, and when he dies the next takes it
up after that. The days that are still open of it are its jobs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from openams.headend.store.core import Core

DUE, TRYING, PARTIAL, COMPLETE, LOST = "due", "trying", "partial", "complete", "lost"
ESTIMATED, DELIVERED, CORRECTED = "estimated", "delivered", "corrected"
# Of these the meter may still have something.
OPEN = (DUE, TRYING, PARTIAL)
DAY = "day"
# Of a day's result: why it was not here in time, more finely, and by what that was found.
CAUSE = ("cause", "cause_kind", "because")
METER, CONCENTRATOR = "meter", "concentrator"
# Of a turn that comes only when a day is planned again.
NEVER_MS = 1 << 50
# Of a reader's counters a turn has so many for itself: whoever else has a copy of the keys, no
# counter is used twice. A quarter of them is one session's; the rest is of those that begin anew
# where nobody knows how the first ended (as often as bus.broker.DELIVERIES).
COUNTERS_A_TURN, COUNTERS_A_SESSION = 1024, 256


class Job(NamedTuple):
    job_id: int
    kind: str
    subject: str
    day: int
    state: str
    due_ms: int
    next_ms: int
    until_ms: int
    attempts: int
    detail: dict[str, Any]
    result: dict[str, Any]


class Turn(NamedTuple):
    """Whose turn it is, leased to who asked. `attempts`: since it last went well; `counter`: the
    first of the reader's counters that are this turn's alone, of COUNTERS_A_TURN."""

    kind: str
    subject: str
    segment: str
    attempts: int
    counter: int = 0


class Attempt(NamedTuple):
    """One session, for the figures and for the causes."""

    subject: str
    at_ms: int
    worker: str
    road: str
    outcome: str
    rows_got: int
    octets: int
    took_ms: int
    error: str


_JOB = "job_id, kind, subject, day, state, due_ms, next_ms, until_ms, attempts, detail, result"


def _job(row: Sequence[Any]) -> Job:
    return Job._make([*row[:9], json.loads(row[9]), json.loads(row[10])])


class JobStore(Core):
    # --- days ------------------------------------------------------------------------------

    def add_jobs(
        self,
        kind: str,
        wanted: Iterable[tuple[str, int, int, int, Mapping[str, Any]]],
        now_ms: int,
        segment: str = "",
        priority: int = 0,
    ) -> None:
        """Jobs of (subject, day, due_ms, until_ms, detail); what is there already stays."""
        self.put_rows(
            "job",
            ("kind", "subject", "day", "state", "segment", "priority", "due_ms", "next_ms",
             "until_ms", "attempts", "lease_by", "lease_ms", "detail", "result", "created_ms",
             "changed_ms"),
            [
                (kind, subject, day, DUE, segment, priority, due, due, until, 0, "", 0,
                 json.dumps(detail), "{}", now_ms, now_ms)
                for subject, day, due, until, detail in wanted
            ],
        )  # fmt: skip

    def open_days_of(self, meters: Sequence[str]) -> list[tuple[str, int]]:
        """(meter, yyyymmdd) of jobs that are open."""
        marks = ", ".join("?" * len(OPEN))
        sql = (
            f"SELECT subject, day FROM job WHERE kind = ? AND state IN ({marks}) "
            "AND subject IN (?*)"
        )
        return [(row[0], row[1]) for row in self.by_key(sql, meters, DAY, *OPEN)]

    def jobs(
        self,
        kind: str,
        day: int | None = None,
        states: Sequence[str] | None = None,
        subjects: Sequence[str] | None = None,
    ) -> list[Job]:
        sql = f"SELECT {_JOB} FROM job WHERE kind = ?"
        params: list[Any] = [kind]
        if day is not None:
            sql, params = f"{sql} AND day = ?", [*params, day]
        if states is not None:
            sql = f"{sql} AND state IN ({', '.join('?' * len(states))})"
            params = [*params, *states]
        if subjects is not None:
            rows = list(self.by_key(f"{sql} AND subject IN (?*)", subjects, *params))
        else:
            rows = self.all(sql, *params)
        return sorted((_job(row) for row in rows), key=lambda job: (job.subject, job.day))

    def late_jobs(self, day: int, due_ms: int) -> list[Job]:
        """The jobs of a day that were not complete at a time."""
        rows = self.all(
            f"SELECT {_JOB} FROM job WHERE kind = ? AND day = ? "
            "AND (state <> ? OR changed_ms > ?) ORDER BY subject",
            DAY, day, COMPLETE, due_ms,
        )  # fmt: skip
        return [_job(row) for row in rows]

    def set_days(
        self, states: Iterable[tuple[str, int, str, Mapping[str, Any]]], now_ms: int
    ) -> None:
        """States of (meter, day, state, result). One that is complete is not opened again."""
        self.update_rows(
            "job",
            ("kind", "subject", "day"),
            ("state", "result", "changed_ms"),
            [
                (DAY, subject, day, state, json.dumps(result), now_ms)
                for subject, day, state, result in states
            ],
            "attempts = attempts + 1",
            "job.state IN ('due', 'trying', 'partial')",
        )

    def causes_of(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
        """What was found of why days (meter, day) were not here in time, as their results have
        it."""
        asked = set(wanted)
        out = {}
        for subject, day, result in self.by_key(
            "SELECT subject, day, result FROM job WHERE kind = ? AND result LIKE ? "
            "AND subject IN (?*)",
            sorted({meter_id for meter_id, _ in asked}),
            DAY,
            '%"cause"%',
        ):
            if (subject, day) in asked:
                told = json.loads(result)
                out[subject, day] = {name: told[name] for name in CAUSE if name in told}
        return out

    def put_causes(self, found: Iterable[tuple[str, int, Mapping[str, Any]]]) -> None:
        """Why days (meter, day) were not here in time: beside what else their results say. When
        their state changed stays as it was."""
        new = {(meter_id, day): cause for meter_id, day, cause in found}
        if not new:
            return
        with self.transaction():
            rows = []
            for subject, day, result in self.by_key(
                "SELECT subject, day, result FROM job WHERE kind = ? AND subject IN (?*)",
                sorted({meter_id for meter_id, _ in new}),
                DAY,
            ):
                if (subject, day) in new:
                    text = json.dumps({**json.loads(result), **new[subject, day]})
                    rows.append((text, DAY, subject, day))
            self.many("UPDATE job SET result = ? WHERE kind = ? AND subject = ? AND day = ?", rows)

    def count_days(self, day: int) -> Counter[str]:
        rows = self.all(
            "SELECT state, count(*) FROM job WHERE kind = ? AND day = ? GROUP BY state", DAY, day
        )
        return Counter(dict(rows))

    # --- turns -----------------------------------------------------------------------------

    def add_turns(self, turns: Iterable[tuple[str, str, str, int]]) -> None:
        """(kind, subject, segment, next_ms): one that is there has its turn then at the latest; one
        that somebody has, once more."""
        sooner = ", ".join(
            f"{name} = CASE WHEN turn.{name} < excluded.{name} THEN turn.{name} "
            f"ELSE excluded.{name} END"
            for name in ("next_ms", "wanted_ms")
        )
        self.upsert(
            "turn",
            ("kind", "subject", "segment", "next_ms", "wanted_ms", "attempts", "lease_by",
             "lease_ms"),
            [(*turn, turn[3], 0, "", 0) for turn in turns],
            f"(kind, subject) DO UPDATE SET segment = excluded.segment, {sooner}",
        )  # fmt: skip

    def take_turns(
        self, worker: str, now_ms: int, most: int, permits: int, lease_ms: int
    ) -> list[Turn]:
        """Turns that have come, leased to `worker`: at most so many at a time in each segment,
        of whichever workers. A lease that has run out is nobody's."""
        with self.transaction():
            self.database.lock("turns")
            busy = Counter(dict(self.all(
                "SELECT segment, count(*) FROM turn WHERE lease_ms > ? GROUP BY segment", now_ms
            )))  # fmt: skip
            rows = self.all(
                "SELECT kind, subject, segment, attempts, counter FROM turn "
                "WHERE next_ms <= ? AND lease_ms <= ? ORDER BY next_ms, subject LIMIT ?",
                now_ms, now_ms, 20 * most,
            )  # fmt: skip
            out: list[Turn] = []
            for row in rows:
                turn = Turn(*row)
                if len(out) == most:
                    break
                if turn.segment and busy[turn.segment] >= permits:
                    continue
                busy[turn.segment] += 1
                out.append(turn)
            self.update_rows(
                "turn",
                ("kind", "subject"),
                ("lease_by", "lease_ms"),
                [(turn.kind, turn.subject, worker, now_ms + lease_ms) for turn in out],
                f"counter = counter + {COUNTERS_A_TURN}, wanted_ms = {NEVER_MS}",
            )
            meters = [turn.subject for turn in out if turn.kind == METER]
            for at in range(0, len(meters), 500):
                some = meters[at : at + 500]
                self.run(
                    "UPDATE job SET state = 'trying', changed_ms = ? WHERE kind = 'day' "
                    f"AND state = 'due' AND subject IN ({', '.join('?' * len(some))})",
                    now_ms, *some,
                )  # fmt: skip
        return out

    def end_turns(self, ends: Iterable[tuple[str, str, str, int, bool]]) -> None:
        """(worker, kind, subject, next_ms, went well) of turns that are still that worker's. One
        that was planned since it was taken comes then at the latest: whoever has it did not know
        of what was planned."""
        ends = list(ends)
        for well, more in ((True, "attempts = 0"), (False, "attempts = attempts + 1")):
            self.update_rows(
                "turn",
                ("kind", "subject", "lease_by"),
                ("next_ms",),
                [
                    (kind, subject, worker, min(next_ms, NEVER_MS))
                    for worker, kind, subject, next_ms, went_well in ends
                    if went_well is well
                ],
                f"lease_by = '', lease_ms = 0, {more}",
            )
        self.update_rows(
            "turn", ("kind", "subject"), (), [(kind, subject) for _, kind, subject, *_ in ends],
            f"next_ms = wanted_ms, wanted_ms = {NEVER_MS}", "wanted_ms < next_ms",
        )  # fmt: skip

    def raise_counters(self, counters: Iterable[tuple[str, int]]) -> None:
        """Readers' counters up to here may have been used of meters: turns go on from there."""
        self.many(
            "UPDATE turn SET counter = ? WHERE kind = ? AND subject = ? AND counter < ?",
            [(counter, METER, meter_id, counter) for meter_id, counter in counters],
        )

    def leased(self, now_ms: int, worker: str | None = None) -> int:
        """How many turns somebody has now, or one worker."""
        sql = "SELECT count(*) FROM turn WHERE lease_ms > ?"
        if worker is not None:
            return int(self.one(f"{sql} AND lease_by = ?", now_ms, worker)[0])
        return int(self.one(sql, now_ms)[0])

    def free_turns(self, worker: str, turns: Iterable[Turn]) -> None:
        """Turns that nothing came of, and no meter is to blame: they are free at once."""
        self.many(
            "UPDATE turn SET lease_by = '', lease_ms = 0 "
            "WHERE kind = ? AND subject = ? AND lease_by = ?",
            [(turn.kind, turn.subject, worker) for turn in turns],
        )

    def written(self, numbers: Sequence[str]) -> set[str]:
        """Messages of the bus that are in the store already."""
        return {row[0] for row in self.by_key(
            "SELECT message_id FROM bus_message WHERE message_id IN (?*)", numbers
        )}  # fmt: skip

    def add_written(self, numbers: Iterable[str], now_ms: int, forget_ms: int) -> None:
        """Amid a transaction: messages that are in it; ClashError if one is written already. Those
        of before `forget_ms` never come again."""
        self.run("DELETE FROM bus_message WHERE at_ms < ?", forget_ms)
        self.put_rows(
            "bus_message", ("message_id", "at_ms"), [(one, now_ms) for one in numbers], fresh=True
        )

    def give_back(self, worker: str) -> int:
        """A worker that begins anew has no turns from before: they are free at once."""
        return self.run(
            "UPDATE turn SET lease_by = '', lease_ms = 0 WHERE lease_by = ? AND lease_ms > 0",
            worker,
        )

    def next_turn(self) -> int | None:
        """When the next free turn comes, or a lease ends."""
        row = self.one(
            "SELECT min(CASE WHEN lease_ms > next_ms THEN lease_ms ELSE next_ms END) FROM turn "
            "WHERE next_ms < ?",
            NEVER_MS,
        )
        return None if row is None or row[0] is None else int(row[0])

    def add_attempts(self, attempts: Iterable[Attempt]) -> None:
        self.put_rows("attempt", Attempt._fields, attempts)

    # --- orders ----------------------------------------------------------------------------

    def take_orders(self, kinds: Sequence[str], now_ms: int, most: int, lease_ms: int) -> list[Job]:
        """Orders that are due, leased: one at a time of a meter."""
        marks = ", ".join("?" * len(kinds))
        with self.transaction():
            self.database.lock("orders")
            rows = self.all(
                f"SELECT {_JOB} FROM job AS j WHERE kind IN ({marks}) AND state IN ('due', "
                "'trying') AND next_ms <= ? AND lease_ms <= ? AND NOT EXISTS (SELECT 1 FROM job "
                f"AS o WHERE o.subject = j.subject AND o.kind IN ({marks}) AND "
                "o.state IN ('due', 'trying') AND o.job_id < j.job_id AND o.next_ms <= ?) "
                "ORDER BY priority DESC, next_ms, job_id LIMIT ?",
                *kinds, now_ms, now_ms, *kinds, now_ms, most,
            )  # fmt: skip
            self.many(
                "UPDATE job SET state = 'trying', lease_ms = ?, changed_ms = ? WHERE job_id = ?",
                [(now_ms + lease_ms, now_ms, row[0]) for row in rows],
            )
        return [_job(row) for row in rows]

    def lease_order(self, job_id: int, lease_ms: int, until_ms: int) -> bool:
        """Whether it is still leased as it was until `lease_ms`; now it is until `until_ms`."""
        return bool(self.run(
            "UPDATE job SET lease_ms = ? WHERE job_id = ? AND state = ? AND lease_ms = ?",
            until_ms, job_id, TRYING, lease_ms,
        ))  # fmt: skip

    def end_order(
        self, job_id: int, state: str, next_ms: int, result: Mapping[str, Any], now_ms: int
    ) -> None:
        self.run(
            "UPDATE job SET state = ?, next_ms = ?, result = ?, lease_ms = 0, "
            "attempts = attempts + 1, changed_ms = ? WHERE job_id = ?",
            state, next_ms, json.dumps(result), now_ms, job_id,
        )  # fmt: skip

    # --- notices ---------------------------------------------------------------------------

    def notice(self, kind: str, subject: str, text: str, at_ms: int, times: int = 1) -> None:
        """Something that a person must see to; once while it is open, however often it is found."""
        self.run(
            "INSERT INTO notice (at_ms, kind, subject, body, times, last_ms) VALUES (?, ?, ?, ?, "
            "?, ?) ON CONFLICT (kind, subject) WHERE closed_ms IS NULL DO UPDATE SET times = "
            "notice.times + excluded.times, last_ms = excluded.last_ms, body = excluded.body",
            at_ms, kind, subject, text, times, at_ms,
        )  # fmt: skip

    def notices(self) -> list[tuple[int, int, str, str, str, int]]:
        """Open ones: (number, since, kind, subject, text, times)."""
        return [tuple(row) for row in self.all(
            "SELECT notice_id, at_ms, kind, subject, body, times FROM notice "
            "WHERE closed_ms IS NULL ORDER BY at_ms, notice_id"
        )]  # fmt: skip

    def close_notice(self, notice_id: int, who: str, at_ms: int) -> bool:
        return bool(self.run(
            "UPDATE notice SET closed_ms = ?, closed_by = ? "
            "WHERE notice_id = ? AND closed_ms IS NULL",
            at_ms, who, notice_id,
        ))  # fmt: skip
