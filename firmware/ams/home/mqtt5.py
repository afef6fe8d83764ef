"""MQTT 5 for who only publishes (OASIS, mqtt-v5.0): what it has beyond 3.1.1 (ams.home.mqtt).

The broker keeps our session for a minute, and says our will only after half of one: a Wi-Fi that is
back soon leaves nothing unavailable. What the broker says of itself in CONNACK is kept to: the
largest packet, QoS, whether it retains, keep alive; its receive maximum is, with one message at a
time. Its texts are read by nobody: reasons are told by their code, in our words.
"""

from micropython import const

from ams.home.mqtt import SIZE, Client, Ended, MqttError, Refused

_CONNACK = const(0x20)
_PUBACK = const(0x40)
_DISCONNECT = const(0xE0)
# Properties (2.2.2.2) of CONNACK from _FIRST on: octets of a number, _TEXT, _PAIR, or 0 for one
# that no broker says to us.
_FIRST = const(0x11)
_TEXT = const(8)
_PAIR = const(16)
_SIZES = (
    b"\x04\x08\x02\x00\x00\x00\x00\x00\x00\x08\x00\x08\x00\x00\x08\x00"  # 11 to 20
    b"\x02\x02\x00\x01\x01\x10\x04\x01\x01\x01"  # 21 to 2A
)
_KEEP_ALIVE = const(0x13)
_RECEIVE_MAXIMUM = const(0x21)
_QOS_MOST = const(0x24)
_RETAIN = const(0x25)
_PACKET_MOST = const(0x27)
_OF_PUBACK = b"\x1f\x26"
_OF_DISCONNECT = b"\x1c\x1f\x26"
_NO_RETAIN = const(0x9A)
_NO_QOS = const(0x9B)
_ERROR = const(0x80)
# From _ERROR on (2.4).
_REASONS = (
    "unspecified error|malformed packet|protocol error|its own error|protocol version|"
    "client identifier|bad user name or password|not authorized|broker unavailable|broker busy|"
    "banned|shutting down|authentication method|keep alive|taken over by another of this name|"
    "topic filter|topic name|identifier in use|identifier not found|receive maximum|topic alias|"
    "packet too large|messages too often|quota exceeded|administrative action|payload format|"
    "retain not supported|QoS not supported|use another broker|broker moved|shared subscriptions|"
    "connections too often|connected too long|subscription identifiers|wildcards"
)


def reason(code):
    """A reason code in words."""
    if not code:
        return "no reason given"
    words = _REASONS.split("|")
    return words[code - _ERROR] if 0 <= code - _ERROR < len(words) else "code %d" % code


class Client5(Client):
    level = 5
    # Session expiry 60 s; no packet of more than 129 octets, so that lengths have one; no texts
    # where they may be left out. The will after 30 s.
    _connect_properties = b"\x0c\x11\0\0\0\x3c\x27\0\0\0\x81\x17\0"
    _will_properties = b"\x05\x18\0\0\0\x1e"
    _no_properties = b"\0"
    _BODY_MOST = 127

    def reset(self):
        # A session of the broker's outlives the connection, and so does what it has to acknowledge.
        waits = self.unacknowledged if self.session else 0
        super().reset()
        self.unacknowledged = waits
        self.again = False
        self.refused = ""
        self.qos = 1
        self.retain = True
        self.most = SIZE
        self.ping_ms = Client.ping_ms

    def connect(self, *what):
        if not self.session:
            self.unacknowledged = 0
        super().connect(*what)

    def _take(self):
        kind = self._kind
        body = self._body
        left = self._left
        if kind == _CONNACK and self._greeted and not self.connected and left:
            if left == 2 and body[1]:
                super()._take()  # of a broker that speaks 3.1.1 only
            self._properties(2, None)
            self._take_us(body[1], body[0])
        elif kind == _PUBACK and self.connected and left > 2:
            self._properties(3, _OF_PUBACK)
            if body[0] << 8 | body[1] == self.unacknowledged:
                self.unacknowledged = 0
                self.refused = reason(body[2]) if body[2] >= _ERROR else ""
        elif kind == _DISCONNECT and self.connected:
            self._properties(1, _OF_DISCONNECT)
            raise Ended(body[0] if left else 0, reason(body[0] if left else 0))
        else:
            super()._take()

    def _take_us(self, code, is_kept):
        if code:
            # Asked for with the next CONNECT no more.
            if code == _NO_RETAIN:
                self._will &= ~0x20
            elif code == _NO_QOS:
                self._will &= ~0x08
            raise Refused(code, reason(code))
        if is_kept > self.session:
            raise MqttError("a session that is not ours")
        if not is_kept:
            self.unacknowledged = 0
        self.again = self.unacknowledged != 0
        self.session = self.connected = True

    def _properties(self, at, some):
        """Those from octet `at` of the packet on, all of them or `some`; raises MqttError."""
        body = self._body
        end = self._left
        if at >= end and some is not None:
            return  # they may be left out there
        good = at < end and body[at] == end - at - 1
        seen = 0
        at += 1
        while good and at < end:
            key = body[at]
            at += 1
            k = key - _FIRST
            size = _SIZES[k] if 0 <= k < len(_SIZES) else 0
            if not size or seen & 1 << k or some is not None and key not in some:
                good = False
            elif size < _TEXT:
                at += size
                good = at <= end and self._keep(
                    key, size, int.from_bytes(bytes(body[at - size : at]), "big")
                )
            else:
                for _ in range(size // _TEXT):
                    at += 2
                    if at <= end:
                        at += body[at - 2] << 8 | body[at - 1]
            if size and size != _PAIR:
                seen |= 1 << k
        if not good or at > end:
            raise MqttError("a packet %02x with properties that are none" % self._kind)

    def _keep(self, key, size, value):
        """What the broker says of itself; whether it may be that."""
        if key == _KEEP_ALIVE:
            # Half of it, so that one that is lost does no harm.
            self.ping_ms = min(self.ping_ms, 500 * value) or self.ping_ms
        elif key == _QOS_MOST:
            self.qos = value
        elif key == _RETAIN:
            self.retain = value == 1
        elif key == _PACKET_MOST:
            self.most = min(self.most, value)
        if key in (_RECEIVE_MAXIMUM, _PACKET_MOST):
            return value > 0
        return size > 1 or value < 2
