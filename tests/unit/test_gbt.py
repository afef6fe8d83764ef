"""General block transfer: by hand, and as gurux does it."""

from __future__ import annotations

import struct

import gurux
import pytest
from dlms import GET_REGISTER, LONG, REGISTER_ANSWER, Bench, Long, Public, Raw
from gurux_dlms.enums import Conformance, DataType
from gurux_dlms.objects import GXDLMSData


def block(number, data, acknowledged=0, last=False, streaming=False):
    control = (0x80 if last else 0) | (0x40 if streaming else 0) | 1
    return struct.pack(">BBHHB", 0xE0, control, number, acknowledged, len(data)) + data


def taken(answer):
    """(control, number, acknowledged, octets) of a block of the meter's."""
    assert answer[0] == 0xE0
    count, at = answer[6], 7
    if count == 0x82:
        count, at = struct.unpack(">H", answer[7:9])[0], 9
    assert len(answer) == at + count
    return answer[1], *struct.unpack(">HH", answer[2:6]), answer[at:]


def parts(apdu, size):
    return [apdu[at : at + size] for at in range(0, len(apdu), size)]


@pytest.mark.parametrize("streaming", [False, True])
def test_request_and_answer_in_blocks(streaming):
    bench = Bench()
    client = Raw(bench)
    client.pdu_size = 64
    client.associate()
    pieces = parts(
        client.seal(0xDB, b"\xc3\x01\xc1\x00\x01\x00\x00\x60\x01\x00\xff\x02\x01\x00"), 10
    )
    for number, piece in enumerate(pieces[:-1], 1):
        answer = client.send(block(number, piece, streaming=streaming))
        if streaming:
            assert answer is None
        else:
            assert taken(answer) == (1, 1, number, b"")
    answer = client.send(block(len(pieces), pieces[-1], last=True))
    got = b""
    number = 0
    while True:
        assert len(answer) <= 64
        control, index, acknowledged, data = taken(answer)
        number += 1
        assert (index, acknowledged) == (number, len(pieces))
        got += data
        if number == 2:
            # As if this block had been lost: it comes again.
            assert client.send(block(9, b"", number - 1)) == answer
        if control & 0x80:
            break
        answer = client.send(block(len(pieces) + 1, b"", number))
    assert client.send(block(len(pieces) + 1, b"", number)) is None
    assert client.unseal(got) == b"\xc7\x01\xc1\x00\x01\x00\x09\x81\xc8" + bytes(range(200))
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    assert not bench.complaints


def test_a_lost_block_of_the_request_is_asked_for_again():
    bench = Bench()
    client = Raw(bench).associate()
    first, second, third = parts(client.seal(0xC8, GET_REGISTER), 12)
    assert taken(client.send(block(1, first)))[2] == 1
    assert taken(client.send(block(3, third, last=True)))[2] == 1
    assert taken(client.send(block(2, second)))[2] == 2
    answer = taken(client.send(block(3, third, last=True)))
    assert client.unseal(answer[3]) == REGISTER_ANSWER


def test_what_is_refused():
    bench = Bench()
    client = Raw(bench).associate()
    assert client.send(block(2, b"xy")) == b"\xd8\x01\x01"
    assert client.send(b"\xe0\x81\x00\x01") == b"\xd8\x01\x03"
    assert client.send(block(1, b"xy")[:-1]) == b"\xd8\x01\x03"
    # What comes in blocks must be ciphered all the same, and is no opening.
    assert client.send(block(1, GET_REGISTER, last=True)) == b"\xd8\x01\x01"
    assert client.send(block(1, client.aarq(), last=True)) == b"\xd8\x01\x01"
    for number in range(1, 30):
        answer = client.send(block(number, bytes(127)))
        if answer[0] == 0xD8:
            break
    assert answer == b"\xd8\x01\x04" and number < 20
    assert Public(bench, channel=2).associate().send(block(1, b"x")) == b"\xd8\x02\x02"
    plain = Raw(bench, counter=100)
    plain.conformance &= ~(1 << 21)
    assert plain.associate().send(block(1, b"x")) == b"\xd8\x02\x02"


def test_a_second_client_ends_the_transfer_of_the_first():
    bench = Bench()
    first = Raw(bench).associate()
    second = Raw(bench, counter=100, channel=2).associate()
    pieces = parts(first.seal(0xC8, GET_REGISTER, counter=200), 20)
    first.send(block(1, pieces[0]))
    again = second.seal(0xC8, GET_REGISTER, counter=300)
    answer = taken(second.send(block(1, again, last=True)))
    assert second.unseal(answer[3]) == REGISTER_ANSWER
    assert first.send(block(2, pieces[1], last=True)) == b"\xd8\x01\x01"


def test_gurux_writes_a_long_value():
    bench = Bench()
    Long.written = b""
    client = gurux.Gurux(bench, 1, gurux.OPERATOR_KEYS)
    client.client.proposedConformance |= Conformance.GENERAL_BLOCK_TRANSFER
    client.open()
    assert client.client.negotiatedConformance & Conformance.GENERAL_BLOCK_TRANSFER
    data = GXDLMSData(LONG)
    data.value = bytes(k & 0xFF for k in range(1500))
    data.setDataType(2, DataType.OCTET_STRING)
    first, second = (bytes(frame) for frame in client.client.write(data, 2))
    # It cannot read an acknowledgement of general block transfer (1.0.203), only send blocks.
    assert taken(bench.wrapper(first)[8:]) == (1, 1, 1, b"")
    client.ask(second)
    assert Long.written == data.value
