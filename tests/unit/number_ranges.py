"""The meter's own invocation counters stay in the range it was given, on either VM.

`run()` plays a meter that comes to the end of its range: without anybody to ask, with somebody who
gives another at once, late, or never; over power cuts, transfers of keys and the HAN port.
"""

import struct

from dlms import GET_REGISTER, KEK, OPERATOR_KEYS, REGISTER_ANSWER, Bench, Cells, Raw, security

try:
    from roles_lab import RolesLab
except ImportError:
    from openams.faultlab.roles_lab import RolesLab

from ams.cosem.numbers import Numbers, Spent
from ams.crypto.keywrap import wrap

OTHER = b"\xd8\x01\x03"


def number_of(answer):
    """The counter of a ciphered answer, None of one in clear."""
    if answer is None or answer[0] == 0xD8:
        return None
    at = 10 if answer[0] == 0xDB else 1
    at += 1 if answer[at] < 0x80 else 1 + (answer[at] & 0x7F)
    return struct.unpack(">I", answer[at + 1 : at + 5])[0]


def asked(client, times):
    """Numbers of so many answers; what was refused is left out."""
    out = []
    for _ in range(times):
        number = number_of(client.send(client.seal(0xC8, GET_REGISTER)))
        if number is not None:
            out.append(number)
    return out


def bench(first, count, cells=None):
    return Bench(security(server_counter=first, server_counters=count), cells)


def it_stops_at_the_end():
    """Nobody to ask: not one number beyond, however often it is asked and started anew."""
    said = []
    here = bench(100, 40)
    here.keyring.numbers.say = said.append
    client = Raw(here).associate()
    numbers = asked(client, 60)
    assert numbers and numbers == list(range(numbers[0], 140)), numbers
    assert client.send(client.seal(0xC8, GET_REGISTER)) == OTHER
    assert len(said) == 1 and "used up" in said[0], said
    assert not here.server.faults and not here.complaints
    # What it would say unasked, and an opening, are as silent.
    assert here.server.notify(1, 1, lambda out: out.uint32(1)) and here.server.outgoing(1) is None
    again = Raw(here, counter=1000)
    assert again.send(again.aarq()) == OTHER
    # A power cut gives nothing back: a new start with the same range stands at its end.
    after = bench(100, 40, here.cells)
    client = Raw(after, counter=2000)
    assert client.send(client.aarq()) == OTHER
    # Only a range behind it helps.
    later = bench(500, 40, here.cells)
    client = Raw(later, counter=3000).associate()
    numbers = asked(client, 60)
    assert numbers[0] >= 500 and numbers[-1] == 539 and not later.server.faults
    # An older one does not bring it back.
    older = bench(100, 40, here.cells)
    client = Raw(older, counter=4000)
    assert client.send(client.aarq()) == OTHER


def more_comes():
    """At once, or some answers later; a range that is an old one is none."""
    for late in (0, 5):
        here = bench(1, 100)
        numbers = here.keyring.numbers
        wanted = []

        def more(least, numbers=numbers, wanted=wanted, late=late):
            wanted.append(least)
            if not late:
                numbers.extend(max(least, 1000 * len(wanted)), 100)

        numbers.more = more
        client = Raw(here).associate()
        seen = []
        for _ in range(400):
            seen += asked(client, 1)
            if late and wanted and len(seen) % 50 == 0:
                numbers.extend(7, 100)
                numbers.extend(max(wanted[-1], 1000 * len(wanted)), 100)
        assert len(set(seen)) == len(seen) and wanted
        for number in seen:
            assert 1 <= number <= 100 or number >= 1000 and number % 1000 < 100, number
        assert len(seen) == 400 if not late else len(seen) >= 100, len(seen)


def keys_change_at_the_end():
    """A new key is taken, and begins nowhere that the old one could have been."""
    here = bench(1, 12)
    client = Raw(here).associate()
    asked(client, 20)
    new = bytes(range(0x20, 0x30))
    parameter = b"\x01\x01\x02\x02\x16\x00\x09\x18" + wrap(KEK, new)
    request = b"\xc3\x01\xc1\x00\x40\x00\x00\x2b\x00\x01\xff\x02\x01" + parameter
    assert client.send(client.seal(0xCB, request)) == OTHER
    renewed = Raw(here, keys=(new, OPERATOR_KEYS[1]), counter=5000)
    assert renewed.send(renewed.aarq()) == OTHER
    here.keyring.numbers.extend(13, 100)
    renewed.associate()
    assert min(asked(renewed, 3)) >= 13 and renewed.ask(GET_REGISTER) == REGISTER_ANSWER


def two_that_share_keys():
    """A run and the next, whose flash is another: no number of one is the other's."""
    first = asked(Raw(bench(1, 64)).associate(), 200)
    second = asked(Raw(bench(65, 64)).associate(), 200)
    assert first and second and not set(first) & set(second)
    assert max(first) < 65 <= min(second)


def the_whole_of_them():
    """Without a range, and at the end of 32 bits: FFFFFFFF is never sent, nothing begins again."""
    for config in (
        security(server_counter=0xFFFFFFF0),
        security(server_counter=0xFFFFFFF0, server_counters=1 << 28),
    ):
        cells = Cells()
        here = Bench(config, cells)
        numbers = asked(Raw(here).associate(), 30)
        assert numbers and max(numbers) < 0xFFFFFFFF and len(set(numbers)) == len(numbers)
        again = Raw(Bench(config, cells), counter=5000)
        assert again.send(again.aarq()) == OTHER
    cells = Cells()
    numbers = Numbers(cells)
    numbers.extend(0xFFFFFFF0, 0xFFFFFFF0)
    assert numbers.end == 0xFFFFFFFF and numbers.next(0xFFFFFFFE) == 0xFFFFFFFE
    try:
        numbers.next(0xFFFFFFFF)
        raise AssertionError("the last of all")
    except Spent:
        pass


class Lists:
    """A HAN line: the counters of what goes over it."""

    def __init__(self):
        self.numbers = []

    def init(self, *line):
        pass

    def write(self, frame):
        frame = bytes(frame)
        at = frame.find(b"\xdb\x08") + 13
        self.numbers.append(struct.unpack(">I", frame[at + 1 : at + 5])[0])


def the_han_port(first=1000, count=30):
    """Encrypted lists stay in the range too: under keys that another run had, at other numbers."""
    lab = RolesLab(lambda length: bytes(length))
    lab.config["security"]["server_counter"] = first
    lab.config["security"]["server_counters"] = count
    for number in lab.flash.own:
        lab.flash.own[number][:] = b"\xff" * 4096
    lab.power_up()
    line = lab.meter.han._uart = Lists()
    keys = wrap(bytes(range(0x40, 0x50)), b"h" * 16) + wrap(bytes(range(0x40, 0x50)), b"H" * 16)
    client = lab.opened("operator")
    for name, value in (
        ("0000800102FF02", b"\x09\x30" + keys),
        ("0000800101FF02", b"\x03\x01"),
        ("0000800100FF02", b"\x03\x01"),
    ):
        asked_for = b"\xc1\x01\xc1\x00\x01" + bytes.fromhex(name) + b"\x00" + value
        assert lab.ask(client, asked_for) == b"\xc5\x01\xc1\x00"
    for _ in range(3):
        lab.minute()
    seen = line.numbers
    assert seen == list(range(first, first + count)), seen
    assert not lab.meter.han.is_open
    assert not lab.server.faults and not lab.meter.faults.count
    # A cut, and a new range: it goes on there.
    lab.config["security"]["server_counter"] = 5000
    lab.power_up()
    line = lab.meter.han._uart = Lists()
    lab.minute()
    assert line.numbers and line.numbers == list(range(5000, 5000 + len(line.numbers)))


CASES = (
    it_stops_at_the_end,
    more_comes,
    keys_change_at_the_end,
    two_that_share_keys,
    the_whole_of_them,
    the_han_port,
)


def run():
    for case in CASES:
        case()
    return len(CASES)
