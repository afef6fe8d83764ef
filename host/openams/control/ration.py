"""Rationing: one action on a list of meters, staged, resumable, with a result for each.

The result file is a line of JSON for each meter that was dealt with, on the
disk before the next one begins, so that a run that was interrupted goes on
where it stopped. The audit file is signed when a run ends or stops.
"""

from __future__ import annotations

import csv
import getpass
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openams.client.client import session
from openams.client.errors import ClientError, LateError, LinkError
from openams.client.links import parse_url
from openams.control.client import Operator
from openams.errors import BenchError
from openams.keys.keystore import Keystore

ACTIONS = ("disconnect", "reconnect")
# What needs no second try in a run that is taken up again.
_FINAL = ("done", "excluded", "critical", "refused")
STATUSES = (*_FINAL, "offline", "late")


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
        rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"cannot read the plan {path}: {error}") from None
    if not rows or not {"meter_id", "url"} <= set(rows[0]):
        raise BenchError(f"{path} is no plan: it needs a head line with meter_id and url")
    also = set(critical)
    entries = []
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        meter_id = (row["meter_id"] or "").strip()
        mark = (row.get("critical") or "").strip().lower()
        if not meter_id.isdigit() or len(meter_id) != 16:
            raise BenchError(f"{path} line {number}: {meter_id!r} is no meter number of 16 digits")
        if meter_id in seen:
            raise BenchError(f"{path} line {number}: meter {meter_id} stands there twice")
        if mark not in _YES + _NO:
            # A mark that is not understood must not read as "not critical".
            raise BenchError(f"{path} line {number}: critical is yes or no, not {mark!r}")
        seen.add(meter_id)
        url = (row["url"] or "").strip()
        parse_url(url)
        group = (row.get("group") or "").strip()
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


class Results:
    """The result file: appended line by line, each on the disk before the next."""

    def __init__(self, path: Path, plan: Plan, action: str, resume: bool) -> None:
        self.path = path
        self.last: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        head = {"plan_sha256": plan.sha256, "action": action}
        if path.exists():
            if not resume:
                raise BenchError(f"{path} is there already: take the run up with --resume")
            self._load(head)
        elif resume:
            raise BenchError(f"there is no {path} to take up: leave --resume out")
        self._file = path.open("a")
        if path.stat().st_size == 0:
            self._append(head)

    def _load(self, head: dict[str, Any]) -> None:
        whole = self.path.read_text()
        # A line that was cut short by the interruption is dealt with again.
        kept = whole[: whole.rfind("\n") + 1]
        if kept != whole:
            self.path.write_text(kept)
        lines = [json.loads(line) for line in kept.splitlines()]
        if not lines or {key: lines[0].get(key) for key in head} != head:
            raise BenchError(f"{self.path} belongs to another plan or action")
        for line in lines[1:]:
            self.last[line["meter_id"]] = line

    def _append(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def add(self, entry: Entry, status: str, detail: str = "") -> dict[str, Any]:
        record = {
            "meter_id": entry.meter_id,
            "group": entry.group,
            "status": status,
            "detail": detail,
            "time": datetime.now(UTC).isoformat(),
        }
        with self._lock:
            self._append(record)
            self.last[entry.meter_id] = record
        return record

    def finished(self, entry: Entry) -> bool:
        return self.last.get(entry.meter_id, {}).get("status") in _FINAL

    def counts(self) -> dict[str, int]:
        out = dict.fromkeys(STATUSES, 0)
        for record in self.last.values():
            out[record["status"]] += 1
        return out

    def close(self) -> None:
        self._file.close()


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
                    self._note(entry, "excluded", "critical in the plan")
                    continue
                wait = begin + begun * each_s - time.monotonic()
                if self._stop.wait(max(wait, 0)):
                    break
                begun += 1
                pool.submit(self._deal_with, entry)

    def _deal_with(self, entry: Entry) -> None:
        if self._stop.is_set():
            return
        try:
            status, detail = act(entry, self.action, self._store, self._pace.timeout_s)
        except Exception as error:  # the file must have a line for each that was begun
            status, detail = "refused", f"{type(error).__name__}: {error}"
        self._note(entry, status, detail)

    def _note(self, entry: Entry, status: str, detail: str) -> None:
        self._on_result(self._results.add(entry, status, detail))
        if status in ("refused", "late"):
            with self._lock:
                self._failures += 1
                if self._failures >= self._pace.max_failures:
                    self.stop(f"{self._failures} meters refused or answered late")


def act(entry: Entry, action: str, store: Keystore, timeout_s: float) -> tuple[str, str]:
    """(status, detail) of one meter. What may have happened unseen is looked up."""
    url = parse_url(entry.url)
    sent = False
    try:
        with session(url, "breaker", store, entry.meter_id, timeout_s) as meter:
            operator = Operator(meter, store, entry.meter_id)
            state = operator.state()
            if {"critical", "inhibit"} & set(state["policy"]):
                return "critical", "the meter says that it must never be disconnected"
            target = "disconnected" if action == "disconnect" else "connected"
            if state["state"] == target:
                return "done", "was so already"
            sent = True
            after = operator.move(action)
            return "done", f"{state['state']} to {after['state']}"
    except LinkError as error:
        if sent:
            return "late", f"sent, no answer: {error}"
        return ("late" if isinstance(error, LateError) else "offline"), str(error)
    except (ClientError, BenchError) as error:
        return "refused", str(error)


# --- audit ---------------------------------------------------------------------------


def audit_record(run: Run, results: Results, started: datetime) -> dict[str, Any]:
    return {
        "plan": str(run.plan.path.name),
        "plan_sha256": run.plan.sha256,
        "action": run.action,
        "operator": getpass.getuser(),
        "computer": socket.gethostname(),
        "started": started.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
        "stopped": run.stopped_because,
        "counts": results.counts(),
        "results": list(results.last.values()),
        "results_sha256": hashlib.sha256(results.path.read_bytes()).hexdigest(),
    }
