"""Whatever acts by time acts when so much has passed by itself, once, wherever the clock is set.

Each kind of thing that acts by time meets each way to move the clock, on either VM. `run(kind)`
does one row; `KINDS` and `WAYS` name them.
"""

from keyedbench import SEALS, Bench, local, octets, stamp, times

from ams.clock.local import utc_ms_of
from ams.control import command as cm
from ams.control import supply
from ams.control.transitions import LOCAL_DISCONNECT
from ams.events import events as ev

# When it is due, from when it is set; and when that is: in June, an hour after the clock went
# forward in March or back in October, and in the hour that comes twice.
DUE_S = 170
JUNE_MS = utc_ms_of(2026, 6, 1, 10)
MARCH_MS = utc_ms_of(2026, 3, 29, 1)
OCTOBER_MS = utc_ms_of(2026, 10, 25, 2)
TWICE_MS = utc_ms_of(2026, 10, 25, 1, 15)
YEAR_MS = 366 * 86400000
DAY_MS = 86400000
SCRIPT = b"\x09\x06\x00\x00\x0a\x00\x6a\xff"


class Thing:
    """Something that is set for DUE_S from now. `acted()`: how often it did."""

    policy = {"mode": 6}

    def __init__(self, bench):
        self.bench = bench

    def due_ms(self):
        return self.bench.shown_ms + 1000 * DUE_S

    def pulses(self, coil):
        return sum(pulse == coil for pulse in self.bench.relay.pulses)

    def look(self):
        """Each second."""


class Off(Thing):
    """The schedule that disconnects."""

    schedule = "0.0.15.0.1"

    def set(self):
        bench = self.bench
        value = times(local(bench, self.due_ms()))
        assert bench.client("breaker").set(22, self.schedule, 4, value) == 0

    def acted(self):
        return self.pulses(1)


class SealedOff(Off):
    """The same by two persons."""

    policy = {"mode": 6, "two_person": True}

    def set(self):
        bench = self.bench
        value = times(local(bench, self.due_ms()))
        client = bench.client("breaker")
        bound = cm.digest(4 + 16, value)
        assert client.give(bench.order(cm.SET_BREAKER, 1, *SEALS, bound=bound)) == 0
        assert client.set(22, self.schedule, 4, value) == 0


class On(Off):
    """The schedule that reconnects."""

    schedule = "0.0.15.0.5"

    def set(self):
        super().set()
        self.bench.meter.control._local(LOCAL_DISCONNECT)
        self.bench.run(1)

    def acted(self):
        return self.pulses(2)


class Emergency(Thing):
    """The window of the limiter's emergency profile: DUE_S ahead, for twenty seconds."""

    def set(self):
        client = self.bench.client("breaker")
        moment = octets(stamp(self.due_ms()))
        value = b"\x02\x03\x12\x00\x03" + moment + b"\x06\x00\x00\x00\x14"
        assert client.set(71, "0.0.17.0.0", 8, value) == 0
        assert client.set(71, "0.0.17.0.0", 9, b"\x01\x01\x12\x00\x03") == 0

    def acted(self):
        begun = self.bench.count_of(ev.EMERGENCY_BEGIN)
        assert 0 <= begun - self.bench.count_of(ev.EMERGENCY_END) <= 1
        return begun


class Quota(Thing):
    """The period of a quota that is used up: the next one reconnects."""

    def set(self):
        # Quarter-hours of its own time: the next begins DUE_S from now.
        self.bench.power_w = 2000
        client = self.bench.client("breaker")
        value = b"\x02\x03\x06\x00\x00\x00\x01\x06\x00\x00\x03\x84\x12\x03\xe8"
        assert client.set(1, "0.0.96.3.129", 2, value) == 0
        self.bench.run(5)
        assert self.pulses(1) == 1

    def acted(self):
        return self.pulses(2)


class NotBefore(Thing):
    """An order that is good from then on."""

    policy = {"interactive": False}

    def set(self):
        self.order = self.bench.order(cm.DISCONNECT, 1, start=DUE_S, end=DUE_S + 300)
        self.armed = 0

    def look(self):
        self.armed += self.bench.meter.control.arm(self.order, 5) == supply.OK

    def acted(self):
        return self.armed


class Expiry(Thing):
    """Orders that are good until then: `acted` is that they are not any more."""

    policy = {"interactive": False}

    def set(self):
        self.number = 0
        self.state = False
        self.end_s = self.bench.true_ms // 1000 + DUE_S
        self.ended = 0

    def look(self):
        now_s = self.bench.true_ms // 1000
        guard = self.bench.meter.control.guard
        guard._writes.until_ms = 0
        self.number += 1
        order = self.bench.order(cm.DISCONNECT, self.number, start=-1000, end=self.end_s - now_s)
        over = self.bench.meter.control.arm(order, 5) != supply.OK
        # Once over, always over.
        self.ended += over != self.state
        self.state = over

    def acted(self):
        return self.ended


class Image(Thing):
    """The schedule that activates a new image."""

    def set(self):
        bench = self.bench
        value = times(local(bench, self.due_ms()))
        assert bench.client("update").set(22, "0.0.15.0.2", 4, value) == 0
        self.count = 0
        bench.on_start = self.begin
        self.begin()

    def begin(self):
        self.bench.meter.updater = self

    def activate(self):
        pass

    def do(self, action):
        self.count += 1
        return 0

    def acted(self):
        return self.count


class PushTimes(Thing):
    """The schedule that sends the last intervals."""

    def set(self):
        bench = self.bench
        value = times(local(bench, self.due_ms()))
        assert bench.client("operator").set(22, "0.0.15.0.4", 4, value) == 0
        self.count = 0
        bench.on_start = self.begin
        self.begin()

    def begin(self):
        self.bench.meter.model.push.ask = self.ask

    def ask(self, which, at_once=False):
        # Not the alarms of a power cut.
        self.count += not which
        return True

    def acted(self):
        return self.count


class PushWindow(Thing):
    """A communication window."""

    def set(self):
        due = self.due_ms()
        value = b"\x01\x01\x02\x02" + octets(stamp(due)) + octets(stamp(due + 20000))
        assert self.bench.client("operator").set(40, "0.0.25.9.0", 4, value) == 0
        self.opened = 0
        self.open = False

    def look(self):
        is_open = self.bench.meter.model.push._setup(0).is_open()
        self.opened += is_open and not self.open
        self.open = is_open

    def acted(self):
        return self.opened


class Passive(Thing):
    """The passive calendar comes into force."""

    def set(self):
        value = octets(stamp(self.due_ms()))
        assert self.bench.client("operator").set(20, "0.0.13.0.0", 10, value) == 0
        self.bank = self.now()
        self.changes = 0

    def now(self):
        return self.bench.meter.model.calendar().bank()

    def look(self):
        bank = self.now()
        self.changes += bank != self.bank
        self.bank = bank

    def acted(self):
        return self.changes


KINDS = {
    "off": Off,
    "off by two": SealedOff,
    "on": On,
    "emergency": Emergency,
    "quota": Quota,
    "not before": NotBefore,
    "expiry": Expiry,
    "image": Image,
    "push": PushTimes,
    "window": PushWindow,
    "calendar": Passive,
}


# --- ways to move the clock: called each second, with what has passed ----------------------


def untouched(bench, client, second):
    pass


def to_its_time(bench, client, second):
    """As in a plan: to the second before, once, and back again, as often as it is let."""
    if second in (10, 30, 50, 200, 230):
        client.set_clock(bench.true_ms + 1000 * (DUE_S - 11))
    if second in (20, 40, 210, 240):
        client.set_clock(bench.true_ms)


def far_ahead(bench, client, second):
    if second == 10:
        assert client.set_clock(bench.shown_ms + YEAR_MS) == 0


def far_back(bench, client, second):
    if second in (10, 200):
        assert client.set_clock(bench.shown_ms - YEAR_MS) == 0


def back_behind_it(bench, client, second):
    """Just after it was due, again and again, by whoever may do that without end."""
    if second % 20 == 0:
        bench.meter.set_clock(bench.raw_ms, bench.shown_ms - 19000)


def many_small_steps(bench, client, second):
    bench.meter.set_clock(bench.raw_ms, bench.shown_ms + 900)


def many_small_steps_back(bench, client, second):
    bench.meter.set_clock(bench.raw_ms, bench.shown_ms - 900)


def small_steps_of_a_client(bench, client, second):
    client.set_clock(bench.shown_ms + 900)


def slewed(bench, client, second):
    """By the path of synchronisation, which takes less than a second slowly."""
    bench.meter.sync_clock(bench.raw_ms, bench.shown_ms + 950)


def stepped_by_synchronisation(bench, client, second):
    if second % 30 == 10:
        bench.meter.sync_clock(bench.raw_ms, bench.shown_ms + 60000)


def shifted(bench, client, second):
    """shift_time of class 8."""
    if second % 10 == 5:
        client.call(8, "0.0.1.0.0", 6, b"\x10\x03\x84")


def preset(bench, client, second):
    """preset_adjusting_time and adjust_to_preset_time."""
    if second in (10, 60):
        now = bench.shown_ms
        moments = (now + 1000 * (DUE_S - second - 2), now - 1000, now + 60000)
        value = b"\x02\x03" + b"".join([octets(stamp(moment)) for moment in moments])
        assert client.call(8, "0.0.1.0.0", 5, value) == 0
        assert client.call(8, "0.0.1.0.0", 4) == 0


def other_deviation(bench, client, second):
    """The same moment, an hour of deviation beside it; the zone itself nobody sets."""
    if second == 10:
        for attribute in (3, 5, 6, 7, 8):
            assert client.set(8, "0.0.1.0.0", attribute, b"\x10\x00\x3c") == 3
        value = bytearray(stamp(bench.shown_ms, 0))
        value[9:11] = b"\xff\xc4"
        assert client.set(8, "0.0.1.0.0", 2, octets(value)) == 0


def set_and_reset(bench, client, second):
    """The chip has the new time when the supply goes."""
    if second in (10, 200):
        client.set_clock(bench.true_ms + 1000 * (DUE_S - second - 20 - 3))
        bench.run(2)
        bench.power_cut(1)


def back_and_reset(bench, client, second):
    if second == 10:
        client.set_clock(bench.true_ms - 30 * DAY_MS)
        bench.run(2)
        bench.power_cut(1)


def ahead_and_cut_at_once(bench, client, second):
    """The supply goes before the chip is set."""
    if second == 10:
        client.set_clock(bench.true_ms + 30 * DAY_MS)
        bench.power_cut(1)


def back_and_cut_at_once(bench, client, second):
    if second == 10:
        client.set_clock(bench.true_ms - 30 * DAY_MS)
        bench.power_cut(1)


def ahead_and_later_back_and_cut_at_once(bench, client, second):
    if second == 10:
        client.set_clock(bench.true_ms + 60 * DAY_MS)
    if second == 30:
        client.set_clock(bench.true_ms + 30 * DAY_MS)
        bench.power_cut(1)


def chip_set_back_in_the_dark(bench, client, second):
    if second == 10:
        bench.chip_off_ms -= 3600000
        bench.power_cut(1)


def chip_lost_in_the_dark(bench, client, second):
    """It shows 2000, and the operator tells the meter a time to his liking."""
    if second == 10:
        before = bench.chip_off_ms
        bench.chip_off_ms = -bench.true_ms
        bench.power_cut(1, 0)
        bench.chip_off_ms = before
        client = bench.client("operator", 2)
        assert client.set_clock(bench.true_ms + 1000 * (DUE_S - 11 - 3)) == 0


def cut_and_back(bench, client, second):
    """Power cuts that the chip counts."""
    if second in (20, 100, 190):
        bench.power_cut(10)


WAYS = [
    untouched, to_its_time, far_ahead, far_back, back_behind_it, many_small_steps,
    many_small_steps_back, small_steps_of_a_client, slewed, stepped_by_synchronisation, shifted,
    preset, other_deviation, set_and_reset, back_and_reset, ahead_and_cut_at_once,
    back_and_cut_at_once, ahead_and_later_back_and_cut_at_once, chip_set_back_in_the_dark,
    chip_lost_in_the_dark, cut_and_back,
]  # fmt: skip
# Whose own time begins anew with the first time that is told to a clock that had lost it.
OF_OPERATOR = ("push", "window", "calendar")


def one(kind, way, due_ms=JUNE_MS, keeps=True):
    """Gives when it acted: seconds after it was due. `keeps`: see Bench."""
    # A second later, when the meter runs, it is DUE_S ahead.
    bench = Bench(keeps, due_ms - 1000 * (DUE_S + 1), **KINDS[kind].policy)
    thing = KINDS[kind](bench)
    set_ms = bench.true_ms
    thing.set()
    client = bench.client("operator", 2)
    came = None
    while bench.true_ms - set_ms < 1000 * (DUE_S + 110):
        second = (bench.true_ms - set_ms) // 1000
        before = bench.meter
        way(bench, client, second)
        if bench.meter is not before:
            client = bench.client("operator", 2)
        bench.run(1)
        thing.look()
        if came is None and thing.acted():
            came = (bench.true_ms - set_ms) / 1000 - DUE_S
    assert thing.acted() == 1, (kind, way.__name__, thing.acted())
    return came


def run(kind, ways=None):
    """Gives how many ways it went."""
    ways = ways or WAYS
    for way in ways:
        came = one(kind, way)
        if way is chip_lost_in_the_dark and kind in OF_OPERATOR:
            # Its owner has told the time himself.
            continue
        # To the second; a chip that says nothing of the time without supply takes that away, and
        # what passed since the registers were stored.
        late = 75 if way in (chip_set_back_in_the_dark, chip_lost_in_the_dark) else 4
        assert -1 <= came <= late, (kind, way.__name__, came)
    if kind in ("off", "emergency", "not before"):
        # Where the chip is not set with the clock: after a reset it shows what it did before.
        for way in (set_and_reset, back_and_reset, back_and_cut_at_once, cut_and_back):
            assert -1 <= one(kind, way, keeps=False) <= 4, (kind, way.__name__)
    for due_ms in (MARCH_MS, OCTOBER_MS) + ((TWICE_MS,) if kind == "quota" else ()):
        for way in (untouched, to_its_time):
            came = one(kind, way, due_ms)
            assert -1 <= came <= 4, (kind, way.__name__, due_ms, came)
    return len(ways)
