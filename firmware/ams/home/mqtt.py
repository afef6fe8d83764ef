"""MQTT 3.1.1 for who only publishes (OASIS, mqtt-v3.1.1): packets in and out, no line, no clock.
What MQTT 5 adds is in mqtt5.

One packet at a time is on its way, in a buffer made once. Of what a broker may say to such a
client there are CONNACK, PUBACK and PINGRESP, of two octets at the most: all else is an error, a
message to us above all, for nothing was subscribed to.
"""

from micropython import const

SIZE = const(1024)
_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_PINGREQ = const(0xC0)
_PINGRESP = const(0xD0)
_DISCONNECT = const(0xE0)
_HEAD = const(3)  # the first octet, and a length of one octet or two
# Parts of a packet that comes.
_KIND = const(0)
_LENGTH = const(1)
_BODY = const(2)
_U16 = const(0xFFFF)
# Return codes of CONNACK.
REFUSALS = (
    "", "protocol version", "client identifier", "broker unavailable", "bad user name or password",
    "not authorized",
)  # fmt: skip


class MqttError(Exception):
    """The broker said what it may not."""


class Refused(MqttError):
    """It does not take us: `code` of CONNACK, in words."""

    def __init__(self, code, text=None):
        super().__init__(text or (REFUSALS[code] if code < len(REFUSALS) else "code %d" % code))
        self.code = code


class Ended(Refused):
    """It took us, and ends it with a DISCONNECT that has a `code` (MQTT 5)."""


def decimal(value, places):
    """A whole number of 10**-places as exact text."""
    digits = "%d" % abs(value)
    if places:
        digits = "0" * (places + 1 - len(digits)) + digits
        digits = digits[:-places] + "." + digits[-places:]
    return "-" + digits if value < 0 else digits


class Client:
    # What is otherwise in MQTT 5, where most of it is the broker's to say.
    level = 4
    session = False  # the broker may have one of ours
    again = False  # the message that waits for its PUBACK is to be sent once more
    refused = ""  # why the last PUBACK took no message
    qos = 1  # at the most
    retain = True
    most = SIZE  # octets of a packet
    ping_ms = 25000
    _will = 0x2C  # flags of CONNECT: there is one, QoS 1, retained
    _connect_properties = _will_properties = _no_properties = b""
    _BODY_MOST = 2

    def __init__(self, size=SIZE):
        self._buffer = memoryview(bytearray(size))
        self._body = bytearray(self._BODY_MOST)
        self._id = 0
        self.reset()

    def reset(self):
        """A new connection is there: nothing of the last one counts."""
        self._at = self._end = 0
        self._part = _KIND
        self._kind = self._left = self._got = 0
        self._greeted = False
        self.connected = False
        self.unacknowledged = 0  # identifier of the QoS 1 message that waits for its PUBACK
        self.pinged = False  # and the answer is not there

    # --- what goes --------------------------------------------------------------

    @property
    def idle(self):
        """Whether a packet may be made: the last one has gone."""
        return self._at == self._end

    def send(self, connection):
        """Gives a hal connection what it takes of the packet; whether it took any."""
        if self._at == self._end:
            return False
        count = connection.write(self._buffer[self._at : self._end])
        if count is None:
            count = self._end - self._at
        self._at += count
        return count > 0

    def connect(self, name, user, password, topic, will, keep_alive_s):
        """`will` is what the broker says at `topic`, retained, when we are gone. A clean session,
        unless there is one already.

        `user`, `password`: octets, or None.
        """
        self._begin()
        self._string(b"MQTT")
        flags = self._will if self.session else self._will | 0x02
        if user is not None:
            flags |= 0x80
            if password is not None:
                flags |= 0x40
        self._raw(bytes((self.level, flags)))
        self._u16(keep_alive_s)
        self._raw(self._connect_properties)
        self._string(name)
        self._raw(self._will_properties)
        self._string(topic)
        self._string(will)
        if user is not None:
            self._string(user)
            if password is not None:
                self._string(password)
        self._close(_CONNECT)
        self._greeted = True

    def publish(self, topic, qos=0, retain=False):
        """Begins a message: its text follows by `text`, then `finish`."""
        self._begin()
        self._string(topic)
        self._kind_out = _PUBLISH | (1 if retain and self.retain else 0)
        if qos and self.qos:
            self._kind_out |= 0x02
            if self.again:
                self._kind_out |= 0x08
                self.again = False
            else:
                # 0 is no identifier.
                self._id = self._id % _U16 + 1
            self._u16(self._id)
        self._raw(self._no_properties)

    def text(self, text):
        self._raw(text.encode())

    def finish(self):
        """Whether it goes: the broker may take none so long."""
        self._close(self._kind_out)
        if self._end - self._at > self.most:
            self._begin()
            return False
        if self._kind_out & 0x06:
            self.unacknowledged = self._id
            self.refused = ""
        return True

    def ping(self):
        self._begin()
        self._close(_PINGREQ)
        self.pinged = True

    def disconnect(self, code=0):
        """The last packet: the broker says no will. `code`: why, in MQTT 5; then it does."""
        self._begin()
        if code:
            self._raw(bytes((code,)))
        self._close(_DISCONNECT)

    def wipe(self):
        """What has gone stands in the buffer no longer: a password did."""
        if self._at == self._end:
            for at in range(self._end):
                self._buffer[at] = 0

    def _begin(self):
        # Should a packet not come to its end, nothing of it goes.
        self._at = self._end = 0
        self._to = _HEAD

    def _raw(self, data):
        end = self._to + len(data)
        if end > len(self._buffer):
            raise ValueError("a message of more than %d octets" % len(self._buffer))
        self._buffer[self._to : end] = data
        self._to = end

    def _u16(self, value):
        self._raw(bytes((value >> 8, value & 0xFF)))

    def _string(self, octets):
        self._u16(len(octets))
        self._raw(octets)

    def _close(self, kind):
        length = self._to - _HEAD
        buffer = self._buffer
        if length < 128:
            self._at = 1
            buffer[2] = length
        else:
            self._at = 0
            buffer[1] = length & 0x7F | 0x80
            buffer[2] = length >> 7
        buffer[self._at] = kind
        self._end = self._to

    # --- what comes -------------------------------------------------------------

    def feed(self, data):
        """Octets of the broker, cut anywhere. Raises MqttError."""
        for octet in data:
            if self._part == _KIND:
                self._kind = octet
                self._got = 0
                self._part = _LENGTH
            elif self._part == _LENGTH:
                # Of what may come nothing is longer, so that a length has one octet.
                if octet > len(self._body):
                    raise MqttError("a packet %02x of %d octets" % (self._kind, octet))
                self._left = octet
                self._part = _BODY if octet else _KIND
                if not octet:
                    self._take()
            else:
                self._body[self._got] = octet
                self._got += 1
                if self._got == self._left:
                    self._part = _KIND
                    self._take()

    def _take(self):
        kind = self._kind
        if kind == _CONNACK and self._left == 2 and self._greeted and not self.connected:
            if self._body[1]:
                raise Refused(self._body[1])
            self.connected = True
        elif kind == _PUBACK and self._left == 2 and self.connected:
            if self._body[0] << 8 | self._body[1] == self.unacknowledged:
                self.unacknowledged = 0
        elif kind == _PINGRESP and not self._left and self.connected:
            self.pinged = False
        else:
            raise MqttError("a packet %02x that nobody asked for" % kind)
