"""What the meter says unasked, as two other implementations read it."""

from __future__ import annotations

import struct

from dlms import OPERATOR_KEYS, TITLE, Bench, Raw
from dlms_cosem.protocol.xdlms import DataNotification, GeneralGlobalCipher
from dlms_cosem.security import decrypt

STAMP = bytes.fromhex("07EA0B1903041E00FFFFC400")


def write(out):
    out.structure(2)
    out.uint32(123456)
    out.octets(b"x" * 200)


def test_a_message_is_ciphered_for_its_client():
    bench = Bench()
    assert bench.server.outgoing(1) is None
    assert bench.server.notify(1, 1, write, STAMP)
    assert not bench.server.notify(1, 1, write), "one waits"
    message = bytes(bench.server.outgoing(1))
    assert bench.server.outgoing(1) is None
    body = Raw(bench).unseal(message)
    assert body[:6] == b"\x0f\x00\x00\x00\x01\x0c" and body[6:18] == STAMP
    sealed = GeneralGlobalCipher.from_bytes(message)
    assert sealed.system_title == TITLE
    plain = decrypt(
        sealed.security_control,
        TITLE,
        sealed.invocation_counter,
        OPERATOR_KEYS[0],
        sealed.ciphered_text,
        OPERATOR_KEYS[1],
    )
    notification = DataNotification.from_bytes(plain)
    assert notification.long_invoke_id_and_priority.long_invoke_id == 1
    assert (
        notification.body
        == b"\x02\x02\x06" + struct.pack(">I", 123456) + b"\x09\x81\xc8" + b"x" * 200
    )


def test_for_the_public_it_is_plain_and_a_faulty_one_is_dropped():
    bench = Bench()
    bench.server.notify(0, 16, lambda out: out.uint32(7))
    assert bytes(bench.server.outgoing(0)) == b"\x0f\x00\x00\x00\x01\x00\x06\x00\x00\x00\x07"
    bench.server.notify(0, 16, lambda out: out.raw(bytes(2000)))
    assert bench.server.outgoing(0) is None
    assert len(bench.complaints) == 1 and bench.server.faults == 1
    assert bench.server.notify(0, 5, write), "no such client"
    assert bench.server.outgoing(0) is None
