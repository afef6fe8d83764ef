"""A turn with all that its session needs to know, and what came of it: neither needs the store,
so both may go to another machine and back (headend/bus)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openams.client.errors import LateError, LinkError, RefusedError
from openams.errors import BenchError
from openams.headend.collect.link import CountersError
from openams.headend.collect.taking import Came
from openams.headend.days import day_bounds, day_date
from openams.headend.register import ConcentratorRow, MeterRow
from openams.headend.store import Store
from openams.headend.store.jobs import METER, Turn

_DAY_MS = 86_400_000
# A session that ended for want of counters: it says nothing of the meter or the way to it.
COUNTERS = "counters"
# Logs are asked for from before the last event that is known: clocks are set back.
_LOG_FROM_MS = _DAY_MS
# As openams.client's links say it, and collection.
_SILENT = ("no answer", "timed out", "has not ended in time")


def shown(value: Any, most: int = 200) -> str:
    """What others say, as stores take it: some take neither a zero nor half a character."""
    text = "" if value is None else str(value)[:most]
    return "".join(sign if sign.isprintable() else "?" for sign in text)


class Seqs(NamedTuple):
    """Up to which numbers a concentrator's store is written here."""

    store_id: str
    day: int
    alarm: int
    push: int


@dataclass(frozen=True)
class Work:
    """`given_ms`, `until_ms`: by the clock of who gave it out; after that the turn is another's.
    `days`, `logs_ms`: of a meter, those that are open, and from when on its log is asked for;
    `seqs`, `asked`: of a concentrator, and the open days (meter, yyyymmdd) of its meters."""

    turn: Turn
    worker: str
    given_ms: int
    until_ms: int
    row: MeterRow | ConcentratorRow | None
    days: tuple[int, ...] = ()
    logs_ms: int = 0
    seqs: Seqs | None = None
    asked: tuple[tuple[str, int], ...] = ()


@dataclass
class Visit:
    """What a visit to a concentrator brought; `seqs`: the numbers up to which it is now."""

    seqs: Seqs
    days: list[Came] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    pushes: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False
    began_anew: bool = False
    # Of its meters that it could not read the last time: (meter, signal or None, why).
    unread: list[tuple[str, int | None, str]] = field(default_factory=list)
    missing: bool = False  # open days of its meters did not come


@dataclass
class Outcome:
    """A session that has ended, well or not: what came before it fell is kept."""

    turn: Turn
    worker: str
    began_ms: int
    took_ms: int = 0
    days: tuple[int, ...] = ()
    came: Came | None = None
    visit: Visit | None = None
    road: str = "direct"
    octets: int = 0
    # In one word, for the figures: what a client saw; and the words of it.
    outcome: str = "ok"
    error: str = ""
    # A person should know: a meter that refuses us, or is another one.
    told: bool = False
    # Where the turn's counters are behind those that were used: the first that may be next.
    counter: int = 0
    # Of a collector on the bus: its name, and its clock less that of who gave out the work.
    by: str = ""
    clock_off_ms: int = 0
    # After a meter gave no answer: how its link is heard, dBm; None: it is not, or nobody says.
    signal_dbm: int | None = None

    @property
    def well(self) -> bool:
        return self.outcome == "ok"

    @property
    def rows(self) -> int:
        if self.visit is not None:
            return sum(len(one.got.rows) for one in self.visit.days)
        return len(self.came.got.rows) if self.came else 0

    def failed(self, error: BenchError) -> None:
        self.outcome, self.error = outcome_of(error), shown(error)
        self.counter = error.needed if isinstance(error, CountersError) else 0
        self.told = isinstance(error, RefusedError) or "is not this meter" in self.error


def outcome_of(error: BenchError) -> str:
    if isinstance(error, CountersError):
        return COUNTERS
    if isinstance(error, LateError):
        return "late"
    if isinstance(error, LinkError):
        return "link"
    return "refused" if isinstance(error, RefusedError) else "error"


def is_silent(reason: str) -> bool:
    """Whether these words of a session's end say that there was no answer."""
    return any(words in reason for words in _SILENT)


def prepared(store: Store, turns: Sequence[Turn], worker: str, now: int, until: int) -> list[Work]:
    """Turns that `worker` has, with what their sessions need; `now`, `until`: ms."""
    meters = [turn.subject for turn in turns if turn.kind == METER]
    masters = [turn.subject for turn in turns if turn.kind != METER]
    rows: dict[str, MeterRow] = {row.meter_id: row for row in store.meters_of(meters)}
    days: dict[str, list[int]] = defaultdict(list)
    for meter_id, day in store.open_days_of(meters):
        days[meter_id].append(day)
    seen = dict(store.by_key("SELECT meter_id, event_ms FROM seen WHERE meter_id IN (?*)", meters))
    doors = {row.concentrator_id: row for row in store.concentrators()} if masters else {}
    seqs = {
        row[0]: Seqs(*row[1:])
        for row in store.by_key(
            "SELECT concentrator_id, store_id, day_seq, alarm_seq, push_seq FROM concentrator_seen "
            "WHERE concentrator_id IN (?*)",
            masters,
        )
    }
    asked = _asked(store, masters)
    out = []
    for turn in turns:
        name = turn.subject
        if turn.kind != METER:
            out.append(Work(
                turn, worker, now, until, doors.get(name), seqs=seqs.get(name),
                asked=tuple(asked.get(name, ())),
            ))  # fmt: skip
            continue
        own = tuple(sorted(days.get(name, ())))
        # The first time from the day before the first open one: a cut may have begun there.
        logs = seen[name] - _LOG_FROM_MS if seen.get(name) else 0
        if own and not logs:
            logs = day_bounds(day_date(own[0]))[1] - 2 * _DAY_MS
        out.append(Work(turn, worker, now, until, rows.get(name), own, logs))
    return out


def _asked(store: Store, masters: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Open days of the meters of concentrators."""
    out: dict[str, list[tuple[str, int]]] = defaultdict(list)
    # As the index has it (job_unread), and from the meters on: jobs there are ever more.
    for master, meter_id, day in store.by_key(
        "SELECT m.concentrator, j.subject, j.day FROM meter AS m CROSS JOIN job AS j "
        "WHERE j.subject = m.meter_id AND j.kind = 'day' "
        "AND j.state IN ('due', 'trying', 'partial') "
        "AND m.concentrator IN (?*) ORDER BY j.day, j.subject",
        masters,
    ):
        out[master].append((meter_id, day))
    return out
