"""The keystore: what is in it, who can read it, and what a cut or a race can cost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import warm
from hypothesis import given
from hypothesis import strategies as st

from openams import private
from openams.errors import BenchError
from openams.keys.keystore import METER as METER_KIND
from openams.keys.keystore import Keystore
from openams.keys.model import CLIENT_SAPS, COUNTER_MAX
from openams.keys.provision import provisioned
from openams.keys.releasekey import public_octets
from openams.keys.sealed import SealedFile

METER = "7359990000000017"
OTHER = "7359990000000024"


@pytest.fixture
def store(tmp_path):
    return Keystore(tmp_path / "keys" / "keystore", b"a passphrase", scrypt_n=2)


def secrets_of(keys):
    """Every secret of a meter."""
    out = [keys.kek, keys.breaker, keys.update, *keys.han.values()]
    for client in keys.clients:
        out += [client.current.encryption, client.current.authentication]
    return out


def test_every_key_is_its_own(store):
    keys = [store.new(METER), store.new(OTHER)]
    every = [secret for meter in keys for secret in secrets_of(meter)]
    assert len(every) == len(set(every)) == 26
    assert {len(bytes.fromhex(secret)) for secret in every} == {16}
    titles = [client.title for meter in keys for client in meter.clients]
    titles += [meter.system_title for meter in keys]
    assert len(set(titles)) == len(titles) == 10
    assert {len(bytes.fromhex(title)) for title in titles} == {8}


def test_what_was_written_is_read_back_by_another(store):
    made = store.new(METER)
    again = Keystore(store.path, b"a passphrase").get(METER)
    assert again == made
    with pytest.raises(BenchError, match="has keys already"):
        store.new(METER)


def test_the_file_shows_no_key_and_only_its_owner_reads_it(store):
    keys = store.new(METER)
    octets = store.path.read_bytes()
    assert METER.encode() not in octets
    for secret in secrets_of(keys):
        assert secret.encode() not in octets and bytes.fromhex(secret) not in octets
    for path in store.path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_wrong_passphrase_is_one_line(store):
    store.new(METER)
    with pytest.raises(BenchError, match="wrong passphrase"):
        Keystore(store.path, b"another").get(METER)


def changed(store, statement, *values):
    with contextlib.closing(sqlite3.connect(store.path)) as database:
        assert database.execute(statement, values).rowcount > 0
        database.commit()
    return Keystore(store.path, b"a passphrase")


def test_a_cheaper_head_is_seen(store):
    store.new(METER)
    again = changed(store, "UPDATE head SET json = replace(json, '\"n\":2', '\"n\":4')")
    with pytest.raises(BenchError, match="was changed"):
        again.get(METER)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE record SET box = substr(box, 1, length(box) - 1) || x'00' WHERE kind = 'counters'",
        "UPDATE record SET box = substr(box, 2) WHERE kind = 'meter'",
        "UPDATE record SET box = x''",
        # A record in the place of another: of the other meter, of another kind.
        "UPDATE record SET box = (SELECT box FROM record b WHERE b.kind = record.kind "
        "AND b.tag != record.tag)",
        "UPDATE record SET box = (SELECT box FROM record b WHERE b.kind != record.kind "
        "AND b.tag = record.tag OR b.kind != record.kind LIMIT 1)",
    ],
)
def test_any_change_of_a_record_is_seen(store, change):
    store.new_all([METER, OTHER])
    again = changed(store, change)
    for ask in (lambda: again.get(METER), again.meters):
        with pytest.raises(BenchError, match="was changed or is damaged") as error:
            ask()
        assert "\n" not in str(error.value)


def test_a_meter_that_was_taken_out_has_no_keys(store):
    store.new_all([METER, OTHER])
    again = changed(store, "DELETE FROM record WHERE kind = 'counters'")
    with pytest.raises(BenchError, match="another version"):
        again.get(METER)
    with pytest.raises(BenchError, match="no keys of meter"):
        again.reserve(METER, 2, 1)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\x00", b"SQLite format 3\0"])
def test_what_is_no_keystore_is_refused_and_left_alone(store, content):
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    with pytest.raises(BenchError, match="is no keystore"):
        store.new(METER)
    assert store.path.read_bytes() == content


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_sealed_values_come_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("sealed") / "file"
    SealedFile(path, b"p", scrypt_n=2).write(value)
    assert SealedFile(path, b"p").read() == value


def boxes(store):
    with contextlib.closing(sqlite3.connect(store.path)) as database:
        head = database.execute("SELECT json FROM head").fetchone()[0]
        return head, {
            (kind, tag): box for kind, tag, box in database.execute("SELECT * FROM record")
        }


def test_no_two_writes_share_a_nonce_and_only_what_changed_is_written(store):
    store.new_all([METER, OTHER])
    seen = set()
    for _ in range(20):
        head, before = boxes(store)
        store.reserve(METER, 2, 1)
        again, after = boxes(store)
        assert head == again and before.keys() == after.keys()
        (moved,) = [key for key in after if after[key] != before[key]]
        assert moved[0] == "counters"
        seen.add(after[moved][:12])
    assert len(seen) == 20


def test_counters_are_never_given_twice(store):
    store.new(METER)
    taken = [store.reserve(METER, 2, 10) for _ in range(3)]
    assert taken == [1, 11, 21]
    assert store.get(METER).client(2).current.next_counter == 31
    assert store.get(METER).client(1).current.next_counter == 1
    store.raise_counter(METER, 2, 1000)
    store.raise_counter(METER, 2, 5)
    assert store.reserve(METER, 2, 1) == 1000
    store.raise_counter(METER, 2, COUNTER_MAX)
    with pytest.raises(BenchError, match="ams keys rotate"):
        store.reserve(METER, 2, 10)


RESERVE = """
import sys
from pathlib import Path
from openams.keys.keystore import Keystore
store = Keystore(Path(sys.argv[1]), b"a passphrase")
for _ in range(20):
    print(store.reserve(sys.argv[2], 2, 3))
"""


def test_processes_at_once_get_different_counters(store):
    store.new(METER)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RESERVE, str(store.path), METER],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    taken = [int(line) for run in runs for line in run.communicate()[0].split()]
    assert sorted(taken) == list(range(1, 181, 3))


def test_a_cut_while_it_is_made_leaves_nothing(store, monkeypatch):
    def cut(*_, **__):
        raise OSError(5, "cut")

    monkeypatch.setattr(private.os, "link", cut)
    monkeypatch.setattr(private.os, "replace", cut)
    with pytest.raises(BenchError, match="cannot write"):
        store.new(METER)
    monkeypatch.undo()
    assert store.meters() == {}
    assert store.new(METER).client(2).current.next_counter == 1


CUT = """
import sys
from pathlib import Path
from openams.keys.keystore import Keystore
store = Keystore(Path(sys.argv[1]), b"a passphrase", ahead=int(sys.argv[3]))
while True:
    print(store.reserve(sys.argv[2], 2, 3), flush=True)
"""


@pytest.mark.parametrize("ahead", [1, 7])
def test_killed_at_any_moment_no_counter_serves_twice(store, ahead):
    store.new(METER)
    taken = []
    rng = random.Random(ahead)
    for _ in range(8):
        run = subprocess.Popen(
            [sys.executable, "-c", CUT, str(store.path), METER, str(ahead)],
            stdout=subprocess.PIPE,
            text=True,
        )
        taken.append(int(run.stdout.readline()))  # it is under way
        time.sleep(rng.random() / 50)
        run.kill()
        taken += [int(line) for line in run.communicate()[0].split()]
    assert len(taken) == len(set(taken)) and taken == sorted(taken)
    assert all(number % 3 == 1 for number in taken)
    assert store.get(METER).client(2).current.next_counter > taken[-1] + 2


def test_what_is_taken_ahead_is_taken_once(store):
    store.new_all([METER, OTHER])
    many = Keystore(store.path, b"a passphrase", ahead=10)
    one = Keystore(store.path, b"a passphrase")
    assert [many.reserve(METER, 2, 10) for _ in range(3)] == [1, 11, 21]
    assert one.reserve(METER, 2, 10) == 101
    assert many.reserve(METER, 2, 10) == 31
    # Where the meter wants more, what was taken is left out.
    many.raise_counter(METER, 2, 5000)
    assert many.reserve(METER, 2, 10) == 5000
    asked = [(number, 2, 5, False) for number in (METER, OTHER)]
    assert one.reserve_all(asked) == [(5100, 5105), (1, 6)]


def test_what_was_taken_ahead_meets_no_number_of_the_next_keys(store):
    store.new(METER)
    many = Keystore(store.path, b"a passphrase", ahead=10)
    assert many.reserve(METER, 2, 10) == 1
    store.prepare_rotation(METER)
    store.commit_rotation(METER, 2)
    # The other process does not know yet; the new keys' numbers lie above its own.
    assert many.reserve(METER, 2, 10) == 11
    assert store.reserve(METER, 2, 10) == 101


def test_a_fork_takes_others(store):
    store.new(METER)
    many = Keystore(store.path, b"a passphrase", ahead=10)
    assert many.reserve(METER, 2, 1) == 1
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(many.reserve(METER, 2, 1)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reading, 100)) == 11
    assert many.reserve(METER, 2, 1) == 2


def test_threads_take_different_ones(store):
    store.new(METER)
    many = Keystore(store.path, b"a passphrase", ahead=4)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: many.reserve(METER, 2, 2), range(100)))
    assert sorted(taken) == list(range(1, 201, 2))


def test_a_disk_that_is_full_is_one_line_and_loses_nothing(store):
    store.new(METER)
    database, _ = store.records._connected()
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(BenchError, match="make room") as error:
        store.new_all([f"73599911{number:08}" for number in range(500)])
    assert "\n" not in str(error.value)
    assert list(store.meters()) == [METER]


def test_all_meters_of_a_list_or_none(store):
    store.new(OTHER)
    for wrong in ([METER, OTHER], [METER, METER]):
        with pytest.raises(BenchError):
            store.new_all(wrong)
    assert list(store.meters()) == [OTHER] and store.count() == 1


@pytest.mark.parametrize("name", ["breaker", "breaker_second", "update", "han"])
def test_a_secret_that_is_prepared_is_in_the_file(store, name):
    store.new(METER)
    prepared = store.prepare_secret(METER, name).secret(name, pending=True)
    again = Keystore(store.path, b"a passphrase")
    assert again.get(METER).secret(name, pending=True) == prepared
    assert again.prepare_secret(METER, name).secret(name, pending=True) == prepared
    again.settle_secret(METER, name, changed=True)
    assert store.get(METER).secret(name) == prepared
    assert store.get(METER).secret(name, pending=True) is None


def test_rotation_keeps_both_until_the_meter_has_shown_which(store):
    old = store.new(METER).client(2).current
    store.prepare_rotation(METER)
    pending = store.get(METER).client(2).pending
    assert pending.encryption != old.encryption
    assert store.get(METER).client(2).current == old
    # Begun once more after a cut: the same keys, since the meter may have them.
    assert store.prepare_rotation(METER).client(2).pending == pending
    assert store.reserve(METER, 2, 5, pending=True) == 1
    store.commit_rotation(METER, 2)
    client = store.get(METER).client(2)
    assert client.pending is None
    assert client.current.encryption == pending.encryption
    assert client.current.next_counter == 6
    assert store.get(METER).client(1).pending is not None
    store.commit_rotation(METER, 2)  # nothing to do
    assert store.get(METER).client(2) == client


def test_provisioning_hands_over_all_keys_and_fresh_counters_of_the_meter(store):
    first, second = provisioned(store, METER), provisioned(store, METER)
    flashed, again = (provisioned(store, METER, device=True)["server_counter"] for _ in range(2))
    assert flashed > second["server_counter"] and again >= flashed + 10_000_000
    keys = store.get(METER)
    assert first["system_title"] == keys.system_title
    assert [client["sap"] for client in first["clients"]] == [2, 1, 5, 6]
    assert {client["encryption"] for client in first["clients"]} < set(secrets_of(keys))
    assert second["server_counter"] >= first["server_counter"] + 100_000
    assert {**first, "server_counter": 0} == {**second, "server_counter": 0}


def test_shown_names_every_client(store):
    shown = store.new(METER).shown()
    assert {client["name"]: client["sap"] for client in shown["clients"]} == CLIENT_SAPS
    public = shown["clients"][0]
    assert public["mechanism"] == 0 and "encryption_key" not in public


def ams(home, *arguments, passphrase=None):
    environment = {**os.environ, "XDG_DATA_HOME": str(home)}
    environment.pop("OPENAMS_KEYSTORE", None)
    environment.pop("OPENAMS_KEYSTORE_PASSPHRASE", None)
    if passphrase:
        environment["OPENAMS_KEYSTORE_PASSPHRASE"] = passphrase
    return warm.run(["keys", *map(str, arguments)], 300, environment)


@pytest.mark.parametrize("change", [{"unheard_of": 1}, {"clients": [{"name": "x"}]}, {"kek": None}])
def test_a_keystore_of_another_version_is_one_line_and_left_alone(store, change):
    number = store.new("7359990000000017").meter_id
    with store.records.changing() as now:
        record = {**now.get(METER_KIND, number), **change}
        now.put(METER_KIND, number, {k: v for k, v in record.items() if v is not None})
    before = store.path.read_bytes()
    for ask in (store.meters, lambda: store.reserve_server(number, 1)):
        with pytest.raises(BenchError, match="another version") as error:
            ask()
        assert "\n" not in str(error.value)
    assert store.path.read_bytes() == before


def test_the_benchs_own_keystore_needs_no_passphrase(tmp_path):
    assert "no keys" in ams(tmp_path, "list").stdout
    made = ams(tmp_path, "new", METER)
    assert made.returncode == 0, made.stderr
    shown = json.loads(ams(tmp_path, "show", METER, "--json").stdout)
    for client in shown["clients"][1:]:
        assert client["encryption_key"] not in made.stdout
        assert client["next_counter"] == 1
    assert shown["clients"][1]["encryption_key"] in ams(tmp_path, "show").stdout
    # Each call hands out other counters.
    again = json.loads(ams(tmp_path, "show", METER, "--json").stdout)
    assert [client.get("next_counter") for client in again["clients"]] == [None] + 4 * [131073]
    assert json.loads(ams(tmp_path, "list", "--json").stdout)[0]["meter_id"] == METER
    beside = tmp_path / "openams" / "keystore.passphrase"
    assert beside.stat().st_mode & 0o777 == 0o600
    beside.chmod(0o644)
    assert "chmod 600" in ams(tmp_path, "list").stderr


def test_a_named_keystore_needs_its_passphrase(tmp_path):
    store = tmp_path / "mine"
    asked = ams(tmp_path, "new", METER, "--keystore", store)
    assert asked.returncode == 1 and "OPENAMS_KEYSTORE_PASSPHRASE" in asked.stderr
    assert ams(tmp_path, "new", METER, "--keystore", store, passphrase="pass").returncode == 0
    wrong = ams(tmp_path, "list", "--keystore", store, passphrase="word")
    assert wrong.returncode == 1 and "wrong passphrase" in wrong.stderr
    secret = tmp_path / "secret"
    secret.write_text("pass\n")
    secret.chmod(0o600)
    done = ams(tmp_path, "list", "--keystore", store, "--passphrase-file", secret)
    assert METER in done.stdout


def test_the_release_key_is_one_for_all_meters_and_no_meter_is_given_its_secret(store):
    with pytest.raises(BenchError, match="ams image key"):
        store.release_key()
    given = [provisioned(store, number)["release_key"] for number in (METER, OTHER)]
    assert given[0] == given[1] == public_octets(store.release_key()).hex()
    secret = store.release_key().private_numbers().private_value.to_bytes(32, "big")
    assert secret.hex() not in json.dumps(provisioned(store, METER))
    assert secret.hex().encode() not in store.path.read_bytes()
    assert sorted(store.meters()) == [METER, OTHER]


def test_a_keystore_may_have_the_public_half_alone(store, tmp_path):
    vendor = Keystore(tmp_path / "vendor", b"p", scrypt_n=2)
    public = vendor.release_public(make=True)
    store.trust_release(public)
    assert provisioned(store, METER)["release_key"] == public
    with pytest.raises(BenchError, match="whoever signs"):
        store.release_key()
    with pytest.raises(BenchError, match="another release key"):
        store.trust_release("00" * 64)


def test_counters_that_are_nearly_used_up_are_not_handed_out(store):
    store.new(METER)
    store.raise_counter(METER, 2, 0xFFFFFFFF - 1000)
    with pytest.raises(BenchError, match="keys rotate"):
        store.hand_out(METER)
