"""Proofs that are none, of every type and length, whole and in blocks. For both VMs.

`run()` gives how many there were; each is answered as IEC 62056-5-3 says, ends the association and
costs nobody else anything.
"""

import struct

from dlms import GET_REGISTER, OPERATOR_KEYS, READER_KEYS, REGISTER_ANSWER, Bench, Raw, hexed

from ams.events.events import AUTHENTICATION_FAILED

TYPE_UNMATCHED = 12
DENIED = 3
_REPLY = b"\xc3\x01\xc1\x00\x0f\x00\x00\x28\x00\x00\xff\x01"

# What stands behind the name of the method, and the result. None: it cannot even be read.
PROOFS = [
    (b"\x00", TYPE_UNMATCHED),  # no parameter
    (b"\x01\x00", TYPE_UNMATCHED),  # null
    (b"\x01\x11\x00", TYPE_UNMATCHED),
    (b"\x01\x06\x00\x00\x00\x00", TYPE_UNMATCHED),
    (b"\x01\x0a\x11" + bytes(17), TYPE_UNMATCHED),  # visible-string
    (b"\x01\x0c\x11" + bytes(17), TYPE_UNMATCHED),
    (b"\x01\x04\x88" + bytes(17), None),  # a length that lies
    (b"\x01\x04\x08\xff", TYPE_UNMATCHED),  # bit-string
    (b"\x01\x02\x01\x09\x11" + bytes(17), TYPE_UNMATCHED),  # in a structure
    (b"\x01\x01\x01\x09\x11" + bytes(17), TYPE_UNMATCHED),
    (b"\x01" + b"\x02\x01" * 9 + b"\x00", None),  # deeper than anything is read
    (b"\x01\x13\x09\x00", None),  # compact-array
    (b"\x01\x1e\x00", None),  # no type
    (b"\x01", None),
    (b"", None),
    (b"\x01\x09\x11" + bytes(16), None),  # cut
    (b"\x01\x09\x11" + bytes(18), None),  # octets left over
    (b"\x01\x09\x82\xff\xff" + bytes(17), None),
]
PROOFS += [(b"\x01\x09" + bytes((size,)) + bytes(size), DENIED) for size in range(0, 40)]


def general_blocks(client, apdu, size):
    """The answer to an APDU that went in general blocks of `size` octets, put together."""
    number = 0
    answer = None
    while apdu:
        number += 1
        piece, apdu = apdu[:size], apdu[size:]
        control = 1 | (0 if apdu else 0x80)
        answer = client.send(struct.pack(">BBHHB", 0xE0, control, number, 0, len(piece)) + piece)
    whole = b""
    while answer is not None and answer[0] == 0xE0:
        control, sent, _, count = struct.unpack(">BHHB", answer[1:7])
        assert count < 0x80 and len(answer) == 7 + count, hexed(answer)
        whole += answer[7:]
        if control & 0x80:
            return whole
        answer = client.send(struct.pack(">BBHHB", 0xE0, 0x81, number + 1, sent, 0))
    return answer


WAYS = (
    lambda client, apdu: client.send(client.seal(0xCB, apdu)),
    lambda client, apdu: client.send(client.seal(0xDB, apdu)),
    lambda client, apdu: general_blocks(client, client.seal(0xCB, apdu), 100),
    lambda client, apdu: general_blocks(client, client.seal(0xDB, apdu), 9),
)


def run():
    count = 0
    for sap, keys in ((1, OPERATOR_KEYS), (2, READER_KEYS)):
        for way in range(len(WAYS)):
            for pdu_size in (0, 24) if way >= 2 else (0,):
                bench = Bench()
                counter = 1
                for behind, code in PROOFS:
                    client = Raw(bench, sap, keys, counter)
                    client.pdu_size = pdu_size
                    client.open()
                    answer = WAYS[way](client, _REPLY + behind)
                    if code is None:
                        assert answer[:1] == b"\xd8", (behind, hexed(answer))
                    else:
                        plain = client.unseal(answer)
                        assert plain == b"\xc7\x01\xc1" + bytes((code, 0)), (behind, hexed(plain))
                        # It is over: the right proof comes too late.
                        late = client.send(client.seal(0xCB, _REPLY + b"\x01\x09\x11" + bytes(17)))
                        assert late == b"\xd8\x01\x01", hexed(late)
                    counter = client.counter
                    count += 1
                assert not bench.complaints and not bench.server.faults, bench.complaints
                assert AUTHENTICATION_FAILED in bench.codes()
                bench.now_ms += 86_400_000
                again = Raw(bench, sap, keys, counter).associate()
                assert again.ask(GET_REGISTER) == REGISTER_ANSWER
    return count
