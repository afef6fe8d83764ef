"""`ams run --mqtt` and `ams home`, with a real broker."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from openams.bench.broker_url import parse_broker
from openams.errors import BenchError
from tests.home.brokers import Authority, Mosquitto, Subscriber

NODE = "lab/7359990000000017/"


def ams(*arguments, timeout_s=120):
    return subprocess.run(
        [sys.executable, "-m", "openams", *arguments],
        capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip


@pytest.mark.parametrize(
    "runtime", ["micropython", pytest.param("cpython", marks=pytest.mark.campaign)]
)
def test_the_bench_publishes_what_it_measures_under_tls(runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAMS_KEYSTORE", str(tmp_path / "keys.json"))
    monkeypatch.setenv("OPENAMS_KEYSTORE_PASSPHRASE", "of the test")
    authority = Authority(tmp_path / "authority")
    broker = Mosquitto(tmp_path, *authority.lines("localhost"))
    sub = Subscriber(broker.port, "--cafile", str(authority.file), "--insecure")
    try:
        done = ams(
            "run", "--runtime", runtime, "--scenario", "house", "--duration", "8", "--json",
            "--start", "2026-11-29T10:59:55+01:00",
            "--mqtt", f"mqtts://localhost:{broker.port}/lab", "--mqtt-ca", str(authority.file),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        assert figures["mqtt"]["state"] == "connected" and figures["mqtt"]["published"] > 40
        hour = sub.until(lambda topic, _: topic == NODE + "hour")[1]
        assert json.loads(hour)["end"] == "2026-11-29T10:00:00Z"
        # Of a process that is gone the broker says so.
        sub.until(lambda topic, text: topic == NODE + "status" and text == "offline")
    finally:
        sub.close()
        broker.close()
    said = {topic.removeprefix(NODE): text for topic, text, _, _ in sub.heard}
    registers = figures["registers"]
    assert float(said["energy_import"]) * 1e6 <= registers["a_plus_mwh"]
    assert 200 < float(said["voltage_l1"]) < 260


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("broker", "write it like"),
        ("http://localhost", "write it like"),
        ("mqtt://", "write it like"),
        ("mqtt://localhost:99999", "port"),
        ("mqtt://localhost?x=1", "write it like"),
        ("mqtt://:secret@localhost", "a password goes with a user"),
        ("mqtts://localhost", "--mqtt-ca"),
        ("mqtt://no-such-host.invalid", "is not found"),
        ("mqtt://localhost/a+b", "prefix that has a +"),
    ],
)
def test_urls_that_are_none(url, why):
    with pytest.raises(BenchError, match=".") as error:
        parse_broker(url, None, None)
    text = str(error.value)
    assert why in text and "\n" not in text and "secret" not in text


def test_urls_that_are_some(tmp_path):
    password = tmp_path / "password"
    password.write_text("se cret\n")
    found = parse_broker("mqtt://me%40home@127.0.0.1/a/b/", password, None)
    assert found == {
        "broker": "127.0.0.1:1883", "name": "127.0.0.1", "user": "me@home",
        "password": "se cret", "prefix": "a/b",
    }  # fmt: skip
    for option, arguments in (
        ("--mqtt-password-file", (tmp_path / "none", None)),
        ("--mqtt-ca", (None, tmp_path / "none")),
    ):
        with pytest.raises(BenchError, match=option):
            parse_broker("mqtts://me@localhost", *arguments)


def test_a_chip_has_no_network_and_options_go_together():
    done = ams("run", "--runtime", "rp2040", "--mqtt", "mqtt://127.0.0.1", "--duration", "1")
    assert done.returncode and "a Pico has no network" in done.stderr
    done = ams("run", "--mqtt-ca", "x.pem", "--duration", "1")
    assert done.returncode and "go with --mqtt" in done.stderr
