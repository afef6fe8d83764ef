"""Rationing over a fleet in one process: some offline, some late, some critical; interruptions."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openams.cli.fleet import meter_number
from openams.cli.main import app
from openams.control import audit
from openams.control.ration import Pace, Plan, Results, Run, load_plan
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.runtimes.fleet import Behaviour, Fleet

COUNT = 200
OFFLINE, LATE, CRITICAL, MARKED, REFUSING = 9, 4, 6, 5, 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Keystore(tmp_path_factory.mktemp("keys") / "keystore", b"test", SCRYPT_N_RANDOM)


@pytest.fixture(scope="module")
def fleet(store):
    ids = [meter_number(k) for k in range(COUNT)]
    kinds = (
        [Behaviour(offline=True)] * OFFLINE
        + [Behaviour(late_s=30.0)] * LATE
        + [Behaviour(critical=True)] * CRITICAL
    )
    with Fleet(store, ids, dict(zip(ids, kinds, strict=False))) as meters:
        # Meters whose mode allows nothing refuse.
        for meter in meters.meters[-REFUSING:]:
            meter.meter.control.breaker.mode = 0
        thread = threading.Thread(target=meters.serve)
        thread.start()
        yield meters
        meters.stop()
        thread.join()


def plan_of(fleet, path: Path, marked: int = 0) -> Plan:
    lines = ["meter_id,url,group,critical"]
    for number, meter in enumerate(fleet.meters):
        mark = "yes" if number >= COUNT - REFUSING - marked and marked else ""
        mark = "" if number >= COUNT - REFUSING else mark
        lines.append(f"{meter.meter_id},{meter.url},{'ab'[number % 2]},{mark}")
    path.write_text("\n".join(lines) + "\n")
    return load_plan(path)


def test_two_hundred_meters_with_an_interruption(fleet, store, tmp_path):
    plan = plan_of(fleet, tmp_path / "plan.csv", MARKED)
    path = tmp_path / "results.jsonl"
    pace = Pace(per_minute=60_000, jobs=8, max_failures=1000, timeout_s=2.0)
    results = Results(path, plan, "disconnect", False, store.path)
    seen = 0
    run = Run(plan, "disconnect", store, results, pace)

    def count(record):
        nonlocal seen
        seen += 1
        if seen == 60:
            run.stop("interrupted")

    run._on_result = count
    run.play()
    assert run.stopped_because == "interrupted"
    results.close()
    first = len(results.last)
    assert 60 <= first < COUNT
    # The interruption came in the middle of a line.
    with path.open("a") as stream:
        stream.write('{"meter_id": "73599900')
    before = {meter.meter_id: meter.board.relay.pulses for meter in fleet.meters}

    results = Results(path, plan, "disconnect", True, store.path)
    run = Run(plan, "disconnect", store, results, pace)
    run.play()
    results.close()
    assert run.stopped_because is None
    counts = results.counts()
    assert set(results.last) == {meter.meter_id for meter in fleet.meters}, "complete"
    assert counts["offline"] == OFFLINE and counts["critical"] == CRITICAL
    assert counts["excluded"] == MARKED and counts["refused"] == REFUSING
    assert counts["done"] == COUNT - OFFLINE - LATE - CRITICAL - MARKED - REFUSING
    assert counts["late"] == LATE
    time.sleep(0.5)
    for meter in fleet.meters:
        status = results.last[meter.meter_id]["status"]
        assert meter.board.relay.contact == (status != "done"), meter.meter_id
        if status in ("critical", "excluded", "refused"):
            assert meter.board.relay.pulses == 0
        if before[meter.meter_id]:
            assert meter.board.relay.pulses == before[meter.meter_id], "moved twice"


def test_a_meter_that_was_under_way_is_asked_first_and_it_is_said(fleet, store, tmp_path):
    """The computer went off after an order went out: it may have arrived or not."""
    meter = fleet.meters[OFFLINE + LATE + CRITICAL]
    (tmp_path / "plan.csv").write_text(f"meter_id,url\n{meter.meter_id},{meter.url}\n")
    plan = load_plan(tmp_path / "plan.csv")
    said = []
    for number in range(2):
        path = tmp_path / f"{number}.jsonl"
        action = "reconnect" if meter.board.relay.contact is False else "disconnect"
        action = action if not number else said[0][0]
        begun = Results(path, plan, action, False, store.path)
        begun.begin(plan.entries[0])
        begun.close()
        results = Results(path, plan, action, True, store.path)
        assert "1 meters were begun and have no result" in results.notices[0]
        Run(plan, action, store, results, Pace(60_000, 1, timeout_s=5.0)).play()
        results.close()
        said.append((action, results.last[meter.meter_id]))
    (_, first), (_, second) = said
    assert first["status"] == second["status"] == "done"
    assert "by a second order" in first["detail"] and first["order"] > 0
    assert "was so already, by an order of which no answer came" in second["detail"]
    assert second["order"] is None


def test_plan_errors(tmp_path):
    path = tmp_path / "plan.csv"
    for text, complaint in (
        ("", "head line"),
        ("a,b\n1,2\n", "head line"),
        ("meter_id,url\n12,tcp://h:1\n", "16 digits"),
        (f"meter_id,url\n{meter_number(0)},tcp://h:1\n{meter_number(0)},tcp://h:1\n", "twice"),
        (f"meter_id,url\n{meter_number(0)},nonsense\n", "nonsense"),
        (f"meter_id,url,critical\n{meter_number(0)},tcp://h:1,maybe\n", "yes or no"),
        (f"meter_id,url,group\n{meter_number(0)},tcp://h:1,\x1b[2Kx\n", "is no text"),
    ):
        path.write_text(text)
        with pytest.raises(BenchError, match=complaint):
            load_plan(path)
    path.write_text(f"meter_id,url\n{meter_number(0)},tcp://h:1\n")
    with pytest.raises(BenchError, match="not in the plan"):
        load_plan(path, [meter_number(1)])


def test_the_command_line_wants_a_dry_run_first(tmp_path):
    path = tmp_path / "plan.csv"
    path.write_text(
        f"meter_id,url,critical\n{meter_number(0)},tcp://127.0.0.1:9,\n"
        f"{meter_number(1)},tcp://127.0.0.1:9,yes\n"
    )
    runner = CliRunner()
    dry = json.loads(runner.invoke(app, ["ration", str(path), "--json"]).output)
    assert dry["dry_run"] and dry["meters"] == 1 and dry["excluded"] == [meter_number(1)]
    wrong = runner.invoke(app, ["ration", str(path), "--execute", "00000000"])
    assert wrong.exit_code != 0 and "dry run" in str(wrong.exception)
    other = runner.invoke(app, ["ration", str(path), "--action", "reconnect", "--json"])
    assert json.loads(other.output)["token"] != dry["token"]
    keystore = ["--keystore", str(tmp_path / "keystore")]
    environment = {"OPENAMS_KEYSTORE_PASSPHRASE": "test"}
    runner.invoke(app, ["keys", "new", meter_number(0), *keystore], env=environment)
    done = runner.invoke(
        app, ["ration", str(path), "--execute", dry["token"], *keystore, "--json"],
        env=environment,
    )  # fmt: skip
    assert json.loads(done.output)["counts"]["offline"] == 1, done.output
    # What is not as wanted is no success; what was left alone on purpose is none either.
    assert done.exit_code == 1
    record = audit.verify(tmp_path / "plan.audit.json")
    assert record["counts"] == {**record["counts"], "offline": 1, "excluded": 1}
    again = runner.invoke(
        app, ["ration", str(path), "--execute", dry["token"], *keystore], env=environment
    )
    assert again.exit_code != 0 and "--resume" in str(again.exception)


def test_an_audit_file_that_was_changed(tmp_path):
    path = tmp_path / "audit.json"
    key = audit.signing_key(tmp_path / "keystore")
    audit.write(path, {"counts": {"done": 1}}, key)
    assert audit.verify(path)["counts"] == {"done": 1}
    path.write_text(path.read_text().replace('"done": 1', '"done": 2'))
    with pytest.raises(BenchError, match="changed"):
        audit.verify(path)
    with pytest.raises(BenchError, match="another key"):
        audit.write(path, {}, key)
        audit.verify(path, "00" * 32)
