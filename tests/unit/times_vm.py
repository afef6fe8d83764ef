"""Dates and times that clients set: whatever is taken is used without a fault, read back as it
was set, and is so after a restart; on either VM.

`run(count, seed)` tries random ones, near all limits, in every attribute that takes one, and
gives how many were taken. `poisoned()` starts a meter on what a former version had taken.
"""

from keyedbench import Bench, Client, octets

from ams.clock.local import utc_ms_of
from ams.cosem import datetime
from ams.cosem.axdr import Reader
from ams.storage import layout

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

START_MS = utc_ms_of(2027, 2, 28, 22, 58, 30)
ANY = b"\xff" * 9 + b"\x80\x00\xff"
# The cells of settings (ams.storage.settings), and what a former version stored there.
CALENDAR, SCHEDULE, PUSH, SPECIAL_DAYS = 16, 64, 32, 9


class Moments:
    """Random octets of dates and times."""

    def __init__(self, seed):
        self.random = flash_lab.Random(seed)

    def pick(self, values):
        return values[self.random.below(len(values))]

    def near(self, least, most):
        """Mostly in the range, else at its ends, a wildcard or anything."""
        what = self.random.below(12)
        if what == 0:
            return self.random.below(256)
        if what == 1:
            return self.pick((least, most, (least - 1) & 0xFF, most + 1))
        if what < 5:
            return 0xFF
        return least + self.random.below(most - least + 1)

    def date(self):
        year = self.pick((2027, 2028, 0xFFFF, 0xFFFF, 2000, 2136, 2137, 1999, 0, 0xFF00, 2100))
        month = self.pick((2, 3, 0xFF, self.near(1, 12), 0xFD, 0xFE))
        day = self.pick((28, 29, 30, 31, 1, 0xFF, 0xFE, 0xFD, self.near(1, 31)))
        weekday = self.pick((0xFF, 0xFF, 7, self.near(1, 7)))
        return bytes((year >> 8, year & 0xFF, month, day, weekday))

    def time(self, minutes=False):
        fields = [self.near(0, 23), self.near(0, 59), self.near(0, 59), self.near(0, 99)]
        if minutes:
            fields[2] = self.pick((0, 0xFF, 0, fields[2]))
        return bytes(fields)

    def date_time(self):
        what = self.random.below(20)
        if what < 2:
            return (bytes(12), ANY)[what]
        deviation = self.pick((-0x8000, -0x8000, -60, -120, 0, 840, 841, -720, -721, 0x7FFF))
        status = self.pick((0, 0xFF, 0x80, 1))
        return self.date() + self.time() + bytes((deviation >> 8 & 0xFF, deviation & 0xFF, status))


def string(moments, data):
    """An octet-string, now and then with a length that is longer than it need be."""
    if moments.random.below(8) == 0:
        return b"\x09\x81" + bytes((len(data),)) + data
    return octets(data)


# --- (client, class, logical name, attribute, how a value is made) -------------------------------


def calendar_time(m):
    return string(m, m.date_time())


def seasons(m):
    out = bytes((1, 1 + m.random.below(3)))
    for k in range(out[1]):
        out += b"\x02\x03\x09\x01" + bytes((48 + k,)) + string(m, m.date_time()) + b"\x09\x011"
    return out


def days(m):
    out = b"\x01\x01\x02\x02\x11\x01\x01" + bytes((1 + m.random.below(3),))
    for _ in range(out[-1]):
        out += b"\x02\x03" + string(m, m.time())
        out += b"\x09\x06\x00\x00\x0a\x00\x64\xff\x12\x00\x02"
    return out


def special_days(m):
    out = bytes((1, 1 + m.random.below(3)))
    for k in range(out[1]):
        out += b"\x02\x03\x12\x00" + bytes((k,)) + string(m, m.date()) + b"\x11\x01"
    return out


def execution_times(m):
    out = bytes((1, m.random.below(4)))
    for _ in range(out[1]):
        out += b"\x02\x02" + string(m, m.time(True)) + string(m, m.date())
    return out


def windows(m):
    out = bytes((1, m.random.below(3)))
    for _ in range(out[1]):
        out += b"\x02\x02" + string(m, m.date_time()) + string(m, m.date_time())
    return out


def emergency(m):
    return b"\x02\x03\x12\x00\x03" + string(m, m.date_time()) + b"\x06\x00\x00\x00\x3c"


def clock(m):
    return string(m, m.date_time())


ATTRIBUTES = (
    ("operator", 20, "0.0.13.0.0", 10, calendar_time),
    ("operator", 20, "0.0.13.0.0", 7, seasons),
    ("operator", 20, "0.0.13.0.0", 9, days),
    ("operator", 11, "0.0.11.0.0", 2, special_days),
    ("breaker", 22, "0.0.15.0.1", 4, execution_times),
    ("update", 22, "0.0.15.0.2", 4, execution_times),
    ("operator", 22, "0.0.15.0.4", 4, execution_times),
    ("breaker", 22, "0.0.15.0.5", 4, execution_times),
    ("operator", 40, "0.0.25.9.0", 4, windows),
    ("operator", 40, "0.4.25.9.0", 4, windows),
    ("breaker", 71, "0.0.17.0.0", 8, emergency),
    ("operator", 8, "0.0.1.0.0", 2, clock),
)


def use(bench):
    """What is stored acts for a while, and is looked at."""
    meter = bench.meter
    model = meter.model
    for _ in range(4):
        bench.run(45, 45000)
        model.calendar().tariff(meter.utc_ms)
        for which in (0, 1):
            model.push._setup(which).is_open()
        for ln in ((0, 0, 15, 0, e, 255) for e in (1, 2, 4, 5)):
            model.find(22, bytes(ln))[0].is_due(meter.utc_ms)
    model.calendar().activate()
    model.calendar().tariff(meter.utc_ms)
    model.calendar().activate()
    assert meter.faults.count == model.faults == 0, bench.complaints


def same(bench, class_id, attribute, found, value):
    """Whether a value is read back: octet for octet, or the same moment."""
    if found == value:
        return True
    data, wanted = Reader(found), Reader(value)
    if class_id == 71:
        for reader in (data, wanted):
            reader.structure(3)
            reader.integer(18)
    elif class_id != 8:
        return False
    local_clock = bench.meter.local_clock
    a = datetime.parse(bytes(data.octets(12)), local_clock)
    b = datetime.parse(bytes(wanted.octets(12)), local_clock)
    # Seconds, and up to the field's end in 2136; the clock goes on.
    if a is None or b is None or b < 1000:
        return a is None
    return 0 <= a // 1000 - min(b // 1000, 0xFFFFFFFF) <= (5 if class_id == 8 else 0)


def run(count, seed=1):
    moments = Moments(seed)
    bench = Bench(start_ms=START_MS)
    clients = begin(bench)
    taken = 0
    kept = {}
    for number in range(count):
        name, class_id, ln, attribute, make = ATTRIBUTES[number % len(ATTRIBUTES)]
        value = make(moments)
        # The terms under which it may be set are not what is tried here.
        bench.meter.control.guard._writes.until_ms = 0
        bench.meter.recorder._steps.until_ms = 0
        answer = clients[name].set(class_id, ln, attribute, value)
        where = (number, seed, ln, attribute, value)
        assert answer in (0, 12, 250), (where, answer)
        if answer == 0:
            taken += 1
            found = clients[name].get(class_id, ln, attribute)
            assert same(bench, class_id, attribute, found, value), (where, found)
            if class_id != 8:
                kept[ln, attribute] = class_id, name, found
            else:
                # Back to where things are due.
                assert clients[name].set_clock(bench.true_ms) == 0
        if number % 60 == 59:
            use(bench)
            check(bench, clients, kept)
            bench.power_cut(1)
            clients = begin(bench)
            check(bench, clients, kept)
            use(bench)
            clients = begin(bench)
    return taken


def begin(bench):
    names = ("operator", "breaker", "update")
    return {name: Client(bench, name, k + 1) for k, name in enumerate(names)}


def check(bench, clients, kept):
    for (ln, attribute), (class_id, name, value) in kept.items():
        found = clients[name].get(class_id, ln, attribute)
        if class_id == 20 and found != value:
            # Its time has come: that is used up, and the calendar is the active one.
            found = value if attribute == 10 else clients[name].get(class_id, ln, attribute - 4)
        assert found == value, (ln, attribute, found)


# --- what is stored already ----------------------------------------------------------------


def bad(year=2027, month=2, day=30, weekday=0xFF, deviation=-0x8000):
    date = bytes((year >> 8, year & 0xFF, month, day, weekday))
    return date + b"\x00\x00\x00\x00" + bytes((deviation >> 8 & 0xFF, deviation & 0xFF, 0))


def poisoned():
    """30 February and its like in every cell: nothing faults, the defaults stand, and are read."""
    times = (bad(), bad(1999, 2, 3), bad(day=1, deviation=841), bad(month=13, day=1), bad(day=0))
    for moment in times:
        bench = Bench(start_ms=START_MS)
        date, time = moment[:5], moment[5:9]
        cells = bench.meter.nv_memory.cells(layout.PARAMETERS)
        season = b"\x01\x01\x02\x03\x09\x011" + octets(moment) + b"\x09\x011"
        entry = b"\x01\x01\x02\x02" + octets(time) + octets(date)
        for cell, value in (
            (CALENDAR + 3, season), (CALENDAR + 7, season), (CALENDAR + 10, octets(moment)),
            (SPECIAL_DAYS, b"\x01\x01\x02\x03\x12\x00\x01" + octets(date) + b"\x11\x01"),
            (SCHEDULE + 1, entry), (SCHEDULE + 2, entry), (SCHEDULE + 4, entry),
            (SCHEDULE + 5, entry),
            (PUSH + 4, b"\x01\x01\x02\x02" + octets(moment) * 2),
            (PUSH + 12, b"\x01\x01\x02\x02" + octets(moment) * 2),
        ):  # fmt: skip
            cells.set(cell, b"\x01" + value)
        bench.power_cut(1)
        use(bench)
        client = bench.client("operator")
        for ln, attribute in (("0.0.13.0.0", 10), ("0.0.13.0.0", 3), ("0.0.13.0.0", 7)):
            assert isinstance(client.get(20, ln, attribute), bytes)
        # What is right is set over it, and is used.
        assert client.set(20, "0.0.13.0.0", 10, octets(ANY)) == 0
        use(bench)
        bench.power_cut(1)
        use(bench)
    return len(times)
