"""A push that gurux-dlms sets up on a running meter, over a connection that the meter opens."""

from __future__ import annotations

import queue
import struct

import pytest
from cosem_objects import decode, name
from dlms import OPERATOR_KEYS, READER_KEYS, TITLE
from dlms_cosem.protocol.xdlms import DataNotification, GeneralGlobalCipher
from dlms_cosem.security import decrypt
from dlmsmeter import START_MS, MeterBench
from gurux import Gurux
from gurux_dlms.enums import DataType
from gurux_dlms.objects import GXDLMSPushSetup
from gurux_dlms.objects.enums import MessageType, ServiceType

from openams.lines.channels import CONNECT, CONNECTED

DESTINATION = b"head-end:4061"


class Bench(MeterBench):
    def __init__(self, *arguments, **more):
        self.asked: queue.Queue[tuple[int, bytes]] = queue.Queue()
        super().__init__(*arguments, **more)

    def _from_meter(self, channel, kind, data):
        if kind == CONNECT:
            self.asked.put((channel, data))
        else:
            super()._from_meter(channel, kind, data)


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_a_push_over_a_connection_of_the_meters_own(runtime):
    with Bench(runtime) as bench:
        client = Gurux(bench, 1, OPERATOR_KEYS).open()
        setup = GXDLMSPushSetup("0.0.25.9.0.255")
        setup.version = 0
        setup.service = ServiceType.TCP
        setup.destination = DESTINATION.decode()
        setup.message = MessageType.COSEM_APDU
        client.ask(client.client.write(setup, 3))
        client.read(setup, 3)
        assert setup.destination == DESTINATION.decode()
        client.read(setup, 2)
        assert len(setup.pushObjectList) == 4
        client.ask(client.client.method(setup, 1, 0, DataType.INT8))
        bench.process.tick(START_MS + 1000)
        channel, destination = bench.asked.get(timeout=30)
        assert destination == DESTINATION and channel != 1
        bench.process.link(channel, CONNECTED, b"")
        bench.process.tick(START_MS + 3000)
        bench.process.tick(START_MS + 4000)
        frame = bench.octets[channel].get(timeout=30)
        version, source, target, length = struct.unpack(">4H", frame[:8])
        assert (version, source, target) == (1, 1, 2) and length == len(frame) - 8
        sealed = GeneralGlobalCipher.from_bytes(frame[8:])
        plain = decrypt(
            sealed.security_control, TITLE, sealed.invocation_counter, READER_KEYS[0],
            sealed.ciphered_text, READER_KEYS[1],
        )  # fmt: skip
        body = decode(bytes(DataNotification.from_bytes(plain).body))
        assert body[0] == name("0.0.25.9.0") and body[1] == b"OAM9990000000017"
        client.close()
