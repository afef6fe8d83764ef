"""The result file of a rationing run: a line of JSON for each step, each with its own proof.

    {"n": 0, "format": ..., "plan_sha256": ..., "action": ..., "run": ..., "began": ..., ...}
    {"n": 1, "meter_id": ..., "group": ..., "status": "begun", "time": ..., "proof": ...}
    {"n": 2, "meter_id": ..., "status": "done", "detail": ..., "order": ..., ..., "proof": ...}

A proof is an Ed25519 signature, with the audit key, over the proof before it and the line: so
a line that is forged, changed, copied from elsewhere, moved or left out is found, by whoever
knows the public key. Lines that are missing at the end are found by the trail, a file beside
the keystore with the proofs that were given. A meter has a line before anything is sent to it:
what was under way when a run ended is known.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openams import private
from openams.control import audit
from openams.errors import BenchError

if TYPE_CHECKING:
    from openams.control.ration import Entry, Plan

# What needs no second try in a run that is taken up again.
FINAL = ("done", "excluded", "critical", "refused")
# Sent to, and no word of what came of it.
BEGUN = "begun"
STATUSES = (*FINAL, "offline", "late", BEGUN)
_FORMAT = "openams-results-1"
_DOMAIN = b"openams results\0"
_HINT = "name another file with --result"


# --- lines ---------------------------------------------------------------------------------


def _signed(record: dict[str, Any], before: bytes) -> bytes:
    bare = {name: value for name, value in record.items() if name != "proof"}
    return _DOMAIN + before + json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()


def proven_lines(data: bytes, path: Path, key: Ed25519PublicKey) -> Iterator[dict[str, Any]]:
    """The whole lines of a result file; BenchError at the first that is not proven."""
    before = b""
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
            proof = bytes.fromhex(record["proof"])
            # One way of writing it alone: what is read is what was signed.
            if json.dumps(record).encode() != line or record["n"] != number - 1:
                raise ValueError
            key.verify(proof, _signed(record, before))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
            raise BenchError(
                f"{path} line {number} is not as this keystore's audit key left it: put the file "
                f"back as it was, or begin anew with another --result"
            ) from None
        before = proof
        yield record


# --- the trail -------------------------------------------------------------------------------


class Trail:
    """Beside the keystore: what was begun, and the proofs that were given, a line each."""

    def __init__(self, keystore: Path) -> None:
        self._folder = keystore.with_name(keystore.name + ".audit.runs")

    def begin(self, head: dict[str, Any], results: Path) -> int:
        """A descriptor to append proofs to."""
        private.make_folder(self._folder)
        record = {**head, "results": str(results.absolute())}
        path = self._path(head["run"])
        private.write_private(path, json.dumps(record).encode() + b"\n", new=True)
        return self.open(head["run"])

    def _path(self, run: str) -> Path:
        return self._folder / f"{run}.run"

    def open(self, run: str) -> int:
        return private.open_private(self._path(run), os.O_WRONLY | os.O_APPEND)

    def proofs(self, run: str) -> list[str] | None:
        """Those of a run, the head's first; None where there is no trace of it."""
        if not self._path(run).exists():
            return None
        lines = private.read_private(self._path(run)).decode().splitlines(keepends=True)
        head = json.loads(lines[0])
        return [head["proof"], *(line.strip() for line in lines[1:] if line.endswith("\n"))]

    def runs(self) -> list[dict[str, Any]]:
        """The heads of all runs, oldest first, and how many proofs each has."""
        if not self._folder.is_dir():
            return []
        found = []
        for path in self._folder.glob("*.run"):
            lines = private.read_private(path).splitlines()
            found.append({**json.loads(lines[0]), "lines": len(lines)})
        return sorted(found, key=lambda head: str(head["began"]))


# --- the file --------------------------------------------------------------------------------


@dataclass
class Results:
    """The result file: appended line by line, each on the disk before the next step.

    `resume`: take up what is there; else there must be nothing. `keystore`: the one whose
    audit key proves the lines; the bench's own without.
    """

    path: Path
    plan: Plan
    action: str
    resume: bool
    keystore: Path | None = None
    last: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    # What a person has to be told, and the audit file says too.
    notices: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.keystore is None:
            from openams.keys.opening import default_path

            self.keystore = default_path()
        self.key: Ed25519PrivateKey = audit.signing_key(self.keystore)
        self._trail = Trail(self.keystore)
        self._lock = threading.Lock()
        self._proof = b""
        self._count = 0
        self._sum = hashlib.sha256()
        self._length = 0
        self._open()
        try:
            if self.resume:
                self._load()
            else:
                self._begin()
        except BaseException:
            os.close(self._file)
            raise

    def _open(self) -> None:
        there = os.path.lexists(self.path)
        if there and not self.resume:
            raise BenchError(f"{self.path} is there already: {self._other()}")
        if self.resume and not there:
            raise BenchError(f"there is no {self.path} to take up: leave --resume out")
        new = 0 if there else os.O_CREAT | os.O_EXCL
        self._file = private.open_private(
            self.path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | new, _HINT
        )
        if not private.try_lock(self._file):
            os.close(self._file)
            raise BenchError(f"{self.path} is in use by another run") from None

    def _other(self) -> str:
        """What a file that is there is, and what to do about it."""
        elsewhere = "name another file with --result"
        try:
            data = private.read_private(self.path)
            head = next(proven_lines(data, self.path, self.key.public_key()))
        except (BenchError, FileNotFoundError, StopIteration):
            return f"it is no result file of this keystore's; {elsewhere}"
        if head["plan_sha256"] != self.plan.sha256:
            return f"it is of another plan; {elsewhere}"
        if head["action"] != self.action:
            return f"it is of the {head['action']} of {head['began']}; {elsewhere}"
        return f"take the run up with --resume, or to begin another {elsewhere}"

    def _begin(self) -> None:
        earlier = [run for run in self._trail.runs() if self._same(run) and run["lines"] > 1]
        if earlier:
            self.notices.append(
                f"this plan had a {self.action} before, {len(earlier)} in all, "
                f"the last of {earlier[-1]['began']} in {earlier[-1]['results']}"
            )
        head: dict[str, Any] = {
            "n": 0,
            "format": _FORMAT,
            "plan_sha256": self.plan.sha256,
            "action": self.action,
            "run": secrets.token_hex(16),
            "began": datetime.now(UTC).isoformat(),
        }
        head["proof"] = self.key.sign(_signed(head, b"")).hex()
        self._run = str(head["run"])
        self._steps = self._trail.begin(head, self.path)
        self._write(head)
        self._taken(head)

    def _same(self, head: dict[str, Any]) -> bool:
        return (head.get("plan_sha256"), head.get("action")) == (self.plan.sha256, self.action)

    def _load(self) -> None:
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        lines = list(proven_lines(data, self.path, self.key.public_key()))
        if not lines:
            raise BenchError(f"{self.path} holds nothing: put it back, or begin anew without it")
        if lines[0].get("format") != _FORMAT or not self._same(lines[0]):
            raise BenchError(
                f"{self.path} belongs to another plan or action: name another file with --result"
            )
        self._run = str(lines[0]["run"])
        self._follow(lines)
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            # A line that was cut short by the interruption: its step is not known to be done.
            os.ftruncate(self._file, whole)
        self._sum.update(data[:whole])
        self._length = whole
        for line in lines:
            self._taken(line)
            if line["n"]:
                self.last[line["meter_id"]] = line
        begun = [meter_id for meter_id, line in self.last.items() if line["status"] == BEGUN]
        if begun:
            self.notices.append(
                f"{len(begun)} meters were begun and have no result, each is asked first "
                f"how it stands: {', '.join(begun[:5])}{' ...' * (len(begun) > 5)}"
            )

    def _follow(self, lines: list[dict[str, Any]]) -> None:
        """Holds the lines against the trail, which nobody without the key has."""
        given = self._trail.proofs(self._run)
        if given is None:
            self.notices.append(
                f"no trace of this run beside {self.keystore}: whether lines are missing at the "
                f"end of {self.path} cannot be told"
            )
            self._steps = self._trail.begin(lines[0], self.path)
            given = [lines[0]["proof"]]
        newest = [
            run
            for run in self._trail.runs()
            if self._same(run) and run["results"] == str(self.path.absolute())
        ]
        if newest and newest[-1]["run"] != self._run:
            raise BenchError(
                f"{self.path} is of an earlier run, of {lines[0]['began']}, and the last one to "
                f"write it began {newest[-1]['began']}: put that one back"
            )
        if len(lines) < len(given):
            raise BenchError(
                f"{self.path} lacks {len(given) - len(lines)} of the {len(given)} lines that "
                "were written, so what was done is not known: put it back, or begin anew with "
                "another --result (each meter is asked first how it stands)"
            )
        self._steps = self._trail.open(self._run)
        # The last one may have come onto the disk and not into the trail.
        for line in lines[len(given) :]:
            os.write(self._steps, line["proof"].encode() + b"\n")

    # --- writing ---------------------------------------------------------------------------

    def _taken(self, record: dict[str, Any]) -> None:
        self._proof = bytes.fromhex(record["proof"])
        self._count += 1

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        try:
            sent = line
            while sent:
                sent = sent[os.write(self._file, sent) :]
            os.fsync(self._file)
        except OSError as error:
            # No half line stays behind.
            os.ftruncate(self._file, self._length)
            raise BenchError(f"cannot write {self.path}: {private.reason(error)}") from None
        self._sum.update(line)
        self._length += len(line)

    def _append(self, record: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            record = {"n": self._count, **record, "time": datetime.now(UTC).isoformat()}
            record["proof"] = self.key.sign(_signed(record, self._proof)).hex()
            self._write(record)
            self._taken(record)
            os.write(self._steps, record["proof"].encode() + b"\n")
            self.last[record["meter_id"]] = record
        return record

    def begin(self, entry: Entry) -> None:
        """A meter is about to be sent something."""
        self._append({"meter_id": entry.meter_id, "group": entry.group, "status": BEGUN})

    def add(
        self, entry: Entry, status: str, detail: str = "", order: int | None = None
    ) -> dict[str, Any]:
        """What came of it; `order`: the number of the sealed order that was given."""
        return self._append(
            {
                "meter_id": entry.meter_id,
                "group": entry.group,
                "status": status,
                "detail": detail,
                "order": order,
            }
        )

    # --- reading ---------------------------------------------------------------------------

    def finished(self, entry: Entry) -> bool:
        return self.status(entry) in FINAL

    def status(self, entry: Entry) -> str | None:
        return self.last.get(entry.meter_id, {}).get("status")

    def counts(self) -> dict[str, int]:
        out = dict.fromkeys(STATUSES, 0)
        for record in list(self.last.values()):
            out[record["status"]] += 1
        return out

    def signature_of(self) -> dict[str, Any]:
        """What the audit file says of this file."""
        return {
            "results_file": self.path.name,
            "results_sha256": self._sum.hexdigest(),
            "results_octets": self._length,
            "results_run": self._run,
            "notices": self.notices,
        }

    def close(self) -> None:
        os.close(self._file)
        os.close(self._steps)


def verify(path: Path, key: Ed25519PublicKey, keystore: Path) -> dict[str, Any]:
    """What a result file says, once every line is proven; `keystore` may have its trail."""
    data = private.read_private(path)
    lines = list(proven_lines(data, path, key))
    if not lines:
        raise BenchError(f"{path} holds no whole line")
    head = lines[0]
    given = Trail(keystore).proofs(head["run"])
    if given and len(lines) < len(given):
        raise BenchError(f"{path} lacks {len(given) - len(lines)} of its {len(given)} lines")
    last = {line["meter_id"]: line for line in lines[1:]}
    counts = dict.fromkeys(STATUSES, 0)
    for line in last.values():
        counts[line["status"]] += 1
    return {
        **{name: head[name] for name in ("plan_sha256", "action", "run", "began")},
        "lines": len(lines),
        "whole": data.endswith(b"\n") and given is not None,
        "counts": counts,
    }


def is_results(path: Path) -> bool:
    """Whether a file begins as a result file does."""
    try:
        with path.open("rb") as stream:
            head = json.loads(stream.readline(4096))
    except (OSError, ValueError):
        return False
    return isinstance(head, dict) and "plan_sha256" in head and "record" not in head


def compare(record: dict[str, Any], folder: Path, key: Ed25519PublicKey) -> str | None:
    """Holds the result file that an audit record names, if it is beside it, against the record.

    BenchError when it is another; what has come to it since, in words, or None.
    """
    name = record.get("results_file")
    if not name or not (folder / Path(name).name).exists():
        return None
    path = folder / Path(name).name
    data = private.read_private(path)
    lines = list(proven_lines(data, path, key))
    signed = data[: record["results_octets"]]
    if hashlib.sha256(signed).hexdigest() != record["results_sha256"]:
        raise BenchError(f"{path} is not the file whose results were signed")
    more = data[len(signed) :].count(b"\n")
    return f"{path} has {more} of its {len(lines)} lines from later" if more else None
