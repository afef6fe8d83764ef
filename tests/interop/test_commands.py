"""What the commands to a meter say, on one that runs: names, reasons, what has really happened."""

from __future__ import annotations

import json
import subprocess

import pytest
from dlms_clients import METER, running_meter
from typer.testing import CliRunner

from openams.cli.main import app
from openams.errors import BenchError


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meter")
    with running_meter(folder, "--state", folder / "state", runtime="cpython") as running:
        yield running.urls[0]


def ams(*arguments):
    outcome = CliRunner().invoke(app, [str(argument) for argument in arguments])
    error = outcome.exception
    if error and not isinstance(error, (BenchError, SystemExit)):
        raise error
    return outcome.exit_code, outcome.output + (str(error) if isinstance(error, BenchError) else "")


def json_of(*arguments):
    code, said = ams(*arguments, "--json")
    assert code == 0, said
    return json.loads(said)


def test_what_is_read_has_a_name(url):
    code, said = ams("read", url)
    lines = said.splitlines()
    assert code == 0 and len(lines) > 100
    (energy,) = [line for line in lines if line.startswith("1.0.1.8.0.255 ")]
    assert "active energy import A+" in energy and energy.endswith(" Wh")
    (one,) = json_of("read", url, "1.0.32.7.0.255")
    assert one["name"] == "voltage L1" and one["class_name"] == "register"


def test_the_breaker_has_moved_when_the_command_answers(url):
    for action, connected in (("disconnect", False), ("reconnect", True)) * 2:
        state = json_of("breaker", url, action)
        assert state["connected"] is connected, action
        assert (state["state"] == "connected") is connected


def test_a_refusal_has_a_reason_in_the_error_and_in_the_log(url):
    json_of("breaker", url, "mode", "0")
    code, said = ams("breaker", url, "disconnect")
    assert code == 1 and "no-transition" in said
    code, said = ams("events", url, "--log", "control")
    assert "control-refused who=breaker reason=no-transition state=connected order=" in said
    assert "remote-disconnection who=breaker before=connected after=disconnected order=" in said
    refused = [event for event in json_of("events", url) if event["name"] == "control-refused"]
    assert refused[-1]["means"]["reason"] == "no-transition" and refused[-1]["detail"] > 0
    json_of("breaker", url, "mode", "4")


def test_setting_nothing_is_an_error_and_setting_something_is_not(url):
    code, said = ams("limit", url, "set")
    assert code == 1 and "changes nothing without an option" in said
    assert json_of("limit", url, "set", "--over", "31")["min_over_threshold_s"] == 31


def test_keys_are_rotated_wherever_the_url_stands(url):
    rotated = json_of("keys", "rotate", METER, url)
    assert rotated["meter_id"] == METER
    assert json_of("keys", "rotate", url)["meter_id"] == METER
    assert json_of("keys", "rotate", METER, "--url", url)["rotated"] == rotated["rotated"]
    code, said = ams("keys", "rotate", METER)
    assert code == 1 and "write it like" in said


def test_times_of_a_summary_are_all_norwegian_ones(tmp_path):
    options = ("--duration", "120", "--speed", "max", "--start", "2026-07-01T12:00:00")
    code, said = ams("run", *options, "--runtime", "cpython", "--json")
    summary = json.loads(said)
    times = [summary["start"], summary["end"], *(event["time"] for event in summary["events"])]
    times += [row["time"] for row in summary["profile"]]
    assert times and {time[-6:] for time in times} == {"+02:00"}
    assert summary["start"].startswith("2026-07-01T12:00:00")


# --- where nothing can be written ----------------------------------------------------------


@pytest.fixture
def read_only(tmp_path):
    """A folder of a disk that is read only."""
    folder = tmp_path / "readonly"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "ro,size=100k,mode=700"]
    if subprocess.run(["mount", *options, "none", str(folder)], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_home_that_is_read_only_says_where_else(read_only, monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(read_only))
    for command in (("keys", "new", METER), ("run", "--dlms-port", "0", "--duration", "1")):
        code, said = ams(*command)
        assert code == 1 and str(read_only) in said and "Read-only file system" in said
        assert "--keystore" in said and said.count("\n") == 0


def test_a_folder_that_is_read_only_is_named_with_what_helps(read_only, tmp_path):
    for command, hint in (
        (("run", "--state", read_only / "state", "--duration", "1"), "--state"),
        (("run", "--han", read_only / "han", "--duration", "1"), "--han"),
        (("run", "--han-keys", read_only / "keys", "--duration", "1"), "--han-keys"),
        (("image", "build", "unix", read_only / "image", "--only", "ams/metrology/status"), ""),
        (("fleet", "1", "--plan", read_only / "plan", "--port", "16000"), ""),
    ):
        code, said = ams(*command)
        assert code == 1 and str(read_only) in said and "Read-only" in said, said
        assert hint in said and "Errno" not in said


def test_a_user_without_a_home_is_told(monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no")))
    code, said = ams("keys", "list")
    assert code == 1 and "has no home" in said and "--keystore" in said
