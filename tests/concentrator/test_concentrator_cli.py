"""`ams concentrator` as its user runs it; to wrong input it says one line, and makes nothing."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import warm
from substation import Meters

from openams.cli.fleet import meter_number
from openams.keys.keystore import Keystore

AMS = Path(sys.executable).with_name("ams")
URL = "tcp://127.0.0.1:1"


@pytest.fixture(scope="module")
def meters(tmp_path_factory):
    made = Meters(tmp_path_factory.mktemp("meters"), 2)
    yield made
    made.close()


@pytest.fixture
def place(meters, tmp_path):
    """Arguments of a run that is good, and an environment for it."""
    listed = meters.write_list(tmp_path / "meters.csv")
    options = {
        "--list": str(listed),
        "--keystore": str(meters.readers_path),
        "--port": "0",
        "--http-port": "0",
        "--window": "00:00-23:59:59",
        "--duration": "4",
    }
    environment = {**os.environ, "OPENAMS_KEYSTORE_PASSPHRASE": "c"}

    def run(folder="c", **changes):
        given = {**options, **{f"--{k.replace('_', '-')}": v for k, v in changes.items()}}
        words = [word for pair in given.items() if pair[1] is not None for word in map(str, pair)]
        argv = ["concentrator", "run", str(tmp_path / folder), *words]
        return warm.run(argv, 60, environment)

    return run


def refused(done, *words):
    assert done.returncode == 1 and not done.stdout, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("ams: ")
    for word in words:
        assert word in line, line


def test_a_run_collects_and_says_where_it_listens(place, meters, tmp_path):
    done = place()
    assert done.returncode == 0, done.stderr
    assert "c: 2 meters behind tcp://127.0.0.1:" in done.stdout
    assert (tmp_path / "c" / "token").stat().st_mode & 0o777 == 0o600
    again = place(duration=0.5, name="c")
    assert again.returncode == 0 and "2 meters" in again.stdout


def test_show_asks_a_running_one(meters, tmp_path):
    listed = meters.write_list(tmp_path / "meters.csv")
    argv = [AMS, "concentrator", "run", tmp_path / "c", "--list", listed, "--json", "--port", "0"]
    argv += ["--http-port", "0", "--keystore", meters.readers_path, "--window", "00:00-23:59:59"]
    environment = {**os.environ, "OPENAMS_KEYSTORE_PASSPHRASE": "c"}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        said = json.loads(process.stdout.readline())
        token = tmp_path / "c" / "token"

        def show(what, *more):
            return warm.run(["concentrator", "show", said["http"], what, str(token), *more], 60)

        while len(json.loads(show("days", "--json").stdout)["days"]) < 2:
            assert process.poll() is None
        assert meters.ids[0] in show("meters").stdout and "whole" in show("days").stdout
        assert "store-made" in show("alarms").stdout and show("pushes").stdout == "no pushes\n"
        state = json.loads(show("state").stdout)
        assert state["concentrator"] == "c" and state["stored"]["days"] >= 2
        refused(show("nothing"), "choose one of")
        token.chmod(0o644)
        refused(show("state"), "others may read")
        other = tmp_path / "other"
        other.write_text("x" * 20)
        other.chmod(0o600)
        refused(warm.run(["concentrator", "show", said["http"], "state", str(other)], 60), "token")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0 and json.loads(out)["stored"]["days"] >= 2
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(meter_number(0)[:-1] + "9", URL)], ["line 2", "wrong check digit", "it would be 3"]),
        ([(meter_number(0), URL), (meter_number(1)[:-1] + "1", URL)], ["line 3", "check digit"]),
        ([(meter_number(0), URL), (meter_number(0), URL)], ["in the list twice"]),
        ([("123", URL)], ["line 2", "16 digits"]),
        ([(meter_number(0), "serial:///dev/ttyUSB0")], ["line 2", "tcp://host:port"]),
        ([(meter_number(0), "nowhere")], ["line 2", "no URL of a meter"]),
        ([(meter_number(k), URL) for k in range(2001)], ["2001 meters are more", "2000"]),
        ([], ["names no meter"]),
    ],
    ids=["digit", "second", "twice", "short", "serial", "url", "many", "none"],
)
def test_a_wrong_list(place, tmp_path, rows, words):
    path = tmp_path / "wrong.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("meter_id", "url"), *rows])
    refused(place(list=path), *words)
    assert not (tmp_path / "c").exists(), "nothing half made"


@pytest.mark.parametrize("content", [b"", b"meter_id\n7359990010000003\n", b"\xff\xfe\x00", None])
def test_a_file_that_is_no_list(place, tmp_path, content):
    path = tmp_path / "wrong.csv"
    if content is not None:
        path.write_bytes(content)
    refused(place(list=path), str(path))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("option", ["port", "http_port"])
def test_a_port_that_is_taken(place, tmp_path, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = place(**{option: taken.getsockname()[1]})
    refused(done, "cannot listen on 127.0.0.1", f"--{option.replace('_', '-')}")
    assert not (tmp_path / "c").exists()
    refused(place(**{option: 70000}), "cannot listen")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"window": "7-8-9"}, ["00:05-07:00"]),
        ({"window": "07:00-07:00"}, ["00:05-07:00"]),
        ({"window": "25:00-26:00"}, ["00:05-07:00"]),
        ({"scan": "127.0.0.1"}, ["--scan", "6000-6099"]),
        ({"scan": "127.0.0.1:1-65535"}, ["--scan"]),
        ({"timeout": "0"}, ["--timeout"]),
        ({"duration": "-1"}, ["--duration"]),
        ({"push_url": "nowhere"}, ["--push-url"]),
        ({"push_token_file": "/nowhere"}, ["--push-url"]),
        ({"host": "no.such.host.invalid"}, ["cannot listen"]),
    ],
)
def test_wrong_options(place, tmp_path, changes, words):
    refused(place(**changes), *words)
    assert not (tmp_path / "c").exists()


def test_keys_that_can_do_more_are_refused(place, tmp_path):
    keys = Keystore(tmp_path / "all.keys", b"c", scrypt_n=2)
    keys.new(meter_number(0))
    refused(place(keystore=keys.path), "can move or change meter", "ams keys readers")
    assert not (tmp_path / "c").exists()


def test_a_folder_where_nothing_can_be_made(place, tmp_path):
    (tmp_path / "c").write_text("a file")
    refused(place(), "c")


def test_a_full_disk_at_the_start_is_one_line(meters, tmp_path):
    listed = meters.write_list(tmp_path / "meters.csv")
    argv = [AMS, "concentrator", "run", tmp_path / "c", "--list", listed, "--port", "0"]
    argv += ["--http-port", "0", "--keystore", meters.readers_path, "--duration", "1"]

    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = subprocess.run(
        argv, capture_output=True, text=True, preexec_fn=small, timeout=60,
        env={**os.environ, "OPENAMS_KEYSTORE_PASSPHRASE": "c"},
    )  # fmt: skip
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "make room" in done.stderr or "no room" in done.stderr
