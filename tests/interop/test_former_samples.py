"""What former versions left behind is read: state images, keystores, firmware images.

Each folder of tests/data/former is of the version of that day: `said.json` is what it printed when
it ended, of the state that lies beside it.
"""

from __future__ import annotations

import gzip
import json
import shutil
import signal
from datetime import datetime
from pathlib import Path

import pytest
import warm
from dlms_clients import running_meter

from openams.image.file import Image
from openams.keys import handover
from openams.keys.keystore import Keystore

FORMER = Path(__file__).resolve().parents[1] / "data" / "former"
METER = "7359992890000012"
PASSPHRASE = b"kept sample"


@pytest.fixture(params=sorted(path.name for path in FORMER.iterdir()))
def sample(request):
    return FORMER / request.param


@pytest.fixture
def keystore(sample, tmp_path):
    path = tmp_path / "keystore"
    shutil.copyfile(sample / "keystore", path)
    path.chmod(0o600)
    if handover.is_former(path):
        assert handover.takeover(path, PASSPHRASE, 2) == 1
    return Keystore(path, PASSPHRASE)


def json_of(*arguments):
    result = warm.run([*map(str, arguments), "--json"], 60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def rows(entries, *names):
    return [[entry[name] for name in names] for entry in entries]


def moments(events):
    """Events with their instants: former versions printed them in UTC."""
    return {(datetime.fromisoformat(time), *rest) for time, *rest in events}


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_a_state_image_gives_what_was_stored_and_goes_on(sample, runtime, keystore, tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    for name in ("flash.bin", "slots.bin"):
        (state / name).write_bytes(gzip.decompress((sample / f"{name}.gz").read_bytes()))
    said = json.loads((sample / "said.json").read_text())
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_bytes(PASSPHRASE)
    keys = ["--keystore", keystore.path, "--passphrase-file", passphrase]
    options = ["--state", state, "--meter-id", METER, "--system", "3P4W", *keys]
    options += ["--start", "2026-03-30T03:00:00"]
    with running_meter(tmp_path, *options, runtime=runtime) as running:
        logged = rows(json_of("events", running.urls[0], *keys), "time", "log", "code", "detail")
        running.process.send_signal(signal.SIGINT)
        now = json.loads(running.process.communicate(timeout=60)[0])
    # Some seconds of less than 20 kW.
    for name, value in said["registers"].items():
        assert 0 <= now["registers"][name] - value < 100_000, name
    powers = ("a_plus_mwh", "a_minus_mwh", "r_plus_mvarh", "r_minus_mvarh")
    profile = rows(json_of("profile", state), "time", "status", *powers)
    assert profile[: len(said["profile"])] == said["profile"]
    assert moments(said["events"]) <= moments(logged) and len(logged) > len(said["events"])
    storage = now["storage"]
    assert storage["kept"] and not storage["damaged"] and not storage["unknown"]
    # Its settings too.
    assert now["capture_period_s"] == 900 and now["han"]["open"]


def test_a_keystore_opens_with_its_meter_and_its_counters(keystore):
    assert list(keystore.meters()) == [METER]
    keys = keystore.get(METER)
    assert len(keys.key("breaker")) == len(keys.key("update")) == 16
    assert keystore.reserve(METER, 2, 1) < keystore.reserve(METER, 2, 1)


def test_a_firmware_image_is_whole_and_signed_by_its_release_key(sample, keystore):
    image = Image.load(sample / "image.bin")
    assert image.is_signed_by(keystore.release_public())
    assert [file["name"] for file in image.contents()["files"]] == [
        "ams/__init__.py",
        "ams/alarms.py",
    ]
