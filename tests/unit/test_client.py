"""The host client against the firmware's server, over real TCP and a pseudo-terminal."""

from __future__ import annotations

import socket
import struct

import pytest
from dlms import LONG, REGISTER, Long
from host_meter import METER, Meter

from openams.client import client as client_module
from openams.client import data as axdr
from openams.client import readout, rotation
from openams.client.association import Association
from openams.client.client import identify, read_counter, session
from openams.client.errors import ClientError, LinkError, RefusedError, ResultError, ServiceError
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.lines.linkports import LinkPorts
from openams.lines.ptylink import PtyLink


@pytest.fixture
def store(tmp_path):
    return Keystore(tmp_path / "keystore", b"p", scrypt_n=2)


@pytest.fixture
def meter(store, tmp_path):
    ports = LinkPorts(PtyLink(tmp_path / "service", "--service"), 0)
    yield Meter(store, ports)
    ports.close()


@pytest.fixture(params=["tcp", "serial"])
def url(request, meter):
    return parse_url(next(url for url in meter.ports.urls if url.startswith(request.param)))


@pytest.fixture
def tcp(meter):
    return parse_url(meter.ports.urls[0])


def test_every_role_reads(url, store, meter):
    for role in ("public", "reader", "operator", "breaker", "update"):
        with session(url, role, store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456
            if role != "public":
                assert client.meter_title.hex() == store.get(METER).system_title
    assert not meter.events and not meter.said


def test_blocks_sets_and_actions(url, store):
    with session(url, "operator", store, METER) as client:
        rows = client.get(1, LONG, 2)
        assert [row[1] for row in rows] == list(range(Long.rows))
        client.set(1, LONG, 2, axdr.octets(bytes(range(200))))
        assert Long.written == bytes(range(200))
        assert client.action(1, LONG, 2, axdr.int8(0)) == bytes(range(200))


def test_errors_are_one_line_and_the_association_goes_on(url, store):
    with session(url, "reader", store, METER) as client:
        with pytest.raises(ResultError, match="1.0.9.8.0.255 attribute 2: object undefined"):
            client.get(3, "1.0.9.8.0.255", 2)
        with pytest.raises(ResultError, match="read or write denied"):
            client.set(1, LONG, 2, axdr.octets(b"x"))
        with pytest.raises(ResultError, match="read or write denied"):
            client.action(1, LONG, 1, axdr.int8(0))
        assert client.get(3, REGISTER, 2) == 123456


def test_object_list_and_values(tcp, store):
    with session(tcp, "reader", store, METER) as client:
        entries = readout.object_list(client)
        values = {entry.obis: readout.value_of(client, entry) for entry in entries}
        assert values[REGISTER]["value"] == 123456 and values[REGISTER]["unit"] == "Wh"
        assert readout.find(entries, "1-0:1.8.0").class_id == 3
        assert values["0.0.43.1.2.255"]["value"] >= 1
        with pytest.raises(ClientError, match="no object"):
            readout.find(entries, "1.0.99.9.9.255")


def test_each_session_goes_on_behind_the_last(tcp, store, meter):
    counters = []
    for _ in range(3):
        with session(tcp, "reader", store, METER) as client:
            client.get(3, REGISTER, 2)
        counters.append(meter.link.keyring.client(2).keys.expected)
    assert counters == sorted(set(counters))
    assert store.get(METER).client(2).current.next_counter >= counters[-1]


def test_a_session_that_is_cut_off_uses_no_counter_twice(tcp, store, meter):
    """The client dies without a word: the next one starts behind all it can have used."""
    with pytest.raises(RuntimeError), session(tcp, "reader", store, METER) as client:
        client.get(3, REGISTER, 2)
        raise RuntimeError
    with session(tcp, "reader", store, METER) as client:
        assert client.get(3, REGISTER, 2) == 123456
    assert not meter.events


def test_a_long_session_takes_more_counters(tcp, store, monkeypatch):
    """None is used before the keystore has it, and none twice."""
    used = []
    real = client_module._Counters.take

    def take(counters):
        used.append(real(counters))
        assert used[-1] < store.get(METER).client(2).current.next_counter
        return used[-1]

    monkeypatch.setattr(client_module, "_RESERVE", 8)
    monkeypatch.setattr(client_module._Counters, "take", take)
    with session(tcp, "reader", store, METER) as client:
        for _ in range(30):
            assert client.get(3, REGISTER, 2) == 123456
    # Opening, proof, the message that carries it, good-bye.
    assert len(used) == 30 + 4 and used == sorted(set(used))


def test_a_counter_that_others_have_used_is_asked_for(tcp, store, meter):
    """A keystore from a backup: the meter's own word puts it right, and is kept."""
    before = store.path.read_bytes()
    for _ in range(3):
        with session(tcp, "reader", store, METER):
            pass
    expected = read_counter(tcp, 2, 5)
    store.path.write_bytes(before)
    assert store.get(METER).client(2).current.next_counter < expected
    with session(tcp, "reader", store, METER) as client:
        assert client.get(3, REGISTER, 2) == 123456
    assert store.get(METER).client(2).current.next_counter > expected


def test_an_outside_client_may_start_at_the_shown_counter(tcp, store, meter):
    with session(tcp, "reader", store, METER):
        pass
    shown = next(c for c in store.get(METER).shown()["clients"] if c["name"] == "reader")
    assert shown["next_counter"] >= read_counter(tcp, 2, 5)


def test_the_meter_never_uses_a_number_of_its_own_twice(tcp, store, meter, tmp_path):
    """A meter whose flash is thrown away after each run is given other numbers each time."""

    def numbers(at, cells=None):
        with session(at, "reader", store, METER) as client:
            client.get(3, REGISTER, 2)
            return client._association._cipher.received

    first = numbers(tcp)
    assert numbers(tcp) > first
    ports = LinkPorts(None, 0)
    Meter(store, ports)
    try:
        assert numbers(parse_url(ports.urls[0])) > first + 100_000
    finally:
        ports.close()


def test_keys_of_another_meter_open_nothing(tcp, store, tmp_path):
    other = Keystore(tmp_path / "other", b"p", scrypt_n=2)
    other.new(METER)
    with (
        pytest.raises((RefusedError, ServiceError)) as refusal,
        session(tcp, "operator", other, METER),
    ):
        raise AssertionError("no session with wrong keys")
    assert "\n" not in str(refusal.value)


def test_the_meter_is_known_by_its_name(tcp, store):
    store.new("7359990000000024")
    with pytest.raises(BenchError, match="--meter-id"):
        identify(tcp, store, 5)
    # The test's model says OAM0000000000001.
    store.new("7350000000000001")
    assert identify(tcp, store, 5).meter_id == "7350000000000001"


def test_four_that_talk_without_keys_keep_nobody_out(tcp, store):
    """As fast as they can: those whom the meter has let in with keys stay, the others give way."""
    opening = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001010FFFF")
    opening = struct.pack(">HHHH", 1, 16, 1, len(opening)) + opening
    talkers = []
    for _ in range(4):
        talkers.append(socket.create_connection((tcp.host, tcp.port), timeout=5))
        talkers[-1].sendall(opening)
        assert talkers[-1].recv(8)
    with session(tcp, "operator", store, METER, 3) as client:
        for _ in range(6):
            talkers.append(socket.create_connection((tcp.host, tcp.port), timeout=5))
            talkers[-1].sendall(opening)
            assert client.get(3, REGISTER, 2) == 123456
    for talker in talkers:
        talker.close()


# --- rotation --------------------------------------------------------------------------


def keys_of(store):
    return [client.current.encryption for client in store.get(METER).clients]


def test_rotation_changes_every_key_and_the_master_key(tcp, store, meter):
    old, old_kek = keys_of(store), store.get(METER).kek
    assert rotation.rotate(tcp, store, METER, 5) == ["reader", "breaker", "update", "operator"]
    new = store.get(METER)
    assert not set(old) & set(keys_of(store))
    assert new.kek != old_kek and new.kek == meter.link.keyring.kek().hex()
    assert not any(client.pending for client in new.clients) and new.pending_kek is None
    for role in ("reader", "operator"):
        with session(tcp, role, store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456
    # And once more, under the new master key.
    rotation.rotate(tcp, store, METER, 5)


class Cut(Exception):
    pass


# Of the first client and of the operator: the proof, the transfer, the proof with the new
# keys, the keystore's part.
PLACES = [(place, after) for place in (1, 2, 3, 4, 13, 14, 15, 16) for after in (False, True)]


@pytest.mark.parametrize(("place", "after"), PLACES)
def test_a_rotation_that_is_cut_off_anywhere_is_gone_through_with(
    tcp, store, meter, monkeypatch, place, after
):
    """Cut before a step, or when it is done but its answer is lost."""
    count = 0

    def before():
        nonlocal count
        count += 1
        if count == place and not after:
            raise Cut

    def behind():
        if count == place:
            raise Cut

    action, commit = Association.action, Keystore.commit_rotation

    def cut_action(*arguments):
        before()
        given = yield from action(*arguments)
        behind()
        return given

    def cut_commit(*arguments):
        before()
        commit(*arguments)
        behind()

    with monkeypatch.context() as patch:
        patch.setattr(Association, "action", cut_action)
        patch.setattr(Keystore, "commit_rotation", cut_commit)
        with pytest.raises(Cut):
            rotation.rotate(tcp, store, METER, 5)
    # Whatever the meter has, every role gets in, and the rotation goes on.
    for role in ("reader", "operator", "breaker", "update"):
        with session(tcp, role, store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456
    rotation.rotate(tcp, store, METER, 5)
    assert not any(client.pending for client in store.get(METER).clients)
    assert store.get(METER).kek == meter.link.keyring.kek().hex()


# --- nobody there ------------------------------------------------------------------------


def test_nobody_there_is_one_line(store):
    store.new(METER)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with (
            pytest.raises(LinkError, match="no answer"),
            session(parse_url(f"tcp://127.0.0.1:{port}"), "reader", store, METER, 0.2),
        ):
            pass
    with (
        pytest.raises(LinkError, match="no meter at"),
        session(parse_url(f"tcp://127.0.0.1:{port}"), "reader", store, METER, 0.2),
    ):
        pass
    with (
        pytest.raises(LinkError, match="cannot open"),
        session(parse_url("serial:///dev/nowhere"), "reader", store, METER, 0.2),
    ):
        pass
