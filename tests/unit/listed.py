"""Lists of sets, actions and gets against the same one by one, on either VM (test_listed.py).

Everything that may be written or called, by everybody who may, and every profile by range and by
entry: alone, and as first, middle and last of a list, in one piece and in blocks. `run()` gives how
many there were; it raises AssertionError at the first that differs.
"""

import struct

try:
    from roles_lab import KEK, SAPS, SEALS, RolesLab, counted
except ImportError:
    from openams.faultlab.roles_lab import KEK, SAPS, SEALS, RolesLab, counted

from ams.control import command as cm
from ams.crypto.keywrap import wrap
from ams.storage import layout

_REGIONS = (layout.CONTROL, layout.PARAMETERS, layout.UPDATE)
# Neighbours in a list: nothing that is there; and the operator's filter of alarms.
_NOTHING = (b"\x00\x01\x00\x00\x60\x01\x00\xff\x02", b"\x09\x01!")
_DATE_TIME = b"\x09\x0c\x07\xea\x06\x01\xff\x0c\x00\x00\x00\x80\x00\x00"
_ANY_TIME = b"\x09\x0c" + b"\xff" * 9 + b"\x80\x00\xff"
_CLOCK_OBJECT = b"\x02\x04\x12\x00\x08\x09\x06\x00\x00\x01\x00\x00\xff\x0f\x02\x12\x00\x00"
_NULL = b"\x00"
_ZERO = b"\x0f\x00"


def octets(data):
    return b"\x09" + bytes((len(data),)) + data


def wrapped(place, under=KEK):
    return octets(wrap(under, bytes([0x80 + place]) * 16))


def transfer(*keys):
    out = bytes((1, len(keys)))
    for which, place in keys:
        out += b"\x02\x02\x16" + bytes((which,)) + wrapped(place)
    return out


# Good values of what cannot simply be written as it was read: by logical name and number.
WRITTEN = {
    "0.0.1.0.0.2": _DATE_TIME,
    "0.0.96.3.129.2": b"\x02\x03\x06\x00\x00\x10\x00\x06\x00\x00\x0e\x10\x12\x03\x84",
    "0.0.128.1.2.2": octets(wrap(KEK, b"H" * 16) + wrap(KEK, b"h" * 16)),
    "0.1.24.1.0.5": b"\x11\x09",
    "0.0.128.5.0.2": wrapped(0),
    "0.0.128.5.1.2": wrapped(1, SEALS[1]),
    "0.0.128.5.2.2": wrapped(2),
    "0.0.25.9.0.2": b"\x01\x01" + _CLOCK_OBJECT,
    "0.4.25.9.0.4": b"\x01\x01\x02\x02" + _ANY_TIME + _ANY_TIME,
    "0.0.13.0.0.10": _DATE_TIME,
    "0.0.15.0.4.4": b"\x01\x01\x02\x02\x09\x04\x0c\x00\x00\x00\x09\x05\xff\xff\xff\xff\xff",
    "0.0.20.0.0.2": b"\x16\x01",
    "0.0.22.0.0.5": b"\x12\x00\x80",
}
CALLED = {
    "0.0.1.0.0.5": b"\x02\x03" + _DATE_TIME * 3,
    "0.0.1.0.0.6": b"\x10\x00\x01",
    "0.0.11.0.0.1": b"\x02\x03\x12\x00\x07\x09\x05\xff\xff\x05\x11\xff\x11\x02",
    "0.0.11.0.0.2": b"\x12\x00\x07",
    "0.0.10.0.1.1": b"\x12\x00\x01",
    "0.0.10.0.106.1": b"\x12\x00\x01",
    "0.0.10.0.107.1": b"\x12\x00\x01",
    "0.0.10.0.108.1": b"\x12\x00\x02",
    "0.0.44.0.0.1": b"\x02\x02\x09\x03lab\x06\x00\x00\x08\x00",
    "0.0.44.0.0.2": b"\x02\x02\x06\x00\x00\x00\x00\x09\x40" + bytes(64),
    "0.1.24.1.0.1": b"\x11\x05",
    "0.0.40.0.0.1": octets(b"\x10" + bytes(16)),
    "0.0.43.0.1.1": b"\x16\x6c",
    "0.0.43.0.1.2": transfer((0, 1), (2, 2), (3, 3)),
    "0.0.43.0.2.2": transfer((0, 4), (2, 5)),
}


def year(number):
    return b"\x09\x0c" + struct.pack(">HBBBBBBBhB", number, 1, 1, 255, 0, 0, 0, 0, -0x8000, 0)


def name(head, number):
    return ".".join([str(part) for part in head[2:7]] + [str(number)])


class Lists:
    def __init__(self):
        self.lab = RolesLab(lambda count: bytes(count), {"per_hour": 100})
        self.lab.complaints.clear()
        self.image = {number: bytes(data) for number, data in self.lab.flash.own.items()}
        self.count = 0

    def anew(self, role, pdu_size=1000):
        """The meter as it was, and its client."""
        lab = self.lab
        for number in self.image:
            lab.flash.own[number][:] = self.image[number]
        for number in lab.slots.own:
            lab.slots.own[number][:] = b"\xff" * 4096
        lab.relay.contact = True
        lab.power_up()
        client = lab.client(role)
        client.pdu_size = pdu_size
        client.open(lab.now_ms)
        return client

    def kept(self):
        """What a sequence left behind."""
        out = [self.lab.meter.utc_ms]
        for region in _REGIONS:
            cells = self.lab.meter.nv_memory.cells(region)
            out.append([cells.get(key) for key in range(254)])
        assert not self.lab.complaints, self.lab.complaints
        return out

    # --- the same, by each way -----------------------------------------------------------

    def by_itself(self, role, items, method):
        client = self.anew(role)
        results = b""
        for head, value in items:
            if method:
                answer = self.lab.ask(client, b"\xc3\x01\xc1" + head + b"\x01" + value)
                assert answer[:3] == b"\xc7\x01\xc1", (head, answer)
                results += answer[3:4]
            else:
                answer = self.lab.ask(client, b"\xc1\x01\xc1" + head + b"\x00" + value)
                assert answer[:3] == b"\xc5\x01\xc1" and len(answer) == 4, (head, answer)
                results += answer[3:]
            self._follow(client, head, value, method)
        return results, self.kept()

    def _follow(self, client, head, value, method):
        """A client whose keys were changed goes on under the new ones."""
        keys = self.lab.server.keyring.client(client.sap).keys
        if client.keys != (keys.encryption, keys.authentication):
            client.keys = keys.encryption, keys.authentication
            client._gcm = type(client._gcm)(keys.encryption)

    def _names_and_values(self, items, method):
        names = bytes((len(items),))
        values = bytes((len(items),))
        for head, value in items:
            names += head + (b"" if method else b"\x00")
            values += value
        return names, values

    def _results(self, answer, method, count):
        """The result octets of a list; nothing that is called here gives anything back."""
        if not method:
            assert len(answer) == 1 + count and answer[0] == count, answer
            return answer[1:]
        assert len(answer) == 1 + 2 * count and answer[0] == count, answer
        return bytes([answer[1 + 2 * k] for k in range(count)])

    def listed(self, role, items, method):
        client = self.anew(role)
        names, values = self._names_and_values(items, method)
        head = b"\xc3\x03\xc1" if method else b"\xc1\x04\xc1"
        answer = self.lab.ask(client, head + names + values)
        assert answer[:3] == (b"\xc7\x03\xc1" if method else b"\xc5\x05\xc1"), answer
        return self._results(answer[3:], method, len(items)), self.kept()

    def in_blocks(self, role, items, method, size):
        client = self.anew(role)
        names, values = self._names_and_values(items, method)
        head = (b"\xc3\x05\xc1" if method else b"\xc1\x05\xc1") + names
        service = 0xC3 if method else 0xC1
        number = 0
        while True:
            piece, values = values[:size], values[size:]
            number += 1
            block = struct.pack(">BIB", 0 if values else 1, number, len(piece)) + piece
            answer = self.lab.ask(client, head + block)
            if not values:
                break
            assert answer == struct.pack(">BBBI", service + 4, 4 if method else 2, 0xC1, number)
            head = b"\xc3\x06\xc1" if method else b"\xc1\x03\xc1"
        if method:
            assert answer[:3] == b"\xc7\x03\xc1", answer
            return self._results(answer[3:], method, len(items)), self.kept()
        assert answer[:3] == b"\xc5\x04\xc1" and answer[-4:] == struct.pack(">I", number), answer
        return self._results(answer[3:-4], method, len(items)), self.kept()

    def alike(self, role, items, method):
        alone = self.by_itself(role, items, method)
        for way in (self.listed, lambda *what: self.in_blocks(*what, 7)):
            results, kept = way(role, items, method)
            assert results == alone[0], (role, items, method, results, alone[0])
            assert kept == alone[1], (role, items, method)
        return alone[0]

    # --- everything ------------------------------------------------------------------------

    def changes(self):
        """All that may be changed: as every item of a list, and between two others."""
        good = bad = 0
        for role, head, class_id, number, method in list(self.lab.changes()):
            value = self.value(role, head, number, method)
            item = (head + bytes((number,)), value)
            wrong = (item[0], b"\x0a\x01x")
            results = self.alike(role, [item, item, item], method)
            good += results[0] == 0
            if method and value == _ZERO and class_id != 70:
                # What a method has no parameters for may be left out; in a list it is null.
                left_out = self.alike(role, [(item[0], _NULL), item], method)
                assert left_out[0] == results[0], (role, head, number, left_out)
            bad += self.alike(role, [wrong, item, _NOTHING], method)[1] == results[0]
            self.count += 1
        return good, bad

    def value(self, role, head, number, method):
        where = name(head, number)
        if head[:2] == b"\x00\x48":
            # Of each sub-meter the same.
            where = "0.1" + where[3:]
        if where == "0.0.96.3.128.2":
            now = self.lab.meter.utc_ms // 1000
            order = cm.pack(
                self.lab.server.keyring.title, cm.DISCONNECT, 1, now - 60, now + 60, SEALS
            )
            return octets(order)
        if method:
            if head[:2] == b"\x00\x40":
                # Of each client its own.
                where = where if where in CALLED else "0.0.43.0.2." + str(number)
                where = "0.0.43.0.1.1" if number == 1 else where
            return CALLED.get(where, _ZERO)
        if where in WRITTEN:
            return WRITTEN[where]
        client = self.anew(role)
        answer = self.lab.ask(client, b"\xc0\x01\xc1" + head + bytes((number, 0)))
        assert answer[:4] == b"\xc4\x01\xc1\x00", (where, answer)
        return answer[4:]

    def selections(self):
        """Every profile by range and by entry, as first, middle and last of a list."""
        lab = self.lab
        client = self.anew("reader", 200)
        for _ in range(70):
            lab.minute()
        client.open(lab.now_ms)
        profiles = []
        for class_id, _, ln, _, _, _ in lab.model.rows(2):
            if class_id == 7:
                profiles.append(b"\x00\x07" + bytes(ln))
        clock = b"\xc0\x01\xc1" + bytes.fromhex("00080000010000FF0200")
        for head in profiles:
            rows = b"\x02\x02\x04\x06\x00\x00\x00\x01\x06\x00\x00\x00\x05\x12\x00\x01\x12\x00\x00"
            ever = b"\x01\x02\x04" + _CLOCK_OBJECT + _ANY_TIME * 2 + b"\x01\x00"
            nine = ever[:-2] + b"\x01\x01" + _CLOCK_OBJECT
            for selection in (rows, ever, nine):
                asked = head + b"\x02\x01" + selection
                alone = self._value(client, asked)
                for items in ([asked, clock[3:], clock[3:]], [clock[3:], asked, clock[3:]],
                              [clock[3:], clock[3:], asked], [asked, asked, asked]):  # fmt: skip
                    answer = lab.whole(client, b"\xc0\x03\xc1\x03" + b"".join(items))
                    if answer[:1] == b"\xc4":
                        answer = answer[3:]
                    wanted = b"\x03"
                    for item in items:
                        wanted += b"\x00"
                        wanted += alone if item is asked else self._value(client, item)
                    assert answer == wanted, (head, selection, answer, wanted)
                self.count += 1
            self._cut(client, head, ever)
        assert not lab.complaints, lab.complaints
        return len(profiles)

    def _cut(self, client, head, ever):
        """A bound before or behind all time is as the begin or end of what there is."""
        everything = self._value(client, head + b"\x02\x01" + ever)
        for low, high, wanted in (
            (year(1970), year(9999), everything),
            (year(1), year(0xFFFE), everything),
            (year(1970), year(2136), everything),
            (year(1970), year(1999), b"\x01\x00"),
            (year(1999), year(1970), b"\x01\x00"),
            (year(2137), year(9999), b"\x01\x00"),
        ):
            selection = ever.replace(_ANY_TIME * 2, low + high)
            assert self._value(client, head + b"\x02\x01" + selection) == wanted, (head, low, high)

    def _value(self, client, asked):
        answer = self.lab.whole(client, b"\xc0\x01\xc1" + asked)
        if answer[:1] == b"\xc4":
            assert answer[:4] == b"\xc4\x01\xc1\x00", (asked, answer)
            return answer[4:]
        return answer


def run():
    lists = Lists()
    good, same = lists.changes()
    profiles = lists.selections()
    return lists.count, good, same, profiles


__all__ = ["SAPS", "counted", "run"]
