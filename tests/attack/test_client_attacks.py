"""What somebody without keys, in the meter's place or between it and the bench, gets the host
client to believe: nothing."""

from __future__ import annotations

import pytest
from dlms import REGISTER
from host_meter import METER, Meter

from ams.cosem import acse
from ams.cosem.axdr import Writer
from openams.client import client as client_module
from openams.client import rotation
from openams.client.client import session
from openams.client.errors import ClientError, RefusedError
from openams.client.links import open_link, parse_url
from openams.keys.keystore import Keystore
from openams.lines.linkports import LinkPorts

INITIATE_RESPONSE = bytes.fromhex("080006 5F1F0400FFFFFF 0400 0007")
PROOF = b"\xc7\x01\xc1\x00\x01\x00\x09\x11\x10" + bytes(16)
VALUE = b"\xc4\x01\xc1\x00\x06\x00\x00\x00\x07"
NOWHERE = parse_url("tcp://127.0.0.1:1")


def aare(title, mechanism=5, info=INITIATE_RESPONSE, challenge=bytes(range(16))):
    out = Writer(300)
    acse.write_aare(out, 3, 0, 14 if mechanism == 5 else 0, title, mechanism, challenge, info)
    return bytes(out.view())


class Rogue:
    """A transport at whose other end somebody says what `answer(apdu)` gives."""

    def __init__(self, answer):
        self.answer = answer

    def connect(self):
        pass

    def send_request(self, apdu):
        return self.answer(bytes(apdu))

    def disconnect(self):
        pass


@pytest.fixture
def store(tmp_path):
    return Keystore(tmp_path / "keystore", b"p", scrypt_n=2)


@pytest.fixture
def rogue(store, monkeypatch):
    """Gives whoever plays the meter: a function of the request."""
    store.new(METER)

    def play(answer):
        monkeypatch.setattr(client_module, "open_link", lambda *_: Rogue(answer))

    return play


@pytest.fixture
def between(store, monkeypatch):
    """A meter that is there, and somebody between: `tamper(request, answer)`."""
    ports = LinkPorts(None, 0)
    Meter(store, ports)

    def play(tamper):
        def opened(*arguments):
            real = open_link(*arguments)

            class Between(Rogue):
                def disconnect(self):
                    real.disconnect()

            return Between(lambda apdu: tamper(apdu, real.send_request(apdu)))

        monkeypatch.setattr(client_module, "open_link", opened)
        return parse_url(ports.urls[0])

    yield play
    ports.close()


@pytest.mark.parametrize("mechanism", [0, 1, 2, 5, 6])
@pytest.mark.parametrize("title", ["meter", "client", "other"])
def test_without_keys_nobody_is_the_meter(rogue, store, mechanism, title):
    """It opens with whatever mechanism, and answers everything in clear."""
    keys = store.get(METER)
    titles = {"meter": keys.system_title, "client": keys.client(1).title, "other": "4f414d00000000"}
    name = bytes.fromhex(titles[title]).ljust(8, b"\0")

    def answer(apdu):
        if apdu[0] == 0x60:
            return aare(name, mechanism)
        return VALUE if apdu[0] == 0xC0 else PROOF

    rogue(answer)
    with pytest.raises(ClientError), session(NOWHERE, "operator", store, METER) as client:
        client.get(3, REGISTER, 2)
    before = store.get(METER)
    with pytest.raises(ClientError):
        rotation.rotate(NOWHERE, store, METER, 1)
    after = store.get(METER)
    assert [client.current.encryption for client in after.clients] == [
        client.current.encryption for client in before.clients
    ]


@pytest.mark.parametrize("plain", [VALUE, VALUE[:3] + b"\x01\x03", b"\xc5\x01\xc1\x00"])
def test_an_answer_in_clear_is_none(between, store, plain):
    told = []

    def tamper(request, answer):
        told.append(request)
        return plain if len(told) == 3 else answer

    url = between(tamper)
    with session(url, "operator", store, METER) as client:
        with pytest.raises(ClientError, match="in clear"):
            client.get(3, REGISTER, 2)
        assert len(told) == 3


def test_an_old_answer_is_none(between, store):
    """Of this association and of an earlier one, under the same keys."""
    kept = []
    replays = []

    def tamper(request, answer):
        kept.append(answer)
        return kept[replays.pop()] if replays else answer

    url = between(tamper)
    for _ in range(2):
        with session(url, "operator", store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456
    # AARE, proof, value, RLRE of each.
    for number in (2, 6, 10):
        with session(url, "operator", store, METER) as client:
            replays.append(number)
            with pytest.raises(ClientError, match="counter"):
                client.get(3, REGISTER, 2)


def test_a_value_without_end_is_given_up(rogue, store):
    """On the public association anybody may answer, block after block."""
    blocks = 0

    def answer(apdu):
        nonlocal blocks
        if apdu[0] == 0x60:
            out = Writer(200)
            acse.write_aare(out, 1, 0, 0, bytes(8), 0, None, INITIATE_RESPONSE)
            return bytes(out.view())
        blocks += 1
        assert blocks < 1000
        head = b"\xc4\x02\xc1\x00" + blocks.to_bytes(4, "big") + b"\x00\x82\xff\x00"
        return head + bytes(0xFF00)

    rogue(answer)
    with (
        pytest.raises(ClientError, match="no end"),
        session(NOWHERE, "public", None, None) as client,
    ):
        client.get(1, "0.0.42.0.0.255", 2)


def test_a_counter_that_comes_in_clear_is_not_believed_beyond_measure(rogue, store):
    """Whoever says "your counter is old" must not use up the numbers of a key."""
    for expected in (0xFFFFFFFE, 0x80000000):
        rogue(lambda apdu, e=expected: b"\xd8\x01\x06" + e.to_bytes(4, "big"))
        with (
            pytest.raises((RefusedError, ClientError), match="counter"),
            session(NOWHERE, "operator", store, METER),
        ):
            pass
    assert store.get(METER).client(1).current.next_counter < 1 << 20
