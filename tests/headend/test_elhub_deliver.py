"""Delivery: what the store has is with Elhub, once, whatever happens on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from elhubstore import FIRST, Chain, add_points, different, gsrn, hub_points, put, terms
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.headend.elhub import plan
from openams.headend.elhub.inprocess import LocalHub
from openams.headend.elhub.trouble import TROUBLES, TroubledLine
from openams.headend.store import open_store
from openams.headend.vee.calendar import midnight

MORNING = datetime(2024, 5, 4, 3, tzinfo=UTC)  # 05:00 of the day after FIRST
SECOND, THIRD = FIRST + timedelta(days=1), FIRST + timedelta(days=2)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def chain(store, count=6, days=(FIRST,), **more):
    points = [terms(number) for number in range(count)]
    add_points(store, points)
    for day in days:
        for one in points:
            put(store, one, day, MORNING)
    return Chain(store, MORNING, points, **more), points


def states(store):
    return dict(store.all("SELECT state, COUNT(*) FROM delivery GROUP BY state"))


def notices(store):
    return sorted(kind for _, _, kind, *_ in store.notices())


def test_a_day_is_with_elhub_as_the_store_has_it(store):
    there, points = chain(store)
    figures = there.run()
    assert (figures.messages, figures.series, figures.error) == (1, 9, "")
    assert different(store, there.hub_store, [FIRST]) == []
    assert states(store) == {"sent": 9}
    assert there.run().accepted == 9
    assert there.hub_store.figures()["refused"] == 0
    held = there.hub_store.values(points[1].gsrn, "In", FIRST)
    assert {one.state for one in held} <= {"measured", "estimated"}


def test_nothing_is_sent_twice(store):
    there, _ = chain(store)
    there.run(hours=24, steps=12)
    assert there.hub_store.figures()["messages"] == 1
    assert store.all("SELECT * FROM elhub_open") == []


def test_a_correction_sends_what_changed_alone(store):
    there, points = chain(store)
    there.run(steps=2)
    change = {3: (7, "measured"), 4: (8, "measured"), 20: (9, "final")}
    put(store, points[1], FIRST, there.clock.now, change=change, series=[1])
    figures = there.run(hours=2, steps=3)
    assert (figures.messages, figures.series, figures.corrections) == (1, 2, 1)
    spans = store.all("SELECT intervals FROM delivery WHERE intervals IS NOT NULL")
    assert sorted(json.loads(span) for (span,) in spans) == [[3, 5], [20, 21]]
    assert different(store, there.hub_store, [FIRST]) == []
    assert there.hub_store.values(points[1].gsrn, "Out", FIRST)[20].state == "final"


def test_a_mere_change_of_state_sends_nothing(store):
    there, points = chain(store, count=1)
    there.run(steps=2)
    old = store.value(FIRST, points[0].gsrn, 1)
    state = {"estimated": "final"}.get(old.states[5])
    k = 5 if state else 6
    put(store, points[0], FIRST, there.clock.now, change={k: (old.wh[k], state or "measured")})
    there.run(hours=2, steps=3)
    assert there.hub_store.figures()["messages"] == 1
    assert states(store)["nothing"] == 1


def test_a_correction_waits_for_the_answer_to_what_was_sent_before(store):
    there, points = chain(store, count=1)
    there.run(hours=0.1)
    put(store, points[0], FIRST, there.clock.now, change={0: (1, "measured")})
    assert there.run(hours=0.1).messages == 0
    there.run(hours=1)
    assert there.run(hours=1).messages == 1
    assert different(store, there.hub_store, [FIRST]) == []


def test_two_days_at_once_go_in_order(store):
    there, _ = chain(store, days=(SECOND, FIRST))
    there.clock.now += timedelta(days=1)
    there.run(steps=2)
    assert different(store, there.hub_store, [FIRST, SECOND]) == []
    assert there.hub_store.figures()["refused"] == 0


def test_a_day_waits_for_a_day_before_that_is_not_there(store):
    there, points = chain(store, count=2)
    put(store, points[1], SECOND, MORNING)
    put(store, points[0], THIRD, MORNING)
    there.clock.now += timedelta(days=2)
    there.run(steps=2)
    assert states(store) == {"accepted": 5}
    assert different(store, there.hub_store, [THIRD]) == [(THIRD, points[0].gsrn, 1)]
    put(store, points[0], SECOND, there.clock.now)
    there.run(steps=3)
    assert different(store, there.hub_store, [FIRST, SECOND, THIRD]) == []
    assert there.hub_store.figures()["refused"] == 0


def test_what_is_settled_by_a_profile_is_not_sent_as_intervals(store):
    points = [terms(0), terms(4)._replace(settlement="profile", reason="health")]
    add_points(store, points)
    for one in points:
        put(store, one, FIRST, MORNING)
    there = Chain(store, MORNING, points)
    assert there.run().series == 1


def test_a_point_that_elhub_does_not_know_is_parked_with_its_reason_and_let_go_by_a_person(store):
    points = [terms(number) for number in range(3)]
    add_points(store, points)
    for one in points:
        put(store, one, FIRST, MORNING)
    there = Chain(store, MORNING, points[:2])
    figures = there.run(hours=3, steps=4)
    assert (figures.accepted, figures.rejected, figures.parked) == (3, 1, 1)
    assert states(store) == {"accepted": 3, "rejected": 1, "parked": 1}
    (reason,) = store.one("SELECT reason FROM delivery WHERE state = 'parked'")
    assert reason == "E10"
    assert notices(store) == ["elhub-parked"]
    there.hub_store.add_points(hub_points(points))
    assert there.run(hours=3, steps=4).messages == 0
    assert there.delivery.release(points[2].gsrn) == 2
    assert there.run(hours=3, steps=4).accepted == 1
    assert different(store, there.hub_store, [FIRST]) == []


def test_values_that_are_refused_again_and_again_end_with_a_person(store):
    """Elhub has the point with another resolution."""
    there, points = chain(store, count=1)
    other = hub_points(points)[0]
    there.hub_store.add_points([type(other)(other.gsrn, other.party, other.directions, 15,
                                            other.begin)])  # fmt: skip
    figures = there.run(hours=12, steps=24)
    assert (figures.rejected, figures.parked) == (3, 1)
    assert "EH075" in store.one("SELECT reason FROM delivery WHERE state = 'parked'")[0]
    assert there.hub_store.figures()["messages"] == 3


def test_a_day_that_is_refused_for_the_day_before_goes_when_that_is_there(store):
    there, points = chain(store, count=1, days=(FIRST, SECOND))
    right = hub_points(points)[0]
    on_first = replace(right, resolution_min=15)
    there.hub_store.add_points([on_first, replace(right, begin=midnight(SECOND))])
    there.clock.now += timedelta(days=1)
    there.run(hours=8, steps=16)
    codes = {code for _, _, code in there.hub_store.refusals()}
    assert codes == {"EH075", "E17"}
    assert states(store)["parked"] == 1
    there.hub_store.add_points([right])
    assert there.delivery.release(points[0].gsrn, FIRST) > 0
    there.run(hours=8, steps=16)
    assert different(store, there.hub_store, [FIRST, SECOND]) == []


STATES = ("prepared", "sent", "accepted", "rejected", "parked", "nothing", "released", "lost")


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.sampled_from((None, (0, 3), (5, 6))),
            st.sampled_from(STATES),
            st.sampled_from(("", "E10", "E87 EH032", "XSD: no")),
        ),
        max_size=6,
    ),
    st.integers(1, 4),
    st.sampled_from((None, plan.ON_ITS_WAY, 0, 2500)),
    st.booleans(),
    st.lists(st.integers(0, 23), max_size=4).map(tuple),
)
@settings(max_examples=120, deadline=None)
def test_what_is_decided(rows, revision, before, closed, changed):
    sent = [
        plan.Sent(str(k), number, span, state, reason, 1000 * k)
        for k, (number, span, state, reason) in enumerate(rows)
    ]
    found = plan.decide(sent, revision, 10**9, before, closed, lambda: changed)
    whole = any(one.state == "accepted" and one.span is None for one in sent)
    if any(one.state in ("prepared", "sent") for one in sent):
        assert found.what == "wait"
    if any(one.state in ("accepted", "nothing") and one.revision >= revision for one in sent):
        assert found.what in ("done", "wait")
    if found.what == "send":
        assert not closed
        if found.spans == (None,):
            assert before is not None and not whole
        else:
            covered = {k for first, last in found.spans for k in range(first, last)}
            assert whole and covered == set(changed)
    if found.what == "nothing":
        assert whole and not changed
    if found.what == "park":
        assert found.reason


def test_a_day_that_is_closed_is_parked(store):
    there, points = chain(store, count=1)
    there.clock.now += timedelta(days=366 * 3)
    there.run()
    assert "three years" in store.one("SELECT reason FROM delivery")[0]
    assert there.hub_store.figures()["messages"] == 0


def test_a_reminder_is_answered_with_values_or_with_a_person(store):
    there, points = chain(store, count=2)
    there.run(steps=2)
    # Elhub has lost a day, and never had the other point's.
    there.hub_store._db.execute("DELETE FROM value_day WHERE gsrn = ?", (points[1].gsrn,))
    there.hub_store.add_points(hub_points([terms(40)]))
    there.clock.now += timedelta(hours=3)
    figures = there.run(hours=4, steps=8)
    assert figures.reminders == 2
    assert different(store, there.hub_store, [FIRST]) == []
    assert notices(store) == ["elhub-reminder"]
    assert gsrn(40) in store.notices()[0][4]


def test_a_reminder_that_crosses_with_the_values_sends_nothing_again(store):
    there, points = chain(store, count=1)
    there.clock.now += timedelta(hours=3)
    there.delivery._poll = lambda out, poll=there.delivery._poll: None
    there.run(hours=0)
    del there.delivery._poll
    there.hub_store._db.execute("DELETE FROM reminded")
    there.run(hours=4, steps=8)
    assert there.hub_store.figures()["messages"] == 1


def test_a_hub_that_is_away_costs_nothing_and_a_person_is_told(store):
    class Away:
        def __init__(self, line):
            self.line, self.away = line, True

        def exchange(self, service, octets):
            from openams.headend.elhub.link import Unanswered

            if self.away:
                raise Unanswered("Elhub at hub:8200 does not answer: refused")
            return self.line.exchange(service, octets)

    there, _ = chain(store, line=Away)
    figures = there.run(hours=1, steps=4)
    assert figures.error == "Elhub at hub:8200 does not answer: refused"
    assert notices(store) == ["elhub-away"]
    there.line.away = False
    assert there.run(hours=2, steps=4).error == ""
    assert different(store, there.hub_store, [FIRST]) == []
    assert notices(store) == []


def test_an_answer_that_is_not_signed_by_the_hub_is_an_alarm_at_once(store):
    there, _ = chain(store, line=lambda line: TroubledLine(line, {"unsigned": 1.0}, 1))
    assert "not to be believed" in there.run().error
    assert notices(store) == ["elhub-security"]


def test_messages_of_another_kind_are_kept_and_told(store):
    there, _ = chain(store, count=1)
    body = (
        b'<n:NotifyValidatedDataForBillingEnergy xmlns:n="urn:no:elhub:emif:metering:Notify'
        b'ValidatedDataForBillingEnergy:v2"><n:Header/></n:NotifyValidatedDataForBillingEnergy>'
    )
    there.hub_store.wait("7080000000012", MORNING, body)
    there.run()
    kind, text = store.one("SELECT kind, body FROM elhub_inbox")
    assert kind == "NotifyValidatedDataForBillingEnergy" and "n:Header" in text
    assert notices(store) == ["elhub-unread"]


def test_a_message_that_is_too_long_goes_in_halves(store):
    there, _ = chain(store)
    there.hub._most_octets = 20_000
    figures = there.run(hours=4, steps=8)
    assert different(store, there.hub_store, [FIRST]) == []
    assert figures.messages > 1
    assert notices(store) == ["elhub-fault"]


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_troubles(store, seed):
    test_with_every_trouble_all_is_there_in_the_end_and_once(store, seed)


@pytest.mark.parametrize("seed", range(1))
def test_with_every_trouble_all_is_there_in_the_end_and_once(store, seed):
    rates = dict.fromkeys(TROUBLES, 0.1)
    there, points = chain(store, days=(FIRST,), line=lambda line: TroubledLine(line, rates, seed))
    days = [FIRST + timedelta(days=k) for k in range(3)]
    for day in days[1:]:
        there.run(hours=23, steps=23)
        for one in points:
            put(store, one, day, there.clock.now)
            put(store, one, FIRST, there.clock.now, change={day.day % 20: (day.day, "measured")})
        there.clock.now += timedelta(hours=1)
    there.run(hours=48, steps=48)
    assert there.line.had.keys() >= set(TROUBLES)
    assert different(store, there.hub_store, days) == []
    assert set(states(store)) <= {"accepted", "nothing", "lost", "rejected"}
    (sent,) = store.one("SELECT COUNT(*) FROM message WHERE sent_ms IS NOT NULL")
    assert there.hub_store.figures()["messages"] == sent
    twice = store.all(
        "SELECT day, gsrn, series FROM delivery WHERE intervals IS NULL AND state = 'accepted'"
        " GROUP BY day, gsrn, series HAVING COUNT(*) > 1"
    )
    assert twice == []


def test_a_hub_in_the_same_process_is_told_of_the_register(store):
    points = [terms(number) for number in range(4)]
    add_points(store, points)
    now = [MORNING]
    hub = LocalHub(store, lambda: now[0], FIRST)
    for one in points:
        put(store, one, FIRST, MORNING)
    assert hub.delivery.step().series == 6
    add_points(store, [terms(4, SECOND)])
    hub.learn(SECOND)
    now[0] += timedelta(days=1)
    for one in (*points, terms(4, SECOND)):
        put(store, one, SECOND, now[0])
    assert (hub.delivery.step().error, hub.store.figures()["refused"]) == ("", 0)
    assert different(store, hub.store, [FIRST, SECOND]) == []
    hub.close()


def test_days_of_23_and_25_hours(store):
    days = [date(2024, 10, 26), date(2024, 10, 27)]
    points = [terms(number, days[0]) for number in range(3)]
    add_points(store, points)
    there = Chain(store, datetime(2024, 10, 28, 4, tzinfo=UTC), points)
    for day in days:
        for one in points:
            put(store, one, day, there.clock.now)
    there.run(steps=2)
    assert different(store, there.hub_store, days) == []
    assert len(there.hub_store.values(points[2].gsrn, "In", days[1])) == 100


def test_the_same_on_postgresql(postgres):
    """Corrections, refusals, reminders and a hub that is away, on the other engine."""
    for number, scenario in enumerate(
        (
            test_a_correction_sends_what_changed_alone,
            test_a_point_that_elhub_does_not_know_is_parked_with_its_reason_and_let_go_by_a_person,
            test_a_reminder_is_answered_with_values_or_with_a_person,
            test_a_hub_that_is_away_costs_nothing_and_a_person_is_told,
        )
    ):
        with open_store(postgres.url(f"elhub{number}")) as opened:
            scenario(opened)
