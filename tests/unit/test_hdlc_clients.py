"""The HDLC link against the framing of two clients that are not ours: gurux-dlms and dlms-cosem."""

from __future__ import annotations

from typing import ClassVar

import pytest
from dlms_cosem.hdlc import frames as u9n
from dlms_cosem.hdlc.address import HdlcAddress
from dlms_cosem.hdlc.connection import HdlcConnection
from dlms_cosem.hdlc.state import NEED_DATA
from gurux_dlms import GXByteBuffer, GXDLMSClient, GXDLMSException, GXReplyData
from gurux_dlms.enums import Authentication, DataType, InterfaceType, RequestTypes
from gurux_dlms.objects import GXDLMSData

from ams.cosem import hdlc
from openams.faultlab.link_lab import Echo

# An AARE that accepts, without ciphering, and a Get-Response of a long octet string.
AARE = bytes.fromhex(
    "6129A109060760857405080101A203020100A305A103020100"
    "BE10040E0800065F1F040000 7E1F04B00007".replace(" ", "")
)


class Meter(Echo):
    """Answers AARQ by AARE, a get by an octet string of the length that its class number says."""

    asked: ClassVar[list[bytes]] = []

    def request(self, channel, client_sap, server_sap, apdu, now_ms):
        apdu = bytes(apdu)
        self.delivered.append(apdu)
        if apdu[0] == 0x60:
            return memoryview(AARE)
        if apdu[0] == 0x62:
            return memoryview(bytes.fromhex("6303800100"))
        size = int.from_bytes(apdu[3:5], "big")
        value = bytes([0x09, 0x82, *size.to_bytes(2, "big")]) + bytes(k & 0xFF for k in range(size))
        return memoryview(bytes([0xC4, 0x01, apdu[2], 0x00]) + value)


class Bench:
    def __init__(self):
        self.server = Meter()
        self.out = bytearray()
        self.link = hdlc.HdlcLink(self.server, lambda view: self.out.extend(view))

    def send(self, data):
        self.link.feed(bytes(data), 0)
        out, self.out = bytes(self.out), bytearray()
        return out


def item(class_id):
    out = GXDLMSData("0.0.1.0.0.255")
    out.objectType = class_id
    return out


class Gurux:
    """gurux-dlms's client over the bench."""

    def __init__(self, bench, server):
        self.bench = bench
        self.client = GXDLMSClient(True, 16, server, Authentication.NONE, None, InterfaceType.HDLC)

    def read(self, data, reply):
        """Sends one frame, and what more it takes to have the whole reply."""
        reply.clear()
        while True:
            buffer = GXByteBuffer(self.bench.send(data))
            notify = GXReplyData()
            assert self.client.getData(buffer, reply, notify), "no whole frame"
            if reply.error:
                raise GXDLMSException(reply.error)
            if not reply.isMoreData():
                return
            data = self.client.receiverReady(reply)

    def talk(self, messages):
        reply = GXReplyData()
        for message in messages if isinstance(messages, list) else [messages]:
            self.read(message, reply)
        return reply

    def open(self):
        reply = self.talk(self.client.snrmRequest())
        self.client.parseUAResponse(reply.data)
        reply = self.talk(self.client.aarqRequest())
        self.client.parseAareResponse(reply.data)


@pytest.mark.parametrize(
    "server", [1, GXDLMSClient.getServerAddress(1, 16), GXDLMSClient.getServerAddress(1, 16, 4)]
)
@pytest.mark.parametrize("info", [64, 128, 240, 480])
def test_gurux(server, info):
    # Not 512: gurux-dlms 1.0.203 writes a wrong length into a segment whose frame needs more
    # of the length's high bits than its information does. Nor windows: it asks for the next
    # frame before it has looked at the others of a window.
    bench = Bench()
    gurux = Gurux(bench, server)
    limits = gurux.client.hdlcSettings
    limits.maxInfoTX = limits.maxInfoRX = info
    gurux.open()
    assert bench.server.events == [("connected", 0, 16, 1)]
    for size in (1, 60, 200, 900, 3000):
        reply = gurux.talk(gurux.client.read(item(size), 2))
        assert bytes(reply.value) == bytes(k & 0xFF for k in range(size))
    # A request of several segments.
    value = bytes(range(200)) * 3
    bench.server.delivered.clear()
    gurux.talk(gurux.client.method(item(18), 1, value, DataType.OCTET_STRING))
    assert len(bench.server.delivered) == 1
    assert bench.server.delivered[0].endswith(value)
    gurux.talk(gurux.client.disconnectRequest())
    assert bench.server.events[-1] == ("disconnected", 0)


def test_gurux_polls_again():
    bench = Bench()
    gurux = Gurux(bench, 1)
    gurux.open()
    (request,) = gurux.client.read(item(300), 2)
    bench.send(request)  # the answer gets lost
    reply = gurux.talk(request)
    assert bytes(reply.value) == bytes(k & 0xFF for k in range(300))
    assert len(bench.server.delivered) == 2
    poll = gurux.client.receiverReady(RequestTypes.FRAME)
    assert poll  # the client's own receiver-ready frame is taken
    assert bench.send(poll)


class U9n:
    """dlms-cosem's HDLC layer over the bench, as its HdlcTransport uses it."""

    def __init__(self, bench, logical=1, physical=None, extended=False):
        self.bench = bench
        self.client = HdlcAddress(16, None, "client")
        self.server = HdlcAddress(logical, physical, "server", extended)
        self.connection = HdlcConnection(self.client, self.server)

    def talk(self, frame):
        self.connection.receive_data(self.bench.send(self.connection.send(frame)))
        while (event := self.connection.next_event()) is NEED_DATA:
            # It takes each 7E of the data for a flag, and looks further when asked again.
            assert self.connection.buffer_search_position < len(self.connection.buffer)
        return event

    def open(self):
        return self.talk(u9n.SetNormalResponseModeFrame(self.server, self.client))

    def request(self, apdu):
        data = b"\xe6\xe6\x00" + apdu
        while data:
            segment, data = data[:128], data[128:]
            frame = u9n.InformationFrame(
                self.server,
                self.client,
                segment,
                send_sequence_number=self.connection.server_ssn,
                receive_sequence_number=self.connection.server_rsn,
                segmented=bool(data),
                final=True,
            )
            event = self.talk(frame)
        out = b""
        while True:
            out += event.payload
            if not event.segmented:
                return out
            event = self.talk(
                u9n.ReceiveReadyFrame(
                    self.server, self.client, receive_sequence_number=self.connection.server_rsn
                )
            )


@pytest.mark.parametrize("address", [(1,), (1, 16), (1, 16, True)])
def test_dlms_cosem(address):
    bench = Bench()
    u9n_client = U9n(bench, *address)
    ua = u9n_client.open()
    assert isinstance(ua, u9n.UnNumberedAcknowledgmentFrame)
    assert bench.server.events == [("connected", 0, 16, 1)]
    for size in (1, 60, 126, 200, 900, 3000):
        request = bytes((0xC0, 1, 0xC1)) + size.to_bytes(2, "big") + bytes(8)
        answer = u9n_client.request(request)
        assert answer[:3] == b"\xe6\xe7\x00"
        assert answer[-size:] == bytes(k & 0xFF for k in range(size))
    long = bytes((0xC0, 1, 0xC1, 0, 1)) + bytes(600)
    u9n_client.request(long)
    assert bench.server.delivered[-1] == long
    ua = u9n_client.talk(u9n.DisconnectFrame(u9n_client.server, u9n_client.client))
    assert isinstance(ua, u9n.UnNumberedAcknowledgmentFrame)
    assert bench.server.events[-1] == ("disconnected", 0)
