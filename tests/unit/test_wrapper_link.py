"""The TCP wrapper link: any slices, stalling clients, and the framing of two other clients."""

from __future__ import annotations

import asyncio
import struct

import pytest
from dlms_cosem.protocol.wrappers import WrapperHeader, WrapperProtocolDataUnit
from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.cosem.wrapper import WrapperLink, opening
from openams.faultlab.link_lab import Echo, answer_to


def message(apdu, client=16, server=1, version=1):
    return struct.pack(">HHHH", version, client, server, len(apdu)) + apdu


class Bench:
    def __init__(self, link=None, takes=None, **options):
        self.server = Echo()
        self.log = []
        self.out = bytearray()
        self.closed = 0
        self.takes = takes
        options.setdefault("answer_size", 3000)
        self.link = link or WrapperLink(self.server, 5, self.log.append, **options)
        if not link:
            self.open()

    def open(self, now_ms=0):
        self.link.open(self.write, self.close, now_ms)

    def write(self, view):
        count = len(view) if self.takes is None else min(self.takes, len(view))
        self.out += view[:count]
        return None if self.takes is None else count

    def close(self):
        self.closed += 1

    def answers(self):
        out = []
        while self.out:
            version, server, client, size = struct.unpack_from(">HHHH", self.out)
            assert version == 1
            out.append((server, client, bytes(self.out[8 : 8 + size])))
            del self.out[: 8 + size]
        return out


@settings(deadline=None)
@given(
    apdus=st.lists(st.binary(max_size=1024), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 700), min_size=1),
)
def test_split_and_coalesced(apdus, cuts):
    bench = Bench()
    stream = b"".join(message(apdu) for apdu in apdus)
    at = 0
    k = 0
    while at < len(stream):
        at += bench.link.feed(stream[at : at + cuts[k % len(cuts)]], 0)
        k += 1
    wanted = [apdu for apdu in apdus if apdu]
    assert bench.server.delivered == wanted
    answers = [(1, 16, answer_to(apdu)) for apdu in wanted if answer_to(apdu) is not None]
    assert bench.answers() == answers
    assert not bench.closed and bench.server.events == [("connected", 5, 16, 1)]


@pytest.mark.parametrize(
    "data",
    [
        message(b"abc", version=2),
        b"\x00\x00" + bytes(6),
        b"GET / HTTP/1.1\r\n\r\n",
        bytes.fromhex("7EA0070321930F017E"),
        message(bytes(1025)),
        struct.pack(">HHHH", 1, 16, 1, 0xFFFF),
    ],
)
def test_what_is_no_wrapper_is_closed(data):
    bench = Bench()
    bench.link.feed(data, 0)
    assert bench.closed == 1 and bench.link.free and bench.log
    assert not bench.server.delivered and not bench.server.events
    assert bench.link.feed(message(b"abc"), 0) == 0
    bench.open()
    assert bench.link.feed(message(b"abc"), 0) == 11
    assert bench.answers() == [(1, 16, answer_to(b"abc"))]


def test_an_unknown_port_is_closed():
    bench = Bench()
    bench.server.refuse = (9,)
    bench.link.feed(message(b"abc", server=9), 0)
    assert bench.closed == 1 and not bench.server.delivered


def test_another_client_on_the_same_connection_is_another_association():
    bench = Bench()
    bench.link.feed(message(b"abc", 16) + message(b"def", 1), 0)
    assert bench.server.events == [
        ("connected", 5, 16, 1),
        ("disconnected", 5),
        ("connected", 5, 1, 1),
    ]
    bench.link.closed()
    bench.link.closed()
    assert bench.server.events[3:] == [("disconnected", 5)]


def test_a_slow_reader_gets_its_answer_in_parts_and_no_second_one_meanwhile():
    bench = Bench(takes=100)
    data = message(b"a" * 300) + message(b"b")
    at = bench.link.feed(data, 0)
    assert at == 308, "the second message waits outside"
    for now_ms in range(100, 600, 100):
        assert bench.link.feed(data[at:], now_ms) == 0
        bench.link.tick(now_ms)
    bench.link.tick(600)
    assert bench.link.feed(data[at:], 700) == len(data) - at
    assert bench.answers() == [(1, 16, answer_to(b"a" * 300)), (1, 16, answer_to(b"b"))]


def test_who_takes_no_answer_is_closed():
    bench = Bench(takes=0)
    bench.link.feed(message(b"abc"), 0)
    bench.link.tick(10_000)
    assert not bench.closed
    bench.link.tick(10_001)
    assert bench.closed == 1


def test_a_message_that_drips_is_closed():
    bench = Bench()
    data = message(b"x" * 100)
    for k, octet in enumerate(data):
        bench.link.feed(bytes((octet,)), k * 500)
        bench.link.tick(k * 500)
    assert bench.closed == 1 and not bench.server.delivered


def test_silence_is_closed():
    bench = Bench()
    bench.link.feed(message(b"abc"), 0)
    bench.link.tick(120_000)
    assert not bench.closed
    bench.link.tick(120_001)
    assert bench.closed == 1 and bench.server.events[-1] == ("disconnected", 5)


def test_messages_of_its_own():
    bench = Bench()
    bench.server.message = b"\x0fhi"
    bench.link.tick(1)
    assert bench.out == b"", "nobody is associated"
    bench.link.feed(message(b"abc", 1), 0)
    bench.link.tick(1999)
    assert bench.answers() == [(1, 1, answer_to(b"abc"))], "the client may be asking on"
    bench.link.feed(message(b"half")[:9], 2000)
    bench.link.tick(5000)
    bench.link.feed(message(b"half")[9:], 5000)
    assert bench.answers() == [(1, 16, answer_to(b"half"))], "nor between a request and its answer"
    bench.link.tick(7000)
    assert bench.answers() == [(1, 16, b"\x0fhi")]


def test_nothing_is_told_to_who_is_not_associated():
    bench = Bench()
    bench.server.is_open = lambda channel: False
    bench.server.message = b"\x0fhi"
    bench.link.feed(message(b"abc", 1), 0)
    bench.link.tick(60_000)
    assert bench.answers() == [(1, 1, answer_to(b"abc"))] and bench.server.message


def test_a_connection_of_its_own_is_for_its_messages_until_somebody_asks():
    bench = Bench()
    bench.link.expect(2, 1)
    bench.server.message = b"\x0fhi"
    bench.link.tick(0)
    assert bench.answers() == [(1, 2, b"\x0fhi")]
    bench.link.feed(message(b"abc", 2), 10)
    bench.server.message = b"\x0fho"
    bench.link.tick(20)
    assert bench.answers() == [(1, 2, answer_to(b"abc"))]
    bench.link.tick(2010)
    assert bench.answers() == [(1, 2, b"\x0fho")]


def test_one_message_at_a_time_where_that_is_wanted():
    bench = Bench()
    bench.link.one_at_a_time = True
    data = message(b"one") + message(b"two")
    assert bench.link.feed(data, 0) == 11
    assert bench.link.feed(data[11:], 0) == 11
    assert bench.server.delivered == [b"one", b"two"]


@pytest.mark.parametrize(
    "said, wanted",
    [
        (b"", 8),
        (b"\0", 8),
        (b"\0\1\0", 8),
        (message(b"abc")[:8], 11),
        (message(b"abc"), 11),
        (message(b""), 16),
        (message(b"") + message(b"abc"), 19),
        (message(b"") * 70, 512),
        (message(bytes(1024)), 512),
        (b"\1", None),
        (b"\0\2", None),
        (message(b"") + b"\0\7", None),
        (message(bytes(1025)), None),
        (b"GET / HTTP/1.0", None),
    ],
)
def test_what_a_connection_says_before_it_is_served(said, wanted):
    assert opening(said) == wanted


def test_gurux():
    bench = Bench()
    client = GXDLMSClient(True, 16, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
    client.parseUAResponse(GXByteBuffer(b"")) if client.snrmRequest() else None
    (aarq,) = client.aarqRequest()
    bench.link.feed(bytes(aarq), 0)
    assert bench.server.events == [("connected", 5, 16, 1)]
    assert bench.server.delivered[0][:1] == b"\x60"
    (answer,) = bench.answers()
    # Its reader takes our header: an answer of its own making in our frame.
    release = bytes.fromhex("6303800100")
    bench.server.request = lambda *_: memoryview(release)
    bench.link.feed(bytes(aarq), 0)
    reply = GXReplyData()
    assert client.getData(GXByteBuffer(bytes(bench.out)), reply, GXReplyData())
    assert reply.command == 0x63


def test_dlms_cosem():
    bench = Bench()
    apdu = bytes(range(1, 200))
    pdu = WrapperProtocolDataUnit(
        apdu, WrapperHeader(source_wport=16, destination_wport=1, length=len(apdu))
    )
    bench.link.feed(pdu.to_bytes(), 0)
    header = WrapperHeader.from_bytes(bytes(bench.out[:8]))
    assert (header.source_wport, header.destination_wport) == (1, 16)
    assert bytes(bench.out[8:]) == answer_to(apdu) and header.length == len(bench.out) - 8


def test_over_a_real_socket():
    """A client that goes away in the middle leaves a free channel behind."""

    async def run():
        server = Echo()
        link = WrapperLink(server, 1, answer_size=3000)

        async def serve(reader, writer):
            link.open(lambda view: writer.write(bytes(view)), writer.close, 0)
            while data := await reader.read(64):
                link.feed(data, 0)
            link.closed()
            writer.close()

        host = await asyncio.start_server(serve, "127.0.0.1", 0)
        number = host.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(message(b"x" * 500))
        head = await reader.readexactly(8)
        size = struct.unpack(">HHHH", head)[3]
        assert await reader.readexactly(size) == answer_to(b"x" * 500)
        writer.write(message(b"half")[:9])
        writer.close()
        await writer.wait_closed()
        for _ in range(100):
            if link.free:
                break
            await asyncio.sleep(0.01)
        assert link.free and server.events[-1] == ("disconnected", 1)
        host.close()

    asyncio.run(run())


HEAP = """
import gc
from ams.cosem.wrapper import WrapperLink

class Upper:
    def __init__(self):
        self.answer = memoryview(bytearray(1000))
        self.count = 0
    def connected(self, channel, client_sap, server_sap):
        return True
    def disconnected(self, channel):
        pass
    def request(self, channel, client_sap, server_sap, apdu, now_ms):
        self.count += 1
        return self.answer
    def outgoing(self, channel):
        return None

upper = Upper()
link = WrapperLink(upper, 1)
octets = [0]
def write(view):
    octets[0] += len(view)
def close():
    pass
data = b"\\x00\\x01\\x00\\x10\\x00\\x01\\x04\\x00" + bytes(1024)

def messages(count):
    link.open(write, close, 0)
    for k in range(count):
        at = 0
        while at < len(data):
            at += link.feed(data, 1, at, min(at + 7, len(data)))
        link.tick(1)
    link.closed()

messages(2)
gc.collect()
before = gc.mem_alloc()
gc.disable()
messages(50)
used = gc.mem_alloc() - before
gc.enable()
messages(2000)
gc.collect()
print(upper.count, used // 50, gc.mem_alloc() - before)
"""


def test_heap_is_constant_on_micropython(micropython):
    count, octets_each, grown = map(int, micropython(HEAP).split())
    # The collector may take a stale word of the stack for a pointer: some blocks, not more.
    assert count == 2052 and grown <= 512
    # Views of the request and of the answer; nothing per slice.
    assert octets_each <= 300, octets_each
