"""Power cuts at every flash operation of a meter's work, on CPython and MicroPython alike.

The work is done once on a flash that writes down what every operation changed.
From that the flash after a cut at any operation can be made: clean (before
it) or torn (inside it). On each the meter is started anew, on a copy whose
own operations can be cut again. Runs as a script: stdin gives one JSON object,
what comes out are lines of JSON.
"""

import json
import sys

from ams.events import events
from ams.registers import profile
from ams.storage import layout
from amsbench.hold import hold

try:
    from flash_lab import (
        ERASED,
        MINUTE_MS,
        SECTOR,
        START_MS,
        LabFlash,
        Random,
        apply,
        days,
        entries,
        logged,
        make_meter,
        set_power,
        start,
    )
except ImportError:
    from openams.faultlab.flash_lab import (
        ERASED,
        MINUTE_MS,
        SECTOR,
        START_MS,
        LabFlash,
        Random,
        apply,
        days,
        entries,
        logged,
        make_meter,
        set_power,
        start,
    )

# So many intervals of an image are held against what it held.
_BEFORE = 200
# And a sector has no more of them.
_SECTOR_HOLDS = SECTOR // (8 + profile.ENTRY_SIZE)
# An event of each log.
SUNDRY = (
    events.METER_COVER_REMOVED,
    events.MAGNETIC_FIELD,
    events.AUTHENTICATION_FAILED,
    events.UNDERVOLTAGE,
    events.HAN_OPENED,
    events.LIMITER_EXCEEDED,
)


class Work:
    """A meter's life: minutes of changing power, with orders and events between them."""

    def __init__(self, flash, config, seed):
        self.flash = flash
        self.random = Random(seed)
        self.meter = make_meter(flash, config)
        self.raw_ms = START_MS
        self.minutes = 0
        self.points = []  # (operations done, what was committed by then)
        self.cells = []  # (operations done, region, key, value) of each cell that was set
        self.stored = [0] * 8
        self.plain_store = self.meter.nv_memory.store
        self.meter.nv_memory.store = self.store
        self.meter.start(self.raw_ms)
        self.remember()

    def store(self, *what):
        self.plain_store(*what)
        self.stored = list(self.meter.energy.mwh)
        self.remember()

    def remember(self):
        meter = self.meter
        self.points.append(
            (
                self.flash.operations,
                self.stored,
                meter.recorder.load_profile.number,
                list(meter.events.numbers),
                meter.utc_ms,
            )
        )

    def minute(self):
        meter = self.meter
        r = self.random
        self.minutes += 1
        set_power(meter, r.below(20000) - 6000)
        hold(meter, self.raw_ms, MINUTE_MS, meter._board.clock)
        self.raw_ms += MINUTE_MS
        # What is due at the end of a minute comes with the next.
        meter.tick(self.raw_ms)
        self.set_cells()
        self.remember()
        dice = r.below(40)
        if dice == 0:
            meter.set_capture_period(900 if meter.recorder.load_profile.period_s == 3600 else 3600)
        elif dice < 4:
            meter.tamper(SUNDRY[r.below(len(SUNDRY))])
        elif dice == 4:
            meter.set_clock(self.raw_ms, meter.utc_ms + (r.below(7200) - 3000) * 1000)
        elif dice == 5:
            meter.power_fail()
        else:
            return
        self.remember()

    def set_cells(self):
        """A ciphered request now and then; others seldom: cells that the meter does not use."""
        r = self.random
        number = len(self.cells)
        if r.below(3) == 0:
            self.set_cell(layout.SECURITY, 200 + r.below(4), bytes([number & 0xFF]) * 48)
        region = (layout.CONTROL, layout.PARAMETERS, layout.UPDATE)[r.below(3)]
        if r.below(6) == 0:
            self.set_cell(region, 200 + r.below(5), bytes([number & 0xFF]) * r.below(300))

    def set_cell(self, region, key, value):
        self.meter.nv_memory.cells(region).set(key, value)
        self.cells.append((self.flash.operations, region, key, value))


class Failure(Exception):
    pass


def demand(condition, what):
    if not condition:
        raise Failure(what)


class Truth:
    """What the whole work entered, to hold every start after a cut against."""

    def __init__(self, work, entered, events_logged, days_entered):
        self.points = work.points
        self.cells = work.cells
        self.entries = entered
        self.events = events_logged
        self.days = days_entered
        self.base = None  # registers before each interval
        self.first = None  # of an image that was there before: intervals are read from here on
        self.oldest = 0  # that the ring still held at the end

    def bounds(self, operation):
        """The last point that was committed before an operation, and the next."""
        low, high = 0, len(self.points)
        while low < high:
            middle = (low + high) // 2
            if self.points[middle][0] <= operation:
                low = middle + 1
            else:
                high = middle
        before = self.points[low - 1] if low else None
        return before, self.points[min(low, len(self.points) - 1)]


def check(truth, operation, meter):
    """Holds a meter that was started after a cut at `operation` against the truth."""
    before, after = truth.bounds(operation)
    demand(meter.nv_memory.writable, "the image is not understood any more")
    demand(not meter.nv_memory.damaged, "a cut counts as damage: %s" % meter.nv_memory.found)
    registers = meter.energy.mwh
    if before is not None:
        for k in range(8):
            demand(registers[k] >= before[1][k], "register %d went back" % k)
            demand(registers[k] <= after[1][k], "register %d has energy from nowhere" % k)
    if truth.first is not None:
        oldest = meter.nv_memory.oldest_number(layout.LOAD_PROFILE)
        # The start enters the interval that was open: that may take the next sector.
        demand(oldest <= truth.oldest + _SECTOR_HOLDS, "intervals of the image are lost")
    found = entries(meter, truth.first)
    numbers = [entry[0] for entry in found]
    demand(numbers == sorted(set(numbers)), "intervals out of order")
    if numbers:
        demand(numbers == list(range(numbers[0], numbers[-1] + 1)), "an interval is missing")
    committed = before[2] if before is not None else 0
    demand(not committed or numbers and numbers[-1] >= committed, "a committed interval is lost")
    for entry in found:
        if entry[0] <= committed and entry[0] in truth.entries:
            demand(entry == truth.entries[entry[0]], "interval %d differs" % entry[0])
    # Intervals and registers agree: what the ring no longer holds is in the base.
    start = meter.recorder.load_profile.start_mwh
    base = truth.base.get(numbers[0] if numbers else 1)
    if base is not None:
        for k in range(4):
            total = base[k]
            for entry in found:
                total += entry[4 + k]
            demand(total == start[k], "sum of the intervals is not the register")
    for log, events_found in enumerate(logged(meter)):
        numbers = [event[0] for event in events_found]
        demand(numbers == sorted(set(numbers)), "events out of order")
        committed = before[3][log] if before is not None else 0
        demand(not committed or numbers and numbers[-1] >= committed, "an event is lost")
        known = truth.events[log]
        for event in events_found:
            if event[0] <= committed and event[0] in known:
                demand(event == known[event[0]], "event %d of log %d differs" % (event[0], log))
    for day in days(meter):
        if before is not None and day[0] in truth.days and day[1] * 1000 <= before[4]:
            demand(day[1:2] == truth.days[day[0]][1:2], "day %d differs" % day[0])
    check_cells(truth, operation, meter)
    names = [event[1] for event in meter.events.entries()]
    if before is not None:
        demand(events.STATE_RESTORED in names, "state not restored")
        missing = [k for k in range(4) if registers[k] < after[1][k]]
        clean = events.ENERGY_MISSING not in names
        if missing and clean:
            # Only a record of a falling supply may stand for a clean end.
            demand(registers == before[1], "energy is missing and nothing says so")
        marks = meter.recorder.load_profile.status
        demand(marks & profile.STATUS_POWER_DOWN, "the cut is not marked")
        demand(clean or marks & profile.STATUS_ENERGY_MISSING, "missing energy is not marked")


def check_cells(truth, operation, meter):
    """Each cell holds what was set last, or what was being set."""
    wanted = {}
    for done, region, key, value in truth.cells:
        if done > operation:
            # The one that was under way, if it was.
            if meter.nv_memory.cells(region).get(key) == value:
                wanted[region, key] = value
            break
        wanted[region, key] = value
    for region, key in wanted:
        cells = meter.nv_memory.cells(region)
        demand(cells.get(key) == wanted[region, key], "cell %d of ring %d differs" % (key, region))
        demand(not cells.damaged, "ring %d counts as damaged" % region)


def campaign(request):
    config = request["config"]
    sectors = request["sectors"]
    rings = layout.make_layout(sectors, request["shares"]) if request.get("shares") else None
    config["rings"] = rings
    base = {}
    if request.get("image"):
        with open(request["image"], "rb") as file:
            for number in range(sectors):
                data = file.read(SECTOR)
                if data.replace(b"\xff", b""):
                    # What a file that was cut short does not hold is erased.
                    base[number] = data + ERASED[len(data) :]
    log = []
    work = Work(LabFlash(sectors, dict(base), log), config, request["seed"])
    if not work.meter.nv_memory.takes(layout.REGISTERS):
        print(json.dumps({"error": "; ".join(work.meter.nv_memory.found)}))
        return
    truth = Truth(work, {}, [{} for _ in range(layout.EVENT_LOGS)], {})
    if base:
        number = work.meter.nv_memory.newest_number(layout.LOAD_PROFILE)
        truth.first = max(1, number - _BEFORE)
        totals = list(work.meter.recorder.load_profile.start_mwh)
        for entry in entries(work.meter, truth.first):
            for k in range(4):
                totals[k] -= entry[4 + k]
    else:
        totals = [0] * 4
    truth.base = {truth.first or 1: list(totals)}
    while work.flash.operations < request["operations"]:
        work.minute()
        collect(work.meter, truth, totals)
    truth.oldest = work.meter.nv_memory.oldest_number(layout.LOAD_PROFILE)
    print(json.dumps({"operations": len(log), "minutes": work.minutes}))
    replay(request, config, base, log, truth, work.raw_ms)


def collect(meter, truth, totals):
    """Keeps what was entered since, before the rings forget it."""
    first = truth.first
    if first is not None and truth.entries:
        first = max(truth.entries) + 1
    for entry in entries(meter, first):
        if entry[0] not in truth.entries:
            truth.entries[entry[0]] = entry
            for k in range(4):
                totals[k] += entry[4 + k]
            truth.base[entry[0] + 1] = list(totals)
    for log, found in enumerate(logged(meter)):
        for event in found:
            truth.events[log][event[0]] = event
    for day in days(meter):
        truth.days[day[0]] = day


def replay(request, config, base, log, truth, raw_ms):
    play(request, base, log, Replay(request, config, truth, raw_ms))


def play(request, base, log, lab):
    """Gives `lab` the flash before each operation that is to be cut, and the operation."""
    current = {number: bytearray(data) for number, data in base.items()}
    for operation in range(len(log)):
        if operation % request["of"] == request["part"] and lab.wants(operation):
            lab.cut(current, operation, log[operation])
        number, at, data = log[operation]
        apply(current, current.get(number) or bytearray(ERASED), number, at, data)
    print(json.dumps({"tried": lab.tried, "second": lab.second}))


class Replay:
    """Starts the meter on the flash as it stood when the power went."""

    def __init__(self, request, config, truth, raw_ms):
        self.request = request
        self.config = config
        self.truth = truth
        self.raw_ms = raw_ms
        self.tried = 0
        self.second = 0

    def wants(self, operation):
        return self.request["first"] <= operation <= self.request["last"]

    def cut(self, current, operation, change):
        for kind, torn in enumerate(self.request["torn"]):
            image = dict(current)
            random = Random(self.request["seed"] * 1000003 + operation)
            tear(image, change, torn, random)
            self.tried += 1
            log = [] if self.request["second"] else None
            if self.hold(image, log, self.raw_ms, operation, torn) and log:
                self.cut_again(image, log, operation, torn, kind)
        print(json.dumps({"done": operation, "tried": self.tried, "second": self.second}))

    def cut_again(self, image, log, operation, torn, kind):
        """The start itself writes: cuts each of its operations, and starts once more.

        Each kind of cut in its turn, so that all of them meet everywhere.
        """
        kinds = self.request["torn"]
        for again in range(len(log)):
            cut = dict(image)
            torn_again = kinds[(operation + kind + again) % len(kinds)]
            tear(cut, log[again], torn_again, Random(operation * 4099 + again))
            self.second += 1
            self.hold(cut, None, self.raw_ms + 1000, operation, torn, again, torn_again)
            number, at, data = log[again]
            image = dict(image)
            apply(image, bytearray(image.get(number) or ERASED), number, at, data)

    def hold(self, image, log, raw_ms, operation, torn, again=None, torn_again=None):
        """Whether a start on `image` finds all that was kept."""
        try:
            flash = LabFlash(self.request["sectors"], image, log)
            check(self.truth, operation, start(flash, self.config, raw_ms))
        except Exception as error:
            # Whatever a start stumbles over is what this looks for.
            self.tell(error, operation, torn, again, torn_again)
            return False
        return True

    def tell(self, error, operation, torn, again, torn_again):
        text = "%s: %s" % (type(error).__name__, error)
        failure = {"failure": text, "operation": operation, "torn": torn}
        if again is not None:
            failure["second"] = again
            failure["second_torn"] = torn_again
        print(json.dumps(failure))


def tear(image, change, torn, random):
    """What a cut in an operation leaves: nothing of it (clean), or some."""
    if torn:
        number, at, data = change
        apply(image, bytearray(image.get(number) or ERASED), number, at, data, torn, random)


if __name__ == "__main__":
    campaign(json.loads(sys.stdin.read()))
