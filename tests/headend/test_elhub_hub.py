"""The stand-in: refuses what Elhub refuses, with Elhub's codes; reminds; loses nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from elhubmessages import COMPANY, POINTS, SUPPLIER
from elhubpeers import PARTIES, Peers, identity, point
from elhubsdk import body_faults
from test_elhub_codec import day_series

from openams.headend.elhub import build, model, rules, safexml, soap, wire
from openams.headend.elhub.hub import Hub
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.model import Code, Quantity

DAY = date(2024, 5, 3)
NOON = datetime(2024, 5, 4, 3, tzinfo=UTC)  # 05:00 of the day after
BOTH = ("Out", "In")


def peers(**more):
    known = [
        point(POINTS[0], directions=BOTH),
        point(POINTS[1], minutes=15),
        point(POINTS[2], party=SUPPLIER),
    ]
    return Peers(NOON, points=known, **more)


def day_of(there, day=DAY, minutes=60, gsrn=POINTS[0], direction="Out", wh=100, at=NOON):
    return build.whole_day(day_series(day, minutes, gsrn, direction, wh), there.new_id(), at)


def refusals(there, kind=model.Acknowledgement):
    polled = there.poll()
    return [] if polled is None else [one for one in polled.messages if isinstance(one, kind)]


def reminders(there):
    return refusals(there, model.Reminder)


def test_a_good_day_is_taken_and_nothing_is_said_of_it():
    there = peers()
    there.send(day_of(there), day_of(there, direction="In", wh=7), day_of(there, minutes=15,
               gsrn=POINTS[1]))  # fmt: skip
    assert refusals(there) == []
    assert [one.wh for one in there.store.values(POINTS[0], "Out", DAY)] == list(range(100, 124))
    assert there.store.values(POINTS[0], "In", DAY)[0] == Quantity(7, "measured")
    assert len(there.store.values(POINTS[1], "Out", DAY)) == 96


# Rule, what is changed of a good series.
HOUR = timedelta(hours=1)
BAD = (
    (8, {"begin": None, "end": None, "resolution": None}),
    (9, {"resolution": None}),
    (9, {"resolution": "PT30M"}),
    (9, {"resolution": "P1D"}),
    (10, {"begin": None}),
    (10, {"begin": lambda one: one.begin + timedelta(minutes=15)}),
    (11, {"end": None}),
    (11, {"end": lambda one: one.end + timedelta(minutes=1)}),
    (12, {"end": lambda one: one.begin}),
    (12, {"begin": lambda one: one.end, "end": lambda one: one.begin}),
    (13, {"values": lambda one: one.values[1:]}),
    (13, {"end": lambda one: one.end - HOUR}),
    (14, {"begin": lambda one: one.begin + 24 * HOUR, "end": lambda one: one.end + 24 * HOUR}),
    (15, {"begin": lambda one: one.begin - timedelta(days=1097)}),
    (16, {"readings": (1000, None)}),
    (17, {"readings": (None, 1000)}),
    (18, {"product": None, "unit": None}),
    (19, {"unit": "kvarh"}),
    (101, {"direction": None}),
    (103, {"point": "707057500000000008"}),
    (104, {"point": POINTS[2]}),
    (
        105,
        {
            "point": POINTS[1],
            "direction": "In",
            "resolution": "PT15M",
            "values": lambda one: one.values * 4,
        },
    ),
    (106, {"point": POINTS[1]}),
    (107, {"end": lambda one: one.end - HOUR, "values": lambda one: one.values[1:]}),
    (111, {"numbers": tuple(range(2, 26))}),
)


@pytest.mark.parametrize(("number", "change"), BAD)
def test_a_series_that_breaks_a_rule_is_refused_with_its_code_and_the_others_are_taken(
    number, change
):
    there = peers()
    good = day_of(there, direction="In")
    bad = day_of(there)
    bad = replace(bad, **{k: v(bad) if callable(v) else v for k, v in change.items()})
    message = there.send(bad, good)
    (answer,) = refusals(there)
    assert answer.status == model.REJECTED
    assert (answer.document, answer.payload) == (message.header.message_id, bad.series_id)
    assert rules.RULES[number].code in answer.reasons
    assert number in [rule for _, rule, _ in there.store.refusals()]
    assert there.store.values(POINTS[0], "Out", DAY) is None
    assert there.store.values(POINTS[0], "In", DAY) is not None


def _with(what, **change):
    return lambda header: replace(header, what=replace(what, **change))


@pytest.mark.parametrize(
    ("number", "change"),
    (
        (2, _with(model.INTERVAL_VOLUMES, document=Code("E31", "260"))),
        (3, _with(model.INTERVAL_VOLUMES, document=Code("E13", "6"))),
        (4, lambda header: replace(header, confirm=True)),
        (5, _with(model.INTERVAL_VOLUMES, process=Code("BRS-NO-315", "89"))),
        (6, _with(model.INTERVAL_VOLUMES, role=Code("DDQ", "6"))),
        (7, _with(model.INTERVAL_VOLUMES, role=Code("DDE", "89"))),
    ),
)
def test_a_message_that_breaks_a_rule_is_refused_as_a_whole(number, change):
    there = peers()
    message = build.message([day_of(there)], PARTIES, NOON, there.new_id())
    message = replace(message, header=change(message.header))
    assert there.ask(wire.collected_request(message))[0] == 200
    (answer,) = refusals(there)
    assert (answer.payload, answer.reasons) == (None, (rules.RULES[number].code,))
    assert there.store.values(POINTS[0], "Out", DAY) is None


def test_a_day_is_refused_while_the_day_before_is_missing():
    there = peers()
    there.clock.now += timedelta(days=1)
    second = day_of(there, DAY + timedelta(days=1))
    there.send(second)
    assert [one.reasons for one in refusals(there)] == [(rules.RULES[108].code,)]
    there.send(day_of(there))
    there.send(replace(second, series_id=there.new_id()))
    assert refusals(there) == []


def test_a_correction_is_some_intervals_and_registered_later():
    there = peers()
    there.send(day_of(there))
    day = day_series(DAY, 60, POINTS[0], "Out", 500)
    there.send(build.run_of(day, 3, 5, there.new_id(), NOON))
    (answer,) = refusals(there)
    assert answer.reasons == (rules.RULES[109].code,)
    there.send(build.run_of(day, 3, 5, there.new_id(), NOON + HOUR))
    assert refusals(there) == []
    wh = [one.wh for one in there.store.values(POINTS[0], "Out", DAY)]
    assert wh == [100, 101, 102, 503, 504, *range(105, 124)]


def test_a_message_that_comes_twice_is_taken_once():
    there = peers()
    message = there.send(day_of(there))
    status, content = there.ask(wire.collected_request(message))
    assert (status, soap.read_fault(content).group) == (500, "UUID")
    assert there.store.figures()["messages"] == 1


def test_what_was_polled_comes_again_until_it_is_acknowledged():
    there = peers()
    there.send(day_of(there, gsrn=POINTS[2]))
    first, second = there.poll(take=False), there.poll(take=False)
    assert first == second
    assert there.poll() == first
    assert there.poll() is None


def test_what_is_said_is_valid_by_elhubs_schema():
    there = peers()
    there.send(day_of(there, gsrn=POINTS[2]))
    there.clock.now += timedelta(hours=4)
    requests = [
        wire.collected_request(build.message([day_of(there)], PARTIES, NOON, there.new_id())),
        wire.poll_request(PARTIES, NOON, there.new_id()),
        wire.taken_request(PARTIES, NOON, there.new_id(), there.new_id()),
    ]
    for request in requests:
        assert body_faults(request) == []
    _, full = there.ask(requests[1])
    assert len(full.findall(".//{*}Acknowledgement")) == 1
    assert len(full.findall(".//{*}RequestCollectedData")) == 1
    assert body_faults(full) == []
    there.poll()
    _, empty = there.ask(wire.poll_request(PARTIES, NOON, there.new_id()))
    assert body_faults(empty) == []
    fault = soap.fault_of(model.Fault("XSD", "d" * 300, "t" * 2000), NOON).find(".//{*}detail")[0]
    assert body_faults(fault) == []


def test_it_reminds_at_both_deadlines_of_what_is_missing_and_once():
    there = peers()
    there.send(day_of(there), day_of(there, gsrn=POINTS[1], minutes=15))
    assert reminders(there) == []  # 05:00
    there.clock.now += timedelta(hours=2)
    (reminder,) = reminders(there)
    assert (reminder.kind, [one.point for one in reminder.missing]) == ("IV", [POINTS[0]])
    (missing,) = reminder.missing
    assert missing.begin.isoformat() == "2024-05-02T22:00:00+00:00"
    assert reminders(there) == []
    there.send(day_of(there, direction="In"))
    there.clock.now += timedelta(days=5)
    days = [one.missing[0].begin.date() for one in reminders(there)]
    assert date(2024, 5, 2) not in days and len(days) == 5


def _spoiled(there, how):
    content = wire.collected_request(build.message([day_of(there)], PARTIES, NOON, there.new_id()))
    if how == "XSD":
        content[0].remove(content[0][1])
        return soap.sign(soap.envelope(content), identity("company"), NOW_OF[how])
    if how == "other operation":
        content = soap.fault_of(model.Fault("Other", "no"), NOON)
    root = soap.sign(soap.envelope(content), identity("company"), NOW_OF.get(how, NOON))
    if how == "changed":
        root.find(".//{*}Metered").text = "9.999"
    return root


NOW_OF = {"late": NOON - timedelta(hours=1), "XSD": NOON}


@pytest.mark.parametrize(
    ("how", "group"),
    (("changed", "Security"), ("late", "Security"), ("XSD", "XSD"), ("other operation", "XSD")),
)
def test_faults_name_their_group(how, group):
    there = peers()
    status, octets = there.hub.answer(safexml.octets_of(_spoiled(there, how)))
    fault = soap.read_fault(soap.content_of(safexml.parse(octets)))
    assert (status, fault.group) == (500, group)
    assert there.store.figures()["messages"] == 0


@pytest.mark.parametrize("octets", (b"", b"GET / HTTP/1.0", b"<x/>", b"<!DOCTYPE x><x/>"))
def test_nonsense_is_a_fault(octets):
    status, _ = peers().hub.answer(octets)
    assert status == 500


def test_a_sender_is_who_signed():
    there = peers()
    other = {SUPPLIER: identity("other").certificate, COMPANY: identity("company").certificate}
    there.hub = Hub(there.store, identity("hub"), other, there.clock)
    message = build.message([day_of(there)], PARTIES, NOON, there.new_id())
    status, content = there.ask(wire.collected_request(message), who=identity("other"))
    assert (status, soap.read_fault(content).group) == (500, "Security")


def test_what_it_took_is_there_after_it_was_opened_anew(tmp_path):
    there = peers(path=tmp_path / "hub.db")
    message = there.send(day_of(there), day_of(there, gsrn=POINTS[2]))
    there.store.close()
    there.store = HubStore(tmp_path / "hub.db")
    there.hub = Hub(there.store, identity("hub"), {COMPANY: identity("company").certificate},
                    there.clock)  # fmt: skip
    assert there.store.knows(message.header.message_id)
    assert there.store.values(POINTS[0], "Out", DAY)[0].wh == 100
    assert len(refusals(there)) == 1


def test_period_volumes_are_of_points_that_are_profile_settled():
    there = Peers(NOON, points=[point(POINTS[0], settled=False), point(POINTS[1])])
    begin, end = NOON - timedelta(days=40, hours=3), NOON - timedelta(days=1, hours=3)
    there.store.add_points([replace(point(POINTS[0], settled=False), begin=begin)])
    good = model.Series(
        there.new_id(), NOON, POINTS[0], "Out", begin, end, None,
        readings=(5_000_000, 5_400_000), profiled=model.Profiled(400_000),
    )  # fmt: skip
    bad = (
        replace(good, point=POINTS[1], begin=end),
        replace(good, readings=(5_000_000, 5_300_000)),
        replace(good, resolution="PT60M"),
        replace(good, readings=(None, None)),
    )
    series = [good, *(replace(one, series_id=there.new_id()) for one in bad)]
    message = build.message(series, PARTIES, NOON, there.new_id(), model.PERIOD_VOLUMES)
    assert there.ask(wire.collected_request(message))[0] == 200
    assert [one.payload for one in refusals(there)] == [one.series_id for one in series[1:]]
