"""Octets between outside clients and the meter's channels: an echo stands for the meter."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time

import pytest
import serial

from openams.errors import BenchError
from openams.lines import guests as guests_module
from openams.lines import linkports
from openams.lines.channels import ACKNOWLEDGED, CLOSE, CLOSED, DATA, OPENED
from openams.lines.linkports import LinkPorts
from openams.lines.ptylink import PtyLink


class Echo:
    """Answers every octet with itself; `Q` ends the connection."""

    def __init__(self, ports):
        self.ports = ports
        self.heard = []
        self.event = threading.Condition()

    def __call__(self, channel, kind, data):
        with self.event:
            self.heard.append((channel, kind, data))
            self.event.notify_all()
        if kind == DATA:
            self.ports.from_meter(channel, DATA, data)
            if b"Q" in data:
                self.ports.from_meter(channel, CLOSE, b"")
        elif kind == CLOSED:
            self.ports.from_meter(channel, ACKNOWLEDGED, b"")

    def wait_for(self, *message):
        with self.event:
            assert self.event.wait_for(lambda: message in self.heard, timeout=5), self.heard


@pytest.fixture
def bench(tmp_path):
    ports = LinkPorts(PtyLink(tmp_path / "service", "--service"), 0)
    echo = Echo(ports)
    ports.attach(echo)
    yield ports, echo
    ports.close()
    ports.close()
    assert not (tmp_path / "service").is_symlink()


def connect(ports):
    host, port = ports.urls[0].removeprefix("tcp://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.settimeout(5)
    return connection


def echoed(connection, octets):
    connection.sendall(octets)
    got = b""
    while len(got) < len(octets):
        piece = connection.recv(65536)
        assert piece
        got += piece
    return got


def test_four_connections_have_a_channel_each(bench):
    ports, echo = bench
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(ports)) for _ in range(4)]
        for k, client in enumerate(clients):
            assert echoed(client, b"client %d" % k) == b"client %d" % k
            echo.wait_for(k + 1, DATA, b"client %d" % k)
        # No fifth while all four are there with keys.
        for client in clients:
            echoed(client, linkports.KEYED)
        with connect(ports) as fifth:
            assert fifth.recv(1) == b""
        assert echoed(clients[3], b"still here") == b"still here"
    for channel in (1, 2, 3, 4):
        echo.wait_for(channel, CLOSED, b"")
    with connect(ports) as again:
        assert echoed(again, b"again") == b"again"


def test_who_has_no_keys_gives_way_the_longest_silent_first(bench):
    ports, echo = bench
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(ports)) for _ in range(4)]
        for client in [*clients, *clients[:2], *clients[3:]]:
            echoed(client, b"x")
        echoed(clients[1], linkports.KEYED)
        fifth = stack.enter_context(connect(ports))
        assert echoed(fifth, b"in") == b"in"
        assert clients[2].recv(1) == b""
        for silent in (clients[0], clients[3], fifth):
            assert echoed(stack.enter_context(connect(ports)), b"in") == b"in"
            assert silent.recv(1) == b""
        assert echoed(clients[1], b"stay") == b"stay"


def opening(sap, keyed):
    """What one says first, and what an echo makes the ports believe of it."""
    apdu = linkports.KEYED + bytes(20) if keyed else bytes(20)
    return struct.pack(">4H", 1, sap, 1, len(apdu)) + apdu


def test_of_one_client_with_keys_two_are_safe(bench):
    ports, echo = bench
    with contextlib.ExitStack() as stack:

        def come(sap, keyed=True):
            client = stack.enter_context(connect(ports))
            client.sendall(opening(sap, keyed))
            assert client.recv(100)
            return client

        readers = [come(2) for _ in range(4)]
        operators = [come(1) for _ in range(2)]
        assert [client.recv(1) for client in readers[:2]] == [b"", b""]
        assert stack.enter_context(connect(ports)).recv(1) == b""
        for client in readers[2:] + operators:
            assert echoed(client, b"still") == b"still"
        # Whoever has released his association gives way.
        readers[2].sendall(bytes(8) + b"\x63")
        assert readers[2].recv(100)
        come(5)
        assert readers[2].recv(1) == b""


def test_a_guest_is_served_when_his_message_is_whole(bench):
    ports, echo = bench
    data = opening(16, False)
    with contextlib.ExitStack() as stack:
        guests = [stack.enter_context(connect(ports)) for _ in range(9)]
        for guest in guests:
            guest.sendall(data[:9])
        time.sleep(0.2)
        assert all(kind != DATA for _, kind, _ in echo.heard)
        for guest in guests:
            guest.sendall(data[9:])
            assert guest.recv(100) == data


def test_guests_have_an_end(bench, monkeypatch):
    ports, echo = bench
    monkeypatch.setattr(guests_module, "GUESTS_MAX", 10)
    monkeypatch.setattr(guests_module, "_MESSAGE_S", 0.5)
    with contextlib.ExitStack() as stack:
        guests = [stack.enter_context(connect(ports)) for _ in range(30)]
        for guest in guests[:20]:
            assert guest.recv(1) == b"", "the oldest go"
        half = guests[29]
        half.sendall(b"\0\1")
        assert half.recv(1) == b"", "and who drips"
        assert len(ports._guests._guests) == 9


def test_half_open_connections_keep_nobody_out(bench):
    ports, echo = bench
    with contextlib.ExitStack() as stack:
        flood = [stack.enter_context(connect(ports)) for _ in range(40)]
        client = stack.enter_context(connect(ports))
        assert echoed(client, b"served") == b"served"
        flood += [stack.enter_context(connect(ports)) for _ in range(40)]
        assert echoed(client, b"still") == b"still"


def test_the_meter_ends_a_connection_after_its_last_words(bench):
    ports, echo = bench
    with connect(ports) as client:
        assert echoed(client, b"Quit") == b"Quit"
        assert client.recv(1) == b""
    echo.wait_for(1, CLOSED, b"")


def test_much_goes_through_whole_and_in_order(bench):
    ports, echo = bench
    octets = bytes(range(81)) * 5000  # no Q, more than any buffer on the way
    with connect(ports) as client:
        sender = threading.Thread(target=client.sendall, args=(octets,))
        sender.start()
        got = bytearray()
        while len(got) < len(octets):
            got += client.recv(65536)
        sender.join()
    assert bytes(got) == octets
    assert max(len(data) for _, kind, data in echo.heard if kind == DATA) <= linkports.PIECE


def test_one_that_reads_nothing_is_read_no_further(bench):
    ports, echo = bench
    with connect(ports) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                client.send(bytes(65536))
        waiting = sum(len(data) for _, kind, data in echo.heard if kind == DATA)
        with connect(ports) as other:
            assert echoed(other, b"served") == b"served"
        assert sum(len(data) for _, kind, data in echo.heard if kind == DATA) == waiting + 6


def test_the_service_port_is_a_serial_line(bench, tmp_path):
    ports, echo = bench
    echo.wait_for(0, OPENED, b"")
    assert ports.urls[1] == f"serial://{tmp_path / 'service'}"
    for baud in (300, 9600):
        with serial.Serial(str(tmp_path / "service"), baud, timeout=5) as line:
            line.write(b"/?!\r\n")
            assert line.read(5) == b"/?!\r\n"


def test_a_port_in_use_is_one_line(bench, tmp_path):
    ports, _ = bench
    port = int(ports.urls[0].rsplit(":", 1)[1])
    with pytest.raises(BenchError, match="--dlms-port"):
        LinkPorts(None, port)
    with pytest.raises(BenchError, match="in use"):
        PtyLink(tmp_path / "service", "--service")


def test_the_meter_connects_by_itself(bench):
    """Where nobody listens the meter hears that it is closed, elsewhere that it is connected."""
    ports, echo = bench
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports.from_meter(2, linkports.CONNECT, b"127.0.0.1:%d" % port)
        connection, _ = server.accept()
        connection.settimeout(5)
        echo.wait_for(2, linkports.CONNECTED, b"")
        ports.from_meter(2, DATA, b"unasked")
        assert connection.recv(100) == b"unasked"
        # Those that connect to the meter get other channels.
        other = connect(ports)
        other.sendall(b"x")
        echo.wait_for(1, DATA, b"x")
        connection.close()
        echo.wait_for(2, CLOSED, b"")
        other.close()
    echo.heard.clear()
    for nowhere in (b"127.0.0.1:%d" % port, b"no port", b"\xff\xfe:1"):
        ports.from_meter(3, linkports.CONNECT, nowhere)
        echo.wait_for(3, CLOSED, b"")
        echo.heard.clear()


def test_a_name_is_free_when_its_line_is_gone_whoever_has_the_number_now(tmp_path):
    link = tmp_path / "service"
    alive = PtyLink(link, "--service")
    with pytest.raises(BenchError, match="is in use: name another link with --service"):
        PtyLink(link, "--service")
    alive.close()
    # Left behind by a bench that was killed: the number is that of another's line by now.
    others = PtyLink(tmp_path / "others", "--service")
    link.symlink_to(others.device)
    with pytest.raises(BenchError, match="is in use"):
        PtyLink(link, "--service")
    before = os.stat(others.device).st_ctime - 60
    os.utime(link, (before, before), follow_symlinks=False)
    again = PtyLink(link, "--service")
    assert os.readlink(link) == again.device != others.device
    others.close()
    again.close()
