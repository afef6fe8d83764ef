"""What who has some of the keys does beyond his rights, and what comes of it (docs/security.md).

Each attack is a function on a whole meter; all run on CPython and on the MicroPython VM. The
operator has his keys, the breaker's client its own and one seal of two, the reader his.
"""

import struct

from keyedbench import (
    KEK,
    SEALS,
    Bench,
    octets,
    times,
)

from ams.control import command as cm
from ams.control.transitions import LOCAL_DISCONNECT, MANUAL_DISCONNECT, MANUAL_RECONNECT
from ams.crypto.keywrap import wrap
from ams.events import events as ev
from ams.registers import billing, profile
from ams.storage import layout

HOUR_MS = 3600000
DAY_MS = 24 * HOUR_MS
TEMPORARY = 2
DENIED = 3
OTHER = 250
LIMITER = (71, "0.0.17.0.0")
WINDOW = (1, "0.0.96.3.131")
LOAD = (7, "1.0.99.1.0")
LAST = 0xFFFFFFFF


def pulses(bench):
    return len(bench.relay.pulses)


def number_of(client):
    """What the meter says of the orders that have served."""
    return struct.unpack(">I", client.get(1, "0.0.96.3.128", 2)[1:])[0]


# --- the clock -------------------------------------------------------------------------


def steps_of_the_clock_are_few():
    """Four at once, then one in a quarter of an hour; what is refused says so."""
    bench = Bench()
    client = bench.client("operator")
    answers = []
    for number in range(12):
        before = bench.shown_ms
        answers.append(client.set_clock(before + (HOUR_MS if number % 2 else -HOUR_MS)))
        assert (bench.shown_ms == before) == bool(answers[-1])
        bench.run(1)
    assert answers == [0] * 4 + [TEMPORARY] * 8
    assert client.call(8, "0.0.1.0.0", 6, b"\x10\x03\x84") == TEMPORARY
    assert client.call(8, "0.0.1.0.0", 6, b"\x10\xff\xc4") == TEMPORARY
    # A reset gives no new share.
    bench.power_cut(1)
    client = bench.client("operator")
    assert client.set_clock(bench.shown_ms - HOUR_MS) == TEMPORARY
    bench.hold(900)
    client = bench.client("operator")
    assert client.set_clock(bench.shown_ms - HOUR_MS) == 0
    assert client.set_clock(bench.shown_ms - HOUR_MS) == TEMPORARY


def small_corrections_do_not_count():
    bench = Bench()
    client = bench.client("operator")
    for number in range(24):
        assert client.set_clock(bench.shown_ms + (9000 if number % 2 else -9000)) == 0
    for _ in range(4):
        assert client.set_clock(bench.shown_ms + HOUR_MS) == 0
    # But they have an end too: a minute each.
    answers = [client.set_clock(bench.shown_ms + 2000) for _ in range(60)]
    assert answers.count(0) in range(36, 40) and answers[-1] == TEMPORARY


def a_clock_that_lost_its_time_is_set_at_once():
    bench = Bench()
    client = bench.client("operator")
    for _ in range(5):
        client.set_clock(bench.shown_ms + HOUR_MS)
    before = bench.chip_off_ms
    bench.chip_off_ms = -bench.true_ms
    bench.power_cut(1, 0)
    bench.chip_off_ms = before
    assert bench.client("operator").set_clock(bench.true_ms) == 0


# --- billing data ------------------------------------------------------------------------


def newest(bench):
    nv_memory = bench.meter.nv_memory
    regions = (layout.LOAD_PROFILE, layout.DAILY, layout.MONTHLY, layout.VOLTAGE)
    return [nv_memory.newest_number(region) for region in regions]


def clock_steps_push_out_no_more_than_time():
    """By a path that has no limit of its own: hours, days and months to and fro for a day."""
    bench = Bench(start_ms=840_000_000_000)
    bench.hold(7200)
    before = newest(bench)
    begin_ms = bench.true_ms
    for number in range(300):
        step_ms = (HOUR_MS, DAY_MS, 40 * DAY_MS)[number % 3]
        meter = bench.meter
        meter.set_clock(bench.raw_ms, bench.shown_ms + (step_ms if number % 2 else -step_ms))
        bench.hold(10)
        if number == 150:
            bench.power_cut(1)
    passed_s = (bench.true_ms - begin_ms) // 1000
    after = newest(bench)
    for k, period_s in enumerate((3600, 86400, 28 * 86400, 600)):
        assert 0 <= after[k] - before[k] <= passed_s // period_s + 5, (after, before, period_s)
    # Nothing of the energy is lost by it.
    entries = [profile.unpack(data) for data in bench.meter.nv_memory.entries(layout.LOAD_PROFILE)]
    counted = sum([entry[4] for entry in entries])
    assert counted == bench.meter.recorder.load_profile.start_mwh[0]
    bench.hold(3 * 3600)
    last = profile.unpack(bench.meter.nv_memory.last(layout.LOAD_PROFILE))
    assert last[3] == 3600 and not last[2] & profile.STATUS_CLOCK_ADJUSTED


def capture_periods_to_and_fro_push_out_no_more_than_time():
    bench = Bench(start_ms=840_000_000_000)
    client = bench.client("operator")
    bench.hold(3600)
    before = bench.meter.nv_memory.newest_number(layout.LOAD_PROFILE)
    for number in range(200):
        period = b"\x06\x00\x00\x03\x84" if number % 2 else b"\x06\x00\x00\x0e\x10"
        assert client.set(LOAD[0], LOAD[1], 4, period) == 0
        bench.run(2)
    assert bench.meter.nv_memory.newest_number(layout.LOAD_PROFILE) - before <= 4
    # Nor are they captured or cleared by hand.
    for name in ("1.0.99.1.0", "1.0.99.2.0", "0.0.98.1.0", "1.0.99.14.0"):
        assert client.call(7, name, 1) == client.call(7, name, 2) == DENIED


def days_are_captured_once_a_day():
    """At midnight, to and fro over it with all the steps that a client gets, for two days."""
    bench = Bench(start_ms=840_000_000_000)
    bench.hold(86400)
    nv_memory = bench.meter.nv_memory
    before = nv_memory.newest_number(layout.DAILY)
    client = bench.client("operator")
    for number in range(192):
        client.set_clock(bench.shown_ms + (DAY_MS if number % 2 else -DAY_MS))
        bench.hold(900)
    assert nv_memory.newest_number(layout.DAILY) - before <= 2 + 4
    rows = [billing.unpack(data) for data in nv_memory.entries(layout.DAILY)]
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))


def a_correction_is_not_merged_into_two_hours():
    """What must go on as before: one step a month, small corrections each day."""
    bench = Bench(start_ms=840_000_000_000 - 840_000_000_000 % HOUR_MS)
    client = bench.client("operator")
    bench.hold(1800)
    for day in range(8):
        bench.hold(86400 - 5)
        step_ms = -5000 if day % 2 else 5000
        assert client.set_clock(bench.shown_ms + step_ms) == 0
        bench.hold(5)
        client = bench.client("operator")
    assert client.set_clock(bench.shown_ms - 78000) == 0
    bench.hold(3 * 3600)
    entries = [profile.unpack(data) for data in bench.meter.nv_memory.entries(layout.LOAD_PROFILE)]
    assert len(entries) >= 8 * 24
    for entry in entries:
        assert abs(entry[3] - 3600) <= 90 or entry[0] == 1, entry


# --- orders ------------------------------------------------------------------------------


def one_of_two_burns_no_number_of_both():
    """The largest number, far ones, lapsed ones, those of other meters: nothing of them counts."""
    bench = Bench(two_person=True, mode=4)
    client = bench.client("breaker")
    assert client.give(bench.order(cm.DISCONNECT, 1, *SEALS)) == 0 and client.move() == 0
    bench.run(1)
    other = cm.pack(b"OAM\x00\x00\x00\x00\x02", cm.DISCONNECT, 7, 0, LAST, SEALS)
    for order, reason in (
        (bench.order(cm.RECONNECT, LAST), cm.NUMBER_TOO_HIGH),
        (bench.order(cm.RECONNECT, 1 + 65536 + 1), cm.NUMBER_TOO_HIGH),
        (bench.order(cm.DISCONNECT, 9), cm.SECOND_SEAL_MISSING),
        (bench.order(cm.ANEW, LAST), cm.SECOND_SEAL_MISSING),
        (other, cm.WRONG_METER),
    ):
        assert client.give(order) == DENIED
        assert bench.refusals()[-1] == reason
    # Armed and lapsed, as many as are taken.
    for number in range(2, 60):
        client.give(bench.order(cm.RECONNECT, number * 1000))
    bench.run(61)
    assert client.move(True) == DENIED
    client = bench.client("breaker")
    assert number_of(client) == 1
    # Two persons go on with the next number, and with the one that the other had used up.
    assert client.give(bench.order(cm.RECONNECT, 2, *SEALS)) == 0 and client.move(True) == 0
    bench.run(1)
    assert bench.relay.contact
    assert client.give(bench.order(cm.DISCONNECT, 2000, *SEALS)) == 0 and client.move() == 0
    bench.run(1)
    assert not bench.relay.contact


def an_order_that_lapsed_costs_others_nothing_and_is_dead_itself():
    bench = Bench(interactive=False)
    client = bench.client("breaker")
    lapsed = bench.order(cm.DISCONNECT, 50, end=3000)
    assert client.give(lapsed) == 0
    bench.run(61)
    assert client.move() == DENIED
    client = bench.client("breaker")
    assert client.give(lapsed) == DENIED and bench.refusals()[-1] == cm.USED
    bench.power_cut(1)
    client = bench.client("breaker")
    assert client.give(lapsed) == DENIED and bench.refusals()[-1] == cm.USED
    for number in (7, 50):
        assert client.give(bench.order(cm.DISCONNECT, number)) == 0
        assert client.move() == 0
        bench.run(1)
        assert client.give(bench.order(cm.RECONNECT, number + 1)) == 0
        assert client.move(True) == 0
        bench.run(1)
    assert client.give(lapsed) == DENIED and bench.refusals()[-1] == cm.USED


def an_order_without_its_second_seal_is_the_same_order():
    """Whoever holds one with both seals makes one with one of it."""
    for first in (0, 1):
        bench = Bench(two_person=True, mode=4)
        client = bench.client("breaker")
        whole = bench.order(cm.RECONNECT, 9, *SEALS, end=3000)
        orders = (whole, whole[:-16]) if first == 0 else (whole[:-16], whole)
        for number in (1, 2):
            assert client.give(bench.order(cm.DISCONNECT, number, *SEALS)) == 0
            assert client.move() == 0
            bench.run(1)
            expected = 0 if number == 1 else DENIED
            assert client.give(orders[number - 1]) == expected
            assert client.move(True) == expected
            bench.run(1)
            if first == 0:
                break
            # What the whole one would use up is not in the way here.
            bench.meter.control.guard._last[0] = 1
        assert not bench.relay.contact or first == 0


def what_moves_nothing_burns_nothing():
    """An order for what cannot be: its number is free, it is dead."""
    bench = Bench(interactive=False)
    client = bench.client("breaker")
    order = bench.order(cm.RECONNECT, 5)
    assert client.give(order) == 0 and client.move(True) == DENIED
    assert number_of(client) == 0 and client.give(order) == DENIED
    assert client.give(bench.order(cm.DISCONNECT, 5)) == 0 and client.move() == 0
    assert number_of(client) == 5


def there_is_a_way_back_that_needs_both():
    """From a meter whose numbers are used up, as a former version let one person do."""
    bench = Bench(two_person=True, mode=4)
    bench.meter.nv_memory.cells(layout.CONTROL).set(2, struct.pack("<BIIq", 1, LAST, 0, 0))
    bench.power_cut(1)
    client = bench.client("breaker")
    used = bench.order(cm.DISCONNECT, 10, *SEALS, start=-5, end=100000)
    assert client.give(used) == DENIED and bench.refusals()[-1] == cm.USED
    # New keys alone free nothing.
    fresh = (bytes(range(0x20, 0x30)), bytes(range(0x30, 0x40)))
    assert client.set(1, "0.0.128.5.0", 2, octets(wrap(KEK, fresh[0]))) == 0
    assert client.set(1, "0.0.128.5.1", 2, octets(wrap(SEALS[1], fresh[1]))) == 0
    assert client.give(bench.order(cm.DISCONNECT, 11, *fresh)) == DENIED
    bench.run(2)
    anew = bench.order(cm.ANEW, 10, *fresh, start=-1)
    assert client.give(bench.order(cm.ANEW, 10, fresh[0], start=-1)) == DENIED
    assert client.give(bench.order(cm.ANEW, 10, *SEALS, start=-1)) == DENIED
    assert client.give(anew) == 0 and number_of(client) == 10
    assert bench.count_of(ev.ORDERS_ANEW) == 1
    # It serves once, and what was sealed for a time before it is dead.
    assert client.give(anew) == DENIED
    before = bench.order(cm.DISCONNECT, 12, *fresh, start=-60)
    assert client.give(before) == DENIED and bench.refusals()[-1] == cm.USED
    bench.power_cut(1)
    client = bench.client("breaker")
    assert client.give(anew) == DENIED and client.give(before) == DENIED
    assert client.give(bench.order(cm.DISCONNECT, 11, *fresh, start=0)) == 0
    assert client.move() == 0
    bench.run(1)
    assert not bench.relay.contact


def the_way_back_revives_nothing():
    """Numbers are set lower than what was used, with keys that stay as they are."""
    bench = Bench(interactive=False)
    client = bench.client("breaker")
    used = []
    for number in range(3, 9):
        used.append(bench.order(2 - number % 2, number, end=100000))
        assert client.give(used[-1]) == 0 and client.move(number % 2 == 0) == 0
        bench.run(1)
    assert client.give(bench.order(cm.ANEW, 0, start=-1, end=3600)) == DENIED
    assert bench.refusals()[-1] == cm.BAD_FORM
    assert client.give(bench.order(cm.ANEW, 0, start=-1, end=3599)) == 0
    moved = pulses(bench)
    for order in used:
        assert client.give(order) == DENIED and bench.refusals()[-1] == cm.USED
    # Nor when the operator sets the clock.
    operator = bench.client("operator", 2)
    operator.set_clock(bench.shown_ms - 2 * HOUR_MS)
    for order in used:
        assert client.give(order) == DENIED
    assert pulses(bench) == moved


def a_time_that_was_wrong_is_mended_by_both():
    """The chip was a year ahead for a while: orders are dead until both say that it is right."""
    bench = Bench(two_person=True, mode=4)
    bench.chip_off_ms = 366 * DAY_MS
    bench.power_cut(1)
    client = bench.client("operator", 2)
    assert client.set_clock(bench.true_ms) == 0
    bench.run(3)
    client = bench.client("breaker")
    assert client.give(bench.order(cm.DISCONNECT, 1, *SEALS)) == DENIED
    assert bench.refusals()[-1] == cm.EXPIRED
    assert client.give(bench.order(cm.ANEW, 0, *SEALS, start=-1)) == 0
    bench.run(1)
    assert client.give(bench.order(cm.DISCONNECT, 1, *SEALS, start=0)) == 0
    assert client.move() == 0


# --- the limiter and the movements -----------------------------------------------------------


def eager(bench):
    """A limiter that trips on anything, at once, and comes back at once, as often as it may."""
    client = bench.client("breaker")
    script = b"\x02\x02" + octets(bytes((0, 0, 10, 0, 106, 255)))
    over, under = script + b"\x12\x00\x01", script + b"\x12\x00\x02"
    answers = [
        client.set(WINDOW[0], WINDOW[1], 2, b"\x02\x02\x06\x00\x00\x00\x01\x11\x03"),
        client.set(LIMITER[0], LIMITER[1], 11, b"\x02\x02" + over + under),
        client.set(LIMITER[0], LIMITER[1], 6, b"\x06\x00\x00\x00\x00"),
        client.set(LIMITER[0], LIMITER[1], 7, b"\x06\x00\x00\x00\x00"),
        client.set(LIMITER[0], LIMITER[1], 4, b"\x06\x00\x00\x00\x00"),
    ]  # fmt: skip
    assert answers == [0] * 5
    return client


def the_limiter_flaps_three_times_an_hour():
    bench = Bench(mode=6)
    client = bench.client("breaker")
    for count in (4, 12, 255):
        value = b"\x02\x02\x06\x00\x00\x00\x01\x11" + bytes((count,))
        assert client.set(WINDOW[0], WINDOW[1], 2, value) == OTHER
    for window in (b"\x00\x00\x00\x00", b"\x00\x00\x0e\x11", b"\xff\xff\xff\xff"):
        assert client.set(WINDOW[0], WINDOW[1], 2, b"\x02\x02\x06" + window + b"\x11\x03") == OTHER
    eager(bench)
    bench.power_w = 1000
    for _ in range(6):
        bench.run(60)
        # The supply comes and goes: the hour is still the same.
        bench.power_cut(1)
    assert pulses(bench) == 7 and not bench.relay.contact
    assert bench.count_of(ev.LOCAL_RECONNECTION) == 3
    assert bench.count_of(ev.RECONNECTIONS_USED_UP) >= 1


def all_movements_count_whoever_makes_them():
    """Limiter, button, schedules and requests together, over power cuts: twelve an hour."""
    bench = Bench(mode=5)
    client = eager(bench)
    bench.power_w = 1000
    begin = bench.relay.now
    for turn in range(60):
        control = bench.meter.control
        if turn % 4 == 0:
            control._by_hand(MANUAL_RECONNECT)
        elif turn % 4 == 1:
            control.scheduled(LOCAL_DISCONNECT)
        elif turn % 4 == 2:
            client.move()
            client.move(True)
            control._by_hand(MANUAL_RECONNECT)
            bench.power_w = 0
        else:
            control._by_hand(MANUAL_DISCONNECT)
        bench.run(5)
        if turn % 7 == 6:
            bench.power_cut(1)
            client = bench.client("breaker")
    assert bench.relay.now - begin < 3_000_000
    assert 10 <= pulses(bench) <= 12
    codes = set(entry[2] for entry in bench.log_of(ev.LOG_CONTROL))
    for code in (ev.LOCAL_RECONNECTION, ev.MANUAL_CONNECTION, ev.LOCAL_DISCONNECTION):
        assert code in codes
    assert cm.TOO_MANY in bench.refusals()
    # Whoever moved it to and fro could not keep it from being cut off.
    assert not bench.relay.contact
    bench.power_w = 0
    bench.hold(3600, 0)
    client = bench.client("breaker")
    assert client.move(True) in (0, DENIED)
    bench.meter.control._by_hand(MANUAL_RECONNECT)
    bench.run(1)
    assert bench.relay.contact


def whoever_flaps_keeps_no_disconnection_away():
    """The button to and fro as often as it goes; the operator of the grid still cuts off."""
    bench = Bench(mode=5)
    control = bench.meter.control
    for turn in range(40):
        control._by_hand(MANUAL_RECONNECT if turn % 2 else MANUAL_DISCONNECT)
        bench.run(1)
        if bench.relay.contact:
            moved = pulses(bench)
            assert moved <= 11
    # It ended open: the last movement that the hour had was kept for that.
    assert not bench.relay.contact and pulses(bench) <= 12


def settings_use_up_no_movement():
    bench = Bench()
    client = bench.client("breaker")
    for number in range(50):
        value = struct.pack(">BI", 6, number)
        assert client.set(LIMITER[0], LIMITER[1], 6, value) == 0
    for _ in range(20):
        # Nor does what is asked for and cannot be.
        assert client.move(True) == DENIED
    for turn in range(12):
        assert client.move(turn % 2 == 1) == (0 if turn < 11 else DENIED), turn
        bench.run(1)
        if turn == 10:
            break
    assert pulses(bench) == 11
    # Settings have a number of their own.
    answers = [client.set(LIMITER[0], LIMITER[1], 6, b"\x06\x00\x00\x00\x05") for _ in range(80)]
    assert answers[0] == 0 and answers[-1] == DENIED


# --- times that there are not --------------------------------------------------------------


def poison(
    year=2027, month=1, day=1, weekday=0xFF, hour=0, minute=0, second=0, more=0, deviation=-0x8000
):  # fmt: skip
    date = struct.pack(">HBBB", year, month, day, weekday)
    return date + struct.pack(">BBBBhB", hour, minute, second, more, deviation, 0)


NONE = (
    poison(day=30, month=2), poison(day=29, month=2), poison(day=31, month=4), poison(day=0),
    poison(day=32), poison(month=0), poison(month=13), poison(month=0xFD), poison(month=0xFE),
    poison(year=1999), poison(year=2137), poison(year=0), poison(weekday=8), poison(weekday=0),
    poison(hour=24), poison(minute=60), poison(second=60), poison(more=100),
    poison(deviation=841), poison(deviation=-721), poison(deviation=0x7FFF),
)  # fmt: skip


def times_that_there_are_not_are_refused_everywhere():
    bench = Bench()
    clients = [
        bench.client(name, k + 1) for k, name in enumerate(("operator", "breaker", "update"))
    ]
    operator, breaker, update = clients
    for moment in NONE:
        date, time = moment[:5], moment[5:9]
        refused = [
            operator.set(8, "0.0.1.0.0", 2, octets(moment)),
            operator.set(20, "0.0.13.0.0", 10, octets(moment)),
            operator.set(
                20, "0.0.13.0.0", 7,
                b"\x01\x01\x02\x03\x09\x011" + octets(moment) + b"\x09\x011",
            ),
            operator.set(40, "0.0.25.9.0", 4, b"\x01\x01\x02\x02" + octets(moment) * 2),
            breaker.set(
                71, "0.0.17.0.0", 8,
                b"\x02\x03\x12\x00\x03" + octets(moment) + b"\x06\x00\x00\x00\x14",
            ),
        ]  # fmt: skip
        if moment[9:11] == b"\x80\x00":
            value = times((date, time))
            refused += [
                client.set(22, name, 4, value)
                for client, name in (
                    (operator, "0.0.15.0.4"), (breaker, "0.0.15.0.1"),
                    (breaker, "0.0.15.0.5"), (update, "0.0.15.0.2"),
                )
            ]  # fmt: skip
        if moment[9:11] == b"\x80\x00" and time == b"\x00\x00\x00\x00":
            day = b"\x01\x01\x02\x03\x12\x00\x01" + octets(date) + b"\x11\x01"
            refused.append(operator.set(11, "0.0.11.0.0", 2, day))
            refused.append(operator.call(11, "0.0.11.0.0", 1, day[2:]))
        assert 0 not in refused, (moment, refused)
    bench.run(130)
    bench.power_cut(1)
    bench.run(130)
    assert bench.meter.faults.count == bench.meter.model.faults == 0


ATTACKS = (
    steps_of_the_clock_are_few,
    small_corrections_do_not_count,
    a_clock_that_lost_its_time_is_set_at_once,
    clock_steps_push_out_no_more_than_time,
    capture_periods_to_and_fro_push_out_no_more_than_time,
    days_are_captured_once_a_day,
    a_correction_is_not_merged_into_two_hours,
    one_of_two_burns_no_number_of_both,
    an_order_that_lapsed_costs_others_nothing_and_is_dead_itself,
    an_order_without_its_second_seal_is_the_same_order,
    what_moves_nothing_burns_nothing,
    there_is_a_way_back_that_needs_both,
    the_way_back_revives_nothing,
    a_time_that_was_wrong_is_mended_by_both,
    the_limiter_flaps_three_times_an_hour,
    all_movements_count_whoever_makes_them,
    whoever_flaps_keeps_no_disconnection_away,
    settings_use_up_no_movement,
    times_that_there_are_not_are_refused_everywhere,
)
