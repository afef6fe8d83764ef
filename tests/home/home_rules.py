"""What holds of the home automation on either VM, in virtual time; run with the name of one of
these functions. Prints what it found, the same on both."""

import gc
import sys

import home_vm
from fake_network import FAULTS, FAULTS_5, Network

from ams.home.broker import Broker, destination
from ams.home.hour_ring import HourRing
from ams.home.mqtt import Client, MqttError, Refused, decimal
from ams.home.mqtt5 import Client5

CONFIG = {"broker": "10.0.0.5", "user": "meter", "password": "secret"}


class Sink:
    """A connection that takes `at_once` octets at a time."""

    def __init__(self, at_once=1000):
        self.took = b""
        self._at_once = at_once

    def write(self, data):
        data = bytes(data[: self._at_once])
        self.took += data
        return len(data)


def sent(client):
    sink = Sink(7)
    while client.send(sink):
        pass
    return sink.took


def packets():
    client = Client()
    client.connect(b"c", b"user", b"pass", b"t/status", b"offline", 60)
    print(sent(client))
    client.wipe()
    print(b"pass" in bytes(client._buffer))
    client.connect(b"c", None, None, b"t", b"w", 60)
    print(sent(client))
    client.feed(b"\x20")
    client.feed(b"\x02\x00")
    print(client.connected)
    client.feed(b"\x00")
    print(client.connected)
    for qos, retain, length in ((0, True, 3), (1, False, 3), (1, False, 119), (0, False, 900)):
        client.publish(b"a/b", qos, retain)
        client.text("x" * length)
        client.finish()
        said = sent(client)
        print(said[:12], len(said), client.unacknowledged)
    client.feed(b"\x40\x02\x00\x09")
    print(client.unacknowledged)
    client.feed(b"\x40\x02\x00\x02")
    print(client.unacknowledged)
    client.ping()
    print(sent(client), client.pinged)
    client.feed(b"\xd0\x00")
    client.disconnect()
    print(sent(client), client.pinged)
    # The last identifiers, and the first again: never 0.
    client._id = 65530
    for _ in range(12):
        client.publish(b"a", 1)
        client.finish()
        assert client.unacknowledged
        client._at = client._end
    print(client.unacknowledged)
    try:
        client.publish(b"a")
        client.text("x" * 1100)
    except ValueError as error:
        print(error, client.idle)
    # And the next is whole.
    client.publish(b"a")
    client.finish()
    print(sent(client))


def strangers():
    """What a broker may not say."""
    for before, said in (
        (b"", b"\x20\x02\x00\x05"), (b"", b"\x20\x02\x00\x7f"), (b"", b"\x40\x02\x00\x01"),
        (b"", b"\x20\x00"), (b"", b"\xd0\x00"), (b"", b"HTTP/1.1 400"), (b"", b"\x20\x80\x01"),
        (b"\x20\x02\x00\x00", b"\x20\x02\x00\x00"),
        (b"\x20\x02\x00\x00", b"\x30\x05\x00\x01aON"),
        (b"\x20\x02\x00\x00", b"\x30\x00"),
        (b"\x20\x02\x00\x00", b"\x82\x02\x00\x01"),
        (b"\x20\x02\x00\x00", b"\xe0\x00"),
        (b"\x20\x02\x00\x00", b"\xff\xff\xff\xff\xff"),
        (b"\x20\x02\x00\x00", b"\xd0\x01\x00"),
    ):  # fmt: skip
        client = Client()
        client.connect(b"c", None, None, b"t", b"w", 60)
        client.feed(before)
        try:
            client.feed(said)
            print(said, "taken")
        except Refused as error:
            print(said, "refused:", error)
        except MqttError as error:
            print(said, "error:", error)
    client = Client()
    try:
        client.feed(b"\x20\x02\x00\x00")
    except MqttError as error:
        print("before CONNECT:", error)


# A CONNACK with all that a broker may say of itself: session expiry 5 s, keep alive 10 s, receive
# maximum, QoS 0, no retain, a text, two pairs, 300 octets, no wildcards, an assigned name.
_CONNACK_5 = (
    b"\x20\x34\x00\x00\x31" b"\x11\0\0\0\x05" b"\x13\x00\x0a" b"\x21\x00\x01" b"\x24\x00"
    b"\x25\x00" b"\x1f\x00\x02hi" b"\x26\x00\x01a\x00\x02bc" b"\x26\x00\x01a\x00\x00"
    b"\x27\0\0\x01\x2c" b"\x28\x00" b"\x12\x00\x05named"
)  # fmt: skip
_PLAIN_5 = b"\x20\x03\x00\x00\x00"


def _greeted(cls, answer):
    client = cls()
    client.connect(b"c", b"user", b"pass", b"t/status", b"offline", 60)
    sent(client)
    client.feed(answer)
    return client


def packets_5():
    client = Client5()
    client.connect(b"c", b"user", b"pass", b"t/status", b"offline", 60)
    print(sent(client))
    client.feed(_CONNACK_5)
    print(client.connected, client.qos, client.retain, client.most, client.ping_ms)
    client.publish(b"a/b", 1, True)
    client.text("xxx")
    print(client.finish(), sent(client), client.unacknowledged)
    for length in (289, 290, 291, 292):  # a packet of 299 ... 302 octets
        client.publish(b"a/b")
        client.text("x" * length)
        print(client.finish(), len(sent(client)), client.idle)
    client.reset()
    # The session is kept: what waits is sent once more, as it was.
    client = _greeted(Client5, _PLAIN_5)
    client.publish(b"a/b", 1)
    client.text("xxx")
    client.finish()
    sent(client)
    client.reset()
    client.connect(b"c", None, None, b"t", b"w", 60)
    print(sent(client)[:10])
    client.feed(b"\x20\x03\x01\x00\x00")
    print(client.again, client.unacknowledged)
    client.publish(b"a/b", 1)
    client.text("xxx")
    client.finish()
    print(sent(client), client.again)
    client.feed(b"\x40\x03\x00\x01\x10")
    print(client.unacknowledged, repr(client.refused))
    # It is not kept: nothing waits.
    client.publish(b"a/b", 1)
    client.finish()
    sent(client)
    client.reset()
    client.connect(b"c", None, None, b"t", b"w", 60)
    client.feed(_PLAIN_5)
    print(client.again, client.unacknowledged)
    client.publish(b"a/b", 1)
    client.finish()
    client.feed(b"\x40\x0b\x00\x03\x97\x07\x1f\x00\x04full")
    print(client.unacknowledged, repr(client.refused))
    sent(client)
    client.disconnect(0x82)
    print(sent(client))
    # What the broker has not got it is not asked for again.
    for code in (0x9A, 0x9B):
        client = Client5()
        client.connect(b"c", None, None, b"t", b"w", 60)
        try:
            client.feed(bytes((0x20, 3, 0, code, 0)))
        except Refused as error:
            print(error)
        client.reset()
        client.connect(b"c", None, None, b"t", b"w", 60)
        print(hex(sent(client)[9]))


def strangers_5():
    """What a broker may not say in MQTT 5, or ends it with."""
    for said in (
        b"\x20\x03\x01\x00\x00",  # a session that nobody has
        b"\x20\x03\x02\x00\x00", b"\x20\x02\x00\x00", b"\x20\x01\x00", b"\x20\x00",
        b"\x20\x03\x00\x00\x01", b"\x20\x04\x00\x00\x00\x00", b"\x20\x04\x00\x00\x01\x21",
        b"\x20\x06\x00\x00\x03\x21\x00\x00",  # receive maximum 0
        b"\x20\x08\x00\x00\x05\x27\0\0\0\0",  # no packet at all
        b"\x20\x05\x00\x00\x02\x24\x02", b"\x20\x05\x00\x00\x02\x25\x02",
        b"\x20\x07\x00\x00\x04\x24\x00\x24\x00",  # twice
        b"\x20\x06\x00\x00\x03\x1f\xff\xff", b"\x20\x07\x00\x00\x04\x26\x00\x01a",
        b"\x20\x06\x00\x00\x03\x15\x00\x00",  # an authentication that we did not begin
        b"\x20\x05\x00\x00\x02\x01\x01", b"\x20\x05\x00\x00\x02\xff\x00",
        b"\x20\x80\x01", b"\xe0\x00", b"\xe0\x01\x8b",
        b"\x20\x02\x00\x01", b"\x20\x02\x00\x05", b"\x20\x03\x00\x84\x00",
        b"\x20\x03\x00\x87\x00", b"\x20\x0a\x00\x86\x07\x1f\x00\x04pass", b"\x20\x03\x00\xa3\x00",
        b"\x20\x03\x00\x11\x00",
    ):  # fmt: skip
        client = Client5()
        client.connect(b"c", None, None, b"t", b"w", 60)
        _told(client, said)
    for said in (
        _PLAIN_5, b"\x30\x06\x00\x01a\x00ON", b"\x90\x04\x00\x01\x00\x00", b"\xf0\x00",
        b"\xd0\x01\x00",
        b"\x40\x01\x00", b"\x40\x04\x00\x01\x00\x01", b"\x40\x06\x00\x01\x00\x02\x24\x01",
        b"\xe0\x00", b"\xe0\x01\x8b", b"\xe0\x02\x8e\x00", b"\xe0\x07\x9d\x05\x1c\x00\x02xx",
        b"\xe0\x07\x00\x05\x11\0\0\0\0", b"\xe0\x03\x80\x00\x00", b"\xe1\x00",
    ):  # fmt: skip
        _told(_greeted(Client5, _PLAIN_5), said)


def _told(client, said):
    try:
        client.feed(said)
        print(said, "taken")
    except Refused as error:
        print(said, "refused:", error)
    except MqttError as error:
        print(said, "error:", error)


def fuzz(seed, count):
    """Broken packets, at any octet, of a broker of either version: each is taken or an MqttError.
    Prints a sum over what became of them."""
    network = Network(int(seed))
    chance = network.chance
    whole = (_CONNACK_5, _PLAIN_5, b"\x20\x02\x00\x00", b"\x40\x02\x00\x01",
             b"\x40\x0b\x00\x01\x97\x07\x1f\x00\x04full", b"\xd0\x00", b"\xe0\x02\x8b\x00",
             b"\xe0\x0b\x9d\x09\x1c\x00\x06moved!")  # fmt: skip
    total = errors = refusals = connected = 0
    for _ in range(int(count)):
        cls = Client5 if chance(3) else Client
        client = cls()
        client.connect(b"c", None, None, b"t", b"w", 60)
        sent(client)
        stream = bytearray()
        if chance(2):
            stream += _PLAIN_5 if cls is Client5 else b"\x20\x02\x00\x00"
        for _ in range(1 + chance(4)):
            packet = bytearray(whole[chance(len(whole))])
            for _ in range(chance(4)):
                what = chance(3)
                at = chance(len(packet))
                if what == 0:
                    packet[at] = chance(256)
                elif what == 1:
                    packet = packet[:at] + packet[at + 1 :] or packet
                else:
                    packet = packet[:at] + bytes((chance(256),)) + packet[at:]
            stream += packet
        try:
            while stream:
                length = 1 + chance(7)
                client.feed(stream[:length])
                stream = stream[length:]
            end = str((client.connected, client.refused, client.most, client.ping_ms))
            assert client.ping_ms >= 500 and 0 < client.most <= 1024
        except Refused as error:
            end = "r " + str(error)
            refusals += 1
        except MqttError as error:
            end = str(error)
            errors += 1
        connected += client.connected
        for sign in end:
            total = (total * 31 + ord(sign)) % 1000003
    print(total, errors, refusals, connected)


def versions():
    """A broker that does not speak 5 is spoken to in 3.1.1, however it says so; one that takes
    neither is asked seldom."""
    for name, other, levels in (
        ("both", b"", (4, 5)), ("3.1.1", b"\x20\x02\x00\x01", (4,)),
        ("3.1.1 with a reason", b"\x20\x03\x00\x84\x00", (4,)), ("hangs up", None, (4,)),
        ("silent", b"", (4,)), ("as if", b"\x20\x02\x00\x00", (4,)),
        ("neither", b"\x20\x02\x00\x01", ()),
    ):  # fmt: skip
        for version in ("3.1.1", "5"):
            board, meter = home_vm.make(dict(CONFIG, discovery="", mqtt=version))
            meter.home.publisher._random = 7
            network = meter.home.network = Network(3)
            broker = network.broker
            broker.levels = levels
            broker.other = other
            now = run(meter.home, 0, 60000, 50)
            print(name, version, broker.level, network.count, meter.home.state, board.said)
            # Once it has taken us a broker that is gone for a while is no reason for another.
            if meter.home.state.startswith("connected"):
                level = broker.level
                network.faults = ("no-route", "cut", "silent")
                now = run(meter.home, now, 600000, 250)
                network.faults = ("none",)
                now = run(meter.home, now, 400000, 250)
                assert (broker.level, meter.home.publisher.state) == (level, 6), broker.level


def hours_5():
    """Hours that the broker does not take wait, are tried once a minute, and none is lost."""
    said = []
    board, meter = home_vm.make(dict(CONFIG, discovery="", mqtt="5"), han=False)
    home = meter.home
    home.publisher._random = 7
    network = home.network = Network(
        3, heard=lambda topic, text, qos, retained: said.append((text, qos)) if "hour" in topic
        and "{" in text else None
    )  # fmt: skip
    broker = network.broker
    now = run(home, 0, 2000)
    network.faults = ("takes-no-hour",)
    for fault in ("takes-no-hour", "none"):
        home.publisher._peer._fault = fault
        home_vm.go_on(board, meter, home_vm.HOUR_MS)
        now = run(home, now, 150000, 50)
        print(home.state, home.ring.count, len(said), broker.hours)
    # A connection that is lost before the PUBACK: the same hour, as it was.
    home.publisher._peer._fault = "lost-acks"
    home.publisher._peer._left = 10000
    home_vm.go_on(board, meter, home_vm.HOUR_MS)
    now = run(home, now, 1000, 50)
    # On a slow line all that is new takes longer than anybody waits for a PUBACK.
    home.publisher.broker.discovery = b"homeassistant"
    home.publisher._peer.closed = True
    network.faults = ("none",)
    count = network.count
    now = run(home, now, 120000, 1000)
    print(home.state, home.ring.count, len(said), broker.again, said[-1] == said[-2])
    assert network.count == count + 1
    # A broker of QoS 0 and little packets: what is too large is left out, told of once.
    for most in (200, 150):
        broker.properties = b"\x24\x00\x25\x00\x27\x00\x00\x00" + bytes((most,))
        home.publisher._peer.closed = True
        now = run(home, now, 20000, 50)
        home_vm.go_on(board, meter, home_vm.HOUR_MS)
        now = run(home, now, 1000, 50)
        print(home.state, home.ring.count, len(said), said[-1][1], board.said[-1:])
    # Ended with a reason: it tells who has to mend that.
    for code in (0x8B, 0x8E):
        home.publisher._peer._said += bytes((0xE0, 1, code))
        now = run(home, now, 200, 5)
        state = home.state
        count = network.count
        since = now
        while network.count == count:
            now = run(home, now, 50, 50)
        print(state, now - since >= 30000)
        now = run(home, now, 70000, 50)


def texts():
    for value, places in (
        (0, 0), (5, 0), (-5, 0), (0, 3), (7, 3), (999, 3), (1000, 3), (-1, 3), (-1000, 3),
        (123456789012345678, 3), (45, 1),
    ):  # fmt: skip
        print(value, places, decimal(value, places))
    for text in ("10.0.0.5", "10.0.0.5:1884", "1.2.3", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536",
                 "host", "1.2.3.456", "1.2.3.4:18x", "", "::1", "1.2.3.4:99999999999"):  # fmt: skip
        try:
            print(repr(text), destination(text, 1883))
        except ValueError as error:
            print(repr(text), "-", error)
    for more in (
        {"broker": 5}, {"prefix": "a/+/b"}, {"prefix": "$SYS"}, {"prefix": "a/"}, {"prefix": ""},
        {"prefix": 'a"b'}, {"discovery": "#"}, {"discovery": ""}, {"tls": "yes"}, {"tls": True},
        {"tls": True, "ca": "x" * 5000}, {"user": "a\nb"}, {"user": "u" * 65},
        {"user": "", "password": "secret"}, {"password": "secret" * 30}, {"period_s": 0},
        {"period_s": "10"}, {"period_s": 3601}, {"mqtt": 5}, {"mqtt": "4"}, {"mqtt": "5"},
        {"prefix": "hjem/måler"}, {"nonsense": 1},
    ):  # fmt: skip
        config = dict(CONFIG)
        config.update(more)
        try:
            broker = Broker(config)
            print(sorted(more), broker.destination, broker.prefix, broker.discovery)
        except ValueError as error:
            print(sorted(more), "-", error)
            assert "secret" not in str(error)
    tls = dict(CONFIG, tls=True, ca="-----BEGIN", broker="10.0.0.5")
    print(Broker(tls).destination, Broker(tls).tls, Broker(dict(tls, name="b.test")).tls)


def hours():
    ring = HourRing(3)
    for hour in range(5):
        ring.push(3600 * hour, [hour * 10**12, 1, 2, 3])
        print(ring.count, ring.dropped, ring.number, ring.oldest())
    # The one that is on its way is dropped meanwhile: its acknowledgement takes no other.
    said = []
    board, meter = home_vm.make(CONFIG, han=False)
    home = meter.home
    network = home.network = Network(
        heard=lambda topic, text, qos, retained: said.append(text) if qos else None
    )
    publisher = home.publisher
    now = run(home, 0, 2000)
    print(home.state, home.ring.count, len(said))
    # Without a network for three days.
    home.network = None
    publisher.close(now)
    for _ in range(72 * 6):
        home_vm.go_on(board, meter, 600000)
        now = run(home, now, 200, 100)
    print(home.state, home.ring.count, home.ring.dropped)
    home.network = network
    now = run(home, now, 5000)
    print(home.state, home.ring.count, len(said), said[0], said[-1])
    print(len(set(said)), said == sorted(said))
    # Closed by the operator: what waits is nobody's.
    home.set_open(False)
    home_vm.go_on(board, meter, 7200000)
    print(home.state, home.ring.count)


def run(home, now, ms, step=5):
    for _ in range(0, ms, step):
        now += step
        home.poll(now & 0x3FFFFFFF)
    return now


def back_off():
    """When it dials: waits double to five minutes, each between the half and the whole."""
    for fault, times in (("no-route", 14), ("refused", 6), ("silent", 6), ("untrusted", 6)):
        board, meter = home_vm.make(dict(CONFIG, discovery=""))
        home = meter.home
        home.publisher._random = 7
        network = home.network = Network(3, (fault,))
        now = 0
        seen = []
        while len(seen) < times:
            now += 50
            home.poll(now & 0x3FFFFFFF)
            if network.count > len(seen):
                seen.append(now)
        print(fault, waits(seen), home.state, board.said)
    # Two with other seeds do not come at once.
    print(first_waits(1) != first_waits(2), first_waits(1) == first_waits(1))


def waits(seen):
    return [(seen[k] - seen[k - 1]) // 1000 for k in range(1, len(seen))]


def first_waits(seed):
    board, meter = home_vm.make(CONFIG)
    meter.home.publisher._random = seed
    meter.home.network = Network(3, ("no-route",))
    now = 0
    seen = []
    for _ in range(2000):
        now += 50
        meter.home.poll(now)
        if meter.home.network.count > len(seen):
            seen.append(now)
    return seen


def values():
    """Everything that is said is what a HAN list would say of the same moment."""
    for system in ("3P4W", "3P3W", "1P2W"):
        said = {}
        board, meter = home_vm.make(dict(CONFIG, discovery=""), system, han=False)
        meter.home.network = Network(
            heard=lambda topic, text, qos, retained, said=said: said.update({topic: text})
        )
        for _ in range(56 if system == "3P4W" else 2):
            home_vm.go_on(board, meter, 3600000)
        run(meter.home, 0, 12000)
        view = meter.home.publisher.entities.view
        for topic in sorted(said):
            print(system, topic, said[topic])
        print(view.power(0), view.power(1), view.energy_now(0, 1000), view.energy_now(1, 1000))
        own = meter.han.view
        assert [own.power(k) for k in range(4)] == [view.power(k) for k in range(4)]
        assert [own.energy_now(k, 1) for k in range(4)] == [view.energy_now(k, 1) for k in range(4)]


def endure(seed, hours, most_growth, version="3.1.1"):
    """A meter in virtual time at a broker that fails by the seed: its energy and frames are those
    of a meter without one, and the heap grows by no more than `most_growth` octets."""
    said = [0]

    def heard(topic, text, qos, retained):
        said[0] += 1

    seed, hours = int(seed), int(hours)
    board, meter = home_vm.make(dict(CONFIG, mqtt=version))
    home = meter.home
    network = home.network = Network(seed, FAULTS_5 if version == "5" else FAULTS, heard)
    other = home_vm.make(None)
    now = 0
    alloc = getattr(gc, "mem_alloc", lambda: 0)
    first = worst = 0
    for hour in range(hours):
        for _ in range(360):
            home_vm.go_on(board, meter, 10000)
            home_vm.go_on(*other, 10000)
            # A board polls more often: what is due is done in a few passes.
            for _ in range(40):
                now += 250
                home.poll(now & 0x3FFFFFFF)
        gc.collect()
        used = alloc()
        # By then logs and lists of the meter's own have what they hold at the most.
        if hour == min(24, hours // 3):
            first = used
        if first:
            worst = max(worst, used - first)
    assert home_vm.totals(board, meter) == home_vm.totals(*other), (
        board.said,
        home_vm.totals(board, meter),
        home_vm.totals(*other),
    )
    assert meter.faults.count == 0
    assert worst <= int(most_growth), worst
    assert said[0] > 100 * hours and network.count > hours, (said, network.count)
    assert network.broker.level == (5 if version == "5" else 4)
    print("hours", hours, "said", said[0], "connections", network.count, "grown by", worst,
          "again", network.broker.again, file=sys.stderr)  # fmt: skip
    print(network.broker.hours >= hours - 50, home.ring.count <= 48)


globals()[sys.argv[1]](*sys.argv[2:])
