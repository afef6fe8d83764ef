"""Requests by who has the right keys, of all four roles: right, nearly right, or wrong inside.

Lists, blocks of both kinds, dedicated keys, changes of keys, sealed orders, selections, power cuts:
whatever they say, nothing is an error of the meter's own, and it goes on measuring. For both VMs.
"""

import struct

from ams.control import command as cm
from ams.crypto.gcm import Gcm
from ams.crypto.keywrap import wrap
from ams.events.events import LOCAL_RECONNECTION, READY_FOR_RECONNECTION

try:
    from mutation import SELECTIONS, VALUES, mutate, nudge
    from roles_lab import KEK, SAPS
except ImportError:
    from openams.faultlab.mutation import SELECTIONS, VALUES, mutate, nudge
    from openams.faultlab.roles_lab import KEK, SAPS

ROLES = ("operator", "reader", "update", "breaker")
_CLOCK = b"\x02\x04\x12\x00\x08\x09\x06\x00\x00\x01\x00\x00\xff\x0f\x02\x12\x00\x00"
_DAY = b"\x09\x05\xff\xff\xff\xff\xff"
# What the meter's own attributes and methods take, beside what was read from them.
GOOD = VALUES + tuple(
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "060000 0384", "120001", "120002", "110A", "1002", "10FC7C", "166C", "1605", "050007A120",
        "0203 0600001000 0600000E10 120384", "0202 06 0000003C 1103", "0203 120001"
        "090C07EA0601FF0C000000800000 0600000E10", "0101 120001",
        "0202 0202 09060000 0A006AFF 120001 0202 090600000A006AFF 120002",
        "0101 0202 09040C000000 0905FFFFFFFFFF", "0101 0202 0904FF000000 0905FFFF02FEFF",
        "0101 0203 120001 0905FFFF0C19FF 1102", "0203 120001 0905FFFF021EFF 1101",
        "0101 0202 1101 0101 0203 090400000000 09060000 0A0064FF 120002",
        "0101 0208 090131 1101 1101 1101 1101 1101 1101 1101",
        "0101 0203 090131 090CFFFF0101FF000000008000 00 090131",
        "0202 09036C6162 0600000800", "0202 0600000000 0940" + "5A" * 64,
        "0202 0600000001 0940" + "A5" * 64,
        "0203 1600 090B31302E302E302E313A3830 1600",
        "0102 0204 120008 09060000010000FF 0F02 120000 0204 12000F 09060000280000FF 0F02 120000",
        "0101 0204 120007 09060100630100FF 0F02 120064",
        "090C07EA021EFF0C000000800000", "090C07E80A01FF0C000000FFC400",
        "090C000101010000000000800000", "090CFFFE0C1FFF173B3B63800000",
        "090C083A0101FF00000000000000", "1907EA0601FF0C000000800000",
        "0203 090C07E80A01FF0C000000800000 090C07D00101FF00000000800000"
        "090C08330101FF00000000800000",
    )
)  # fmt: skip


def octets(data):
    return (
        b"\x09"
        + (bytes((len(data),)) if len(data) < 0x80 else b"\x81" + bytes((len(data),)))
        + data
    )


def _form(value):
    """How many elements a structure has, how many octets a string: what must be alike."""
    return value[1] if value[0] in (2, 9) else 0


class Party:
    """One client that goes on whatever happens: its keys, its association, its dedicated key."""

    def __init__(self, lab, role, channel):
        self.lab = lab
        self.role = role
        self.channel = channel
        self.dedicated = None
        self.client = lab.client(role, channel)

    def open(self, dedicated=None):
        # Times pass, so that no lock-out is what is tried.
        lab = self.lab
        keys = lab.server.keyring.client(SAPS[self.role]).keys
        client = self.client
        client.keys = keys.encryption, keys.authentication
        client._gcm = Gcm(client.keys[0])
        client.counter = max(client.counter, keys.next_in, keys.expected)
        lab.server.disconnected(self.channel)
        client.open(lab.now_ms, dedicated)
        self.dedicated = None if dedicated is None else (Gcm(dedicated), 1)

    def ask(self, plain, general=False):
        """The plain answer, or None where there is none."""
        client = self.client
        tag = {0xC0: 0xC8, 0xC1: 0xC9, 0xC3: 0xCB}.get(plain[0] if plain else 0, 0xDB)
        gcm = None
        if self.dedicated is not None:
            gcm, number = self.dedicated
            kept, client.counter = client.counter, number
            sealed = client.seal(0xDC if general or tag == 0xDB else tag + 8, plain, gcm)
            client.counter = kept
            self.dedicated = gcm, number + 1
        else:
            sealed = client.seal(0xDB if general else tag, plain)
        return self._heard(client.ask(sealed, self.lab.now_ms), gcm)

    def _heard(self, answer, gcm):
        plain = answer
        if answer is not None and answer[0] not in (0xD8, 0xE0):
            plain = self.client.unseal(answer, gcm)
            assert plain is not None, "not our answer"
            plain = bytes(plain)
        self._keep_up()
        return plain

    def in_general_blocks(self, rng, plain):
        """The request cut into blocks, most of them right, and the blocks of the answer."""
        if self.dedicated is not None:
            self.open()
        tag = {0xC0: 0xC8, 0xC1: 0xC9, 0xC3: 0xCB}.get(plain[0] if plain else 0, 0xDB)
        apdu = self.client.seal(tag, plain)
        size = 1 + rng.below(120)
        number = 0
        answer = None
        while apdu and number < 60:
            piece, apdu = apdu[:size], apdu[size:]
            number += 1
            control = 1 | (0 if apdu else 0x80) | (0x40 if rng.below(8) == 0 else 0)
            told = number if rng.below(40) else rng.below(5)
            answer = self._block(control, told, rng.below(2), piece)
        for _ in range(60):
            if answer is None or answer[0] != 0xE0 or answer[1] & 0x80:
                break
            sent = struct.unpack(">H", answer[2:4])[0]
            answer = self._block(0x81, 2, sent if rng.below(40) else rng.below(5), b"")
        self._keep_up()

    def _block(self, control, number, acknowledged, data):
        head = struct.pack(">BBHHB", 0xE0, control, number, acknowledged, len(data))
        return self.client.ask(head + data, self.lab.now_ms)

    def _keep_up(self):
        """After a change of keys, or what ended the association."""
        keys = self.lab.server.keyring.client(SAPS[self.role]).keys
        changed = self.client.keys != (keys.encryption, keys.authentication)
        if changed or not self.lab.server.is_open(self.channel):
            self.open()


class Keyed:
    """`case` makes one request or a few, by somebody with keys."""

    def __init__(self, lab, roles):
        self.lab = lab
        self.parties = [Party(lab, role, 1 + place) for place, role in enumerate(roles)]
        self.reads, self.writes, self.calls = [], [], []
        for role, head, _, number, method in lab.changes():
            (self.calls if method else self.writes).append((role, head + bytes((number,))))
        for class_id, _, ln, attributes, _, _ in lab.model.rows(0xFF):
            for number in range(1, attributes + 2):
                self.reads.append(struct.pack(">H", class_id) + bytes(ln) + bytes((number,)))
        self.profiles = [name for name in self.reads if name[:2] == b"\x00\x07" and name[8] == 2]
        self.orders = 0
        for party in self.parties:
            party.open()

    # --- values ------------------------------------------------------------------------

    def _data(self, rng, depth=0):
        """Any value of any type."""
        kind = rng.below(18 if depth < 3 else 16)
        if kind < 10:
            return rng.choose(GOOD)
        if kind < 14:
            return octets(rng.octets(rng.below(30)))
        if kind < 16:
            return bytes((rng.choose((3, 5, 6, 15, 16, 17, 18, 20, 21, 22)),)) + rng.octets(
                rng.below(9)
            )
        count = rng.below(6)
        out = bytes((1 + rng.below(2), count))
        for _ in range(count):
            out += self._data(rng, depth + 1)
        return out

    def _value(self, rng, party, name):
        """For an attribute: what it has, changed or not, or anything."""
        way = rng.below(8)
        if way == 0:
            return self._data(rng) if rng.below(2) else rng.choose(GOOD)
        if name[:2] == b"\x00\x01" and name[4:6] == b"\x03\x80":
            return octets(self._order(rng))
        if name[4] == 0x80 and name[5] == 5 or name[4:6] == b"\x80\x01":
            return octets(self._wrapped(rng) + (self._wrapped(rng) if name[6] == 2 else b""))
        answer = party.ask(b"\xc0\x01\xc1" + name + b"\x00")
        if not answer or answer[:2] != b"\xc4\x01" or answer[3]:
            return rng.choose(GOOD)
        value = answer[4:600]
        if way < 4:
            # Another value of the same form.
            alike = [good for good in GOOD if good[0] == value[0] and _form(good) == _form(value)]
            return rng.choose(alike) if alike else value
        if way < 5:
            return value
        return nudge(rng, value) if way < 7 else mutate(rng, value)[:600]

    def _parameter(self, rng, name):
        if name[:2] == b"\x00\x40" and name[8] == 2 and rng.below(3):
            return self._transfer(rng)
        return rng.choose(GOOD) if rng.below(6) else self._data(rng)

    def _wrapped(self, rng):
        kek = self.lab.server.keyring.kek() if rng.below(8) else KEK
        return wrap(kek, rng.octets(16))

    def _transfer(self, rng):
        out = bytes((1, 1 + rng.below(3)))
        for _ in range(out[1]):
            out += b"\x02\x02\x16" + bytes((rng.choose((0, 0, 2, 2, 3, 1)),))
            out += octets(self._wrapped(rng))
        return out

    def _order(self, rng):
        keyring = self.lab.server.keyring
        now = self.lab.meter.utc_ms // 1000
        self.orders += rng.below(3)
        keys = [keyring.secret("breaker"), keyring.secret("breaker_second")]
        order = cm.pack(
            keyring.title,
            1 + rng.below(5),
            self.orders,
            max(now - 60 + rng.below(100), 0) & 0xFFFFFFFF,
            (now + rng.below(200)) & 0xFFFFFFFF,
            keys[: 1 + rng.below(2)],
        )
        return order if rng.below(6) else mutate(rng, order)[:200]

    # --- requests ------------------------------------------------------------------------

    def _descriptor(self, rng):
        """An attribute to read, perhaps with a selection."""
        if rng.below(3) == 0:
            selection = rng.choose(SELECTIONS)
            if rng.below(2):
                selection = nudge(rng, selection) if rng.below(3) else mutate(rng, selection)[:200]
            return rng.choose(self.profiles) + b"\x01" + selection
        return rng.choose(self.reads) + b"\x00"

    def _mine(self, rng, party, names):
        """Mostly what this one may."""
        if rng.below(10):
            mine = [name for role, name in names if role == party.role]
            if mine:
                return rng.choose(mine)
        return rng.choose(names)[1]

    def _get(self, rng, party):
        count = rng.below(6)
        if count < 2:
            return b"\xc0\x01\xc1" + self._descriptor(rng)
        out = b"\xc0\x03\xc1" + bytes((count,))
        for _ in range(count):
            out += self._descriptor(rng)
        return out

    def _change(self, rng, party, method):
        """(head up to the kind, names, values) of a set or an action, of one or a list."""
        count = max(rng.below(6) - 2, 0)
        names = values = b""
        for _ in range(max(count, 1)):
            name = self._mine(rng, party, self.calls if method else self.writes)
            names += name if method else name + b"\x00"
            if method:
                values += self._parameter(rng, name)
            else:
                values += self._value(rng, party, name)
        return count, names, values

    def _whole(self, rng, party, method):
        count, names, values = self._change(rng, party, method)
        if count:
            counted = bytes((count,))
            told = counted if rng.below(20) else bytes((rng.below(9),))
            kind = b"\xc3\x03\xc1" if method else b"\xc1\x04\xc1"
            return kind + counted + names + told + values
        if method:
            return b"\xc3\x01\xc1" + names + (b"\x01" + values if rng.below(8) else b"\x00")
        return b"\xc1\x01\xc1" + names + values

    def _by_blocks(self, rng, party, method):
        """The service's own blocks, most of them in order."""
        count, names, values = self._change(rng, party, method)
        if count:
            names = bytes((count,)) + names
            values = bytes((count,)) + values
        first = (5 if count else 4) if method else (5 if count else 2)
        head = bytes((0xC3 if method else 0xC1, first, 0xC1)) + names
        size = 1 + rng.below(100)
        for number in range(1, 40):
            piece, values = values[:size], values[size:]
            told = number if rng.below(40) else rng.below(5)
            block = struct.pack(">BIB", 0 if values else 1, told, len(piece))
            answer = party.ask(head + block + piece)
            head = b"\xc3\x06\xc1" if method else b"\xc1\x03\xc1"
            if not values or answer is None or answer[0] == 0xD8:
                return

    def _long_answer(self, rng, party, request):
        """A request, and the blocks of its answer, until somebody loses patience."""
        answer = party.ask(request, rng.below(4) == 0)
        while answer and answer[0] in (0xC4, 0xC7) and answer[1] == 2 and rng.below(12):
            if answer[3]:
                return
            number = answer[4:8] if rng.below(20) else rng.octets(4)
            answer = party.ask(bytes((answer[0] - 4, 2, 0xC1)) + number)

    def case(self, rng):
        party = rng.choose(self.parties)
        kind = rng.below(24)
        if kind == 0:
            party.open(rng.octets(16) if rng.below(2) else None)
        elif kind == 1:
            self._proof(rng, party)
        elif kind < 8:
            self._long_answer(rng, party, self._get(rng, party))
        elif kind < 10:
            self._by_blocks(rng, party, rng.below(2))
        elif kind < 12:
            request = (
                self._whole(rng, party, rng.below(2)) if rng.below(2) else self._get(rng, party)
            )
            party.in_general_blocks(rng, request)
        elif kind < 14:
            party.ask(mutate(rng, self._whole(rng, party, rng.below(2)))[:900])
        else:
            self._long_answer(rng, party, self._whole(rng, party, rng.below(2)))
        self._live(rng)
        return 1

    def _proof(self, rng, party):
        """An opening whose proof is right, or of another type, too long, or not there."""
        lab = self.lab
        client = party.client
        party.open()
        lab.server.disconnected(party.channel)
        reply = client.reply(client.ask(client.aarq(rng.octets(8 + rng.below(57))), lab.now_ms))
        way = rng.below(4)
        if way == 0:
            reply = reply[:12] + b"\x01" + self._data(rng)
        elif way == 1:
            reply = mutate(rng, reply)
        elif way == 2:
            reply = reply[:12] + b"\x00"
        if rng.below(2):
            party.in_general_blocks(rng, reply)
        else:
            client.ask(client.seal(0xCB, reply), lab.now_ms)
        party.open()

    def _live(self, rng):
        """Time passes; now and then the supply goes without a word."""
        lab = self.lab
        if rng.below(60) == 0:
            lab.minute()
        elif rng.below(4) == 0:
            lab.run(50, 50)
        if rng.below(400) == 0:
            lab.power_up()
            for party in self.parties:
                party.open()

    # --- what must hold ------------------------------------------------------------------

    def has_faults(self):
        """What the meter says of itself."""
        lab = self.lab
        return lab.server.faults or lab.meter.faults.count or lab.model.faults

    def alive(self):
        """Everybody gets in, energy is counted, nobody but its client moved the breaker."""
        lab = self.lab
        lab.now_ms += 3600000
        for party in self.parties:
            party.open()
            answer = party.ask(b"\xc0\x01\xc1" + bytes.fromhex("00080000010000FF0200"))
            assert answer[:4] == b"\xc4\x01\xc1\x00", "no clock for the %s" % party.role
        grown = lab.minute() + lab.minute()
        assert 199990 < grown < 200010, "6 kW for two minutes are not %d mWh" % grown
        if "breaker" not in [party.role for party in self.parties]:
            assert lab.relay.contact and not lab.relay.pulses, "somebody else moved the breaker"
        for _, code, detail, _ in lab.meter.events.entries():
            if READY_FOR_RECONNECTION <= code <= LOCAL_RECONNECTION and detail >> 16 < 0xF0:
                assert detail >> 16 in (0, SAPS["breaker"]), "moved by %d" % (detail >> 16)
