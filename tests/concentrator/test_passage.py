"""Through the concentrator to each meter, by clients that are not ours, ciphered end to end."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from contextlib import ExitStack

import pytest
from dlms_cosem import cosem, enumerations
from gurux_dlms.GXDLMSGateway import GXDLMSGateway
from gurux_dlms.objects import GXDLMSData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from substation import A_PLUS, Gurux, Meters, Wire, dlms_cosem, served

from openams.client import data as axdr
from openams.client import prefix
from openams.client.client import session
from openams.client.errors import ServiceError
from openams.client.links import parse_url
from openams.client.prefix import from_meter, to_meter
from openams.concentrator.passage import Bounds

COUNT = 10
PUBLIC_AARQ = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001010FFFF")
GET_NAME = bytes.fromhex("C001C100010000 2A0000FF0200")


@pytest.fixture(scope="module")
def meters(tmp_path_factory):
    made = Meters(tmp_path_factory.mktemp("meters"), COUNT)
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(meters, tmp_path_factory):
    with served(meters, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def port(service):
    return service.passage.port


def the_day_of(gurux):
    """What is read of a meter through the gateway: register, then yesterday's rows."""
    value, rows = gurux.register(), gurux.yesterday()
    assert value > 36_000_000 and len(rows) in (23, 24, 25)
    assert all(row[2] == 1_500_000 for row in rows)
    return value


def test_gurux_reads_ten_meters_in_turn(meters, port):
    for meter_id in meters.ids:
        gurux = Gurux(port, meter_id, meters.keys.hand_out(meter_id)).open()
        the_day_of(gurux)
        gurux.close()


def test_gurux_reads_two_at_once_over_two_connections(meters, port):
    read = {}

    def go(meter_id):
        gurux = Gurux(port, meter_id, meters.keys.hand_out(meter_id)).open()
        read[meter_id] = [the_day_of(gurux) for _ in range(3)]
        gurux.close()

    threads = [threading.Thread(target=go, args=(meter_id,)) for meter_id in meters.ids[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read) == set(meters.ids[:2])


def test_gurux_reads_two_over_one_connection_by_turns(meters, port):
    wire = Wire(port)
    first, second = (
        Gurux(port, meter_id, meters.keys.hand_out(meter_id), wire=wire).open()
        for meter_id in meters.ids[2:4]
    )
    assert first.register() > 0 and second.register() > 0
    assert the_day_of(first) and the_day_of(second)
    first.ask(first.client.releaseRequest())
    second.close()


def test_guruxs_own_gateway_reads_in_clear(meters, port):
    """As published, its prefix and all; ciphered it would put the prefix where only the meter
    could read it."""
    gurux = Gurux(port, meters.ids[4], None, outside=False)
    gateway = GXDLMSGateway()
    gateway.physicalDeviceAddress = meters.ids[4].encode()
    gurux.client.gateway = gateway
    gurux.open()
    name = gurux.read(GXDLMSData("0.0.42.0.0.255"), 2)
    assert bytes(name) == b"OAM" + meters.ids[4][-13:].encode()
    gurux.close()


def test_dlms_cosem_reads_by_a_small_adapter(meters, port):
    for meter_id in meters.ids[5:7]:
        with dlms_cosem(port, meters.keys.hand_out(meter_id)) as client:
            what = cosem.CosemAttribute(
                enumerations.CosemInterface.REGISTER, cosem.Obis.from_string(A_PLUS), 2
            )
            assert axdr.decode(client.get(what)) > 36_000_000
            what = cosem.CosemAttribute(
                enumerations.CosemInterface.PROFILE_GENERIC,
                cosem.Obis.from_string("1.0.99.1.0.255"),
                2,
            )
            assert len(axdr.decode(client.get(what))) >= 24, "in blocks"


def test_our_own_client_reads_by_a_url(meters, port):
    meter_id = meters.ids[7]
    url = parse_url(f"tcp://127.0.0.1:{port}?gateway={meter_id}")
    with session(url, "operator", meters.keys, meter_id) as client:
        assert client.get(3, A_PLUS, 2) > 36_000_000


def test_nothing_that_passes_is_changed(meters, port):
    """Octet by octet: what a meter gives to a client beside it, it gives through the gateway."""
    wire, direct = Wire(port), Wire(meters.fleet.meters[8].port)
    for apdu in (PUBLIC_AARQ, GET_NAME):
        wire.message(16, 1, to_meter(meters.ids[8], apdu))
        frame = wire.receive()
        assert frame[:6] == struct.pack(">3H", 1, 1, 16)
        direct.message(16, 1, apdu)
        assert from_meter(meters.ids[8], frame[8:]) == direct.receive()[8:]


def test_what_a_meter_sends_unasked_is_kept_for_the_head_end(meters, port, service):
    """Ciphered for the reader, as it goes over TCP: nobody here opens it, nothing is answered."""
    title = bytes.fromhex(meters.keys.get(meters.ids[3]).system_title)
    sealed = b"\xdb\x08" + title + b"\x15\x30" + bytes(20)
    stranger = sealed.replace(title, b"OAM\0\0\0\0\7")
    wire = Wire(port)
    wire.message(1, 2, sealed)
    wire.message(1, 2, stranger)
    assert wire.receive() == struct.pack(">4H", 1, 2, 1, 3) + b"\xd8\x01\x02", (
        "the stranger's alone"
    )
    (push,) = service.concentrator.pushes()
    assert (push["meter_id"], push["octets"]) == (meters.ids[3], sealed)


# --- bad input --------------------------------------------------------------------------------


def refused(wire, meter_id):
    """The exception that an answer is, behind its prefix."""
    return from_meter(meter_id, wire.receive()[8:])


def test_a_meter_that_is_not_here_is_answered_with_an_exception(meters, port):
    wire = Wire(port)
    for wrong in ("7359990109999997", "0000000000000000"):
        wire.message(16, 1, to_meter(wrong, PUBLIC_AARQ))
        assert refused(wire, wrong) == b"\xd8\x01\x02"
    # The connection goes on, and so does a client of ours, in one line.
    wire.message(16, 1, to_meter(meters.ids[0], PUBLIC_AARQ))
    assert refused(wire, meters.ids[0])[0] == 0x61
    url = parse_url(f"tcp://127.0.0.1:{port}?gateway=7359990109999997")
    with pytest.raises(ServiceError, match="not supported"), session(url, "public", None, None):
        pass


@pytest.mark.parametrize(
    "message",
    [
        b"",
        PUBLIC_AARQ,  # no prefix: to the concentrator itself, which is no meter
        b"\xe6",
        b"\xe6\x00",
        b"\xe6\x00\x10735999",  # torn
        b"\xe6\x00\x10" + b"7359990110000003",  # nothing behind it
        b"\xe6\x00\xff" + bytes(100),
    ],
    ids=["empty", "none", "tag", "network", "torn", "bare", "long"],
)
def test_a_torn_prefix_is_answered_and_the_connection_goes_on(meters, port, message):
    wire = Wire(port)
    wire.message(16, 1, message)
    assert wire.receive() == struct.pack(">4H", 1, 1, 16, 3) + b"\xd8\x01\x02"
    wire.message(16, 1, to_meter(meters.ids[0], PUBLIC_AARQ))
    assert refused(wire, meters.ids[0])[0] == 0x61


@pytest.mark.parametrize(
    ("tag", "network", "address"),
    [
        (0xE6, 1, None),
        (0xE7, 0, None),
        (0xE6, 0, b""),
        (0xE6, 0, bytes(16)),
        (0xE6, 0, b"\xff" * 255),
    ],
)
def test_another_network_or_address_is_no_meter_here(meters, port, tag, network, address):
    wire = Wire(port)
    address = meters.ids[0].encode() if address is None else address
    wire.message(16, 1, prefix.Prefixed(tag, network, address, PUBLIC_AARQ).octets())
    answer = prefix.parse(wire.receive()[8:])
    assert answer == prefix.Prefixed(0xE7, 0, address, b"\xd8\x01\x02")


@pytest.mark.parametrize(
    "octets", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">4H", 2, 16, 1, 1) + b"x"]
)
def test_what_is_no_wrapper_is_hung_up_on(port, octets):
    wire = Wire(port)
    wire.send(octets)
    assert wire.receive() == b""


def test_a_meter_that_is_not_reached_is_answered_with_an_exception(meters, port, service):
    """The others on the same connection are not kept waiting."""
    lost = meters.fleet.meters[9]
    way = service.passage._places._way
    free = parse_url("tcp://127.0.0.1:1")
    way._urls[lost.meter_id], before = free, way._urls[lost.meter_id]
    try:
        wire = Wire(port)
        wire.message(16, 1, to_meter(lost.meter_id, PUBLIC_AARQ))
        assert refused(wire, lost.meter_id) == b"\xd8\x01\x01"
        wire.message(16, 1, to_meter(meters.ids[0], PUBLIC_AARQ))
        assert refused(wire, meters.ids[0])[0] == 0x61
    finally:
        way._urls[lost.meter_id] = before


def test_more_meters_than_a_connection_holds(meters, tmp_path):
    """The one unused longest gives way, and is opened anew when it is spoken to again."""
    with served(meters, tmp_path / "c", bounds=Bounds(meters_a_client=3)) as small:
        wire = Wire(small.passage.port)
        for meter_id in meters.ids[:6] * 2:
            wire.message(16, 1, to_meter(meter_id, PUBLIC_AARQ))
            assert refused(wire, meter_id)[0] == 0x61


def test_more_clients_than_places(meters, tmp_path):
    """Who has never said anything gives way after a while, and who speaks keeps his place."""
    bounds = Bounds(clients=3, mute_s=0.3)
    with served(meters, tmp_path / "c", bounds=bounds) as small:
        speaking = Wire(small.passage.port)
        speaking.message(16, 1, to_meter(meters.ids[0], PUBLIC_AARQ))
        assert refused(speaking, meters.ids[0])[0] == 0x61
        mute = [Wire(small.passage.port) for _ in range(2)]
        time.sleep(0.5)
        newcomer = Wire(small.passage.port)
        newcomer.message(16, 1, to_meter(meters.ids[1], PUBLIC_AARQ))
        assert refused(newcomer, meters.ids[1])[0] == 0x61
        speaking.message(16, 1, to_meter(meters.ids[0], GET_NAME))
        assert refused(speaking, meters.ids[0])[0] == 0xC4
        for wire in mute:
            wire.close()


def test_a_client_that_never_reads_is_hung_up_on_and_holds_little(meters, tmp_path):
    """What it asks for is not heaped up: its meter waits, then it has gone."""
    with served(meters, tmp_path / "c", bounds=Bounds(write_s=1.0)) as small:
        deaf = Wire(small.passage.port, timeout_s=5)
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.message(16, 1, to_meter(meters.ids[0], PUBLIC_AARQ))
        one = to_meter(meters.ids[0], GET_NAME)
        frame = struct.pack(">4H", 1, 16, 1, len(one)) + one
        with pytest.raises(OSError):
            for _ in range(3000):
                deaf.send(frame * 100)
        other = Wire(small.passage.port)
        other.message(16, 1, to_meter(meters.ids[0], PUBLIC_AARQ))
        assert refused(other, meters.ids[0])[0] == 0x61


def test_a_message_in_pieces_and_one_that_does_not_end(meters, tmp_path):
    with served(meters, tmp_path / "c", bounds=Bounds(torn_s=1.0)) as small:
        message = to_meter(meters.ids[0], PUBLIC_AARQ)
        frame = struct.pack(">4H", 1, 16, 1, len(message)) + message
        wire = Wire(small.passage.port)
        for octet in frame:
            wire.send(bytes((octet,)))
        assert refused(wire, meters.ids[0])[0] == 0x61
        wire.send(frame[:-1])
        assert wire.receive() == b"", "its end does not come: hung up on"


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_octets_come_the_gateway_goes_on(meters, port, pieces, data):
    """Frames that are none, torn prefixes, numbers of meters, in any mixture."""
    wire = Wire(port)
    for piece in pieces:
        how = data.draw(st.sampled_from(["raw", "framed", "prefixed", "cut"]))
        message = piece if how != "prefixed" else to_meter(meters.ids[0], piece)
        if how == "cut":
            message = to_meter(meters.ids[0], piece)[: len(piece)]
        frame = struct.pack(">4H", 1, 16, 1, len(message)) + message
        with contextlib.suppress(OSError):
            wire.send(piece if how == "raw" else frame)
    wire.close()
    after = Wire(port)
    after.message(16, 1, to_meter(meters.ids[0], PUBLIC_AARQ))
    assert refused(after, meters.ids[0])[0] == 0x61
    after.close()


def test_two_clients_at_one_meter(meters, port):
    with ExitStack() as open_:
        for _ in range(2):
            gurux = Gurux(
                port, meters.ids[1], meters.keys.hand_out(meters.ids[1]), "operator"
            ).open()
            open_.callback(gurux.wire.close)
            assert gurux.register() > 36_000_000
