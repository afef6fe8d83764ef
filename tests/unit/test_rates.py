"""Energy by rate, and power failures: exact, over power cuts too, on both VMs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ams.events import events as ev
from ams.registers.outages import Outages
from ams.registers.rates import Rates

STEPS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 10**9), st.booleans()), min_size=1, max_size=40
)


@given(STEPS, st.integers(0, 10**10))
@settings(max_examples=200, deadline=None)
def test_the_rates_of_a_register_add_up_to_it(steps, lost):
    """Whatever changes and whenever the power goes: only changes are stored."""
    mwh = [0, 0, 0, 0]
    rates = Rates(mwh)
    stored = None
    truth = [[0] * 4 for _ in range(4)]
    for rate, energy, cut in steps:
        if rate != rates.active:
            rates.switch(rate)
            stored = rates.pack()
        for which in range(4):
            mwh[which] += energy * (which + 1)
            truth[which][rate - 1] += energy * (which + 1)
        if cut:
            rates = Rates(mwh)
            rates.load(stored)
        for which in range(4):
            found = [rates.of(which, k) for k in (1, 2, 3, 4)]
            assert found == truth[which] and sum(found) == mwh[which]
        assert rates.all() == sum(truth, [])
    # Registers that are lost: the sum is theirs all the same.
    mwh[:] = [max(0, value - lost) for value in mwh]
    rates.load(rates.pack())
    for which in range(4):
        found = [rates.of(which, k) for k in (1, 2, 3, 4)]
        assert sum(found) == mwh[which] and min(found) >= 0


def test_what_is_no_record_is_as_if_nothing_had_been_kept():
    for data in (None, b"", bytes(129), b"\x01\x05" + bytes(128), b"\x02\x01" + bytes(128)):
        rates = Rates([5, 0, 0, 0])
        rates.load(data)
        assert rates.active == 1 and rates.of(0, 1) == 5
    for data in (None, b"", bytes(15), bytes(20)):
        outages = Outages()
        outages.restore(data)
        assert outages.counts == [0] * 8 and outages.long == []


def test_dips_swells_and_interruptions_are_counted_per_phase():
    outages = Outages()
    for code in (ev.UNDERVOLTAGE, ev.NORMAL_VOLTAGE, ev.UNDERVOLTAGE + 2, ev.OVERVOLTAGE + 1):
        outages.event(1000, code)
    assert outages.counts == [0, 0, 1, 0, 1, 0, 1, 0]
    # All phases go and come back one by one: one failure, of four minutes.
    for place in range(3):
        outages.event(10_000 + place, ev.MISSING_VOLTAGE + place)
    outages.event(240_000, ev.NORMAL_VOLTAGE + 1)
    outages.event(245_000, ev.NORMAL_VOLTAGE)
    assert outages.counts[:2] == [0, 0]
    outages.event(250_000, ev.NORMAL_VOLTAGE + 2)
    assert outages.counts[:2] == [1, 1] and outages.long == [(250, 240)]
    outages.failed(300_000, 480_000)  # three minutes are not long
    assert outages.counts[:2] == [2, 1]
    outages.failed(10_000, 5_000)  # a clock that was set back
    assert outages.counts[:2] == [2, 1]


def test_the_last_ten_long_failures_are_kept_and_counters_stop():
    outages = Outages()
    for k in range(15):
        outages.failed(k * 1_000_000, k * 1_000_000 + 200_000 + 1000 * k)
    assert outages.counts[:2] == [15, 15]
    assert outages.long == [(1000 * k + 200 + k, 200 + k) for k in range(5, 15)]
    again = Outages()
    again.restore(outages.pack())
    assert (again.counts, again.long) == (outages.counts, [tuple(e) for e in outages.long])
    again.counts[2] = 0xFFFF
    again.event(0, ev.UNDERVOLTAGE)
    assert again.counts[2] == 0xFFFF and again.pack()


SCRIPT = """
from ams.registers.rates import Rates
from ams.registers.outages import Outages
mwh = [0, 0, 0, 0]
rates = Rates(mwh)
for k in range(60):
    rates.switch(1 + k * 7 % 4)
    for which in range(4):
        mwh[which] += 10**9 * (k + which)
    again = Rates(mwh)
    again.load(rates.pack())
    rates = again
outages = Outages()
for k in range(200):
    outages.event(k * 90000, 76 + k * 5 % 12)
print(rates.all(), outages.pack())
"""


def test_the_same_on_the_vm(micropython, capsys):
    exec(compile(SCRIPT, "<here>", "exec"), {})
    assert micropython(SCRIPT, heap_kib=256) == capsys.readouterr().out
