"""Clients that are not ours while the meter has alarms to tell: gurux-dlms and dlms-cosem.

Somebody tries keys that are none, which raises one. On a line it waits until the line is given to
the meter; over TCP it is told to a client that is associated and has nothing to ask.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from pathlib import Path

import pytest
import serial
from dlms_clients import Gurux, attribute, dlms_cosem, running_meter
from dlms_cosem import cosem, enumerations
from gurux_dlms.enums import DataType
from gurux_dlms.objects import (
    GXDLMSDisconnectControl,
    GXDLMSImageTransfer,
    GXDLMSLimiter,
    GXDLMSRegister,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))

from floods import forged

from openams.client.hdlc import Deframer, Frame, decode, encode

RUNTIMES = ("cpython", "micropython")
BREAKER = "0.0.96.3.10.255"
LIMITER = "0.0.17.0.0.255"
ENERGY = "1.0.1.8.0.255"
TRANSFER = "0.0.44.0.0.255"
ALARM_PUSH = "0.4.25.9.0.255"
# Push setup, attribute 3: over TCP, to whoever is associated.
TO_WHOEVER = b"\x02\x03\x16\x00\x09\x00\x16\x00"
READER, METER = b"\x05", b"\x03"
UI = 0x13


@pytest.fixture(
    scope="module",
    params=[(runtime, link) for runtime in RUNTIMES for link in ("tcp", "hdlc")],
    ids="-".join,
)
def meter(request, tmp_path_factory):
    """(a meter that tells alarms on a link, that link)"""
    runtime, link = request.param
    with running_meter(tmp_path_factory.mktemp(runtime), runtime=runtime) as running:
        assert told_on_the_line(running, 1) == 1, "it has started"
        if link == "tcp":
            with dlms_cosem(running, "operator", "tcp") as client:
                done = client.set(attribute(40, ALARM_PUSH, 3), TO_WHOEVER)
                assert int(done.result) == 0
        yield running, link
        names = [event["name"] for event in running.stop()["events"]]
        moved = names.count("remote-disconnection")
        assert 1 <= moved == names.count("remote-connection")


class ByGurux:
    def __init__(self, meter, role, link):
        self._session = Gurux(meter, role, link)

    def __enter__(self):
        self._client = self._session.__enter__()
        return self

    def __exit__(self, *error):
        self._session.__exit__(*error)

    def names(self):
        return {thing.logicalName for thing in self._client.objects()}

    def energy(self):
        return self._client.read(GXDLMSRegister(ENERGY), 2)

    def is_on(self):
        return self._client.read(GXDLMSDisconnectControl(BREAKER), 2)

    def move(self, method):
        self._client.call(GXDLMSDisconnectControl(BREAKER), method, 0, DataType.INT8)

    def limit(self, milliwatts):
        limiter = GXDLMSLimiter(LIMITER)
        limiter.thresholdNormal = milliwatts
        limiter.setDataType(4, DataType.UINT32)
        self._client.write(limiter, 4)
        assert self._client.read(limiter, 4) == milliwatts

    def initiate(self, name, size):
        transfer = GXDLMSImageTransfer(TRANSFER)
        self._client._ask(transfer.imageTransferInitiate(self._client.client, name, size))
        return self._client.read(transfer, 3)


class ByDlmsCosem:
    def __init__(self, meter, role, link):
        self._session = dlms_cosem(meter, role, link)

    def __enter__(self):
        self._client = self._session.__enter__()
        return self

    def __exit__(self, *error):
        self._session.__exit__(*error)

    def names(self):
        data = self._client.get(attribute(15, "0.0.40.0.0.255", 2))
        assert data[:1] == b"\x01"
        return {BREAKER, LIMITER} if bytes((0, 0, 96, 3, 10, 255)) in data else set()

    def energy(self):
        return int.from_bytes(self._client.get(attribute(3, ENERGY, 2))[1:], "big")

    def is_on(self):
        return self._client.get(attribute(70, BREAKER, 2))[1:] != b"\0"

    def move(self, method):
        interface = enumerations.CosemInterface(70)
        self._client.action(
            cosem.CosemMethod(interface, cosem.Obis.from_string(BREAKER), method), b"\x0f\x00"
        )

    def limit(self, milliwatts):
        value = b"\x06" + struct.pack(">I", milliwatts)
        assert int(self._client.set(attribute(71, LIMITER, 4), value).result) == 0
        assert self._client.get(attribute(71, LIMITER, 4)) == value

    def initiate(self, name, size):
        interface = enumerations.CosemInterface(18)
        value = (
            b"\x02\x02\x09"
            + bytes((len(name),))
            + name.encode()
            + b"\x06"
            + struct.pack(">I", size)
        )
        self._client.action(
            cosem.CosemMethod(interface, cosem.Obis.from_string(TRANSFER), 1), value
        )
        return self._client.get(attribute(18, TRANSFER, 3))


SESSIONS = {"gurux": ByGurux, "dlms-cosem": ByDlmsCosem}


def raise_an_alarm(meter):
    with socket.create_connection(meter.tcp, meter.timeout_s) as stranger:
        stranger.sendall(forged())
        assert stranger.recv(100)[8] == 0x61


def told_on_the_line(meter, least):
    """How many messages the meter says when the line is given to it: empty UI frames, polled.

    It is asked until there were so many, and then until there is none.
    """
    count = 0
    deframer = Deframer()
    patience = time.monotonic() + 20
    with serial.Serial(meter.service, 115200, timeout=0.1) as line:
        while True:
            line.write(encode(METER, READER, Frame(UI)))
            frames = []
            end = time.monotonic() + 1
            while time.monotonic() < end and not (frames and frames[-1].control == UI):
                for body in deframer.feed(line.read(2000)):
                    frames.append(decode(body, READER, METER))
            if frames:
                assert all(frame.control & ~0x10 == 0x03 for frame in frames)
                assert frames[0].information[:4] == b"\xe6\xe7\x00\xdb"
                count += 1
            elif count >= least or time.monotonic() > patience:
                return count


@pytest.mark.parametrize("name", SESSIONS)
def test_a_client_notices_nothing_of_alarms(meter, name):
    running, link = meter
    session = SESSIONS[name]
    with session(running, "breaker", link) as client:
        raise_an_alarm(running)
        assert client.names() >= {BREAKER, LIMITER}
        for method, on in ((1, False), (2, True)):
            client.move(method)
            end = time.monotonic() + 10
            while client.is_on() != on:
                assert time.monotonic() < end
            for _ in range(20):
                assert client.energy() >= 0
        client.limit(5_000_000)
        client.limit(0xFFFFFFFF)
    with session(running, "update", link) as client:
        assert client.initiate(f"{name}-{link}", 10_000)
    wanted = 1 if link == "hdlc" else 0
    assert told_on_the_line(running, wanted) == wanted
