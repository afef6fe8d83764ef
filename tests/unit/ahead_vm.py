"""Blocks that are made ahead: dialogues by seed, on CPython and on the MicroPython VM alike."""

import struct

from dlms import GET_LONG, GET_REGISTER, KEYED, Bench, Long, Public, Raw, Rights

from ams.crypto.gcm import Gcm
from ams.results import AccessError

DEDICATED = bytes(range(0x30, 0x40))
GET_FAILING = b"\xc0\x01\xc1\x00\x01\x00\x00\x60\x01\x01\xff\x02\x00"
GET_LIST = b"\xc0\x03\xc1\x04" + (GET_LONG[3:] + GET_FAILING[3:] + GET_REGISTER[3:]) + GET_LONG[3:]
ACT = b"\xc3\x01\xc1" + GET_LONG[3:11] + b"\x01\x00"


class Failing(Long):
    """Breaks off in the middle, at a row of its own."""

    at = 70

    def _rows(self, out):
        rows = super()._rows(out)
        for k, _ in enumerate(rows):
            if k == self.at // 23:
                raise AccessError(4)
            yield


class Draw:
    """Numbers that are the same on both VMs."""

    def __init__(self, seed):
        self._state = seed * 2654435761 + 1 & 0x3FFFFFFF

    def __call__(self, most):
        self._state = self._state * 1103515245 + 12345 & 0x3FFFFFFF
        return (self._state >> 12) % most


class Dialogue:
    def __init__(self, seed, ahead):
        self.draw = Draw(seed)
        self.ahead = Draw(seed + 77777) if ahead else None
        self.bench = Bench()
        self.bench.model.table.append(
            (1, b"\x00\x00\x60\x01\x01\xff", lambda ln, session: Failing(ln), Rights(KEYED))
        )
        if seed % 4 == 3:
            self.client = Public(self.bench, 0)
            rights = Rights(0x3F)
            self.bench.model.table[1] = self.bench.model.table[1][:3] + (rights,)
        else:
            self.client = Raw(self.bench, channel=0)
        self.client.pdu_size = (0, 100, 300, 1000)[self.draw(4)]
        self.tags = (0xC8, 0xDB)
        if seed % 4 == 2:
            self.tags = (0xC8, 0xDB, 0xD0)
            info = self.client.seal(0x21, self.client.initiate(DEDICATED))
            self.client.associate(info=info)
        else:
            self.client.associate()
        # The same client on another channel takes numbers of the same count.
        self.other = Raw(self.bench, channel=1, counter=self.client.counter + 2)
        if seed % 4 != 3:
            self.other.associate()
        self.newest = 0
        self.told = []

    def ask(self, client, plain, tag):
        """Sends, and enters what came; answers stay while the next one is made."""
        if client.sap == 16:
            answer = self.request(client, plain)
            self.told.append(bytes(answer))
            return
        self.client.counter = self.other.counter = max(self.client.counter, self.other.counter)
        gcm = client.gcm
        if tag == 0xD0:
            client.gcm = Gcm(DEDICATED)
        try:
            answer = self.request(client, client.seal(tag, plain))
            at = 10 if tag == 0xDB else 1
            at += 1 if answer[at] < 0x80 else 1 + (answer[at] & 0x7F)
            number = struct.unpack(">I", bytes(answer[at + 1 : at + 5]))[0]
            assert number > self.newest, "a number came twice, or after a later one"
            self.newest = number
            self.told.append(client.unseal(bytes(answer)))
        finally:
            client.gcm = gcm
        self.client.counter = self.other.counter = max(self.client.counter, self.other.counter)

    def request(self, client, apdu):
        server = self.bench.server
        data = memoryview(bytearray(apdu))
        answer = server.request(client.channel, client.sap, 1, data, self.bench.now_ms)
        if client.channel == 0:
            kept = bytes(answer)
            if self.ahead is not None:
                for _ in range(self.ahead(12)):
                    server.prepare(0)
            # A line sends it all this time, and once more if the client did not hear it.
            assert bytes(answer) == kept
        return answer

    def turn(self):
        draw = self.draw
        tag, invoke = self.tags[draw(len(self.tags))], 0xC1
        self.ask(self.client, (GET_LONG, GET_LONG, GET_FAILING, GET_LIST)[draw(4)], tag)
        number = 1
        while self.told[-1][1] == 2 and not self.told[-1][3]:
            if not draw(9):
                tag = self.tags[draw(len(self.tags))]
            if not draw(9):
                invoke = 0xC0 | draw(16)
            if not draw(7) and self.client.sap != 16:
                self.ask(self.other, GET_REGISTER, 0xC8)
                self.told.pop()
            if not draw(40):
                self.ask(self.client, GET_REGISTER, self.tags[0])
                return
            if not draw(40):
                number += 1
            self.ask(self.client, b"\xc0\x02" + bytes((invoke,)) + struct.pack(">I", number), tag)
            number += 1


def dialogue(seed, turns=6):
    """Gives how many answers there were; each is the same whether it was made ahead or not."""
    told = []
    for ahead in (False, True):
        one = Dialogue(seed, ahead)
        for _ in range(turns):
            one.turn()
        assert not one.bench.complaints, one.bench.complaints
        told.append(one.told)
    assert told[0] == told[1], seed
    return len(told[0])


def run(first, last):
    return sum(dialogue(seed) for seed in range(first, last))


def keys_that_change_meanwhile():
    """A block that was ciphered under keys which are no longer in force goes to nobody."""
    from dlms import KEK

    from ams.crypto.keywrap import wrap

    bench = Bench()
    client = Raw(bench, channel=0).associate()
    first = client.ask(GET_LONG)
    for _ in range(8):
        bench.server.prepare(0)
    other = Raw(bench, channel=1, counter=client.counter + 2).associate()
    new = bytes(range(0x80, 0x90))
    wrapped = wrap(KEK, new)
    transfer = b"\x01\x01\x02\x02\x16\x00\x09\x18" + wrapped
    apdu = b"\xc3\x01\xc1\x00\x40\x00\x00\x2b\x00\x01\xff\x02\x01" + transfer
    assert other.ask(apdu)[:4] == b"\xc7\x01\xc1\x00"
    for _ in range(8):
        bench.server.prepare(0)
    assert client.ask(b"\xc0\x02\xc1\x00\x00\x00\x01")[0] == 0xD8
    client = Raw(bench, keys=(new, client.keys[1]), channel=0).associate()
    assert client.ask(GET_LONG) == first
    return True
