"""An upper layer that echoes, and lines that lose, repeat and spoil frames. For both VMs."""

import random

from ams.cosem import hdlc

try:
    from hdlc_peer import Primary, check, parameters
except ImportError:
    from openams.faultlab.hdlc_peer import Primary, check, parameters


def answer_to(apdu):
    """The APDU's length, itself and itself backwards; none to one that begins with 0."""
    if apdu[:1] == b"\x00":
        return None
    return len(apdu).to_bytes(2, "big") + apdu + bytes(reversed(apdu))


class Echo:
    """An upper layer that answers each APDU by a longer one made of it."""

    def __init__(self, refuse=()):
        self.events = []
        self.delivered = []
        self.refuse = refuse
        self.message = None
        self._buffer = bytearray(4096)

    def connected(self, channel, client_sap, server_sap):
        self.events.append(("connected", channel, client_sap, server_sap))
        return server_sap not in self.refuse

    def disconnected(self, channel):
        self.events.append(("disconnected", channel))

    def request(self, channel, client_sap, server_sap, apdu, now_ms):
        self.delivered.append(bytes(apdu))
        answer = answer_to(bytes(apdu))
        if answer is None:
            return None
        self._buffer[: len(answer)] = answer
        return memoryview(self._buffer)[: len(answer)]

    def is_open(self, channel):
        return True

    def outgoing(self, channel):
        message, self.message = self.message, None
        return message


class Faults:
    """What happens to each frame, by a list of numbers: what is not listed goes through.

    0 through, 1 lost, 2 twice, 3 to 255 one octet spoilt, at the place the number says.
    """

    def __init__(self, script=()):
        self._script = list(script)

    def through(self, frames):
        out = []
        for data in frames:
            what = self._script.pop(0) if self._script else 0
            if what == 1:
                continue
            if what == 2:
                out.append(data)
            if what > 2:
                data = bytearray(data)
                data[what * 7 % len(data)] ^= 1 << what % 8
                data = bytes(data)
            out.append(data)
        return out


def heard_whole(data):
    """Of what a receiver hears, the frames it can take: those that nothing spoilt."""
    from_flag = data[0] == data[-1] == 0x7E and len(data) >= 9
    if not from_flag or ((data[1] & 7) << 8 | data[2]) != len(data) - 2:
        return False
    return check(data[1:-3]) == bytes(data[-3:-1])


class LossyBench:
    """A link and a primary station over a line with faults both ways."""

    def __init__(self, to_meter=(), to_client=(), cut=0, server=b"\x03"):
        self.server = Echo()
        self._out = []
        self.link = hdlc.HdlcLink(self.server, lambda view: self._out.append(bytes(view)))
        self._to_meter = Faults(to_meter)
        self._to_client = Faults(to_client)
        self._cut = cut
        self._now_ms = 0
        self.primary = Primary(self._line, 16, server)

    def _line(self, frames):
        # The client waits before it repeats: longer than the inter-octet time-out.
        self._now_ms += 1000
        for data in self._to_meter.through(frames):
            step = self._cut or len(data)
            for at in range(0, len(data), step):
                self.link.feed(data[at : at + step], self._now_ms)
        out = self._to_client.through(self._out)
        self._out.clear()
        return [data for data in out if heard_whole(data)]


def apdu(number, size):
    """An APDU that says its number, none of whose octets is left to chance."""
    body = bytes((1 + (number * 31 + k) % 255) for k in range(size))
    return bytes((1 + number % 255,)) + body


def converse(bench, sizes, agreement, repeat_all=False):
    """Every APDU is delivered whole, in order and once, whatever the line does."""
    while not bench.primary.connect(parameters(*agreement)):
        pass
    bench.server.delivered.clear()
    wanted = []
    for number, size in enumerate(sizes):
        data = apdu(number, size)
        wanted.append(data)
        answer = bench.primary.exchange(data, repeat_all)
        assert answer == answer_to(data), number
        assert bench.server.delivered == wanted, number
    return bench.primary.repeats


def play(seed, count):
    """`count` conversations over bad lines; gives how many frames had to be repeated."""
    repeats = 0
    for number in range(count):
        rng = random.Random(seed * 1000003 + number) if hasattr(random, "Random") else random
        if rng is random:
            random.seed(seed * 1000003 + number)
        scripts = [
            [rng.choice((0, 0, 0, 1, 2, 3 + rng.randrange(253))) for _ in range(40)]
            for _ in range(2)
        ]
        bench = LossyBench(scripts[0], scripts[1], rng.randrange(4) * 5)
        agreement = (
            rng.choice((32, 64, 128, 300, 512)),
            rng.choice((32, 64, 128, 300, 512)),
            rng.randrange(1, 8),
            rng.randrange(1, 8),
        )
        sizes = [rng.randrange(1000) for _ in range(4)]
        try:
            repeats += converse(bench, sizes, agreement, rng.randrange(2) == 1)
        except Exception:
            print("seed", seed, "conversation", number)
            raise
    return repeats
