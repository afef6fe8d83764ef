"""What requests with a reader's keys cost the flash, and that none acts twice. For both VMs.

`run(count)` raises AssertionError where a flood of `count` requests stores more than it may.
"""

import struct

from ams.crypto.keywrap import wrap
from ams.storage import layout

try:
    from roles_lab import RolesLab
except ImportError:
    from openams.faultlab.roles_lab import RolesLab

_FILTER = b"\x00\x01\x00\x00\x61\x62\x0a\xff\x02\x00"
_SET = b"\xc1\x01\xc1" + _FILTER + b"\x06\x00\x00\x00\x01"
_CALL = b"\xc3\x01\xc1\x00\x46\x00\x00\x60\x03\x0a\xff\x01\x01\x0f\x00"
_SETUP = b"\x00\x40\x00\x00\x2b\x00\x02\xff\x02"
_PAUSE_MS = 20


class Wear:
    def __init__(self):
        self.lab = RolesLab(lambda count: bytes(count))
        self.reader = self.lab.opened("reader", 1)

    def stored(self):
        """Cells that were set so far, and erases of the flash."""
        nv_memory = self.lab.meter.nv_memory
        sets = sum(nv_memory.cells(region)._number for region in (6, 7, 8, 9))
        return sets, self.erases

    def flood(self, count, ask):
        """(cells set, erases, bytes programmed, minutes) of a flood."""
        lab = self.lab
        self.erases = self.programmed = 0
        plain = type(lab.flash).erase, type(lab.flash).program

        def erase(address):
            self.erases += 1
            plain[0](lab.flash, address)

        def program(address, data):
            self.programmed += len(data)
            plain[1](lab.flash, address, data)

        lab.flash.erase, lab.flash.program = erase, program
        before = self.stored()[0]
        for number in range(count):
            ask(number)
            lab.now_ms += _PAUSE_MS
        del lab.flash.erase, lab.flash.program
        return self.stored()[0] - before, self.erases, count * _PAUSE_MS // 60000

    # --- kinds of request -----------------------------------------------------------------

    def refused_set(self, number):
        assert self.lab.ask(self.reader, _SET) == b"\xc5\x01\xc1\x03"

    def refused_call(self, number):
        assert self.lab.ask(self.reader, _CALL) == b"\xc7\x01\xc1\x03\x00"

    def refused_list(self, number):
        asked = b"\xc1\x04\xc1\x02" + _FILTER * 2 + b"\x02" + b"\x06\x00\x00\x00\x01" * 2
        assert self.lab.ask(self.reader, asked) == b"\xc5\x05\xc1\x02\x03\x03"

    def refused_blocks(self, number):
        head = b"\xc1\x02\xc1" + _FILTER
        assert self.lab.ask(self.reader, head + b"\x00\x00\x00\x00\x01\x02\x06\x00")[1] == 2
        last = b"\xc1\x03\xc1\x01\x00\x00\x00\x02\x03\x00\x00\x01"
        assert self.lab.ask(self.reader, last)[:4] == b"\xc5\x03\xc1\x03"

    def refused_unconfirmed(self, number):
        assert self.lab.ask(self.reader, b"\xc1\x01\x81" + _SET[3:]) is None

    def malformed(self, number):
        assert self.lab.ask(self.reader, _SET[:-2])[0] == 0xD8

    def wrong_keys(self, number):
        """A method that it may call, with keys under a wrong master key."""
        value = b"\x01\x01\x02\x02\x16\x00\x09\x18" + bytes(24)
        asked = b"\xc3\x01\xc1" + _SETUP + b"\x01" + value
        assert self.lab.ask(self.reader, asked) == b"\xc7\x01\xc1\xfa\x00"

    def opening(self, number):
        self.reader.open(self.lab.now_ms)

    def wrong_proof(self, number):
        client, lab = self.reader, self.lab
        reply = client.reply(client.ask(client.aarq(bytes(16)), lab.now_ms))
        client.ask(client.seal(0xCB, reply[:-1] + bytes((reply[-1] ^ 1,))), lab.now_ms)

    def wrong_and_right(self, number):
        """The delay of wrong keys grows and falls by turns."""
        if number % 6 == 5:
            self.reader.open(self.lab.now_ms)
        else:
            self.wrong_proof(number)


def floods(count):
    wear = Wear()
    for name in ("set", "call", "list", "blocks", "unconfirmed"):
        wear.reader.open(wear.lab.now_ms)
        sets, erases, _ = wear.flood(count, getattr(wear, "refused_" + name))
        # As reads: a ceiling now and then, and the reserve of the answers' numbers.
        assert sets <= 2 * count // 64 + count // 1000 * 2 + 3, (name, sets, erases)
    for ask in (wear.malformed, wear.wrong_keys, wear.opening, wear.wrong_proof,
                wear.wrong_and_right):  # fmt: skip
        wear.reader.open(wear.lab.now_ms)
        sets, erases, minutes = wear.flood(count, ask)
        most = 64 + minutes + count * 3 // 1000 + 32 + 16 + count // 64
        assert sets <= most, (ask, sets, most)
    # Events are bounded too: what all that has cost is some sectors.
    assert erases < 20
    assert not wear.lab.complaints
    return sets


def replays(acts):
    """Sets that were done are never done again, whenever the power goes.

    Behind a flood the client goes on with the number that it is told.
    """
    lab = RolesLab(lambda count: bytes(count))
    operator = lab.opened("operator", 1)
    recorded = []
    for number in range(acts):
        value = b"\x06" + struct.pack(">I", number)
        sealed = operator.seal(0xC9, b"\xc1\x01\xc1" + _FILTER + value)
        recorded.append((number, sealed))
        assert operator.unseal(operator.ask(sealed, lab.now_ms)) == b"\xc5\x01\xc1\x00"
        if number not in (20, 21, 110, acts - 1):
            continue
        lab.power_up()
        assert lab.model.alarms.filter == number
        expected = lab.server.keyring.client(1).keys.expected
        late = lab.client("operator", 1, operator.counter)
        if number < 60:
            # Few of them: it goes on where it was.
            assert lab.server.keyring.client(1).keys.next_in == operator.counter
            late.open(lab.now_ms)
        else:
            # By what the meter tells the public client, and everybody who is refused.
            late.counter = expected
            late.open(lab.now_ms)
        for _, old in recorded[:3] + recorded[-10:]:
            answer = late.ask(old, lab.now_ms)
            assert answer[:3] == b"\xd8\x01\x06", answer
        assert lab.model.alarms.filter == number
        operator = late
    return len(recorded)


def run(count):
    floods(count)
    return replays(150)


__all__ = ["layout", "run", "wrap"]
