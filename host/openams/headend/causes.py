"""Why a meter's day was not here in time, by what a head-end sees.

What it sees: sessions and how they ended, concentrators' lists and alarms, how the net hears a
meter that gives no answer, whom it lost together with which others, last words of modules, and the
logs of meters that are back. So a cause may become another when more is known. What nothing tells
is `unknown`, with what there was.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from openams.headend.assemble import power_cuts
from openams.headend.collect.taking import take_alarm
from openams.headend.collect.work import COUNTERS, is_silent
from openams.headend.days import day_bounds, day_number, local_day
from openams.headend.elhub.build import first_deadline
from openams.headend.register import MeterRow, Relation
from openams.headend.store import Store
from openams.headend.store.jobs import Job
from openams.headend.store.raw import Event
from openams.meter_time import local_text, to_utc_ms

SIGNAL, METER, CONCENTRATOR, HEADEND, OTHER = (
    "signal",
    "meter",
    "concentrator",
    "headend",
    "other",
)
UNKNOWN = "unknown"
# A head-end that visits its concentrators each ten minutes and does not for so long stands still.
_QUIET_MS = 25 * 60_000
# Nets have dips of some minutes; who is called in vain for so long has another fault.
_LONG_MS = 30 * 60_000
# How meters answer when a head-end is back is looked at so long after the night.
_LATER_MS = 12 * 3_600_000
# What a fitter says who found nobody in. It tells of the nights before his visit, and of those
# after it until he comes again.
NOBODY_IN = "nobody-in"
_BEFORE_VISIT_MS, _AFTER_VISIT_MS = 3 * 86_400_000, 8 * 86_400_000
# A log is read from so long before a night on, for cuts that began before it.
_LOG_MS = 30 * 86_400_000


class Cause(NamedTuple):
    """`kind`: more finely; `because`: by what it was found."""

    cause: str
    kind: str
    because: str


class Session(NamedTuple):
    at_ms: int
    outcome: str
    octets: int
    error: str


class Link(NamedTuple):
    """How a meter's link looked in the night, by which nothing came."""

    at_ms: int
    source: str
    signal_dbm: int | None
    reason: str

    @property
    def silent(self) -> bool:
        return is_silent(self.reason)


@dataclass
class Night:
    """All that is known of the night in which a day was due: of its meters by number."""

    day: date
    begin_ms: int
    due_ms: int
    rows: dict[str, MeterRow]
    relations: dict[str, Relation]
    sessions: dict[str, list[Session]]
    last_session_ms: int  # of anybody, before the day was due
    links: dict[str, Link]
    events: dict[str, list[Event]]
    alarms: dict[str, list[tuple[int, str]]]
    # When a concentrator read a meter in the night: of what the head-end got after it.
    read_ms: dict[str, int]
    in_time: set[str]  # of whom something of the day was here when it was due
    silent: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    @property
    def quiet(self) -> bool:
        """Whether towards the end of the night nobody had any session."""
        return self.due_ms - self.last_session_ms > _QUIET_MS


def find_causes(store: Store, day: date, now_ms: int) -> Counter[str]:
    """Explains what was missing of a day, and writes it where it is news; counts the news."""
    # Not whole when its values were due.
    missing = store.late_jobs(day_number(day), to_utc_ms(first_deadline(day)))
    if not missing:
        return Counter()
    night = _night(store, day, [job.subject for job in missing])
    found, counts = [], Counter[str]()
    for job in missing:
        cause = explain(night, job)
        told = {"cause": cause.cause, "cause_kind": cause.kind, "because": cause.because}
        if any(job.result.get(name) != value for name, value in told.items()):
            counts[cause.cause] += "cause" not in job.result
            found.append((job.subject, job.day, told))
    store.put_causes(found)
    return counts


def nobody_in(store: Store, meter_id: str, at_ms: int) -> None:
    """A fitter says that he found nobody in."""
    take_alarm(store, meter_id, at_ms, "fitter", {"kind": NOBODY_IN})


# --- one meter's day ---------------------------------------------------------------------------


def explain(night: Night, job: Job) -> Cause:
    """The first that the evidence carries, from what is sure to what is likely."""
    meter_id = job.subject
    row = night.rows.get(meter_id)
    for look in (_changed, _dark):
        if (cause := look(night, meter_id)) is not None:
            return cause
    if meter_id in night.in_time and (cause := _holes(night, job)) is not None:
        return cause
    if row is None:
        return Cause(UNKNOWN, "", "the meter is not in the register any more")
    if row.concentrator:
        return _behind(night, job, row)
    return _direct(night, job)


def _changed(night: Night, meter_id: str) -> Cause | None:
    """Another meter came to the site, or this one did."""
    relation = night.relations.get(meter_id)
    if relation is None:
        return None
    begin = day_bounds(night.day)[0]
    if relation.to_ms is not None and relation.to_ms <= night.due_ms:
        at = local_text(relation.to_ms)
        return Cause(OTHER, "meter-changed", f"it was taken down at {at}")
    if relation.start_plus_mwh is not None and begin < relation.from_ms:
        at = local_text(relation.from_ms)
        return Cause(OTHER, "meter-changed", f"it was put up at {at}")
    return None


def _dark(night: Night, meter_id: str) -> Cause | None:
    """No supply for most of the night: by its log when it is back, till then by its last word."""
    begin, due = night.begin_ms, night.due_ms
    for down, up in power_cuts(night.events.get(meter_id, ()), begin, due):
        first, last = to_utc_ms(down), due if up is None else to_utc_ms(up)
        if min(last, due) - max(first, begin) >= (due - begin) // 2:
            until = "now" if up is None else local_text(last)
            text = f"its log has no supply from {local_text(first)} to {until}"
            return Cause(OTHER, "no-supply", text)
    said = [at for at, kind in night.alarms.get(meter_id, ()) if kind == "power-lost" and at <= due]
    if said:
        # Unless it was spoken with after that: then its log would tell.
        last_ms = said[-1]
        answered = [
            one.at_ms
            for one in night.sessions.get(meter_id, ())
            if one.outcome == "ok" and last_ms < one.at_ms <= due
        ]
        after = [one for one in night.events.get(meter_id, ()) if one.at_ms > last_ms]
        if not answered and not after:
            text = f"its module said at {local_text(last_ms)} that its supply falls"
            return Cause(OTHER, "no-supply", text)
    return None


def _behind(night: Night, job: Job, row: MeterRow) -> Cause:
    """A meter that its concentrator reads."""
    name = row.concentrator
    visits = [one for one in night.sessions.get(name, ()) if one.at_ms <= night.due_ms]
    went = [one for one in visits if one.outcome == "ok"]
    link = night.links.get(job.subject)
    last_ms = max((one.at_ms for one in went), default=0)
    read_ms = night.read_ms.get(job.subject)
    if visits and visits[-1].outcome != "ok" and (link is None or not went or read_ms):
        since = local_text(min(one.at_ms for one in visits if one.at_ms > last_ms))
        return Cause(
            CONCENTRATOR, "concentrator-down",
            f"concentrator {name} gave no answer from {since} to the end of the night",
        )  # fmt: skip
    if night.quiet and (not visits or night.due_ms - visits[-1].at_ms > _QUIET_MS):
        if read_ms is not None:
            at = local_text(read_ms)
            return _stood_still(night, f"concentrator {name} had it at {at} and was not visited")
        if link is None or (not visits and link.at_ms <= night.due_ms):
            return _stood_still(night, f"concentrator {name} was not visited")
    if link is not None:
        return _of_link(night, job, link, (row.net, name))
    lost = [at for at, kind in night.alarms.get("", ()) if kind == f"store-lost {name}"]
    if any(night.begin_ms <= at <= night.due_ms for at in lost):
        return Cause(CONCENTRATOR, "store-lost", f"concentrator {name} lost its store that night")
    return _holes(night, job) or Cause(
        UNKNOWN, "", f"concentrator {name} answered, and said nothing of the meter"
    )


def _direct(night: Night, job: Job) -> Cause:
    """A meter that the head-end calls itself."""
    sessions = night.sessions.get(job.subject, ())
    tried = [one for one in sessions if one.at_ms <= night.due_ms]
    later = [one for one in sessions if one.at_ms > night.due_ms]
    link = night.links.get(job.subject)
    # One that was called in vain for long was lost before the head-end was.
    long = bool(tried) and tried[-1].at_ms - tried[0].at_ms >= _LONG_MS
    if night.quiet and not long and later and later[0].outcome == "ok":
        return _stood_still(night, "it answered as soon as it was called again")
    if not tried and (not later or link is None):
        return _stood_still(night, "its turn in the night was not taken")
    if tried and tried[-1].outcome == "ok":
        return _holes(night, job) or Cause(UNKNOWN, "", "it was read, and that was not all")
    # What it answered tells more than that it did not.
    told = [one for one in tried or later[:1] if one.outcome not in ("ok", "late")]
    last = (told or tried or later)[-1]
    signal = link.signal_dbm if link is not None else None
    return _of_link(night, job, Link(last.at_ms, "", signal, last.error), ("cellular", ""))


def _stood_still(night: Night, what: str) -> Cause:
    when = f"; the last session was at {local_text(night.last_session_ms)}"
    return Cause(HEADEND, "head-end-down", what + (when if night.last_session_ms else ""))


def _holes(night: Night, job: Job) -> Cause | None:
    """It was read, and has rows no more, or none that can be read."""
    missing = job.result.get("missing")
    if not missing:
        if job.result.get("registers_missing"):
            return Cause(UNKNOWN, "", "its intervals are here, a register of midnight is not")
        return None
    begin, end = day_bounds(night.day)
    cuts = power_cuts(night.events.get(job.subject, ()), begin, end)
    if cuts:
        at = local_text(to_utc_ms(cuts[0][0]))
        text = f"it was read, and has no rows of when it was without supply, from {at}"
        return Cause(OTHER, "no-supply", text)
    return Cause(
        METER, "rows-missing", f"it was read, and {missing} minutes of the day are not there"
    )


def _of_link(night: Night, job: Job, link: Link, group: tuple[str, str]) -> Cause:
    """By how its link looked when nothing came by it."""
    for down, up in power_cuts(night.events.get(job.subject, ()), night.begin_ms, night.due_ms):
        until = night.due_ms if up is None else to_utc_ms(up)
        if link.silent and to_utc_ms(down) <= link.at_ms <= until:
            text = f"its log has no supply when it gave no answer, at {local_text(link.at_ms)}"
            return Cause(OTHER, "no-supply", text)
    if not link.silent:
        return Cause(METER, "answers-wrong", f"it answered, and then: {link.reason}")
    if link.signal_dbm is not None:
        text = f"the net hears it at {link.signal_dbm} dBm, and it gives no answer"
        return Cause(METER, "module-hang", text)
    visits = [
        at
        for at, kind in night.alarms.get(job.subject, ())
        if kind == NOBODY_IN and at - _BEFORE_VISIT_MS <= link.at_ms <= at + _AFTER_VISIT_MS
    ]
    if visits:
        text = f"no answer, and a fitter found nobody in at {local_text(visits[-1])}"
        return Cause(OTHER, "no-access", text)
    others = night.silent.get(group, set()) - {job.subject}
    where = f" behind {group[1]}" if group[1] else ""
    text = f"no answer, and the net does not hear it; {len(others)} others{where} alike"
    return Cause(SIGNAL, "not-heard", text)


# --- out of the store ----------------------------------------------------------------------------


def _night(store: Store, day: date, meters: Sequence[str]) -> Night:
    begin_ms, due_ms = day_bounds(day)[1], to_utc_ms(first_deadline(day))
    rows = {one.meter_id: one for one in store.meters_of(meters)}
    masters = sorted({one.concentrator for one in rows.values() if one.concentrator})
    sessions: dict[str, list[Session]] = defaultdict(list)
    for subject, *rest in store.by_key(
        "SELECT subject, at_ms, outcome, octets, error FROM attempt "
        "WHERE at_ms BETWEEN ? AND ? AND outcome <> ? AND subject IN (?*) ORDER BY at_ms",
        [*meters, *masters],
        begin_ms,
        due_ms + _LATER_MS,
        COUNTERS,
    ):
        sessions[subject].append(Session(*rest))
    for many in sessions.values():
        many.sort()
    (last_ms,) = store.one(
        "SELECT max(at_ms) FROM attempt WHERE at_ms BETWEEN ? AND ?", begin_ms, due_ms
    ) or (None,)
    # The night is of the date after the day.
    links = {
        meter_id: Link(*rest)
        for meter_id, *rest in store.by_key(
            "SELECT meter_id, at_ms, source, signal_dbm, reason FROM link_seen "
            "WHERE day = ? AND meter_id IN (?*)",
            meters,
            day_number(local_day(begin_ms)),
        )
    }
    events: dict[str, list[Event]] = defaultdict(list)
    for event in store.events(meters, begin_ms - _LOG_MS, due_ms + _LOG_MS, "standard"):
        events[event.meter_id].append(event)
    relations: dict[str, Relation] = {}
    for relation in store.relations(*day_bounds(day), meter_ids=meters):
        relations[relation.meter_id] = relation
    night = Night(
        day, begin_ms, due_ms, rows, relations, sessions, last_ms or 0, links, events,
        _alarms(store, meters, masters, due_ms), _read_then(store, meters, begin_ms, due_ms),
        {
            meter_id
            for meter_id, parts in store.intervals(day_number(day), meters).items()
            if parts[0].at_ms <= due_ms
        },
    )  # fmt: skip
    for meter_id, link in links.items():
        row = rows.get(meter_id)
        if row is not None and link.silent and link.signal_dbm is None:
            night.silent.setdefault((row.net, row.concentrator), set()).add(meter_id)
    return night


def _read_then(store: Store, meters: Sequence[str], begin_ms: int, due_ms: int) -> dict[str, int]:
    """When meters were read in the night of whom the head-end heard only after it: with a day a
    concentrator keeps what the registers showed as it read it."""
    out: dict[str, int] = {}
    for one in store.readings(meters, begin_ms + 1, due_ms):
        if one.got_ms > due_ms and one.source.startswith("concentrator"):
            out.setdefault(one.meter_id, one.at_ms)
    return out


def _alarms(
    store: Store, meters: Sequence[str], masters: Sequence[str], due_ms: int
) -> dict[str, list[tuple[int, str]]]:
    """(moment, kind) by meter, in order; of concentrators under "" with their names."""
    out: dict[str, list[tuple[int, str]]] = defaultdict(list)
    found: Iterable[Any] = store.by_key(
        "SELECT meter_id, at_ms, source, body FROM alarm WHERE at_ms BETWEEN ? AND ? "
        "AND meter_id IN (?*)",
        ["", *meters],
        due_ms - _LOG_MS,
        due_ms + _BEFORE_VISIT_MS,
    )
    names = set(masters)
    for meter_id, at_ms, source, body in sorted(found, key=lambda row: row[1]):
        kind = str(json.loads(body).get("kind", ""))
        name = source.partition(" ")[0]
        if meter_id:
            out[meter_id].append((at_ms, kind))
        elif name in names:
            out[""].append((at_ms, f"{kind} {name}"))
    return out
