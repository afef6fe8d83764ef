"""A network in virtual time with a broker behind it that fails by a seed; on either VM.

It takes and gives octets as a hal connection does, in pieces. What fails: no route, no answer to a
connect, a wrong password, a connection cut at any octet, one that takes nothing, lost PUBACKs and
PINGRESPs, and octets that are no MQTT. In MQTT 5 also: it ends it with a reason, takes no hour,
loses our session.
"""

from ams.hal import NotTrusted

FAULTS = (
    "none", "no-route", "silent", "refused", "cut", "slow", "lost-acks", "noise", "publishes",
    "untrusted",
)  # fmt: skip
FAULTS_5 = FAULTS + ("ends", "takes-no-hour", "forgets")


class Broker:
    """Parses what comes; `heard` is called with (topic, payload, qos, retained).

    `levels`: those that it takes; another is answered by `other`. `properties`: of its CONNACK.
    """

    def __init__(self, heard=None):
        self.heard = heard
        self.packets = 0
        self.hours = 0
        self.level = None
        self.levels = (4, 5)
        self.other = b"\x20\x02\x00\x01"
        self.properties = b""
        self.session = False
        self.unacknowledged = None  # identifier of the hour whose PUBACK was not sent
        self.again = 0  # hours that came once more, as they have to

    def packet(self, kind, body, fault="none"):
        """The answer to a packet."""
        self.packets += 1
        if kind == 0x10:
            return self._connected(body, fault)
        if kind & 0xF0 == 0x30:
            return self._published(kind, body, fault)
        if kind == 0xC0:
            if fault == "ends":
                return b"\xe0\x02\x8b\x00"
            return b"\xd0\x00"
        assert kind == 0xE0, kind
        self.session = False
        return b""

    def _connected(self, body, fault):
        self.level = body[6]
        if self.level not in self.levels:
            return self.other
        if self.level == 4:
            assert body[7] & 0x02
            return b"\x20\x02\x00\x00"
        if body[7] & 0x02 or fault == "forgets":
            self.session = False
        was, self.session = self.session, True
        if not was:
            self.unacknowledged = None
        more = self.properties
        return bytes((0x20, 3 + len(more), was, 0, len(more))) + more

    def _published(self, kind, body, fault):
        length = body[0] << 8 | body[1]
        topic = bytes(body[2 : 2 + length])
        at = 2 + length
        qos = kind >> 1 & 3
        answer = b""
        if qos:
            number = bytes(body[at : at + 2])
            answer = b"\x40\x02" + number
            at += 2
            if self.level == 5:
                # MQTT 5, 4.4: what the session has open comes first, as it was.
                assert self.unacknowledged is None or (number == self.unacknowledged and kind & 8)
                self.again += kind >> 3 & 1
                self.unacknowledged = number if fault == "lost-acks" else None
            if fault == "takes-no-hour" and self.level == 5:
                answer = b"\x40\x04" + number + b"\x97\x00"
            else:
                self.hours += 1
        if self.level == 5:
            assert body[at] == 0
            at += 1
        if self.heard is not None:
            self.heard(topic.decode(), bytes(body[at:]).decode(), qos, kind & 1)
        return answer


class Connection:
    def __init__(self, network, fault):
        self._network = network
        self._fault = fault
        self._said = b""
        self._got = bytearray()
        self._left = 40 + network.chance(4000)  # octets until a fault
        if fault == "none" and network.faults != ("none",):
            # No connection lasts for ever, but this one for some hours.
            self._fault = "cut"
            self._left = 1000 * (5 + network.chance(60))
        self.closed = False

    def readinto(self, buffer):
        if self._fault == "untrusted":
            raise NotTrusted("the certificate is another's")
        if self.closed:
            return 0
        if not self._said:
            return None
        count = min(len(self._said), len(buffer), 1 + self._network.chance(5))
        buffer[:count] = self._said[:count]
        self._said = self._said[count:]
        return count

    def write(self, data):
        fault = self._fault
        if fault == "untrusted":
            raise NotTrusted("the certificate is another's")
        if self.closed:
            raise OSError(104)
        count = min(len(data), 1 + self._network.chance(len(data)))
        if fault not in ("none", "mute", "refused", "silent"):
            if self._left <= 0:
                return self._fail(fault, data)
            self._left -= count
            count = min(count, max(self._left, 1))
        self._take(data[:count])
        return count

    def _fail(self, fault, data):
        if fault == "cut":
            self.closed = True
            raise OSError(104)
        if fault == "slow":
            return 0
        if fault == "noise":
            self._said += b"\x5a\xff\xff"
        if fault == "publishes":
            self._said += b"\x30\x07\x00\x05relay"
        if fault == "ends":
            self._said += b"\xe0\x01\x8e"
        self._fault = "mute"
        return len(data)

    def _take(self, data):
        if self._fault == "mute":
            return
        got = self._got
        got.extend(data)
        while len(got) >= 2:
            length, at = got[1] & 0x7F, 2
            if got[1] & 0x80:
                if len(got) < 3:
                    return
                length |= got[2] << 7
                at = 3
            if len(got) < at + length:
                return
            answer = self._network.broker.packet(got[0], got[at : at + length], self._fault)
            if answer is None:
                self.closed = True
                return
            if self._fault == "refused" and got[0] == 0x10:
                is_5 = self._network.broker.level == 5
                answer = b"\x20\x03\x00\x86\x00" if is_5 else b"\x20\x02\x00\x04"
            if self._fault == "lost-acks" and answer[:1] == b"\x40":
                answer = b""
            if self._fault != "silent":
                self._said += answer
            got = self._got = got[at + length :]

    def close(self):
        self.closed = True


class Dialled:
    def __init__(self, network, fault):
        self._network = network
        self._fault = fault
        self._passes = network.chance(4)

    def peer(self):
        if self._fault == "no-route":
            raise OSError(113)
        self._passes -= 1
        return Connection(self._network, self._fault) if self._passes < 0 else None

    def close(self):
        pass


class Network:
    """`faults`: names of those that may be, one for each connection."""

    def __init__(self, seed=1, faults=("none",), heard=None):
        self._random = seed
        self.faults = faults
        self.broker = Broker(heard)
        self.dialled = []  # (destination, tls, fault) of the last ones
        self.count = 0

    def chance(self, below):
        self._random = (self._random * 1103515245 + 12345) & 0x3FFFFFFF
        return (self._random >> 8) % below

    def dial(self, destination, tls=None):
        fault = self.faults[self.chance(len(self.faults))]
        self.count += 1
        self.dialled.append((destination, tls, fault))
        del self.dialled[:-3]
        return Dialled(self, fault)
