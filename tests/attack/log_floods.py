"""The event logs under floods of every kind, on the real rings in virtual time. For both VMs.

A witness of each group is entered, then for days everything is tried all the time: by all other
groups of the log, and by all of them. `others` shows that nobody else pushes a group out;
`everything` gives for how many hours the oldest entry is there when its own kind is flooded too.
"""

from ams.events import events as ev
from ams.events import groups
from ams.registers.nv_memory import NvMemory
from ams.storage import layout
from amsbench.hold import hold

try:
    from flash_lab import START_MS, LabFlash
except ImportError:
    from openams.faultlab.flash_lab import START_MS, LabFlash

STEP_MS = 300_000
_HOUR_MS = 3_600_000
# A code of each group, in their order; what they are called in docs/security.md.
GROUPS = (
    (ev.LOG_STANDARD, ev.POWER_UP, "power cut, reset"),
    (ev.LOG_STANDARD, ev.CLOCK_ADJUSTED_NEW, "clock set, summer time"),
    (ev.LOG_STANDARD, ev.PARAMETER_CHANGED, "parameter changed"),
    (ev.LOG_STANDARD, ev.FIRMWARE_ACTIVATED, "firmware, storage formatted"),
    (ev.LOG_STANDARD, ev.MEASUREMENT_ERROR, "faults"),
    (ev.LOG_STANDARD, ev.EVENTS_SUPPRESSED, "events-suppressed"),
    (ev.LOG_FRAUD, ev.TERMINAL_COVER_REMOVED, "terminal cover"),
    (ev.LOG_FRAUD, ev.METER_COVER_REMOVED, "meter cover"),
    (ev.LOG_FRAUD, ev.MAGNETIC_FIELD, "magnetic field"),
    (ev.LOG_FRAUD, ev.CURRENT_REVERSED, "current reversed"),
    (ev.LOG_CONTROL, ev.REMOTE_DISCONNECTION, "moved by a client"),
    (ev.LOG_CONTROL, ev.MANUAL_DISCONNECTION, "moved by hand"),
    (ev.LOG_CONTROL, ev.LOCAL_DISCONNECTION, "moved by limiter, quota, schedule"),
    (ev.LOG_CONTROL, ev.LIMITER_EXCEEDED, "seen by limiter and quota"),
    (ev.LOG_CONTROL, ev.LIMITER_CHANGED, "limiter set, order armed, made ready"),
    (ev.LOG_CONTROL, ev.CONTROL_REFUSED, "refused"),
    (ev.LOG_CONTROL, ev.BREAKER_WELDED, "breaker faulty"),
    (ev.LOG_SECURITY, ev.KEYS_CHANGED, "keys changed"),
    (ev.LOG_SECURITY, ev.FIRMWARE_REFUSED, "firmware refused"),
    (ev.LOG_SECURITY, ev.REPLAY_ATTACK, "strangers"),
    (ev.LOG_QUALITY, ev.UNDERVOLTAGE, "undervoltage"),
    (ev.LOG_QUALITY, ev.OVERVOLTAGE, "overvoltage"),
    (ev.LOG_QUALITY, ev.MISSING_VOLTAGE, "missing voltage"),
    (ev.LOG_QUALITY, ev.NORMAL_VOLTAGE, "normal again"),
    (ev.LOG_QUALITY, ev.PHASE_LOST, "phase, neutral or voltage lost"),
    (ev.LOG_COMMUNICATION, ev.HAN_OPENED, "HAN port"),
)
# From connected to disconnected: of a movement; details of witnesses have it too.
MOVED = 0x100
# The guard lets twelve an hour through, of all of them together.
MOVEMENTS = (ev.REMOTE_DISCONNECTION, ev.MANUAL_DISCONNECTION, ev.LOCAL_DISCONNECTION)


class Logs:
    """The logs of a meter on a flash of its own; `cut` is a power cut."""

    def __init__(self, sectors=48):
        self.flash = LabFlash(sectors)
        self.ms = START_MS
        self.cut()

    def cut(self):
        self.nv_memory = NvMemory(self.flash, "7359990000000017")
        self.nv_memory.mount_rings()
        self.events = ev.EventLog()
        self.events.numbers[:] = self.nv_memory.event_numbers()
        self.events.store = self.nv_memory.append_event
        self.events.newest = self.nv_memory.newest_events
        self.events.raw_ms = self.ms

    def log(self, code, detail=MOVED):
        """Whether it was entered."""
        self.events.tick(self.ms)
        before = self.events.count
        self.events.log(self.ms, code, detail)
        return self.events.count != before

    def flood(self, codes, power_cuts=False):
        """Everything is tried until nothing more is taken, and a little time passes."""
        moves = [code for code in codes if code in MOVEMENTS]
        turn = self.ms // STEP_MS
        for code in codes:
            if code in MOVEMENTS and code != moves[turn % len(moves)]:
                continue
            tries = 200
            while tries and self.log(code):
                tries -= 1
                if code in MOVEMENTS:
                    break
        if power_cuts and self.ms // STEP_MS % 24 == 0:
            self.cut()
            self.log(ev.POWER_UP)
        self.ms += STEP_MS
        self.events.raw_ms = self.ms

    def details(self, group):
        """Details of the entries of a group that the log has, oldest first."""
        found = []
        for data in self.nv_memory.entries(layout.EVENTS + GROUPS[group][0]):
            _, _, code, detail, _ = ev.unpack(data)
            if groups.of(code, detail) == group:
                found.append(detail)
        return found


def of_log(log):
    return [group for group in range(len(GROUPS)) if GROUPS[group][0] == log]


def others(days, power_cuts=False, every=1):
    """Nobody pushes out what another kind has: so many of its newest entries are there after days.

    Gives the pairs that were tried.
    """
    tried = 0
    for log in range(6):
        mine = of_log(log)
        for group in mine:
            if group % every:
                continue
            if len(mine) == 1 or GROUPS[group][1] == ev.EVENTS_SUPPRESSED:
                continue
            if power_cuts and GROUPS[group][1] == ev.POWER_UP:
                continue
            logs = Logs()
            wanted = []
            # As many as are kept, entered as they come.
            while len(wanted) < groups.kept(group):
                witness = len(wanted) + 1 << 16 | MOVED
                if logs.log(GROUPS[group][1], witness):
                    wanted.append(witness)
                else:
                    logs.ms += STEP_MS
                    logs.events.raw_ms = logs.ms
            codes = [GROUPS[other][1] for other in mine if other != group]
            if power_cuts:
                codes = [code for code in codes if code != ev.POWER_UP]
            until = logs.ms + days * 24 * _HOUR_MS
            while logs.ms < until:
                logs.flood(codes, power_cuts)
            found = [detail for detail in logs.details(group) if detail >> 16]
            assert found == wanted, (GROUPS[group], found)
            tried += len(codes)
    return tried


def everything(hours_most, alone=False, every=1):
    """Hours that an entry is there when all of its log is flooded, its own kind too, by group.

    `alone`: when its own kind is, and nothing else.
    """
    out = []
    for group in range(0, len(GROUPS), every):
        logs = Logs()
        codes = [GROUPS[other][1] for other in of_log(GROUPS[group][0])]
        if alone:
            codes = [GROUPS[group][1]]
        witness = 1 << 16 | MOVED
        assert logs.log(GROUPS[group][1], witness)
        hours = 0
        while witness in logs.details(group) and hours < hours_most:
            for _ in range(_HOUR_MS // STEP_MS):
                logs.flood(codes)
            hours += 1
        out.append(hours)
    return out


def an_image_from_before():
    """Entries without the octet that says what their group has left are read, and are there."""
    logs = Logs()
    for number in range(1, 200):
        data = b"".join(
            (
                number.to_bytes(4, "little"),
                (logs.ms // 1000 + number).to_bytes(4, "little"),
                bytes((0, 0, ev.KEYS_CHANGED, 0)),
                number.to_bytes(4, "little"),
                bytes(4),
            )
        )
        logs.nv_memory.append_event(ev.LOG_SECURITY, data)
    logs.ms += _HOUR_MS
    logs.cut()
    assert logs.details(17)[-1] == 199 and len(logs.details(17)) >= 145
    assert logs.log(ev.KEYS_CHANGED, 4711) and logs.details(17)[-1] == 4711
    assert logs.events.numbers[ev.LOG_SECURITY] == 200


def resets_give_nothing_back():
    """A power cut after each try: as many entries as without, in an hour."""
    for group in (2, 6, 8, 15, 19, 23):
        counts = []
        for cut in (False, True):
            logs = Logs()
            for k in range(_HOUR_MS // 15000):
                logs.log(GROUPS[group][1])
                logs.ms += 15000
                logs.events.raw_ms = logs.ms
                if cut and k % 4 == 0:
                    logs.cut()
            counts.append(len(logs.details(group)))
        assert counts[0] // 2 <= counts[1] <= counts[0] + 1, (GROUPS[group], counts)


def run(days, hours):
    """For the VM: figures as a line."""
    an_image_from_before()
    resets_give_nothing_back()
    cuts_at_the_turn()
    return [others(days, every=8)] + everything(hours, every=5)


# --- a whole meter, over its link ----------------------------------------------------------

_CLOCK = b"\x00\x08\x00\x00\x01\x00\x00\xff"


class Whole:
    """A meter with clients of all roles, and a stranger without keys."""

    def __init__(self):
        self.lab = lab_of(lambda count: bytes(count), {"interactive": False})
        self.operator = self.lab.opened("operator", 1)
        self.breaker = self.lab.opened("breaker", 2)
        self.reader = self.lab.opened("reader", 3)
        self.reader.pdu_size = 1000
        self.stranger = self.lab.client("update", 4, 1)
        self.stranger.keys = (bytes(range(100, 116)), bytes(16))
        self.stranger._gcm = type(self.stranger._gcm)(self.stranger.keys[0])
        lab = self.lab
        heard = lab.client("breaker", 4)
        self.recorded = heard.aarq(bytes(16))
        heard.ask(self.recorded, lab.now_ms)
        lab.server.disconnected(4)
        self.breaker.counter += 100

    def pass_ms(self, ms):
        lab = self.lab
        hold(lab.meter, lab.raw_ms, ms, lab.board.clock)
        lab._pass(ms)

    def guess(self):
        """A wrong key, noise on a public association, a recorded opening: nobody has a key."""
        now = self.lab.now_ms
        self.stranger.ask(self.stranger.aarq(bytes(16)), now)
        public = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400FFFFFF0400")
        self.lab.server.request(4, 16, 1, memoryview(bytearray(public)), now)
        self.lab.server.request(4, 16, 1, memoryview(bytearray(b"\xc8\x1e" + bytes(30))), now)
        self.lab.server.request(4, 5, 1, memoryview(bytearray(self.recorded)), now)

    def log(self, log):
        """(code, number, detail) of the rows that a reader gets of a log, oldest first."""
        head = b"\x00\x07\x00\x00\x63\x62" + bytes((log,)) + b"\xff"
        rows = self.lab.whole(self.reader, b"\xc0\x01\xc1" + head + b"\x02\x00")
        rows = rows[4:] if rows[:1] == b"\xc4" else rows
        count = self.lab.ask(self.reader, b"\xc0\x01\xc1" + head + b"\x07\x00")
        out = []
        at = 2 if rows[1] < 0x80 else 2 + (rows[1] & 0x7F)
        while at < len(rows):
            row = rows[at : at + 33]
            out.append(
                (row[17], int.from_bytes(row[19:23], "big"), int.from_bytes(row[24:28], "big"))
            )
            at += 33
        assert int.from_bytes(count[5:9], "big") == len(out), (count, len(out))
        # The oldest by its place, and the whole by time, are the same.
        first = b"\x01\x02\x02\x04\x06\x00\x00\x00\x01\x06\x00\x00\x00\x01\x12\x00\x01\x12\x00\x00"
        one = self.lab.whole(self.reader, b"\xc0\x01\xc1" + head + b"\x02" + first)
        assert one[-33:] == rows[-33 * len(out) :][:33]
        numbers = [row[1] for row in out]
        assert numbers == sorted(set(numbers))
        return out

    def set(self, client, name, value):
        asked = b"\xc1\x01\xc1" + name + b"\x00" + value
        return self.lab.ask(client, asked)[3]


def lab_of(random, policy):
    try:
        from roles_lab import RolesLab
    except ImportError:
        from openams.faultlab.roles_lab import RolesLab
    return RolesLab(random, policy)


def strangers(days):
    """A change of keys is in the log however long somebody without any tries."""
    whole = Whole()
    from ams.crypto.keywrap import wrap

    kek = whole.lab.server.keyring.kek()
    keys = b"\x01\x01\x02\x02\x16\x02\x09\x18" + wrap(kek, b"new key of hers!")
    asked = b"\xc3\x01\xc1\x00\x40\x00\x00\x2b\x00\x02\xff\x02\x01" + keys
    answer = whole.reader.ask(whole.reader.seal(0xCB, asked), whole.lab.now_ms)
    assert whole.reader.unseal(answer)[3] == 0
    whole.reader = whole.lab.client("reader", 3)
    renewed = whole.lab.server.keyring.client(2).keys
    whole.reader.keys = renewed.encryption, renewed.authentication
    whole.reader.counter = 10_000
    for step in range(days * 48):
        whole.guess()
        whole.pass_ms(1_800_000)
        if step % 100 == 99:
            whole.lab.power_up()
    whole.reader.open(whole.lab.now_ms)
    rows = whole.log(ev.LOG_SECURITY)
    codes = [row[0] for row in rows]
    assert ev.KEYS_CHANGED in codes, codes[:5]
    for code in (ev.AUTHENTICATION_FAILED, ev.DECRYPTION_FAILED, ev.REPLAY_ATTACK):
        # The newest are there too.
        assert code in codes[-6:], codes[-6:]
    # Three kinds: five of each, then one an hour.
    assert rows[-1][1] <= 1 + 3 * (5 + 24 * days) + 15 * (days * 48 // 100), rows[-1]
    return whole


def refusals(count):
    """A movement is in the log whatever is refused behind it, to who may and who may not."""
    whole = Whole()
    lab = whole.lab
    lab.meter.control.remote(False, 5, 0)
    from ams.control import command as cm
    from ams.cosem.access import BREAKER

    assert BREAKER
    now = lab.meter.utc_ms // 1000
    keyring = lab.server.keyring
    seals = [keyring.secret("breaker"), keyring.secret("breaker_second")]
    order = cm.pack(keyring.title, cm.DISCONNECT, 1, now - 60, now + 60, seals)
    name = b"\x00\x01\x00\x00\x60\x03\x80\xff\x02"
    disconnect = b"\xc3\x01\xc1\x00\x46\x00\x00\x60\x03\x0a\xff\x01\x01\x0f\x00"
    assert whole.set(whole.breaker, name, b"\x09" + bytes((len(order),)) + order) == 0
    assert lab.ask(whole.breaker, disconnect)[3] == 0
    for step in range(count):
        assert whole.set(whole.breaker, name, b"\x09\x31" + bytes((step & 0xFF,)) * 49) == 3
        assert lab.ask(whole.breaker, disconnect)[3] == 3
        assert lab.ask(whole.operator, disconnect)[3] == 3
        if step % 8 == 0:
            whole.pass_ms(600_000)
    codes = [row[0] for row in whole.log(ev.LOG_CONTROL)]
    assert ev.REMOTE_DISCONNECTION in codes and ev.ORDER_ARMED in codes
    assert ev.CONTROL_REFUSED in codes[-4:]


def clock_sets(count):
    """What the operator did first is there whatever he sets behind it."""
    whole = Whole()
    lab = whole.lab
    assert (
        whole.set(whole.operator, b"\x00\x01\x00\x00\x61\x62\x0a\xff\x02", b"\x06\xff\xff\xff\xfe")
        == 0
    )
    step = b"\xc3\x01\xc1" + _CLOCK + b"\x06\x01\x10"
    lab.ask(whole.operator, step + b"\x01\x2c")
    first = [row for row in whole.log(0) if row[0] == ev.CLOCK_ADJUSTED_NEW]
    for k in range(count):
        lab.ask(whole.operator, step + (b"\x03\x84" if k & 1 else b"\xfc\x7c"))
        if k % 16 == 0:
            whole.pass_ms(900_000)
    rows = whole.log(ev.LOG_STANDARD)
    assert ev.POWER_UP in [row[0] for row in rows]
    if first:
        assert first[0] in rows
    adjusted = [row for row in rows if row[0] == ev.CLOCK_ADJUSTED_NEW]
    assert len(adjusted) <= 12 + count // 16, len(adjusted)


def whole_meter(days, count):
    strangers(days)
    refusals(count)
    clock_sets(count)


def cuts_at_the_turn():
    """The power goes at each operation of the flash when a log goes round: nothing that is kept is
    lost or twice, and the log goes on. Gives how many cuts there were."""
    try:
        from flash_lab import PowerCut
    except ImportError:
        from openams.faultlab.flash_lab import PowerCut

    def entry(number, code):
        return (
            number.to_bytes(4, "little")
            + (START_MS // 1000 + number).to_bytes(4, "little")
            + bytes((0, 0, code, 9))
            + number.to_bytes(4, "little")
            + bytes(4)
        )

    def found(nv_memory):
        out = []
        for data in nv_memory.entries(layout.EVENTS + ev.LOG_SECURITY):
            number, _, code, _, _ = ev.unpack(data)
            out.append((number, code))
        return out

    # Three rounds, so that there are kept ones to be kept again; then the last entry before a turn.
    logs = Logs()
    number = 0
    keys = []
    for number in range(1, 3 * 145 + 1):
        code = ev.KEYS_CHANGED if number % 50 < 3 else ev.DECRYPTION_FAILED
        if code == ev.KEYS_CHANGED:
            keys.append(number)
        logs.nv_memory.append_event(ev.LOG_SECURITY, entry(number, code))
    before = {place: bytes(data) for place, data in logs.flash.own.items()}
    kept = keys[-groups.kept(groups.of(ev.KEYS_CHANGED)) :]
    cuts = 0
    for torn in (None, "bytes"):
        operation = 0
        while True:
            flash = LabFlash(48, before)
            flash.torn = torn
            flash.random = _Random(operation + 1)
            nv_memory = NvMemory(flash, "7359990000000017")
            nv_memory.mount_rings()
            flash.cut_at = flash.operations + operation
            try:
                nv_memory.append_event(ev.LOG_SECURITY, entry(number + 1, ev.DECRYPTION_FAILED))
                whole = True
            except PowerCut:
                whole = False
            flash.cut_at = 1 << 60
            nv_memory = NvMemory(flash, "7359990000000017")
            nv_memory.mount_rings()
            assert not nv_memory.damaged, nv_memory.found
            for again in range(2):
                there = found(nv_memory)
                numbers = [one[0] for one in there]
                assert numbers == sorted(set(numbers)), numbers
                for one in kept:
                    assert (one, ev.KEYS_CHANGED) in there, (operation, torn, one)
                assert nv_memory.count(layout.EVENTS + ev.LOG_SECURITY) == len(there)
                if not again:
                    newest = nv_memory.newest_number(layout.EVENTS + ev.LOG_SECURITY)
                    assert newest in (number, number + 1) and (newest > number or not whole)
                    data = entry(newest + 1, ev.REPLAY_ATTACK)
                    nv_memory.append_event(ev.LOG_SECURITY, data)
            if whole:
                break
            operation += 1
            cuts += 1
    return cuts


class _Random:
    def __init__(self, seed):
        self.state = seed * 2654435761 & 0xFFFFFFFF

    def below(self, count):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % count
