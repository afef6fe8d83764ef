"""Nets of a field: pure, by a seed, and falling together as nets do."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.field.faults import DAY_MS, HOUR_MS, Fault, lost_days, nights
from openams.field.link import SENSITIVITY_DBM, loss_ppm, noise
from openams.field.mesh import Mesh
from openams.field.meters import make_plan
from openams.field.nets import make_nets
from openams.meter_time import NORWAY, to_utc_ms

BEGIN = to_utc_ms(datetime(2026, 1, 5, tzinfo=NORWAY))
END = BEGIN + 30 * DAY_MS
PLAN = make_plan(600, 7, begin_ms=BEGIN, shares={"mesh": 0.5, "cellular": 0.25, "plc": 0.25})
BY_NET = {net: [m for m in PLAN.meters if m.net == net] for net in ("mesh", "cellular", "plc")}


@pytest.fixture(scope="module")
def nets():
    return make_nets(PLAN, 7)


def ups(nets, net, times):
    states = [nets.state(meter.meter_id, at) for meter in BY_NET[net] for at in times]
    return [state for state in states if state.up]


def test_the_same_question_has_the_same_answer_in_any_order():
    asked = [(m.meter_id, BEGIN + k * 7_654_321) for m in PLAN.meters[::40] for k in range(20)]
    first, second = make_nets(PLAN, 7), make_nets(PLAN, 7)
    outages = first.outages(BEGIN, END, 100), second.outages(BEGIN, END, 100)
    assert outages[0] == outages[1]
    answers = {what: first.state(*what) for what in asked}
    random.Random(1).shuffle(asked)
    assert {what: second.state(*what) for what in asked} == answers
    other = make_nets(PLAN, 8)
    assert other.outages(BEGIN, END, 100) != outages[0]
    assert any(other.state(*what) != answers[what] for what in asked)


@pytest.mark.parametrize("net", ["mesh", "cellular", "plc"])
def test_links_are_as_their_net_is(nets, net):
    states = ups(nets, net, range(BEGIN, BEGIN + DAY_MS, 3 * HOUR_MS))
    assert all(state.latency_ms > 0 and state.rate_bps > 0 for state in states)
    assert all(0 <= state.loss_ppm <= 900_000 and -130 < state.signal_dbm < -20 for state in states)
    assert mean(state.loss_ppm for state in states) < 50_000, "most of what is sent arrives"
    # A link that is up is one that can be read: few lose more than half, in evenings on a line.
    assert sum(state.loss_ppm > 500_000 for state in states) < len(states) / 50


def test_a_loss_grows_as_the_signal_falls():
    losses = [loss_ppm(SENSITIVITY_DBM + above) for above in range(30)]
    assert losses == sorted(losses, reverse=True) and losses[0] > 500_000 and losses[20] < 100


def test_a_mesh_is_a_tree_that_shares_its_air(nets):
    net = nets._net(BY_NET["mesh"][0])
    for name, parent in net.parents.items():
        assert net.hops[name] == (net.hops[parent] + 1 if parent else 1)
    far = max(net.hops, key=net.hops.get)
    near = min(net.hops, key=net.hops.get)
    assert net.hops[far] > net.hops[near]
    at = [BEGIN + k * 60_000 for k in range(200)]
    links = {name: [net.link(name, ms) for ms in at] for name in (near, far)}
    assert mean(s.latency_ms for s in links[far]) > mean(s.latency_ms for s in links[near])
    assert links[far][0].rate_bps < links[near][0].rate_bps


def test_who_has_no_way_but_by_a_lost_neighbour_is_lost_with_it():
    """A row of houses 500 m apart: one lost takes all behind it; a second row beside saves them."""
    row = {f"a{k}": (500 * (k + 1), 0) for k in range(6)}
    mesh = Mesh(1, row, (0, 0))
    assert mesh.parents == {"a0": "", **{f"a{k}": f"a{k - 1}" for k in range(1, 6)}}
    assert mesh.cut_off(["a2"]) == ("a2", "a3", "a4", "a5")
    assert mesh.cut_off(["a5"]) == ("a5",)
    both = Mesh(1, {**row, **{f"b{k}": (500 * (k + 1), 300) for k in range(6)}}, (0, 0))
    assert both.cut_off(["a2"]) == ("a2",)
    assert set(both.cut_off(["a2", "b2"])) == {f"{r}{k}" for r in "ab" for k in range(2, 6)}


def test_noise_on_a_power_line_follows_the_hours(nets):
    def losses(hour):
        days = [BEGIN + day * DAY_MS + hour * HOUR_MS for day in range(20)]
        return mean(state.loss_ppm for state in ups(nets, "plc", days))

    assert losses(18) > 3 * losses(2)


def test_a_modem_sleeps_and_is_awake_after_it_was_called(nets):
    for meter in BY_NET["cellular"][:20]:
        at = BEGIN + 12_345_678
        waits = [nets.state(meter.meter_id, at + k * 1000).latency_ms for k in range(60)]
        assert max(waits) > 10_000, "it sleeps"
        k = waits.index(max(waits))
        woken = at + k * 1000 + waits[k]
        later = nets.state(meter.meter_id, woken)
        assert not later.up or later.latency_ms < 1000


@given(st.integers(0, 10_000), st.sampled_from([0.0, 5.0, 60.0, 300.0]))
@settings(max_examples=25, deadline=None)
def test_outages_take_what_they_are_to_take(seed, goal):
    nets = make_nets(PLAN, seed)
    faults = nets.outages(BEGIN, END, goal)
    there = nights(BEGIN, END)
    sizes = [lost_days(fault, there) for fault in faults]
    assert all(sizes) and sum(sizes[:-1]) < goal or not faults
    assert sum(sizes) <= goal + (max(sizes) if sizes else 0)
    for fault in faults:
        assert fault.cause == "signal" and BEGIN <= fault.begin_ms < fault.end_ms
        assert {nets._specs[m].net for m in fault.meters} == {
            {"neighbour-lost": "mesh", "plc-noise": "plc", "out-of-coverage": "cellular"}[
                fault.kind
            ]
        }


def test_their_mean_is_right():
    goal = 40.0
    totals = []
    there = nights(BEGIN, END)
    for seed in range(60):
        faults = make_nets(PLAN, seed).outages(BEGIN, END, goal)
        totals.append(sum(lost_days(fault, there) for fault in faults))
    assert mean(totals) == pytest.approx(goal, rel=0.12)


def test_an_outage_is_seen_on_every_link_that_it_takes_and_on_no_other():
    nets = make_nets(PLAN, 3)
    faults = nets.outages(BEGIN, END, 200)
    by_night = {
        night: {
            m for f in faults if f.begin_ms <= night[0] and f.end_ms >= night[1] for m in f.meters
        }
        for night in nights(BEGIN, END)
    }
    (first, last), down = max(by_night.items(), key=lambda item: len(item[1]))
    assert len(down) > 5
    for meter in PLAN.meters:
        states = [nets.state(meter.meter_id, at) for at in range(first, last, 20 * 60_000)]
        if meter.meter_id in down:
            assert not any(state.up for state in states)
            assert states[0].kind
        elif not nets._faults.get(meter.meter_id):
            assert sum(state.up for state in states) > len(states) * 0.7, "a dip is short"


def test_outages_come_together():
    """Neighbours and bad nights: more meters of one net on one night than chance would have."""
    faults = make_nets(PLAN, 5).outages(BEGIN, END, 400)
    assert max(len(fault.meters) for fault in faults) >= 5
    there = nights(BEGIN, END)
    a_night = Counter()
    for fault in faults:
        for first, last in there:
            if fault.begin_ms <= first and fault.end_ms >= last:
                a_night[first] += len(fault.meters)
    counts = [a_night[first] for first, _ in there]
    assert max(counts) > 2 * mean(counts)


def test_an_outage_by_hand_counts_from_then_on_and_a_modem_registers_late():
    nets = make_nets(PLAN, 7)
    numbers = tuple(m.meter_id for m in BY_NET["cellular"][:30])
    end = BEGIN + 10 * HOUR_MS
    nets.order(Fault("out-of-coverage", "signal", BEGIN + HOUR_MS, end, numbers))
    assert not any(nets.state(m, BEGIN + 2 * HOUR_MS).up for m in numbers)
    back = [sum(nets.state(m, end + k * 60_000).up for m in numbers) for k in (0, 5, 11)]
    assert back[0] < back[1] < back[2], "not all of them at once"


def test_who_is_cut_off_with_a_meter(nets):
    assert all(m.meter_id in nets.cut_off_by(m.meter_id) for m in PLAN.meters[::50])
    assert len(nets.cut_off_by(BY_NET["plc"][0].meter_id)) == 1


def test_noise_is_spread_evenly():
    values = [noise(1, "a", k) for k in range(20_000)]
    assert mean(values) == pytest.approx(0.5, abs=0.01)
    assert all(count > 800 for count in Counter(int(20 * v) for v in values).values())
