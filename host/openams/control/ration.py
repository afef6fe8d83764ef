"""Rationing: one action on a list of meters, staged, resumable, with a result for each.

The result file (`control.results`) has a line for each step, on the disk before
the next one begins, so that a run that was interrupted goes on where it
stopped. The audit file is signed when a run ends or stops.
"""

from __future__ import annotations

import functools
import getpass
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openams import csvtable
from openams.client.client import Client, session
from openams.client.errors import ClientError, LateError, LinkError
from openams.client.links import parse_url
from openams.control.client import Operator
from openams.control.results import BEGUN, STATUSES, Results
from openams.errors import BenchError
from openams.keys.keystore import Keystore

__all__ = ["ACTIONS", "STATUSES", "Entry", "Pace", "Plan", "Results", "Run", "audit_record",
           "load_plan", "stages"]  # fmt: skip
ACTIONS = ("disconnect", "reconnect")


@dataclass(frozen=True)
class Entry:
    meter_id: str
    url: str
    group: str
    critical: bool


@dataclass(frozen=True)
class Plan:
    path: Path
    sha256: str
    entries: tuple[Entry, ...]

    def token(self, action: str) -> str:
        """What a dry run shows and the run must be given: of this plan and action alone."""
        return hashlib.sha256(f"{self.sha256} {action}".encode()).hexdigest()[:8]


_YES = ("yes", "true", "1", "x")
_NO = ("", "no", "false", "0")


def load_plan(path: Path, critical: Iterable[str] = ()) -> Plan:
    """A CSV file with the columns meter_id, url, and if wanted group and critical."""
    try:
        data = path.read_bytes()
        rows = list(csvtable.read(data.decode("utf-8-sig")))
    except csvtable.TableError as error:
        raise BenchError(f"{path} {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read the plan {path}: {error}") from None
    if not rows or not {"meter_id", "url"} <= set(rows[0][1]):
        raise BenchError(f"{path} is no plan: it needs a head line with meter_id and url")
    also = set(critical)
    entries = []
    seen: set[str] = set()
    for number, row in rows:
        meter_id, mark = row["meter_id"], row.get("critical", "").lower()
        if not (meter_id.isascii() and meter_id.isdigit()) or len(meter_id) != 16:
            raise BenchError(f"{path} line {number}: {meter_id!r} is no meter number of 16 digits")
        if meter_id in seen:
            raise BenchError(f"{path} line {number}: meter {meter_id} stands there twice")
        if mark not in _YES + _NO:
            # A mark that is not understood must not read as "not critical".
            raise BenchError(f"{path} line {number}: critical is yes or no, not {mark!r}")
        seen.add(meter_id)
        url, group = row["url"], row.get("group", "")
        parse_url(url)
        if not group.isprintable():
            raise BenchError(f"{path} line {number}: the name of the group is no text: {group!r}")
        entries.append(Entry(meter_id, url, group, mark in _YES or meter_id in also))
    unknown = also - seen
    if unknown:
        raise BenchError(f"critical meters that are not in the plan: {', '.join(sorted(unknown))}")
    identity = hashlib.sha256(data + b"\0" + ",".join(sorted(also)).encode()).hexdigest()
    return Plan(path, identity, tuple(entries))


def stages(plan: Plan) -> list[tuple[str, list[Entry]]]:
    """The groups in the order in which they first appear."""
    out: dict[str, list[Entry]] = {}
    for entry in plan.entries:
        out.setdefault(entry.group, []).append(entry)
    return list(out.items())


@dataclass
class Pace:
    """`per_minute` meters begin a minute, `jobs` at a time; `pause_s` between groups."""

    per_minute: float = 60.0
    jobs: int = 4
    pause_s: float = 0.0
    max_failures: int = 10
    timeout_s: float = 10.0


class Run:
    """One run over a plan. `stop` may be called from anywhere: what has begun is finished."""

    def __init__(
        self,
        plan: Plan,
        action: str,
        store: Keystore,
        results: Results,
        pace: Pace,
        on_result: Callable[[dict[str, Any]], None] = lambda record: None,
    ) -> None:
        self.plan = plan
        self.action = action
        self.stopped_because: str | None = None
        self._store = store
        self._results = results
        self._pace = pace
        self._on_result = on_result
        self._stop = threading.Event()
        self._failures = 0
        self._lock = threading.Lock()

    def stop(self, why: str = "asked to") -> None:
        if not self._stop.is_set():
            self.stopped_because = why
        self._stop.set()

    def play(self) -> None:
        first = True
        for _, entries in stages(self.plan):
            waiting = [entry for entry in entries if not self._results.finished(entry)]
            if not waiting:
                continue
            if not first and self._stop.wait(self._pace.pause_s):
                return
            first = False
            self._stage(waiting)
            if self._stop.is_set():
                return

    def _stage(self, entries: list[Entry]) -> None:
        begin = time.monotonic()
        each_s = 60.0 / self._pace.per_minute
        begun = 0
        with ThreadPoolExecutor(self._pace.jobs) as pool:
            for entry in entries:
                if entry.critical:
                    # Never even spoken to.
                    self._note(entry, Outcome("excluded", "critical in the plan"))
                    continue
                wait = begin + begun * each_s - time.monotonic()
                if self._stop.wait(max(wait, 0)):
                    break
                begun += 1
                pool.submit(self._deal_with, entry)

    def _deal_with(self, entry: Entry) -> None:
        if self._stop.is_set():
            return
        again = self._results.status(entry) in (BEGUN, "late")
        try:
            # What cannot be written down is not done.
            self._results.begin(entry)
        except BenchError as error:
            self.stop(str(error))
            return
        try:
            outcome = act(entry, self.action, self._store, self._pace.timeout_s, again)
        except Exception as error:  # the file must have a line for each that was begun
            outcome = Outcome("refused", f"{type(error).__name__}: {error}")
        self._note(entry, outcome)

    def _note(self, entry: Entry, outcome: Outcome) -> None:
        try:
            record = self._results.add(entry, outcome.status, outcome.detail, outcome.order)
        except BenchError as error:
            self.stop(f"{error}; not written: {entry.meter_id} {outcome.status}")
            return
        self._on_result(record)
        if outcome.status in ("refused", "late"):
            with self._lock:
                self._failures += 1
                if self._failures >= self._pace.max_failures:
                    self.stop(f"{self._failures} meters refused or answered late")


@dataclass(frozen=True)
class Outcome:
    """Of one meter; `order`: the number of the sealed order that it was given."""

    status: str
    detail: str
    order: int | None = None


def act(
    entry: Entry,
    action: str,
    store: Keystore,
    timeout_s: float,
    again: bool = False,
    connect: Callable[[], AbstractContextManager[Client]] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Outcome:
    """Deals with one meter. What may have happened unseen is looked up first.

    `again`: it was sent an order before whose outcome is not known. `connect`: a session of the
    breaker's client, where that is not one by the entry's URL; `now`: by what orders go.
    """
    if connect is None:
        url = parse_url(entry.url)
        connect = functools.partial(session, url, "breaker", store, entry.meter_id, timeout_s)
    operator = None
    try:
        with connect() as meter:
            operator = Operator(meter, store, entry.meter_id, now=now)
            state = operator.state()
            if {"critical", "inhibit"} & set(state["policy"]):
                return Outcome("critical", "the meter says that it must never be disconnected")
            target = "disconnected" if action == "disconnect" else "connected"
            ready = again and action == "reconnect" and state["state"] == "ready-for-reconnection"
            if state["state"] == target or ready:
                why = ", by an order of which no answer came" * again
                return Outcome("done", "was so already" + why)
            after = operator.move(action)
            second = ", by a second order: no answer came to the first" * again
            moved = f"{state['state']} to {after['state']}{second}"
            return Outcome("done", moved, operator.last_order)
    except LinkError as error:
        order = operator.last_order if operator else None
        if order is not None:
            return Outcome("late", f"sent, no answer: {error}", order)
        return Outcome("late" if isinstance(error, LateError) else "offline", str(error))
    except BenchError as error:
        order = operator.last_order if operator else None
        if order is not None and isinstance(error, ClientError):
            # It has the order, and what it says since is no answer: it may have done it.
            return Outcome("late", f"sent, no answer that is one: {error}", order)
        return Outcome("refused", str(error), order)


# --- audit ---------------------------------------------------------------------------


def _user() -> str:
    """Who runs this; by number, where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def audit_record(run: Run, results: Results, started: datetime) -> dict[str, Any]:
    return {
        "plan": str(run.plan.path.name),
        "plan_sha256": run.plan.sha256,
        "action": run.action,
        "operator": _user(),
        "computer": socket.gethostname(),
        "started": started.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
        "stopped": run.stopped_because,
        "counts": results.counts(),
        "results": list(results.last.values()),
        **results.signature_of(),
    }
