"""`ams run --han-open`: the operator's command, by the link."""

from __future__ import annotations

import json

import pytest
from helpers import ams

RUN = ("run", "--scenario", "house", "--speed", "max", "--duration", "5", "--json")


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_the_port_is_opened_by_its_operator_and_stays_open(runtime, tmp_path):
    run = [*RUN, "--runtime", runtime, "--state", tmp_path]
    closed = json.loads(ams(*run).stdout)
    assert not closed["han"]["open"] and not closed["han"]["frames_sent"]
    first = json.loads(ams(*run, "--han-open").stdout)
    assert first["han"]["open"] and first["han"]["frames_sent"] > 1
    assert "han-opened" in [event["name"] for event in first["events"]]
    again = json.loads(ams(*run).stdout)
    assert again["han"]["open"] and again["han"]["frames_sent"] > 1


def test_other_keys_do_not_open_it(tmp_path, monkeypatch):
    run = [*RUN, "--runtime", "cpython", "--state", tmp_path / "state", "--han-open"]
    ams(*run)
    monkeypatch.setenv("OPENAMS_KEYSTORE_PASSPHRASE", "other")
    done = ams(*run, "--keystore", tmp_path / "other", ok=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--keystore" in done.stderr


def test_a_keystore_that_cannot_be_opened_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAMS_KEYSTORE_PASSPHRASE", "one")
    ams("keys", "new", "7359990000000017", "--keystore", tmp_path / "keystore")
    monkeypatch.delenv("OPENAMS_KEYSTORE_PASSPHRASE")
    done = ams(*RUN, "--han-open", "--keystore", tmp_path / "keystore", ok=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "passphrase" in done.stderr.lower()
