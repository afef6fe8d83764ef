"""`ams vee` on days with known faults, judged by the check of tests/data/vee."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta

import pytest

from openams.headend.vee import evaluate
from openams.headend.vee.cases import as_json, load
from tests.conftest import DATA
from tests.headend import veedays
from tests.interop.helpers import ams

CASES = DATA / "vee" / "cases.json"
CHECK = DATA / "vee" / "check.py"


def judge(cases, days):
    """The faults of each case by the functions of check.py, and the errors of ours and of flat."""
    # check.py is a script: all of it but the lines that run it.
    source = CHECK.read_text().replace("sys.exit(main())", "")
    space = {"__name__": "check"}
    exec(compile(source, str(CHECK), "exec"), space)
    faults = {case["name"]: space["faults"](case, days[case["name"]]) for case in cases}
    errors = [
        space["error_wh"](case, days[case["name"]]["intervals"])
        for case in cases
        if case["history"] and None not in case["registers"].values()
    ]
    return {name: found for name, found in faults.items() if found}, errors


def last_week_wh(case):
    """Error of the values of the same weekday a week ago, brought to the total."""
    replace, truth = case["expect"]["replace"], case["expect"]["truth"]
    before = case["history"][(date.fromisoformat(case["day"]) - timedelta(days=7)).isoformat()]
    total, past = sum(truth[k] for k in replace), sum(before[k] for k in replace)
    return sum(abs(before[k] * total / past - truth[k]) for k in replace) if past else 0


def run(path):
    return {case.name: as_json(evaluate(case.day)) for case in load(path)}


def test_the_program_passes_the_check_on_the_days_of_the_repository(tmp_path):
    out = tmp_path / "out.json"
    out.write_text(ams("vee", CASES, "--json").stdout)
    done = subprocess.run([sys.executable, CHECK, CASES, out], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "20 cases, 0 bad" in done.stdout


def test_the_days_of_the_repository_are_estimated_well_below_flat():
    cases = json.loads(CASES.read_text())["cases"]
    faults, errors = judge(cases, run(CASES))
    assert not faults
    assert sum(ours for ours, _ in errors) <= 0.45 * sum(flat for _, flat in errors)


def seeded(tmp_path, seeds):
    path = tmp_path / "cases.json"
    cases = [case for seed in seeds for r in (60, 15) for case in veedays.make(seed, r)]
    path.write_text(json.dumps({"cases": cases}))
    return cases, run(path)


def hold(cases, days, allowed=0):
    faults, errors = judge(cases, days)
    kinds = Counter(name.rsplit("-", 2)[0] for name in faults)
    assert len(faults) <= allowed, (kinds, list(faults.items())[:5])
    ours, flat = (sum(pair[k] for pair in errors) for k in (0, 1))
    assert ours <= 0.5 * flat
    whole = [
        case
        for case in cases
        if len(case["history"]) >= 7
        and None not in case["registers"].values()
        and len(case["intervals"]) in (24, 96)
    ]
    _, errors = judge(whole, days)
    assert sum(ours for ours, _ in errors) < sum(map(last_week_wh, whole))


def test_days_of_every_kind_are_put_right_and_no_good_value_is_changed(tmp_path):
    hold(*seeded(tmp_path, [1]))


@pytest.mark.campaign
def test_many_days_of_every_kind(tmp_path):
    cases, days = seeded(tmp_path, range(100, 140))
    # Of two explanations that are as likely, the wrong one may be taken now and then.
    hold(cases, days, allowed=len(cases) // 1000)


def test_the_check_fails_what_is_wrong(tmp_path):
    """The judge judges: each fault that it knows of is found."""
    cases = json.loads(CASES.read_text())["cases"]
    days = run(CASES)
    for name, change in (
        ("open-one-hour", lambda points: points[9].update(state="measured")),
        ("open-one-hour", lambda points: points[9].update(validation=None)),
        ("open-one-hour", lambda points: points[9].update(wh=points[9]["wh"] + 1)),
        ("open-one-hour", lambda points: points[3].update(wh=points[3]["wh"] + 1)),
        ("open-power-cut", lambda points: points[10].update(wh=1)),
        ("open-spring", lambda points: points.append(points[0])),
    ):
        changed = json.loads(json.dumps(days))
        change(changed[name]["intervals"])
        faults, _ = judge(cases, changed)
        assert list(faults) == [name]


def test_expect_is_never_read(tmp_path):
    document = json.loads(CASES.read_text())
    for case in document["cases"]:
        case["expect"] = {"replace": "all", "truth": None}
        case["something"] = {"else": [1]}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(document))
    assert run(path) == run(CASES)
