"""TCP clients at a meter that has only a service port: the wrapper becomes HDLC and back."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import pytest
from dlms import LONG, REGISTER, Long
from host_meter import METER, Meter

from openams.client.client import session
from openams.client.errors import LinkError
from openams.client.hdlc import HdlcTransport
from openams.client.links import parse_url
from openams.keys.keystore import Keystore
from openams.lines import gateway as module
from openams.lines.channels import CLOSE, DATA, OPENED
from openams.lines.gateway import Gateway
from openams.lines.linkports import LinkPorts
from openams.lines.ptylink import PtyLink


class SerialMeter(Meter):
    """Has no network: only the service port's octets reach it."""

    gateway = None

    def take(self, channel, kind, data):
        assert channel == 0
        super().take(channel, kind, data)

    def link_write(self, channel, data):
        assert channel == 0
        self.gateway.from_meter(channel, DATA, bytes(data))


@pytest.fixture
def store(tmp_path):
    return Keystore(tmp_path / "keystore", b"p", scrypt_n=2)


@pytest.fixture
def ports(store, tmp_path):
    ports = LinkPorts(PtyLink(tmp_path / "service", "--service"), 0)
    meter = SerialMeter(store, ports, attach=False)
    meter.gateway = Gateway(meter.take, ports.from_meter, timeout_s=2)
    ports.attach(meter.gateway.from_client)
    yield ports
    ports.close()


@pytest.fixture
def tcp(ports):
    return parse_url(ports.urls[0])


def test_every_role_over_tcp(tcp, store):
    for role in ("public", "reader", "operator"):
        with session(tcp, role, store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456
            if role != "public":
                assert [row[1] for row in client.get(1, LONG, 2)] == list(range(Long.rows))


def test_the_service_port_is_free_while_nobody_has_the_line(ports, tcp, store):
    for url in (tcp, parse_url(ports.urls[1]), tcp):
        with session(url, "reader", store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456


def test_one_at_a_time_and_an_idle_one_gives_way(tcp, store, monkeypatch):
    with session(tcp, "reader", store, METER) as first:
        with pytest.raises(LinkError), session(tcp, "operator", store, METER):
            pass
        assert first.get(3, REGISTER, 2) == 123456
        monkeypatch.setattr(module, "_SILENT_S", 0.0)
        with session(tcp, "operator", store, METER) as second:
            assert second.get(3, REGISTER, 2) == 123456
            with pytest.raises(LinkError):
                first.get(3, REGISTER, 2)
    with session(tcp, "reader", store, METER) as again:
        assert again.get(3, REGISTER, 2) == 123456


def test_talk_without_keys_keeps_nobody_out(tcp, store):
    opening = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001010FFFF")
    opening = struct.pack(">HHHH", 1, 16, 1, len(opening)) + opening
    with socket.create_connection((tcp.host, tcp.port), timeout=5) as talker:
        talker.sendall(opening)
        assert talker.recv(8)
        with session(tcp, "operator", store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456
            with socket.create_connection((tcp.host, tcp.port), timeout=5) as again:
                again.sendall(opening)
                assert again.recv(1) == b""
            assert client.get(3, REGISTER, 2) == 123456


def test_a_stranger_delays_others_by_a_turn(ports, tcp, store):
    """However much one sends at once, another's request is the next but one."""
    opening = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001010FFFF")
    opening = struct.pack(">HHHH", 1, 16, 1, len(opening)) + opening
    asked = []
    ask = HdlcTransport.send_request

    def noted(transport, apdu):
        asked.append(transport._client)
        return ask(transport, apdu)

    with (
        pytest.MonkeyPatch.context() as patch,
        socket.create_connection((tcp.host, tcp.port), timeout=5) as stranger,
    ):
        patch.setattr(HdlcTransport, "send_request", noted)
        stranger.sendall(opening * 1500)
        assert stranger.recv(8)
        with session(tcp, "reader", store, METER) as client:
            assert client.get(3, REGISTER, 2) == 123456
            # He was answered while nobody else asked, and hung up on when somebody with keys did.
            # What he had sent and nobody read makes a reset of it.
            with contextlib.suppress(ConnectionResetError):
                while stranger.recv(65536):
                    pass
            assert client.get(3, REGISTER, 2) == 123456
    keyed = [client != bytes((16 << 1 | 1,)) for client in asked]
    assert not keyed[0] and keyed[-1]
    assert keyed == sorted(keyed), "a stranger's requests lie between those of another"


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.0\r\n\r\n", struct.pack(">HHHH", 1, 200, 1, 1) + b"\0",
     struct.pack(">HHHH", 1, 16, 1, 60000), struct.pack(">HHHH", 1, 16, 0xFFFF, 1) + b"\0",
     struct.pack(">HHHH", 1, 16, 0x4000, 1) + b"\0", struct.pack(">HHHH", 1, 16, 2, 1) + b"\0",
     struct.pack(">HHHH", 1, 0x7F, 1, 1) + b"\0", struct.pack(">HHHH", 1, 0, 1, 1) + b"\0"],
    ids=["http", "sap", "long", "no server", "beyond four octets", "other device", "all", "none"],
)  # fmt: skip
def test_what_is_no_client_is_hung_up_on(tcp, store, octets):
    with socket.create_connection((tcp.host, tcp.port), timeout=1.5) as wrong:
        wrong.sendall(octets)
        assert wrong.recv(1) == b"", "at once: the line is not kept waiting"
    with session(tcp, "reader", store, METER) as client:
        assert client.get(3, REGISTER, 2) == 123456


def test_who_sends_more_than_is_served_is_hung_up_on(tcp, store):
    """The line is slow: what waits for it is held in memory, and has an end."""
    one = struct.pack(">HHHH", 1, 16, 1, 13) + bytes(13)
    flood = socket.create_connection((tcp.host, tcp.port), timeout=5)
    with flood, pytest.raises(OSError):
        for _ in range(200):
            flood.sendall(one * 1000)
    with session(tcp, "reader", store, METER) as client:
        assert client.get(3, REGISTER, 2) == 123456


def test_who_is_hung_up_on_when_it_is_his_turn_ends_nobody_elses():
    """More than is held comes between his turn and his message being taken."""
    said, heard = [], threading.Event()

    def to_client(channel, kind, data):
        said.append((channel, kind))
        if channel == 2:
            heard.set()

    class Racing(Gateway):
        def _next(self):
            channel, caller = super()._next()
            if channel == 1 and not caller.closed:
                self.from_client(1, DATA, bytes(1 << 20))
            return channel, caller

    gateway = Racing(lambda *_: None, to_client)
    wrong = struct.pack(">HHHH", 2, 16, 1, 0)
    for channel in (1, 2):
        gateway.from_client(channel, OPENED, b"")
        gateway.from_client(channel, DATA, wrong)
    assert heard.wait(5) and said == [(1, CLOSE), (2, CLOSE)]


def test_a_message_without_an_apdu_is_not_waited_for(tcp, store):
    with socket.create_connection((tcp.host, tcp.port), timeout=5) as client:
        client.sendall(struct.pack(">HHHH", 1, 16, 1, 0))
        aarq = bytes.fromhex("600ba109060760857405080101")
        client.sendall(struct.pack(">HHHH", 1, 16, 1, len(aarq)) + aarq)
        assert client.recv(8)[:6] == struct.pack(">HHH", 1, 1, 16)


def test_a_request_that_wants_no_answer_gets_none(tcp):
    """The line goes on: the next is answered."""
    aarq = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001010FFFF")
    confirmed = bytes.fromhex("C001C1000301000108 00FF0200")
    quiet = b"\xc0\x01\x81" + confirmed[3:]
    with socket.create_connection((tcp.host, tcp.port), timeout=5) as client:
        for apdu, size in ((aarq, None), (quiet, 0), (confirmed, 9)):
            client.sendall(struct.pack(">HHHH", 1, 16, 1, len(apdu)) + apdu)
            if size != 0:
                head = client.recv(8)
                (length,) = struct.unpack(">H", head[6:])
                assert len(client.recv(length)) == length and size in (None, length)


def test_a_message_in_pieces(tcp):
    aarq = bytes.fromhex("600ba109060760857405080101")
    octets = struct.pack(">HHHH", 1, 16, 1, len(aarq)) + aarq
    with socket.create_connection((tcp.host, tcp.port), timeout=5) as client:
        for octet in octets:
            client.sendall(bytes((octet,)))
        assert client.recv(8)[:6] == struct.pack(">HHH", 1, 1, 16)
