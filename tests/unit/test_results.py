"""The result file of a rationing run against somebody who may write it, and has no key."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from openams.cli.main import app
from openams.control import audit, ration, results
from openams.control.ration import Entry, Outcome, Pace, Run
from openams.control.results import FINAL, Results, _signed
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.keys.sealed import SCRYPT_N_RANDOM

METERS = [f"735999000000{k:04}" for k in range(5)]
ENTRIES = tuple(Entry(meter, "tcp://127.0.0.1:9", "", False) for meter in METERS)
PLAN = "meter_id,url\n" + "".join(f"{meter},tcp://127.0.0.1:9\n" for meter in METERS)


@pytest.fixture
def keystore(tmp_path):
    path = tmp_path / "keys" / "keystore"
    # One that takes no time to open.
    Keystore(path, b"test", SCRYPT_N_RANDOM).new("7359990000009999")
    return path


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.csv"
    path.write_text(PLAN)
    return ration.load_plan(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plan.results.jsonl"


def interrupted(path, plan, keystore, action="disconnect", done=3):
    """A run that ended after some meters, with one under way."""
    run = Results(path, plan, action, False, keystore)
    for entry in plan.entries[:done]:
        run.begin(entry)
        run.add(entry, "done", "connected to disconnected", 7)
    run.begin(plan.entries[done])
    run.close()
    return path.read_bytes().splitlines(keepends=True)


def resumed(path, plan, keystore, action="disconnect"):
    run = Results(path, plan, action, True, keystore)
    run.close()
    return run


def lied(line, **changes):
    return json.dumps({**json.loads(line), **changes}).encode() + b"\n"


def signed_by_another(lines):
    """All of it anew, with a key of one's own."""
    key, before, out = Ed25519PrivateKey.generate(), b"", []
    for line in lines:
        record = json.loads(line)
        record["proof"] = key.sign(_signed(record, before)).hex()
        before = bytes.fromhex(record["proof"])
        out.append(json.dumps(record).encode() + b"\n")
    return out


# What somebody may do to the lines of an interrupted run; each is found.
FORGERIES = {
    "a line that says done": lambda lines: [*lines, lied(lines[2], n=8, meter_id=METERS[4])],
    "an unproven line": lambda lines: [*lines, b'{"meter_id": "1", "status": "done"}\n'],
    "a status": lambda lines: [*lines[:2], lied(lines[2], status="refused"), *lines[3:]],
    "a time": lambda lines: [*lines[:2], lied(lines[2], time="2020-01-01"), *lines[3:]],
    "a meter": lambda lines: [*lines[:2], lied(lines[2], meter_id=METERS[4]), *lines[3:]],
    "an order": lambda lines: [*lines[:2], lied(lines[2], order=8), *lines[3:]],
    "one thing more": lambda lines: [*lines[:2], lied(lines[2], by="me"), *lines[3:]],
    "a line left out": lambda lines: [*lines[:2], *lines[3:]],
    "the first lines left out": lambda lines: [lines[0], *lines[3:]],
    "a meter's lines left out": lambda lines: [*lines[:1], *lines[3:]],
    "lines moved": lambda lines: [*lines[:1], *lines[3:5], *lines[1:3], *lines[5:]],
    "a line copied": lambda lines: [*lines, lines[2]],
    "a line copied with a number of its own": lambda lines: [*lines, lied(lines[2], n=8)],
    "no head": lambda lines: lines[1:],
    "a head of another plan": lambda lines: [lied(lines[0], plan_sha256="00"), *lines[1:]],
    "a head of another action": lambda lines: [lied(lines[0], action="reconnect"), *lines[1:]],
    "signed by another": signed_by_another,
    "the same written otherwise": lambda lines: [lines[0].replace(b", ", b",", 1), *lines[1:]],
    "a name twice": lambda lines: [
        *lines[:2], lines[2].replace(b'"status"', b'"status": "refused", "status"'), *lines[3:]
    ],
    "a line between": lambda lines: [*lines[:1], b"\n", *lines[1:]],
    "a return in it": lambda lines: [*lines[:1], b"\r" + lines[1], *lines[2:]],
    "a list": lambda lines: [b"[]\n"],
    "no JSON": lambda lines: [*lines[:3], b"\xff\xfe\n"],
    "cut after a line": lambda lines: lines[:5],
    "cut to the head": lambda lines: lines[:1],
    "cut in a line": lambda lines: [*lines[:6], lines[6][:20]],
    "emptied": lambda lines: [],
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_was_done_to_the_file_is_found(forgery, path, plan, keystore):
    lines = interrupted(path, plan, keystore)
    assert resumed(path, plan, keystore).counts()["done"] == 3
    forged = b"".join(FORGERIES[forgery](lines))
    assert forged != b"".join(lines)
    path.write_bytes(forged)
    with pytest.raises(BenchError) as caught:
        resumed(path, plan, keystore)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text
    assert path.read_bytes() == forged, "nothing is written to what is not believed"
    key = audit.signing_key(keystore).public_key()
    with pytest.raises(BenchError):
        results.verify(path, key, keystore)


def test_a_line_of_a_good_file_goes_into_no_other(path, plan, keystore, tmp_path):
    """Of the same meter, number and key: the run before it is another."""
    lines = interrupted(path, plan, keystore)
    other = tmp_path / "other.jsonl"
    of_other = interrupted(other, plan, keystore, "reconnect")
    other.write_bytes(b"".join([*of_other[:2], lines[2]]))
    with pytest.raises(BenchError, match="line 3"):
        resumed(other, plan, keystore, "reconnect")


def test_the_file_of_an_earlier_run_does_not_stand_for_the_last(path, plan, keystore):
    """All of it is proven; but it is of January, and February's was to be gone on with."""
    january = Results(path, plan, "disconnect", False, keystore)
    for entry in plan.entries:
        january.add(entry, "done", "connected to disconnected")
    january.close()
    kept = path.read_bytes()
    path.unlink()
    interrupted(path, plan, keystore)
    path.write_bytes(kept)
    with pytest.raises(BenchError, match="of an earlier run"):
        resumed(path, plan, keystore)


def test_a_file_that_is_gone_is_not_begun_anew_without_a_word(path, plan, keystore):
    interrupted(path, plan, keystore)
    path.unlink()
    with pytest.raises(BenchError, match="leave --resume out"):
        resumed(path, plan, keystore)
    again = Results(path, plan, "disconnect", False, keystore)
    again.close()
    assert "this plan had a disconnect before" in again.notices[0]


def test_what_was_under_way_is_known_and_said(path, plan, keystore):
    interrupted(path, plan, keystore)
    run = resumed(path, plan, keystore)
    assert run.counts()["begun"] == 1 and not run.finished(plan.entries[3])
    assert METERS[3] in run.notices[0] and "1 meters were begun" in run.notices[0]


def test_a_line_that_was_cut_by_the_interruption_is_no_forgery(path, plan, keystore):
    interrupted(path, plan, keystore)
    with path.open("ab") as stream:
        stream.write(b'{"n": 8, "meter_id": "73')
    run = resumed(path, plan, keystore)
    assert run.counts()["done"] == 3
    assert path.read_bytes().endswith(b"}\n")


def test_a_line_that_came_onto_the_disk_and_not_into_the_trail_counts(path, plan, keystore):
    """The computer went off between the two."""
    interrupted(path, plan, keystore)
    (trail,) = (keystore.parent / "keystore.audit.runs").iterdir()
    trail.write_bytes(b"".join(trail.read_bytes().splitlines(keepends=True)[:-2]))
    assert resumed(path, plan, keystore).counts()["done"] == 3
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(BenchError, match="lacks 1"):
        resumed(path, plan, keystore)


def test_without_a_trail_it_is_said_that_nobody_can_tell(path, plan, keystore):
    """The keystore was moved to another computer."""
    interrupted(path, plan, keystore)
    for found in (keystore.parent / "keystore.audit.runs").iterdir():
        found.unlink()
    assert "cannot be told" in resumed(path, plan, keystore).notices[0]
    assert "cannot be told" not in "".join(resumed(path, plan, keystore).notices)


def test_two_at_once_do_not_write_the_same_file(path, plan, keystore):
    interrupted(path, plan, keystore)
    first = Results(path, plan, "disconnect", True, keystore)
    with pytest.raises(BenchError, match="in use by another run"):
        resumed(path, plan, keystore)
    first.close()
    resumed(path, plan, keystore)


def test_a_file_that_is_changed_while_the_run_goes_on_is_found(path, plan, keystore):
    run = Results(path, plan, "disconnect", False, keystore)
    for entry in plan.entries[:2]:
        run.begin(entry)
        run.add(entry, "done")
        os.truncate(path, 0)
    record = run.signature_of()
    run.close()
    key = audit.signing_key(keystore).public_key()
    with pytest.raises(BenchError):
        results.compare(record, path.parent, key)


UNTIL_THE_DISK_IS_FULL = """
import resource, sys
from pathlib import Path
from openams.control import ration, results
asked = []
ration.act = lambda entry, *rest: asked.append(entry) or ration.Outcome("done", "")
plan = ration.load_plan(Path(sys.argv[1]))
written = results.Results(Path(sys.argv[2]), plan, "disconnect", False, Path(sys.argv[3]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
run = ration.Run(plan, "disconnect", None, written, ration.Pace(60000, 1))
run.play()
print(len(asked), run.stopped_because)
"""


@pytest.mark.parametrize(
    "room, asked, said", [(1100, 1, ""), (1300, 2, "; not written: 7359990000000001 done")]
)
def test_what_cannot_be_written_down_is_not_done(
    room, asked, said, path, plan, keystore, monkeypatch
):
    """The disk is full when the second meter's turn comes, or when it has been dealt with."""
    done = subprocess.run(
        [sys.executable, "-c", UNTIL_THE_DISK_IS_FULL, plan.path, path, keystore, str(room)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{asked} cannot write {path}: File too large{said}\n", done.stderr
    # No half line stays: the run goes on from here when there is room.
    monkeypatch.setattr(ration, "act", lambda entry, *rest: Outcome("done", "was so already"))
    run = Results(path, plan, "disconnect", True, keystore)
    assert run.status(plan.entries[1]) == ("begun" if asked == 2 else None)
    Run(plan, "disconnect", None, run, Pace(60_000, 1)).play()
    run.close()
    assert {line["status"] for line in run.last.values()} == {"done"}


def test_a_process_that_is_killed_loses_no_line(path, plan, keystore):
    code = (
        "import os,signal,sys;from pathlib import Path;from openams.control import ration,results;"
        "p=ration.load_plan(Path(sys.argv[1]));"
        "r=results.Results(Path(sys.argv[2]),p,'disconnect',False,Path(sys.argv[3]));"
        "r.begin(p.entries[0]);r.add(p.entries[0],'done');r.begin(p.entries[1]);"
        "os.kill(os.getpid(),signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(plan.path), str(path), str(keystore)])
    run = resumed(path, plan, keystore)
    assert [run.status(entry) for entry in plan.entries[:3]] == ["done", "begun", None]


# --- the command ---------------------------------------------------------------------------


def ams(*arguments):
    environment = {"OPENAMS_KEYSTORE_PASSPHRASE": "test"}
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], env=environment)
    error = outcome.exception if isinstance(outcome.exception, BenchError) else ""
    return outcome.exit_code, outcome.output + str(error)


def test_a_forged_file_is_refused_by_the_command_and_signed_by_nobody(plan, path, keystore):
    token = plan.token("disconnect")
    head = {"plan_sha256": plan.sha256, "action": "disconnect"}
    line = {"meter_id": METERS[0], "group": "", "status": "done", "detail": "", "time": "2026"}
    path.write_text(f"{json.dumps(head)}\n{json.dumps(line)}\n")
    options = ("--keystore", keystore, "--rate", "60000")
    code, said = ams("ration", plan.path, "--execute", token, "--resume", *options)
    assert code == 1 and "line 1 is not as this keystore's audit key left it" in said
    assert not path.with_name("plan.audit.json").exists()
    code, said = ams("ration", path, "--verify", *options)
    assert code == 1 and "line 1" in said


def test_verify_finds_what_was_done_to_results_and_audit(plan, path, keystore):
    options = ("--keystore", keystore, "--rate", "60000")
    code, said = ams("ration", plan.path, "--execute", plan.token("disconnect"), *options)
    assert code == 1 and "5 refused" in said, said  # without keys of these meters
    signed = path.with_name("plan.audit.json")
    assert ams("ration", signed, "--verify", *options)[0] == 0
    code, said = ams("ration", path, "--verify", *options)
    assert code == 0 and "5 refused" in said
    public = audit.own_key(keystore)
    elsewhere = ("--keystore", keystore.with_name("other"), "--audit-key", public)
    code, said = ams("ration", path, "--verify", *elsewhere)
    assert code == 0 and "cannot be told" in said
    whole = path.read_bytes()
    for forged in (whole.replace(b"refused", b"offline"), whole[: whole[:-1].rfind(b"\n") + 1]):
        path.write_bytes(forged)
        assert ams("ration", path, "--verify", *options)[0] == 1
        assert ams("ration", signed, "--verify", *options)[0] == 1
    path.unlink()
    # The audit file stands for itself.
    assert ams("ration", signed, "--verify", *options)[0] == 0
    signed.write_text(signed.read_text().replace("refused", "offline"))
    assert ams("ration", signed, "--verify", *options)[0] == 1


def test_a_reconnection_after_a_disconnection_has_files_of_its_own(plan, path, keystore):
    options = ("--keystore", keystore, "--rate", "60000")
    ams("ration", plan.path, "--execute", plan.token("disconnect"), *options)
    before = path.read_bytes()
    code, said = ams("ration", plan.path, "--execute", plan.token("disconnect"), *options)
    assert code == 1 and "take the run up with --resume" in said and "--result" in said
    reconnect = ("ration", plan.path, "--action", "reconnect", *options)
    code, said = ams(*reconnect, "--execute", plan.token("reconnect"))
    assert "plan.reconnect.results.jsonl" in said and path.read_bytes() == before
    named = (*reconnect, "--execute", plan.token("reconnect"), "--result", path)
    code, said = ams(*named)
    assert code == 1 and "it is of the disconnect of" in said and "--result" in said
    code, said = ams(*named, "--resume")
    assert code == 1 and "another plan or action" in said and "--result" in said


def test_statuses_that_need_no_second_try():
    assert set(FINAL) == {"done", "excluded", "critical", "refused"}
