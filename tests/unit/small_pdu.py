"""Clients that take little: every answer fits, and all of it comes. On either VM (test_small_pdu).

`run(sizes)` raises AssertionError at the first answer that does not.
"""

import struct

from dlms import (
    GET_LONG,
    GET_REGISTER,
    READER_KEYS,
    REGISTER_ANSWER,
    Bench,
    Long,
    Public,
    Raw,
    hexed,
)

LEAST = 12
OBJECTS = b"\xc0\x01\xc1\x00\x0f\x00\x00\x28\x00\x00\xff\x02\x00"
LISTED = b"\xc0\x03\xc1\x02" + GET_REGISTER[3:] + GET_REGISTER[3:-2] + b"\x03\x00"
LISTED_ANSWER = b"\x02\x00\x06\x00\x01\xe2\x40\x00\x02\x02\x0f\x00\x16\x1e"
CALL_LONG = b"\xc3\x01\xc1\x00\x01\x00\x00\x60\x01\x00\xff\x02\x00"
CALLED = b"\x00\x01\x00\x09\x81\xc8" + bytes(range(200))
WRITE_ONE = b"\x00\x01\x00\x00\x60\x01\x00\xff\x02\x00"
TOO_LONG = b"\xd8\x01\x04"


class Small:
    """A client whose answers are measured. `via_blocks`: all goes in general blocks."""

    def __init__(self, client, size):
        client.pdu_size = size
        self.client = client
        self.size = size
        self.via_blocks = False
        self._send = client.send
        client.send = self.send

    def send(self, apdu):
        if not self.via_blocks:
            return self.measured(apdu)
        answer = self.measured(struct.pack(">BBHHBH", 0xE0, 0x81, 1, 0, 0x82, len(apdu)) + apdu)
        whole = b""
        while answer is not None and answer[0] == 0xE0:
            control, number, _, count = struct.unpack(">BHHB", answer[1:7])
            at = 7
            if count == 0x82:
                count, at = struct.unpack(">H", answer[7:9])[0], 9
            assert len(answer) == at + count
            whole += answer[at:]
            if control & 0x80:
                return whole
            answer = self.measured(struct.pack(">BBHHB", 0xE0, 0x81, 2, number, 0))
        return answer

    def measured(self, apdu):
        answer = self._send(apdu)
        # An AARE is no xDLMS APDU: the limit begins behind it.
        assert answer is None or answer[0] == 0x61 or len(answer) <= self.size, hexed(answer)
        return answer

    def whole(self, plain):
        """The data of an answer, whether it came in one piece or in the service's blocks."""
        answer = self.client.ask(plain)
        if answer[1] != 2:
            assert answer[0] in (0xC4, 0xC7), hexed(answer)
            return answer[4 if answer[:2] == b"\xc4\x01" else 3 :]
        got = b""
        while True:
            at = 9 if answer[0] == 0xC4 else 8
            count = answer[at]
            at += 1
            if count == 0x82:
                count, at = struct.unpack(">H", answer[at : at + 2])[0], at + 2
            assert answer[1] == 2 and 0 < count == len(answer) - at, hexed(answer)
            got += answer[at:]
            if answer[3]:
                return got
            head = {0xC4: b"\xc0\x02\xc1", 0xC7: b"\xc3\x02\xc1"}[answer[0]]
            answer = self.client.ask(head + answer[4:8])


def public(size):
    bench = Bench()
    small = Small(Public(bench), size)
    small.client.associate()
    ample = Small(Public(bench, channel=2), 0xFFFF)
    ample.client.associate()
    assert small.client.ask(GET_REGISTER) == REGISTER_ANSWER
    if size % 16 == LEAST or size > 64:
        # Long: of some sizes.
        assert small.whole(OBJECTS) == ample.whole(OBJECTS)
    assert small.whole(LISTED) == LISTED_ANSWER
    # What it may not is refused, and that fits too.
    assert small.client.ask(b"\xc1\x01\xc1" + WRITE_ONE + b"\x09\x01x") == b"\xc5\x01\xc1\x03"
    assert small.client.ask(CALL_LONG) == b"\xc7\x01\xc1\x03\x00"
    for apdu in (b"\xc0", b"\xc0\x09\xc1", b"\xc8\x00", b"\xe0\x81", b"\x00", bytes(1025)):
        assert small.client.ask(apdu)[0] == 0xD8
    listed = small.client.ask(b"\xc1\x04\xc1\x09" + WRITE_ONE * 9 + b"\x09" + b"\x09\x01x" * 9)
    room = size >= 4 + 9
    assert listed == (b"\xc5\x05\xc1\x09" + b"\x03" * 9 if room else TOO_LONG)
    without = Raw(bench, 16, channel=3)
    without.conformance = 0x10
    without.pdu_size = size
    answer = without.send(without.aarq(info=without.initiate(), context=1, mechanism=None))
    assert answer[0] == 0x61 and b"\xa2\x03\x02\x01\x00" in answer
    assert without.send(GET_REGISTER) == REGISTER_ANSWER
    length = len(ample.whole(OBJECTS)) + 4
    assert size >= length or without.send(OBJECTS) == TOO_LONG
    assert not bench.complaints, bench.complaints


def keyed(size, via_blocks):
    """`via_blocks` or not: what fits is served, and what does not says so and does nothing."""
    bench = Bench()
    small = Small(Raw(bench), size)
    Long.written = b""
    Long.calls = []
    client = small.client
    client.open()
    small.via_blocks = via_blocks
    fits = via_blocks or size >= 19 + 25
    proved = client.reply()
    if not fits:
        # In blocks of the service, or not at all.
        assert proved == TOO_LONG if size < 19 + LEAST else proved[:4] == b"\xc7\x02\xc1\x00"
        assert bench.server.is_open(1) == (size >= 19 + LEAST)
    else:
        assert proved[:4] == b"\xc7\x01\xc1\x00", proved
    if fits or size >= 19 + LEAST:
        ample = Small(Raw(bench, 2, READER_KEYS, channel=2), 0xFFFF)
        ample.client.associate()
        if size % 16 == LEAST or size > 64:
            # Long: of some sizes.
            assert small.whole(GET_LONG) == ample.whole(GET_LONG)
        assert small.whole(LISTED) == LISTED_ANSWER
        assert client.ask(GET_REGISTER) == REGISTER_ANSWER
        assert small.whole(CALL_LONG) == CALLED and len(Long.calls) == 1
        assert client.ask(b"\xc1\x01\xc1" + WRITE_ONE + b"\x09\x01x") == b"\xc5\x01\xc1\x00"
        assert Long.written == b"x"
        listed = client.ask(b"\xc1\x04\xc1\x09" + WRITE_ONE * 9 + b"\x09" + b"\x09\x01y" * 9)
        room = via_blocks or size >= 19 + 4 + 9
        assert listed == (b"\xc5\x05\xc1\x09" + bytes(9) if room else TOO_LONG)
        assert Long.written == (b"y" if room else b"x")
    assert not bench.complaints, bench.complaints


def refused():
    """Below the least: confirmedServiceError, pdu-size-too-short; 0 is no limit."""
    for size in (1, 5, 11):
        bench = Bench()
        for client in (Raw(bench), Public(bench, channel=2)):
            client.pdu_size = size
            info = client.initiate()
            public = client.sap == 16
            info = info if public else client.seal(0x21, info)
            answer = client.send(
                client.aarq(info=info, context=1, mechanism=None)
                if public
                else client.aarq(info=info)
            )
            assert answer.endswith(b"\x0e\x01\x06\x03"), hexed(answer)


def run(sizes):
    refused()
    for size in sizes:
        public(size)
        keyed(size, False)
        keyed(size, True)
    return len(sizes)
