"""A meter whose parts fail, on either VM: what is left goes on, and what is missing is told.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

from array import array
from binascii import crc32

from ams import faults as ft
from ams.clock.local import STATUS_INVALID, utc_ms_of
from ams.control.transitions import REMOTE_DISCONNECT
from ams.events import events as ev
from ams.hal import COIL_CLOSE, INPUT_POWER_FAIL
from ams.metrology import quantities as qu
from ams.objects import alarms
from ams.registers import billing, profile
from ams.results import AccessError
from ams.storage import layout
from ams.storage import settings as st
from ams.storage.snapshot import Snapshot

HOUR_MS = 3600000
START_MS = flash_lab.START_MS - flash_lab.START_MS % HOUR_MS
NUMBER = "7359990000000017"
# 1P2W of the ideal front end is not needed here: an IC says what it measured.
CALIBRATION = {
    "sample_rate_hz": 4000,
    "full_scale": 8388607,
    "starting_power_mva": 700,
    "channels": [
        {"kind": "voltage", "lsb_pv": 100000000},
        {"kind": "current", "lsb_pa": 40000000},
    ]
    * 3,
}


class Bench:
    """A meter with a front end of its own; time is ours."""

    def __init__(
        self,
        flash=None,
        raw_ms=START_MS,
        backup_s=None,
        frontend=True,
        inputs=None,
        relay=None,
        **config,
    ):
        self.flash = flash_lab.LabFlash(64) if flash is None else flash
        self.raw_ms = raw_ms
        self.sent = []
        self.said = []
        board = flash_lab.LabBoard(self.flash)
        board.clock = flash_lab.LabClock()
        board.clock.backup_s = backup_s
        board.han_uart.write = lambda data: self.sent.append(bytes(data))
        board.log = self.said.append
        if frontend:
            board.frontend = self
        board.inputs = inputs
        board.relay = relay
        self.board = board
        whole = {
            "system": "3P4W",
            "calibration": CALIBRATION,
            "identity": {"meter_id": NUMBER},
            "han": {"format": "kaifa"},
        }
        whole.update(config)
        self.meter = flash_lab.Meter(board, whole)
        self.meter.start(raw_ms)

    def measure(self, seconds, power_w=1000, step_ms=200):
        flash_lab.set_power(self.meter, power_w)
        for _ in range(seconds * 1000 // step_ms):
            self.raw_ms += step_ms
            self.meter.measured(self.raw_ms, step_ms, power_w * 1000 * step_ms, 0, 0)

    def wait(self, seconds, step_ms=1000):
        for _ in range(seconds * 1000 // step_ms):
            self.raw_ms += step_ms
            self.meter.tick(self.raw_ms)

    def marks(self):
        """Of the closed intervals: what says that they are not whole."""
        wanted = profile.STATUS_ENERGY_MISSING | profile.STATUS_DATA_NOT_VALID
        return [entry[2] & wanted for entry in flash_lab.entries(self.meter)]

    def codes(self):
        return [event[1] for event in self.meter.events.entries()]


def whole_of(flash):
    """Sums of its sectors."""
    octets = bytearray(4096)
    sums = []
    for address in range(0, flash.size, 4096):
        flash.read(address, octets)
        sums.append(crc32(octets))
    return sums


MISSING = profile.STATUS_ENERGY_MISSING | profile.STATUS_DATA_NOT_VALID


def check_every_interval_of_a_dead_front_end_is_marked():
    bench = Bench()
    bench.measure(60)
    bench.wait(3 * 3600, 60000)
    assert bench.marks() == [MISSING] * 3
    # Back in the fourth: that one has a hole too, the fifth has none.
    bench.measure(2)
    bench.wait(60)
    while len(bench.marks()) < 5:
        bench.measure(60, step_ms=1000)
    assert bench.marks() == [MISSING] * 4 + [0]
    codes = bench.codes()
    assert codes.count(ev.MEASUREMENT_ERROR) == 2 and codes.count(ev.SAMPLES_MISSING) == 2


def check_a_hole_and_the_fault_behind_it_are_told_once():
    """A front end that stops within a pass: its hole is seen before it says why, also when the
    clock is set between them."""
    for between in (lambda bench: None, lambda bench: bench.meter.set_clock(bench.raw_ms, HOUR_MS)):
        bench = Bench()
        meter = bench.meter
        codes = array("i", [0] * 60)
        meter.samples(bench.raw_ms, 0, codes, 10)
        bench.raw_ms += 60
        meter.samples(bench.raw_ms, 113, codes, 10)
        between(bench)
        bench.raw_ms += 110
        meter.sample_watch.front_end(meter.utc_ms, 2)
        bench.wait(5)
        told = bench.codes()
        assert told.count(ev.SAMPLES_MISSING) == told.count(ev.MEASUREMENT_ERROR) == 1
        # The next one, long after the first was over, is told again.
        meter.sample_watch.front_end(meter.utc_ms, 0)
        meter.samples(bench.raw_ms, 30000, codes, 10)
        assert bench.codes().count(ev.SAMPLES_MISSING) == 2


def check_what_is_not_measured_is_not_shown():
    bench = Bench()
    meter = bench.meter
    meter.han.open(bench.raw_ms)
    bench.measure(10)
    bench.wait(5)
    # A gap is bridged with what was measured last; what is broken shows nothing.
    assert meter.quantities.total_active_power_mw == 1000000
    bench.wait(10)
    q = meter.quantities
    assert not q.total_active_power_mw and not q.frequency_mhz and not q.total_apparent_power_mva
    assert list(q.voltage_mv) == list(q.current_ua) == list(q.active_power_mw) == [0, 0, 0]
    assert q.status & qu.STATUS_SAMPLES_MISSING
    # Kaifa's list 1 ends with the power.
    bench.wait(3)
    assert bench.sent[-1][-7:-3] == bytes(4)
    bench.measure(4)
    assert bench.sent[-1][-7:-3] == b"\x00\x00\x03\xe8"


def check_a_front_end_that_never_answers_is_told():
    bench = Bench()
    bench.wait(7200, 60000)
    assert bench.marks() == [MISSING] * 2
    assert ev.MEASUREMENT_ERROR in bench.codes()
    assert bench.meter.quantities.status & qu.STATUS_SAMPLES_MISSING
    assert not bench.meter.sample_watch.has_begun


def check_a_bench_without_a_front_end_is_none_that_is_dead():
    bench = Bench(frontend=False)
    bench.wait(3600, 60000)
    assert bench.marks() == [0] and ev.SAMPLES_MISSING not in bench.codes()


def broken(*arguments):
    raise ValueError("out of order")


def check_whatever_fails_the_others_go_on():
    """Each part in its turn: energy, intervals and lists are as if nothing had failed."""
    for part, name, number in (
        ("han", "push", ft.HAN),
        ("quality", "look", ft.MEASURED),
        ("control", "take", ft.MEASURED),
        ("control", "poll", ft.CONTROL),
        ("recorder", "advance", ft.ACCOUNTS),
    ):
        bench = Bench()
        bench.meter.han.open(bench.raw_ms)
        whole = getattr(bench.meter, part)
        works = getattr(whole, name)
        setattr(whole, name, broken)
        bench.measure(60, step_ms=1000)
        bench.measure(3600, step_ms=60000)
        meter = bench.meter
        assert meter.energy.mwh[0] == 1016666, part
        assert part == "han" or len(bench.sent) > 89, part
        assert part == "recorder" or bench.marks() == [0], part
        # Told, but not each time.
        told = [event[2] for event in meter.events.entries() if event[1] == ev.SOFTWARE_FAULT]
        assert told == [number, number], (part, told)
        assert meter.faults.count > 60 and len(bench.said) == 2, part
        setattr(whole, name, works)
        count = meter.faults.count
        sent = len(bench.sent)
        bench.measure(60, step_ms=1000)
        assert meter.faults.count == count and len(bench.sent) > sent + 20, part
        assert bench.marks() == [0], part


def check_a_flash_that_reports_errors_stops_nothing():
    """The driver of a board may raise OSError where another just takes nothing."""
    bench = Bench()

    def refuses(*arguments):
        raise OSError(5)

    bench.flash.program = bench.flash.erase = refuses
    bench.measure(130)
    meter = bench.meter
    assert meter.energy.mwh[0] == 36111 and not meter.faults.count
    assert meter.nv_memory.failed and ev.NV_MEMORY_ERROR in bench.codes()
    try:
        meter.settings.set(st.ALARM_FILTER, bytes(4))
    except AccessError:
        return
    raise AssertionError("a setting that was not kept counts as kept")


def check_lists_of_text_are_never_encrypted():
    class Link:
        class keyring:
            title = b"OAM00001"

    bench = Bench(han={"format": "p1"})
    meter = bench.meter
    meter.link = Link
    meter.settings.set(st.HAN_KEYS, bytes(32) + b"\x00\x00\x00\x01")
    assert not meter.han_settings.set_encrypted(True)
    meter.han.open(bench.raw_ms)
    bench.wait(60)
    assert len(bench.sent) >= 5 and not meter.faults.count
    # Nor by what an older version has stored: then the port stays shut.
    meter.settings.set(st.HAN_PORT, b"\x03")
    again = Bench(bench.flash, han={"format": "p1"})
    again.meter.link = Link
    again.wait(60)
    assert not again.sent and not again.meter.faults.count


def check_a_clock_that_lost_its_time_says_so_from_the_start():
    """Of a new meter too, and in the lists."""
    bench = Bench(raw_ms=0, backup_s=0)
    for _ in range(2):
        meter = bench.meter
        assert meter.clock.status & STATUS_INVALID and ev.CLOCK_INVALID in bench.codes()
        assert meter.recorder.load_profile.status & profile.STATUS_CLOCK_INVALID
        meter.han.open(bench.raw_ms)
        bench.measure(4)
        # Kaifa's header: the time ends with its status.
        assert bench.sent[-1][30] == STATUS_INVALID
        bench = Bench(bench.flash, raw_ms=5000, backup_s=0)
    # What began just before the time that it begins with can be stored.
    bench.meter.events.log(-40, ev.MISSING_VOLTAGE)
    assert not bench.meter.faults.count and not bench.meter.nv_memory.failed
    bench.meter.han.open(bench.raw_ms)
    bench.meter.set_clock(bench.raw_ms, START_MS)
    bench.measure(4)
    assert not bench.meter.clock.status and bench.sent[-1][30] == 0


def check_a_flash_that_works_again_loses_hours_and_no_days():
    """A ring is tried again by the time that has passed: an hour's rows come once an hour."""
    bench = Bench()
    bench.measure(70)
    plain = bench.flash.program, bench.flash.erase

    def refuses(*arguments):
        raise OSError(5)

    bench.flash.program = bench.flash.erase = refuses
    bench.measure(3 * 3600, step_ms=60000)
    assert bench.meter.nv_memory.failed
    bench.flash.program, bench.flash.erase = plain
    back_ms = bench.raw_ms
    bench.measure(50 * 3600, step_ms=60000)
    nv_memory = bench.meter.nv_memory
    ends = [profile.unpack(data)[1] for data in nv_memory.entries(layout.LOAD_PROFILE)]
    ends = [end for end in ends if end * 1000 > back_ms]
    assert ends[0] * 1000 - back_ms <= HOUR_MS, ends
    assert ends == [ends[0] + 3600 * k for k in range(len(ends))], ends
    assert len(list(nv_memory.entries(layout.DAILY))) == 2
    assert bench.codes().count(ev.NV_MEMORY_ERROR) == len(nv_memory._failed_regions)


def check_a_dead_flash_takes_no_time_from_the_metering():
    """An erase stops the core for 45 ms and more: a ring that takes nothing is left alone."""
    bench = Bench()
    bench.measure(70)
    plain = bench.flash.program, bench.flash.erase
    count = []

    def program(address, data):
        # Each sector that is tried gets a head.
        if address % 4096 == 0:
            count.append(address)

    bench.flash.program = program
    bench.flash.erase = lambda address: None
    bench.measure(7200, step_ms=20000)
    meter = bench.meter
    assert meter.energy.mwh[0] == 2019444 and meter.nv_memory.failed
    # Seven sectors a try, of each ring that had something to store.
    assert 7 < len(count) < 100
    assert bench.codes().count(ev.NV_MEMORY_ERROR) == len(meter.nv_memory._failed_regions)
    # The last word is tried in any case, and what works again is found.
    bench.flash.program, bench.flash.erase = plain
    meter.power_fail()
    assert Bench(bench.flash, bench.raw_ms).meter.energy.mwh[0] == 2019444
    bench.flash.program = lambda address, data: None
    bench.measure(600, step_ms=20000)
    bench.flash.program = plain[0]
    bench.measure(3600, step_ms=20000)
    again = Bench(bench.flash, bench.raw_ms)
    assert bench.meter.energy.mwh[0] - again.meter.energy.mwh[0] < 1000 * 82 // 3.6


def check_a_storm_in_a_log_hides_no_alarm():
    bench = Bench()
    meter = bench.meter
    model = meter.model
    pushed = []
    model.push.ask = lambda which, at_once=False: not pushed.append(model.alarms.raised)
    for _ in range(300):
        meter.tamper(ev.TERMINAL_COVER_REMOVED)
    bench.measure(1)
    assert pushed == [alarms.COVER]
    for _ in range(300):
        meter.tamper(ev.CURRENT_REVERSED)
    model.alarms.clear(alarms.FRAUD)
    bench.measure(1)
    assert pushed == [alarms.COVER, alarms.FRAUD]
    # One more is in no log, but it is told; the storm itself is not told again.
    kept = meter.events.count
    meter.tamper(ev.CURRENT_REVERSED)
    bench.measure(1)
    assert meter.events.count == kept
    assert pushed == [alarms.COVER, alarms.FRAUD, alarms.FRAUD]
    assert model.alarms.register == alarms.COVER | alarms.FRAUD
    # Another kind is in the log, whatever the storm was.
    meter.tamper(ev.MAGNETIC_FIELD)
    bench.measure(1)
    assert bench.codes()[-1] == ev.MAGNETIC_FIELD
    for _ in range(50):
        meter.tamper(ev.TERMINAL_COVER_REMOVED)
    bench.measure(1)
    assert pushed == [alarms.COVER, alarms.FRAUD, alarms.FRAUD, alarms.MAGNETIC_FIELD]


def check_a_clock_that_is_set_gives_no_log_a_new_share():
    bench = Bench()
    meter = bench.meter
    for step in range(300):
        meter.tamper(ev.MAGNETIC_FIELD)
        meter.set_clock(bench.raw_ms, meter.utc_ms + (-HOUR_MS if step & 1 else HOUR_MS))
        bench.measure(1, step_ms=1000)
    # By the clock hours went by, by the board five minutes.
    assert 5 <= meter.events.numbers[ev.LOG_FRAUD] <= 10
    assert 5 <= bench.codes().count(ev.CLOCK_ADJUSTED_NEW) <= 10


def check_what_a_metering_ic_lost_is_marked():
    bench = Bench()
    bench.measure(10)
    bench.raw_ms += 200
    bench.meter.measured(bench.raw_ms, 200, 0, 0, qu.STATUS_SAMPLES_MISSING)
    assert bench.codes()[-1] == ev.SAMPLES_MISSING
    assert bench.meter.quantities.status & qu.STATUS_SAMPLES_MISSING
    bench.measure(3600, step_ms=1000)
    assert bench.marks() == [MISSING] and bench.codes()[-1] == ev.SAMPLES_MISSING
    assert not bench.meter.quantities.status & qu.STATUS_SAMPLES_MISSING


class Coils:
    """A relay that follows its coils; how long each pulse was."""

    def __init__(self, bench):
        self.bench = bench
        self.is_closed = True
        self.coil = 0
        self.since_ms = 0
        self.pulses_ms = []

    def set_coil(self, coil):
        now_ms = self.bench[0].raw_ms if self.bench else 0
        if self.coil:
            self.pulses_ms.append(now_ms - self.since_ms)
            self.is_closed = self.coil == COIL_CLOSE
        self.coil = coil
        self.since_ms = now_ms

    def closed(self):
        return self.is_closed

    def load_voltage(self):
        return None


def check_no_coil_stays_on_whatever_fails():
    """A movement is under way, and everything else that looks at the case fails."""
    for name in ("limiter", "button", "inputs", "quality"):
        benches = []
        relay = Coils(benches)
        bench = Bench(inputs=Contacts(), relay=relay)
        benches.append(bench)
        bench.measure(2)
        control = bench.meter.control
        if name == "limiter":
            control.limiter.look_at_clock = broken
        elif name == "button":
            control.button.look = broken
        elif name == "inputs":
            bench.board.inputs.read = broken
        else:
            bench.meter.quality.look = broken
        assert control.breaker.event(REMOTE_DISCONNECT, 5, bench.raw_ms) == 0
        assert relay.coil
        bench.measure(2, step_ms=20)
        assert not relay.coil and relay.pulses_ms == [120], (name, relay.pulses_ms)
        assert not relay.is_closed and not control.breaker.moving
        assert bench.meter.faults.count, name


def dip(bench, seconds):
    for _ in range(seconds * 5):
        bench.raw_ms += 200
        bench.meter.quantities.voltage_mv[0] = 150000
        bench.meter.measured(bench.raw_ms, 200, 0, 0, 0)


def check_a_disturbance_lasts_as_long_as_it_did_when_the_clock_is_set():
    for step_ms in (HOUR_MS, -HOUR_MS):
        bench = Bench()
        bench.measure(10)
        dip(bench, 10)
        bench.meter.set_clock(bench.raw_ms, bench.meter.utc_ms + step_ms)
        dip(bench, 20)
        bench.measure(1)
        _, code, detail, extra = bench.meter.events.entries()[-1]
        assert (code, detail, extra) == (ev.NORMAL_VOLTAGE, 150000, 30000), extra


def fails_once(thing, name, counter):
    """At its call number `counter[0]`, counted from now."""
    works = getattr(thing, name)

    def call(*arguments):
        counter[0] -= 1
        if counter[0] == 0:
            raise MemoryError("memory allocation failed")
        return works(*arguments)

    setattr(thing, name, call)


def check_an_error_where_an_interval_ends_loses_and_doubles_nothing():
    """At a month's end, in each of what is stored then: found again at the next pass."""
    # The local midnight that begins April: 22:00 UTC.
    midnight_ms = utc_ms_of(2026, 4, 1) - 2 * HOUR_MS
    for number in range(1, 7):
        bench = Bench(raw_ms=midnight_ms - HOUR_MS)
        bench.measure(3540, step_ms=60000)
        bench.measure(58, step_ms=1000)
        counter = [number]
        nv_memory = bench.meter.nv_memory
        fails_once(nv_memory, "_guard", counter)
        bench.measure(4, step_ms=1000)
        assert bench.meter.faults.count == 1 and counter[0] < 0, number
        bench.measure(3600, step_ms=60000)
        entries = flash_lab.entries(bench.meter)
        assert [entry[:4] for entry in entries] == [
            (1, midnight_ms // 1000, entries[0][2], 3600),
            (2, midnight_ms // 1000 + 3600, entries[1][2], 3600),
        ], number
        for region in (layout.DAILY, layout.MONTHLY):
            rows = [billing.unpack(data) for data in nv_memory.entries(region)]
            assert [row[:2] for row in rows] == [(1, midnight_ms // 1000)], number
        # A day that is stored a pass later has the energy of that.
        assert 0 <= rows[0][3] - entries[0][4] <= 278, number
        again = Bench(bench.flash, bench.raw_ms)
        assert flash_lab.entries(again.meter) == entries, number


def check_settings_of_another_meter_without_registers_are_left_alone():
    """The power went at its first start: its settings are there, and nothing else."""
    flash = flash_lab.LabFlash(64)
    Snapshot(flash).save({"meter_id": "7359990000000024", "system": "3P4W"})
    before = whole_of(flash)
    bench = Bench(flash)
    bench.measure(10)
    assert bench.meter.energy.mwh[0] and not bench.meter.nv_memory.writable
    assert "state image is that of meter 7359990000000024" in bench.meter.nv_memory.found
    assert whole_of(flash) == before


def check_registers_are_stored_whatever_fails_before_the_supply_is_gone():
    bench = Bench()
    bench.measure(10)
    bench.meter.metrology.flush = broken
    bench.meter.power_fail()
    assert Bench(bench.flash, bench.raw_ms).meter.energy.mwh == bench.meter.energy.mwh
    # Nor does it keep the clock from being set, or a gap from being bridged.
    bench.meter.set_clock(bench.raw_ms, bench.meter.utc_ms + HOUR_MS)
    bench.wait(20)
    bench.meter.samples(bench.raw_ms, 1000, array("i", [0] * 60), 10)
    bench.meter.samples(bench.raw_ms, 2000, array("i", [0] * 60), 10)
    assert (
        bench.meter.sample_watch.sets_missing == 990
        and bench.meter.utc_ms == bench.raw_ms + HOUR_MS
    )


def check_a_window_that_cannot_be_evaluated_is_marked_and_dropped():
    bench = Bench(
        system="1P2W", calibration=dict(CALIBRATION, channels=CALIBRATION["channels"][:2])
    )
    meter = bench.meter
    # A square wave of 50 Hz: 230 V and 10 A.
    samples = array("i", [0] * 400)
    for k in range(200):
        samples[2 * k] = 2300000 if k % 80 < 40 else -2300000
        samples[2 * k + 1] = 250000 if k % 80 < 40 else -250000

    def blocks(count, at):
        for number in range(at, at + count):
            shift = number * 200 % 80 * 2
            block = samples[shift : shift + 320]
            bench.raw_ms += 40
            meter.samples(bench.raw_ms, number * 160, block, 160)

    samples = array("i", list(samples) + list(samples))
    blocks(50, 0)
    before = meter.energy.mwh[0]
    counter = [1]
    fails_once(meter.metrology, "_finish", counter)
    raised = 0
    for number in range(50, 60):
        try:
            blocks(1, number)
        except MemoryError:
            raised += 1
    assert raised == 1 and bench.codes()[-1] == ev.SAMPLES_MISSING
    assert meter.recorder.load_profile.status & profile.STATUS_ENERGY_MISSING
    blocks(250, 60)
    # All but a window or two, and nothing twice.
    meter.metrology.flush()
    counted = meter.energy.mwh[0] - before
    whole = 2300 * 260 * 40 // 3600
    assert whole - 2300 * 500 // 3600 < counted <= whole + 2300 * 200 // 3600


def check_a_clock_chip_of_whole_seconds_sets_no_clock_back():
    """The supply dips, the chip starts anew 50 ms later: the RTC shows the second's begin."""
    bench = Bench()
    bench.measure(10)
    bench.raw_ms += 900
    bench.meter.tick(bench.raw_ms)
    bench.meter.power_fail()
    before_ms = bench.meter.utc_ms
    again = Bench(bench.flash, bench.raw_ms - 850)
    assert again.meter.utc_ms == before_ms
    assert ev.CLOCK_ADJUSTED_OLD not in again.codes()
    again.measure(5)
    assert again.meter.utc_ms == before_ms + 5000
    # More than that is another time.
    again.meter.stop()
    last = Bench(bench.flash, again.raw_ms - 5000)
    assert ev.CLOCK_ADJUSTED_OLD in last.codes() and last.meter.utc_ms == last.raw_ms


class Contacts:
    bits = 0

    def read(self):
        return self.bits


def sectors_begun(flash):
    """One that was never used is not erased: heads tell."""
    plain = flash.program
    count = []

    def program(address, data):
        if address % 4096 == 0:
            count.append(address)
        plain(address, data)

    flash.program = program
    return count


def check_a_supply_that_flickers_wears_nothing_out():
    bench = Bench(inputs=Contacts())
    # An hour as it is without any.
    bench.measure(3600, step_ms=60000)
    count = sectors_begun(bench.flash)
    bench.measure(3600, step_ms=60000)
    usual = len(count)
    for step in range(1200):
        bench.board.inputs.bits = INPUT_POWER_FAIL if step & 1 else 0
        bench.measure(1, step_ms=500)
    assert bench.meter.energy.mwh[0] == 2333333
    assert usual < len(count) < usual * 6
    codes = bench.codes()
    assert (
        40 <= bench.meter.events.numbers[ev.LOG_STANDARD] < 80 and codes.count(ev.POWER_DOWN) <= 45
    )


def check_a_supply_that_came_back_is_no_clean_stop():
    bench = Bench(inputs=Contacts())
    bench.measure(10)
    bench.board.inputs.bits = INPUT_POWER_FAIL
    bench.measure(1)
    stored = list(bench.meter.energy.mwh)
    bench.board.inputs.bits = 0
    bench.measure(20)
    assert bench.codes()[-2:] == [ev.POWER_DOWN, ev.POWER_UP]
    # Now the power goes without a word.
    again = Bench(bench.flash, bench.raw_ms + 5000)
    assert stored[0] <= again.meter.energy.mwh[0] < bench.meter.energy.mwh[0]
    assert ev.ENERGY_MISSING in again.codes()
    # And with one: nothing is missing, whatever came before.
    again = Bench(bench.flash, bench.raw_ms + 5000, inputs=Contacts())
    again.measure(5)
    again.board.inputs.bits = INPUT_POWER_FAIL
    again.wait(1, 25)
    last = Bench(again.flash, again.raw_ms + 5000)
    assert last.meter.energy.mwh == again.meter.energy.mwh
    assert ev.ENERGY_MISSING not in last.codes()


def check_a_board_with_two_clocks_sends_each_list_once():
    """Samples carry the time of their own counter: some ms before or after the board's."""
    for ahead_ms in (-60, 13, 300):
        bench = Bench()
        meter = bench.meter
        meter.han.open(bench.raw_ms)
        # A pass a second is shorter: the full second falls everywhere between two of them.
        for step in range(20 * 40):
            bench.raw_ms += 25 - (step % 40 == 39)
            flash_lab.set_power(meter, 1000)
            meter.measured(bench.raw_ms + ahead_ms, 25, 25000000, 0, 0)
            meter.tick(bench.raw_ms)
        stamps = [bytes(frame) for frame in bench.sent]
        assert 9 <= len(stamps) <= 10 and len(set(stamps)) == len(stamps), ahead_ms
        assert not meter.han.missed


def check_a_clock_that_is_set_takes_up_the_lists_from_there():
    """Nothing of the time between is sent late, and none of it was missed."""
    bench = Bench()
    meter = bench.meter
    meter.han.open(bench.raw_ms)
    bench.measure(5)
    for step_s in (1800, -1800, 45, -45, -7200):
        meter.set_clock(bench.raw_ms, meter.utc_ms + step_s * 1000)
        count = len(bench.sent)
        bench.measure(4)
        assert 2 <= len(bench.sent) - count <= 3, step_s
    assert not meter.han.missed


def main():
    done = 0
    for name in sorted(globals()):
        if name.startswith("check_"):
            globals()[name]()
            done += 1
    print(done)
