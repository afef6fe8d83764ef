"""All keys of a whole meter are changed over the link, through power cuts of meter and tool."""

from __future__ import annotations

import contextlib
import gc
import os
from datetime import UTC, datetime

import pytest
from updatebench import METER, SlotMeter

from ams.events import events as ev
from openams.client import data as axdr
from openams.client import rotation
from openams.client.client import session
from openams.client.errors import ClientError, ResultError
from openams.client.links import parse_url
from openams.client.names import HAN_KEYS
from openams.control.client import Operator
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.keys.model import SECRETS
from openams.lines.linkports import LinkPorts

ALL = ["breaker key", "second breaker key", "update key", "HAN keys"]
CLIENTS = ["reader", "breaker", "update", "operator"]


@pytest.fixture
def store(tmp_path):
    return Keystore(tmp_path / "keystore", b"p", scrypt_n=2)


@pytest.fixture
def meter(store):
    ports = LinkPorts(None, 0)
    yield SlotMeter(store, ports, lambda: datetime.now(UTC))
    ports.close()


@pytest.fixture
def url(meter):
    return parse_url(meter.ports.urls[0])


def secrets_of(keys):
    """Every key of a meter."""
    out = [keys.kek, *(keys.secret(name) for name in SECRETS)]
    for client in keys.clients:
        out += [client.current.encryption, client.current.authentication]
    return out


def assert_agreed(store, meter):
    """The keystore has what the meter has, and nothing is open."""
    keys, ring = store.get(METER), meter.meter.link.keyring
    assert not any(client.pending for client in keys.clients)
    assert keys.pending_kek is None and not keys.pending_secrets
    assert ring.kek().hex() == keys.kek
    for name in SECRETS[:3]:
        assert ring.secret(name) == keys.secret(name), name
    assert meter.meter.han_settings.keys() == keys.secret("han")
    for client in keys.clients:
        held = ring.client(client.sap).keys
        assert held.encryption.hex() == client.current.encryption
        assert held.authentication.hex() == client.current.authentication
    assert meter.updater.terms.update_key == keys.secret("update")


def test_every_key_is_new_and_agreed_upon(store, meter, url):
    old = secrets_of(store.get(METER))
    assert rotation.rotate(url, store, METER, 5) == ALL + CLIENTS
    assert_agreed(store, meter)
    assert not set(old) & set(secrets_of(store.get(METER)))
    assert store.get(METER).han_before is not None
    # Nothing about it looks like an attack, and each change is told.
    codes = [entry[1] for entry in meter.meter.events.entries()]
    assert not {ev.AUTHENTICATION_FAILED, ev.DECRYPTION_FAILED} & set(codes)
    assert codes.count(ev.KEYS_CHANGED) == len(ALL + CLIENTS)
    # Once more, under the new master key and the new second key; and it outlives a power cut.
    rotation.rotate(url, store, METER, 5)
    meter.cut()
    assert_agreed(store, meter)


def test_an_order_under_the_old_breaker_key_is_void(store, meter, url):
    old = store.get(METER)
    with session(url, "breaker", store, METER) as client:
        Operator(client, store, METER).arm("disconnect")
        assert meter.meter.control.guard._armed is not None
    rotation.rotate(url, store, METER, 5)
    assert meter.meter.control.guard._armed is None
    with session(url, "breaker", store, METER) as client:
        Operator(client, store, METER).arm("reconnect")
        assert meter.meter.control.guard.armed_number > 1
    assert old.secret("breaker") != store.get(METER).secret("breaker")


def test_orders_begin_anew_with_our_client(store, meter, url):
    with session(url, "breaker", store, METER) as client:
        operator = Operator(client, store, METER)
        assert operator.begin_anew()["last_order"] >= 1
        with pytest.raises(BenchError, match="does not take the order"):
            # For a time before it: a minute later it would be taken.
            operator.arm("disconnect")
    assert ev.ORDERS_ANEW in [entry[1] for entry in meter.meter.events.entries()]


def test_whoever_has_one_seal_never_gets_both(store, meter, url):
    """The master key does not change the second breaker key, nor does another's."""
    keys = store.get(METER)
    with session(url, "breaker", store, METER) as client:
        for under in (keys.kek, keys.breaker):
            wrapped = rotation.aes_key_wrap(bytes.fromhex(under), bytes(16))
            with pytest.raises(ResultError, match="other reason"):
                client.set(1, "0.0.128.5.1.255", 2, axdr.octets(wrapped))
    assert meter.meter.link.keyring.secret("breaker_second") == keys.secret("breaker_second")
    # A keystore that does not know it leaves it as it is, and changes the rest.
    with store._changing_meter(METER) as changed:
        changed.breaker_second = "00" * 16
    assert rotation.rotate(url, store, METER, 5) == [ALL[0], *ALL[2:], *CLIENTS]
    assert meter.meter.link.keyring.secret("breaker_second") == keys.secret("breaker_second")


@pytest.mark.parametrize("obis", [*(f"0.0.128.5.{k}.255" for k in range(3)), HAN_KEYS])
def test_only_its_owner_changes_a_key_and_nobody_reads_it(store, meter, url, obis):
    owner = "operator" if obis == HAN_KEYS else "update" if ".5.2." in obis else "breaker"
    keys = store.get(METER)
    wrapped = rotation.aes_key_wrap(bytes.fromhex(keys.kek), bytes(16))
    for role in ("reader", "operator", "breaker", "update"):
        if role == owner:
            continue
        with session(url, role, store, METER) as client:
            with pytest.raises(ResultError, match="denied"):
                client.set(1, obis, 2, axdr.octets(wrapped))
            if obis != HAN_KEYS:
                assert len(client.get(1, obis, 2)) == 8
    assert secrets_of(store.get(METER)) == secrets_of(keys)


def test_a_lost_breaker_or_update_key_is_replaced_under_the_master_key(store, meter, url):
    with store._changing_meter(METER) as changed:
        changed.breaker, changed.update = os.urandom(16).hex(), os.urandom(16).hex()
    rotation.rotate(url, store, METER, 5)
    assert_agreed(store, meter)


def test_what_is_sealed_offline_waits_until_the_keys_are_settled(store, meter, url):
    store.prepare_rotation(METER)
    with pytest.raises(BenchError, match="ams keys rotate"):
        store.get(METER).demand_settled("update")
    with session(url, "breaker", store, METER) as client:
        Operator(client, store, METER).arm("disconnect")
        # The meter has taken the new key, and the tool did not hear of it.
        new = store.get(METER).secret("breaker", pending=True)
        meter.meter.link.keyring.change_secret("breaker", new)
        Operator(client, store, METER).arm("disconnect")
    assert store.get(METER).secret("breaker") == new
    rotation.rotate(url, store, METER, 5)
    assert_agreed(store, meter)


# --- cuts ---------------------------------------------------------------------------------


def count_messages(meter, url, store):
    rotation.rotate(url, store, METER, 5)
    before = meter.messages
    rotation.rotate(url, store, METER, 5)
    return meter.messages - before


def cut_once(meter, url, store, at, done):
    """The power goes at message `at` of a rotation; the tool ends, unless it said good-bye."""
    meter.cut_at = (meter.messages + at, done)
    cuts = meter.cuts
    with contextlib.suppress(ClientError):
        rotation.rotate(url, store, METER, 5)
    assert meter.cuts == cuts + 1
    # Every role gets in, whatever each of them has.
    for role in CLIENTS:
        with session(url, role, store, METER) as client:
            assert client.get(1, "0.0.42.0.0.255", 2)
    rotation.rotate(url, store, METER, 5)
    assert_agreed(store, meter)


def test_the_meters_power_goes(store, meter, url):
    """A slice of the messages; `make campaign` takes each of them."""
    total = count_messages(meter, url, store)
    for number, at in enumerate(range(1, total, total // 5)):
        cut_once(meter, url, store, at, number % 2 == 0)


@pytest.mark.campaign
@pytest.mark.parametrize("done", [False, True])
def test_the_meters_power_goes_at_each_message(store, meter, url, done):
    total = count_messages(meter, url, store)
    for at in range(total):
        cut_once(meter, url, store, at, done)
    print(f"{total} messages, each cut")


class Killed(BaseException):
    """As SIGKILL: nothing of the tool runs after it."""


def test_the_tool_ends_at_each_write_of_its_keystore(store, meter, url, monkeypatch):
    """Before and after; with a second end while it goes on."""
    whole = store.records.changing
    writes = []
    monkeypatch.setattr(store.records, "changing", lambda: (writes.append(1), whole())[1])
    rotation.rotate(url, store, METER, 5)
    total = len(writes)
    assert total > 20
    chosen = range(total) if os.environ.get("OPENAMS_CAMPAIGN") else range(0, total, 5)
    for at in chosen:
        for after in (False, True):
            for end in (at, at // 2):
                _killed_rotation(store, url, monkeypatch, whole, end, after)
            monkeypatch.setattr(store.records, "changing", whole)
            rotation.rotate(url, store, METER, 5)
            assert_agreed(store, meter)


def _killed_rotation(store, url, monkeypatch, whole, at, after):
    left = at

    @contextlib.contextmanager
    def dying():
        nonlocal left
        left -= 1
        if left < 0 and not after:
            raise Killed
        with whole() as now:
            yield now
        if left < 0:
            raise Killed

    monkeypatch.setattr(store.records, "changing", dying)
    with contextlib.suppress(Killed):
        rotation.rotate(url, store, METER, 5)
    # The system closes the sockets of a program that was killed.
    gc.collect()
