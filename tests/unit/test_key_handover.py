"""Keys that go from one keystore to another: the former form, and collectors' keystores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import warm

from openams.errors import BenchError
from openams.keys import handover
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.records import SealedRecords
from openams.keys.sealed import SealedFile

METERS = ["7359990000000017", "7359990000000024", "7359990000000031"]
DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture
def store(tmp_path):
    store = Keystore(tmp_path / "keys" / "keystore", b"a passphrase", scrypt_n=2)
    store.new_all(METERS)
    return store


@pytest.fixture
def collector(tmp_path):
    return Keystore(tmp_path / "collector" / "keystore", b"another", scrypt_n=2)


def counter(store, meter_id):
    return store.get(meter_id).client(2).current.next_counter


# --- the former form -----------------------------------------------------------------------


def former(store, path):
    """A file as it was: all meters and the release key, as one sealed text."""
    content = {number: keys.dump() for number, keys in store.meters().items()}
    for record in content.values():
        for client in record["clients"]:
            del client["away"]  # came later
    content["release"] = {"private": "", "public": store.release_public(make=True)}
    path.parent.mkdir(mode=0o700, exist_ok=True)
    SealedFile(path, b"old", scrypt_n=2).write(content)


def test_a_keystore_of_the_former_form_says_what_to_do(store, tmp_path):
    path = tmp_path / "keys" / "old"
    former(store, path)
    before = path.read_bytes()
    with pytest.raises(BenchError, match="ams keys takeover --keystore") as error:
        Keystore(path, b"old").get(METERS[0])
    assert "\n" not in str(error.value) and path.read_bytes() == before


def test_taken_over_it_has_all_that_it_had(store, tmp_path):
    path = tmp_path / "keys" / "old"
    store.prepare_rotation(METERS[1])
    store.reserve(METERS[0], 2, 1234)
    former(store, path)
    assert handover.takeover(path, b"old", 2) == 3
    again = Keystore(path, b"old")
    assert again.meters() == store.meters()
    assert again.release_public() == store.release_public()
    assert path.stat().st_mode & 0o777 == 0o600
    assert again.reserve(METERS[0], 2, 1) == 1235


def test_a_takeover_that_cannot_be_changes_nothing(store, tmp_path):
    path = tmp_path / "keys" / "old"
    former(store, path)
    before = path.read_bytes()
    with pytest.raises(BenchError, match="wrong passphrase"):
        handover.takeover(path, b"not that", 2)
    SealedFile(path, b"old", scrypt_n=2).write({METERS[0]: {"unheard": "of"}})
    with pytest.raises(BenchError, match="another version"):
        handover.takeover(path, b"old", 2)
    assert path.read_bytes() != before and handover.is_former(path)


def test_a_keystore_that_was_written_before_is_read(tmp_path):
    path = tmp_path / "keystore"
    path.write_bytes((DATA / "keystore-1.json").read_bytes())
    path.chmod(0o600)
    assert handover.takeover(path, b"kept sample", 2) == 2
    kept = Keystore(path, b"kept sample")
    assert sorted(kept.meters()) == METERS[:2]
    assert counter(kept, METERS[0]) == 1001
    assert kept.release_key().key_size == 256


# --- readers' keys -------------------------------------------------------------------------


def test_a_collector_has_readers_keys_and_nothing_else(store, collector):
    store.reserve(METERS[0], 2, 500)
    assert handover.give_readers(store, collector, METERS[:2]) == 2
    assert sorted(collector.meters()) == METERS[:2]
    given = collector.get(METERS[0])
    own = store.get(METERS[0])
    assert [client.sap for client in given.clients] == [2]
    assert given.client(2).current.encryption == own.client(2).current.encryption
    text = json.dumps(given.dump())
    for secret in (own.kek, own.breaker, own.breaker_second, own.update, *own.han.values()):
        assert secret not in text
    for client in own.clients:
        if client.sap != 2:
            assert client.current.encryption not in text
    assert collector.reserve(METERS[0], 2, 10) == 501


def test_what_moves_a_meter_is_refused_there_in_one_line(store, collector):
    handover.give_readers(store, collector, METERS)
    keys = collector.get(METERS[0])
    for ask in (
        lambda: keys.key("breaker"),
        lambda: keys.client(5),
        lambda: collector.reserve(METERS[0], 1, 1),
        lambda: collector.prepare_rotation(METERS[0]),
        lambda: provisioned(collector, METERS[0]),
    ):
        with pytest.raises(BenchError) as error:
            ask()
        assert "\n" not in str(error.value)
    assert keys.secret("breaker") is None and keys.secret("han") is None


def test_a_counter_has_one_owner(store, collector):
    handover.give_readers(store, collector, METERS[:1])
    for ask in (
        lambda: store.reserve(METERS[0], 2, 1),
        lambda: store.raise_counter(METERS[0], 2, 99),
        lambda: store.prepare_rotation(METERS[0]),
    ):
        with pytest.raises(BenchError, match="ams keys readers .* --back"):
            ask()
    assert 2 not in [client.sap for client in store.hand_out(METERS[0]).clients]
    assert store.reserve(METERS[0], 5, 1) == 1 + (1 << 16)  # the others are here
    assert store.reserve(METERS[1], 2, 1) == 1


def test_there_and_back_the_counters_go_on(store, collector):
    handover.give_readers(store, collector, METERS)
    assert collector.reserve(METERS[0], 2, 700) == 1
    assert handover.take_back(store, collector, METERS[:1]) == 1
    assert counter(store, METERS[0]) == 701
    with pytest.raises(BenchError, match="no keys of meter"):
        collector.reserve(METERS[0], 2, 1)
    assert handover.give_readers(store, collector, METERS) == 1
    assert collector.reserve(METERS[0], 2, 1) == 701
    assert handover.take_back(store, collector) == 3
    assert collector.meters() == {} and handover.take_back(store, collector) == 0


class Cut(Exception):
    pass


def cut_at(monkeypatch, moments):
    """The change of a file that comes at one of the moments is not made, and nothing after it."""
    count = iter(range(1000))
    whole = SealedRecords.changing

    def changing(self):
        if next(count) in moments:
            raise Cut
        return whole(self)

    monkeypatch.setattr(SealedRecords, "changing", changing)


@pytest.mark.parametrize("moment", range(3))
def test_cut_on_the_way_there_it_goes_on(store, collector, monkeypatch, moment):
    store.reserve(METERS[0], 2, 41)
    with monkeypatch.context() as patched:
        cut_at(patched, {moment})
        with pytest.raises(Cut):
            handover.give_readers(store, collector, METERS)
    handover.give_readers(store, collector, METERS)
    assert collector.reserve(METERS[0], 2, 8) == 42
    handover.give_readers(store, collector, METERS)
    assert collector.reserve(METERS[0], 2, 8) == 50


@pytest.mark.parametrize("moment", range(3))
@pytest.mark.parametrize("then", ["back", "there"])
def test_cut_on_the_way_back_no_counter_serves_twice(store, collector, monkeypatch, moment, then):
    handover.give_readers(store, collector, METERS)
    assert collector.reserve(METERS[0], 2, 60) == 1
    with monkeypatch.context() as patched:
        cut_at(patched, {moment})
        with pytest.raises(Cut):
            handover.take_back(store, collector)
    if then == "back":
        handover.take_back(store, collector)
        assert store.reserve(METERS[0], 2, 8) == 61
    else:
        handover.give_readers(store, collector, METERS)
        assert collector.reserve(METERS[0], 2, 8) == 61


def test_a_collector_that_is_lost_is_not_begun_anew(store, collector):
    handover.give_readers(store, collector, METERS)
    collector.reserve(METERS[0], 2, 5000)
    collector.path.unlink()
    again = Keystore(collector.path, b"another", scrypt_n=2)
    with pytest.raises(BenchError, match="--lost"):
        handover.give_readers(store, again, METERS)
    assert handover.give_up(store, collector.path) == 3
    assert store.reserve(METERS[0], 2, 1) > 1 << 25
    again.path.unlink()
    handover.give_readers(store, again, METERS)
    assert again.reserve(METERS[0], 2, 1) > 1 << 25


# --- the command ---------------------------------------------------------------------------


def ams(home, *arguments):
    environment = {**os.environ, "XDG_DATA_HOME": str(home)}
    for name in ("OPENAMS_KEYSTORE", "OPENAMS_KEYSTORE_PASSPHRASE"):
        environment.pop(name, None)
    return warm.run(["keys", *map(str, arguments)], 300, environment)


def test_a_list_of_meters_is_made_whole_or_not_at_all(tmp_path):
    plan = tmp_path / "meters.csv"
    plan.write_text("meter_id,point\n" + "".join(f"{number},x\n" for number in METERS))
    assert json.loads(ams(tmp_path, "new", "--list", plan, "--json").stdout) == {"made": 3}
    for wrong, says in (
        (f"{METERS[0]}\n", "has keys already"),
        ("7359990000000048\n123\n", "line 2"),
        ("7359990000000048\n7359990000000048\n", "line 2"),
        ("", "names no meter"),
    ):
        plan.write_text(wrong)
        refused = ams(tmp_path, "new", "--list", plan)
        assert refused.returncode == 1 and says in refused.stderr, refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert len(json.loads(ams(tmp_path, "list", "--json").stdout)) == 3


def test_readers_by_the_command(tmp_path):
    ams(tmp_path, "new", METERS[0])
    secret = tmp_path / "secret"
    secret.write_text("pass\n")
    secret.chmod(0o600)
    there = tmp_path / "collector"
    assert "--to-passphrase-file" in ams(tmp_path, "readers", there).stderr
    given = ams(tmp_path, "readers", there, "--to-passphrase-file", secret)
    assert given.returncode == 0 and "readers of 1 meters given" in given.stdout, given.stderr
    shown = ams(tmp_path, "show", METERS[0], "--keystore", there, "--passphrase-file", secret)
    assert "client reader" in shown.stdout and "KEK" not in shown.stdout
    assert "is there" in ams(tmp_path, "readers", there, "--lost").stderr
    back = ams(tmp_path, "readers", there, "--to-passphrase-file", secret, "--back", "--json")
    assert json.loads(back.stdout) == {"meters": 1}


def test_the_benchs_own_is_taken_over_by_itself(store, tmp_path):
    folder = tmp_path / "home" / "openams"
    folder.mkdir(parents=True, mode=0o700)
    former(store, folder / "keystore")
    beside = folder / "keystore.passphrase"
    beside.write_text("old\n")
    beside.chmod(0o600)
    listed = ams(tmp_path / "home", "list", "--json")
    assert len(json.loads(listed.stdout)) == 3, listed.stderr
    assert "no keystore of the former form" in ams(tmp_path / "home", "takeover").stderr
