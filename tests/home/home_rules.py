"""What holds of the home automation on either VM, in virtual time; run with the name of one of
these functions. Prints what it found, the same on both."""

import gc
import sys

import home_vm
from fake_network import FAULTS, Network

from ams.home.broker import Broker, destination
from ams.home.hour_ring import HourRing
from ams.home.mqtt import Client, MqttError, Refused, decimal

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
        {"period_s": "10"}, {"period_s": 3601}, {"prefix": "hjem/måler"}, {"nonsense": 1},
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


def endure(seed, hours, most_growth):
    """A meter in virtual time at a broker that fails by the seed: its energy and frames are those
    of a meter without one, and the heap grows by no more than `most_growth` octets."""
    said = [0]

    def heard(topic, text, qos, retained):
        said[0] += 1

    seed, hours = int(seed), int(hours)
    board, meter = home_vm.make(CONFIG)
    home = meter.home
    network = home.network = Network(seed, FAULTS, heard)
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
    print("hours", hours, "said", said[0], "connections", network.count, "grown by", worst,
          file=sys.stderr)  # fmt: skip
    print(network.broker.hours >= hours - 50, home.ring.count <= 48)


globals()[sys.argv[1]](*sys.argv[2:])
