"""The meter at its broker: connects, says what has changed, and begins again when it is gone.

Nothing waits: each `poll` sends or takes what the connection takes just now. Who does not take is
left, and dialled again after a time that doubles, with a part of it by chance: a street that comes
back does not come at once. The broker says `offline` for a meter that is gone (Last Will).
"""

from micropython import const

from ams.clock.local import civil
from ams.hal import NotTrusted
from ams.home.entities import Entities
from ams.home.hour_ring import HourRing
from ams.home.mqtt import Client, Ended, MqttError, Refused, decimal

CLOSED = const(0)  # the operator has not opened it
NO_BROKER = const(1)
NO_NETWORK = const(2)
WAITING = const(3)  # until it is dialled again
DIALLING = const(4)
GREETING = const(5)  # a connection is there, but the broker has not taken us
CONNECTED = const(6)
STATES = (
    "closed", "no-broker", "no-network", "waiting", "dialling", "greeting", "connected",
)  # fmt: skip

_KEEP_ALIVE_S = const(60)
# A connection that takes nothing for so long, or does not answer, is none.
_PATIENCE_MS = const(20000)
_BACK_OFF_LEAST_MS = const(1000)
_BACK_OFF_MOST_MS = const(300000)
# What somebody has to mend is tried seldom: a wrong password locks accounts.
_MEND_MS = const(60000)
# One that held so long was a good one: the next begins with the shortest wait.
_HELD_MS = const(60000)
_PIECE = const(64)
_PIECES = const(4)
_MQTT_5 = const(5)
# Codes of MQTT 5 (2.4) and of CONNACK of 3.1.1.
_PROTOCOL_ERROR = const(0x82)
_NO_SUCH_VERSION = b"\x01\x84"
_ASKED_NO_MORE = b"\x9a\x9b"  # retain, QoS: the next CONNECT is without
# Not authorized, banned, taken over, rate, quota, by hand, elsewhere.
_MENDED_BY_HAND = b"\x87\x8a\x8e\x96\x97\x98\x9c\x9d\x9f"
_SEED_MASK = const(0x3FFFFFFF)


def node_of(meter_id):
    """A name that goes into topics: letters, digits, - and _."""
    name = ""
    for sign in meter_id:
        good = "0" <= sign <= "9" or "a" <= sign <= "z" or "A" <= sign <= "Z" or sign == "-"
        name += sign if good else "_"
    return name


class Publisher:
    """`broker` is a Broker; `seed` chooses the chance in the waits. `network` (hal.Network) is set
    while there is one."""

    def __init__(self, meter, broker, seed, ring=None):
        self._meter = meter
        self.broker = broker
        self._random = seed & _SEED_MASK
        self.ring = ring or HourRing()
        self.entities = Entities(meter, self.ring)
        self._is_level_known = False  # it has taken us in the one that we speak
        self._speak(broker.level)
        node = node_of(meter.identity.meter_id)
        self._node = b"openams_" + node.encode()
        self._topic = broker.prefix + b"/" + node.encode()
        self.network = None
        self.state = WAITING
        self.why = ""  # it is not connected
        self.published = 0  # messages since power-up
        self.connections = 0
        self._dialled = self._peer = None
        self._piece = memoryview(bytearray(_PIECE))
        self._retry_ms = 0
        self._back_off_ms = 0
        self._since_ms = 0  # of the state
        self._moved_ms = 0  # when the connection last took or gave something
        self._sent_ms = 0  # when the last ping or hour went
        self._last = [None] * len(self.entities.rows)
        self._hour_said = None  # number of the hour that waits for its PUBACK
        self._is_size_said = False
        self._begin(0)

    def _speak(self, level):
        if level == _MQTT_5:
            from ams.home.mqtt5 import Client5

            self.client = Client5()
        else:
            self.client = Client()

    # --- life ----------------------------------------------------------------------

    def _begin(self, now_ms):
        """What a new connection has to hear: all of it."""
        if not self.client.unacknowledged:
            self._hour_said = None
        self._hours_from_ms = now_ms
        self._greeted = False  # the broker knows that we are online
        self._config_at = 0 if self.broker.discovery else len(self.entities.rows)
        self._row_at = 0
        self._due_ms = now_ms
        for k in range(len(self._last)):
            self._last[k] = None

    def poll(self, now_ms):
        """Often, with milliseconds that only grow; never waits."""
        if self._peer is None and self._dialled is None:
            if self.network is None:
                self.state = NO_NETWORK
                return
            if self.state == NO_NETWORK:
                self.state = WAITING
            if now_ms < self._retry_ms:
                return
        try:
            if self._peer is not None:
                self._serve(now_ms)
            elif self._dialled is not None:
                self._look_out(now_ms)
            else:
                self._enter(DIALLING, now_ms)
                self._dialled = self.network.dial(self.broker.destination, self.broker.tls)
        except Ended as error:
            is_by_hand = error.code in _MENDED_BY_HAND
            self._fail(now_ms, "ended by the broker: %s" % error, _MEND_MS if is_by_hand else 0)
        except Refused as error:
            is_other = error.code in _ASKED_NO_MORE
            if error.code in _NO_SUCH_VERSION:
                is_other = self._other_level()
            self._fail(now_ms, "refused: %s" % error, 0 if is_other else _MEND_MS)
        except NotTrusted as error:
            self._fail(now_ms, "not trusted: %s" % error, _MEND_MS)
        except MqttError as error:
            if self.client.level == _MQTT_5 and self.client.idle:
                self._goodbye(_PROTOCOL_ERROR)
            self._doubt_level()
            self._fail(now_ms, str(error), 0)
        except OSError as error:
            self._doubt_level()
            what = error.args[0] if error.args else ""
            self._fail(now_ms, what if isinstance(what, str) else "error %d" % what, 0)

    def _doubt_level(self):
        """It has our CONNECT: some hang up or answer as in 3.1.1 instead of refusing a version."""
        if self.state == GREETING and self.client.idle and not self._is_level_known:
            self._other_level()

    def _other_level(self):
        """5 is asked for, but is not all that we speak: the other is next. Whether there is one."""
        if self.broker.level != _MQTT_5:
            return False
        self._is_level_known = False
        self._speak(9 - self.client.level)
        return self.client.level != _MQTT_5

    def _enter(self, state, now_ms):
        self.state = state
        self._since_ms = self._moved_ms = now_ms

    def close(self, now_ms):
        """Says goodbye where that goes at once; no will is said then, so we say it."""
        if self.state == CONNECTED and self.client.idle:
            try:
                self._say(b"/status", "offline")
                self.client.send(self._peer)
            except (OSError, ValueError):
                pass
            if self.client.idle:
                self._goodbye(0)
        self.client.session = False
        self._hang_up()
        self._retry_ms = now_ms
        self._back_off_ms = 0
        self.state = WAITING
        self.why = ""

    def _goodbye(self, code):
        try:
            self.client.disconnect(code)
            self.client.send(self._peer)
        except OSError:
            pass

    def _hang_up(self):
        for thing in (self._peer, self._dialled):
            if thing is not None:
                try:
                    thing.close()
                except OSError:
                    pass
        self._peer = self._dialled = None
        self.client.reset()

    def _fail(self, now_ms, why, least_ms):
        held = self.state == CONNECTED and now_ms - self._since_ms >= _HELD_MS
        self._hang_up()
        wait_ms = _BACK_OFF_LEAST_MS if held else 2 * self._back_off_ms
        wait_ms = min(max(wait_ms, least_ms, _BACK_OFF_LEAST_MS), _BACK_OFF_MOST_MS)
        self._back_off_ms = wait_ms
        # From half of it on: of two that went at once, one comes first.
        self._retry_ms = now_ms + wait_ms // 2 + self._chance(wait_ms // 2 + 1)
        self._enter(WAITING, now_ms)
        self._tell(" ".join(why.split()))  # mbedTLS says several lines

    def _tell(self, why):
        if why != self.why:
            self.why = why
            self._meter.say("home: " + why)

    def _chance(self, below):
        self._random = (self._random * 1103515245 + 12345) & _SEED_MASK
        return (self._random >> 8) % below

    # --- a connection ----------------------------------------------------------------

    def _look_out(self, now_ms):
        peer = self._dialled.peer()
        if peer is None:
            if now_ms - self._since_ms > _PATIENCE_MS:
                raise OSError("no answer")
            return
        self._dialled = None
        self._peer = peer
        self._enter(GREETING, now_ms)
        broker = self.broker
        client = self.client
        client.reset()
        if client.unacknowledged and not self._is_oldest():
            # It cannot be sent again, as that session would ask.
            client.session = False
        client.connect(
            b"openams" + self._node[8:],
            broker.user, broker.password, self._topic + b"/status", b"offline", _KEEP_ALIVE_S,
        )  # fmt: skip

    def _serve(self, now_ms):
        client = self.client
        for _ in range(_PIECES):
            count = self._peer.readinto(self._piece)
            if count is None:
                break
            if not count:
                raise OSError("the broker hung up")
            client.feed(self._piece[:count])
            self._moved_ms = now_ms
        if self.state == GREETING:
            if client.connected:
                self._enter(CONNECTED, now_ms)
                self.why = ""
                self._is_level_known = True
                if client.level != self.broker.level:
                    self._tell("MQTT 3.1.1, for it takes no 5")
                self.connections += 1
                self._sent_ms = now_ms
                self._begin(now_ms)
            elif client.send(self._peer):
                if client.idle:
                    client.wipe()
            elif now_ms - self._since_ms > _PATIENCE_MS:
                raise OSError("the broker does not answer")
            return
        if client.send(self._peer):
            self._moved_ms = now_ms
        if not client.idle:
            if now_ms - self._moved_ms > _PATIENCE_MS:
                raise OSError("the broker takes nothing")
            return
        waits = client.pinged or (client.unacknowledged and not client.again)
        if waits and now_ms - self._sent_ms > _PATIENCE_MS:
            raise OSError("the broker does not answer")
        if self._make(now_ms) and client.send(self._peer):
            self._moved_ms = now_ms

    # --- what is said ------------------------------------------------------------------

    def _make(self, now_ms):
        """Makes the next packet that is due; whether there is one."""
        client = self.client
        if not self._greeted:
            self._greeted = True
            self._say(b"/status", "online")
            return True
        self._note_hour(now_ms)
        if client.again and self.ring.count:
            # What the session has open comes before all that is new: the broker waits for it.
            self._sent_ms = now_ms
            self._say_hour(now_ms)
            return True
        if self._config_at < len(self.entities.rows):
            self._say_config(self.entities.rows[self._config_at])
            self._config_at += 1
            return True
        waits = client.pinged or client.unacknowledged
        if not waits and self.ring.count and now_ms >= self._hours_from_ms:
            self._sent_ms = now_ms
            self._say_hour(now_ms)
            return True
        if not waits and now_ms - self._sent_ms >= client.ping_ms:
            self._sent_ms = now_ms
            client.ping()
            return True
        return self._say_changed(now_ms)

    def _note_hour(self, now_ms):
        """An hour that the broker has is done with; it may have been dropped meanwhile."""
        if self._hour_said is not None and not self.client.unacknowledged:
            if self.client.refused:
                self._hold_hours(now_ms, self.client.refused)
            elif self._is_oldest():
                self.ring.pop()
                if self.client.level == self.broker.level:
                    self.why = ""
            self._hour_said = None

    def _is_oldest(self):
        return self.ring.count and self.ring.number == self._hour_said

    def _hold_hours(self, now_ms, why):
        """The broker is there but takes none: it is asked seldom, and they wait."""
        self._hours_from_ms = now_ms + _MEND_MS
        self._tell("it takes no hour: " + why)

    def _say_changed(self, now_ms):
        """A value if it is another than it was said to be; one is looked at with each pass, a
        round of them begins with each period."""
        rows = self.entities.rows
        if now_ms < self._due_ms:
            return False
        at = self._row_at
        if at < len(rows):
            self._row_at = at + 1
            k = rows[at]
            value = self.entities.value(k)
            if value == self._last[at]:
                return False
            self._last[at] = value
            self._say(b"/" + self.entities.key(k), self.entities.text(k, value))
            return True
        self._row_at = 0
        period_ms = 1000 * self.broker.period_s
        self._due_ms += period_ms
        if self._due_ms <= now_ms:
            self._due_ms = now_ms + period_ms
        return False

    def _say(self, topic, text):
        client = self.client
        client.publish(self._topic + topic, 0, True)
        client.text(text)
        self._finish()

    def _say_config(self, k):
        client = self.client
        entities = self.entities
        client.publish(entities.config_topic(k, self.broker.discovery, self._node), 0, True)
        entities.config(k, self._topic, self._node, client.text)
        self._finish()

    def _finish(self):
        """Whether the broker takes a message of that size; one that it does not is told of once."""
        if self.client.finish():
            self.published += 1
            return True
        if not self._is_size_said:
            self._is_size_said = True
            self._meter.say("home: the broker takes no more than %d octets" % self.client.most)
        return False

    def _say_hour(self, now_ms):
        row = self.ring.oldest()
        client = self.client
        client.publish(self._topic + b"/hour", 1)
        client.text('{"end":"%04d-%02d-%02dT%02d:%02d:%02dZ"' % _moment(row[0]))
        for k, key in enumerate(_HOUR_KEYS):
            client.text(',"%s":%s' % (key, decimal(row[1 + k], 3)))
        client.text("}")
        if self._finish():
            self._hour_said = self.ring.number
        else:
            self._hold_hours(now_ms, "too long")


_HOUR_KEYS = ("import_kwh", "export_kwh", "reactive_import_kvarh", "reactive_export_kvarh")


def _moment(end_s):
    year, month, day, _, hour, minute, second = civil(1000 * end_s)[:7]
    return year, month, day, hour, minute, second
