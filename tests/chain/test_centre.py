"""A centre that runs by itself on a field that runs by itself, as a user starts both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

PACE = "1500"


def ams(*words, **more):
    return subprocess.Popen([sys.executable, "-m", "openams", *words], text=True, **more)


def asked(*words, env):
    done = subprocess.run(
        [sys.executable, "-m", "openams", *words], text=True, capture_output=True, env=env
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.campaign
def test_a_field_in_one_terminal_and_a_centre_in_the_other_deliver_a_day(tmp_path):
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
    env.pop("OPENAMS_STORE", None)
    plan, centre = tmp_path / "plan.csv", tmp_path / "centre"
    field = ams(
        "field", "run", "--meters", "3", "--net", "cellular=1", "--load", "household=1",
        "--period", "60", "--days", "3", "--start", "2026-01-12", "--no-faults", "--speed", PACE,
        "--port", "0", "--plan", str(plan), "--ledger", str(tmp_path / "ledger"), env=env,
    )  # fmt: skip
    running = None
    try:
        until = time.monotonic() + 60
        while not (plan.exists() and plan.read_text().count("\n") > 3):
            assert time.monotonic() < until
            time.sleep(0.2)
        url = plan.read_text().splitlines()[1].split(",")[1]
        made = asked("headend", "init", str(centre), str(plan), "--from", "2026-01-12", "--zero",
                     env=env)  # fmt: skip
        assert made[0] == 0, made
        running = ams("headend", "run", str(centre), "--time-of", url, "--speed", PACE, env=env,
                      stdout=subprocess.PIPE)  # fmt: skip
        said = ""
        for line in running.stdout:
            said += line
            if "accepted" in line:
                break
        assert "72 values, 0 estimated" in said and "3 accepted" in said
    finally:
        for process in (field, running):
            if process is not None:
                process.terminate()
                process.wait(60)
    status = asked("headend", "status", "--day", "2026-01-12", "--json", "--store",
                   str(centre / "headend.db"), env=env)  # fmt: skip
    assert json.loads(status[1])["days"] == {"complete": 3}


def test_a_centre_says_in_a_line_what_is_missing(tmp_path):
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
    (tmp_path / "plan.csv").write_text("meter_id,url\n7359990010000003,serial:///dev/x\n")
    for words, said in (
        (("run", str(tmp_path)), "is no centre"),
        (("init", str(tmp_path / "c"), str(tmp_path / "plan.csv")), "line 2"),
    ):
        code, _, error = asked("headend", *words, env=env)
        assert code == 1 and said in error and error.count("\n") == 1
