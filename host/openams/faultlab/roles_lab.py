"""A whole meter with everything on it: four roles, a relay, slots, sub-meters. For both VMs."""

import struct

from ams.meter import Meter
from amsbench.hold import hold

try:
    from flash_lab import MINUTE_MS, START_MS, LabFlash, set_power
    from meter_lab import LinkBoard, calibration
    from server_lab import TITLE, Client
except ImportError:
    from openams.faultlab.flash_lab import MINUTE_MS, START_MS, LabFlash, set_power
    from openams.faultlab.meter_lab import LinkBoard, calibration
    from openams.faultlab.server_lab import TITLE, Client

SAPS = {"operator": 1, "reader": 2, "breaker": 5, "update": 6}
# Keys of a laboratory, known to everybody: those of the role's SAP.
KEK = bytes(range(0x40, 0x50))
SEALS = (bytes(range(0x50, 0x60)), bytes(range(0x58, 0x68)))
UPDATE_KEY = bytes(range(0x68, 0x78))
RELEASE_KEY = bytes(range(64))
_COIL_CLOSE = 2
_PULSE_MS = 60
_SECTORS = 48


def keys_of(role):
    sap = SAPS[role]
    return bytes([16 * sap + k for k in range(16)]), bytes([16 * sap + 15 - k for k in range(16)])


def _hex(data):
    return "".join("%02x" % octet for octet in data)


def security():
    """What this meter is provisioned with."""
    clients = []
    for role in SAPS:
        encryption, authentication = keys_of(role)
        clients.append(
            {
                "sap": SAPS[role],
                "encryption": _hex(encryption),
                "authentication": _hex(authentication),
            }
        )
    return {
        "system_title": _hex(TITLE),
        "kek": _hex(KEK),
        "breaker": _hex(SEALS[0]),
        "breaker_second": _hex(SEALS[1]),
        "update": _hex(UPDATE_KEY),
        "release_key": _hex(RELEASE_KEY),
        "clients": clients,
    }


class LabRelay:
    """A bistable relay that needs some current; `pulses` counts those that it got."""

    def __init__(self):
        self.contact = True
        self.now_ms = 0
        self.pulses = 0
        self._coil = 0
        self._since_ms = 0

    def set_coil(self, coil):
        if self._coil and self.now_ms - self._since_ms >= _PULSE_MS:
            self.contact = self._coil == _COIL_CLOSE
        if coil and coil != self._coil:
            self.pulses += 1
        self._coil = coil
        self._since_ms = self.now_ms

    def closed(self):
        return self.contact

    def load_voltage(self):
        return None


class LabInputs:
    """The contacts of the case: `bits` as ams.hal has them."""

    def __init__(self):
        self.bits = 0

    def read(self):
        return self.bits


class LabLine:
    """A bus with nobody on it."""

    def readinto(self, buffer):
        return None

    def write(self, data):
        pass


class RolesLab:
    """`server`, `complaints` as the other laboratories; times in ms.

    `policy` is that of the breaker. `power_up` starts the same flash anew, as a power cut does.
    """

    def __init__(self, random, policy=None, flash=None, sectors=_SECTORS):
        self.complaints = []
        self._random = random
        self.flash = LabFlash(sectors) if flash is None else flash
        self.slots = LabFlash(4)
        for area, count in ((self.flash, sectors), (self.slots, 4)):
            for number in range(count):
                area.writable(number)  # all there from the start: what grows later is the meter
        self.relay = LabRelay()
        self.inputs = LabInputs()
        self.raw_ms = START_MS
        self.now_ms = 0
        self.config = {
            "system": "3P4W",
            "calibration": calibration(),
            "identity": {"meter_id": "7359990000000017", "meter_type": "LAB"},
            "han": {"format": "kaifa"},
            "breaker": policy or {},
            "security": security(),
        }
        self.power_up()

    def power_up(self):
        board = self.board = LinkBoard(self.flash, self._random, self.complaints.append)
        board.slots = self.slots
        board.relay = self.relay
        board.inputs = self.inputs
        board.name = "lab"
        self.meter = Meter(board, self.config)
        self.model = self.meter.model
        self.model.join_submeters(LabLine(), self.complaints.append)
        self.server = self.meter.link.server
        self.meter.start(self.raw_ms)

    def client(self, role, channel=1, counter=None):
        client = Client(self, channel, SAPS[role], keys_of(role))
        client.title = b"CLI\0\0\0\0" + bytes((SAPS[role],))
        if counter is None:
            counter = self.server.keyring.client(SAPS[role]).keys.expected
        client.counter = max(counter, 1)
        return client

    def opened(self, role, channel=1):
        client = self.client(role, channel)
        client.open(self.now_ms)
        return client

    # --- time ------------------------------------------------------------------------

    def run(self, ms, step_ms=10):
        """Time passes without a measurement, for what the relay and the links do."""
        for _ in range(0, ms, step_ms):
            self._pass(step_ms)

    def _pass(self, ms):
        self.raw_ms += ms
        self.now_ms += ms
        self.relay.now_ms += ms
        self.meter.tick(self.raw_ms)
        self.meter.link.poll(self.now_ms & 0x3FFFFFFF)

    def minute(self, power_w=6000):
        """A minute of so much; gives how much A+ and A- grew, in mWh."""
        before = sum(self.meter.energy.mwh[:2])
        set_power(self.meter, power_w)
        hold(self.meter, self.raw_ms, MINUTE_MS, self.board.clock)
        self._pass(MINUTE_MS)
        return sum(self.meter.energy.mwh[:2]) - before

    # --- services ----------------------------------------------------------------------

    def ask(self, client, plain):
        """The plain answer to a plain request; an exception is given as it is."""
        tag = {0xC0: 0xC8, 0xC1: 0xC9, 0xC3: 0xCB}.get(plain[0], 0xDB)
        answer = client.ask(client.seal(tag, plain), self.now_ms)
        if answer is None or answer[0] in (0xD8, 0xE0):
            return answer
        return client.unseal(answer)

    def whole(self, client, plain):
        """The same; an answer in blocks is gathered: the raw data behind the head of a block."""
        answer = self.ask(client, plain)
        if answer[0] not in (0xC4, 0xC7) or answer[1] != 2:
            return answer
        got = b""
        while True:
            at = 8 + (answer[0] == 0xC4)
            assert answer[1] == 2 and (answer[0] == 0xC7 or answer[8] == 0), answer
            got += counted(answer, at)
            if answer[3]:
                return got
            request = {0xC4: b"\xc0\x02", 0xC7: b"\xc3\x02"}[answer[0]]
            answer = self.ask(client, request + answer[2:3] + answer[4:8])

    def changes(self):
        """(role, head, class, number, is a method) of all that may be written or called.

        `head`: class and logical name as a request has them.
        """
        for role in SAPS:
            who = self.server.keyring.client(SAPS[role]).who
            for class_id, _, ln, _, _, rights in self.model.rows(who):
                head = struct.pack(">H", class_id) + bytes(ln)
                for table, method in ((rights.writes, False), (rights.calls, True)):
                    for number in sorted(table):
                        if table[number] & who:
                            yield role, head, class_id, number, method


def counted(data, at):
    """The octets behind a length at `at`; there must be no others."""
    count = data[at]
    at += 1
    if count >= 0x80:
        size = count & 0x7F
        count = int.from_bytes(data[at : at + size], "big")
        at += size
    assert len(data) == at + count, (count, len(data) - at)
    return data[at:]
