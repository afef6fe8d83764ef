"""Elhub's messages: what is written is valid by Elhub's own schema, and read back the same."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from elhubmessages import AT, COMPANY, POINTS, SUPPLIER, every, numbered, one_of_each
from elhubsdk import faults
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from openams.headend.elhub import build, codec, model, safexml
from openams.headend.elhub.model import ElhubError, Quantity
from openams.headend.vee.calendar import starts

PARTIES = build.Parties("7080000000029", "7080000000012")
DST = (date(2024, 3, 31), date(2024, 10, 27), date(2024, 5, 2))


def day_series(day, minutes, point=POINTS[0], direction="Out", wh=1234):
    count = len(starts(day, minutes))
    values = tuple(Quantity(wh + k, "measured") for k in range(count))
    return build.DaySeries(point, direction, day, minutes, values)


def sent(message):
    return safexml.parse(safexml.octets_of(codec.encode(message)))


@given(message=every)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back_the_same_and_valid_by_elhubs_schema(message):
    element = sent(message)
    assert faults(element) == []
    assert codec.decode(element) == message


@pytest.mark.parametrize("minutes", (60, 15))
@pytest.mark.parametrize("day", DST)
def test_a_day_has_23_24_or_25_hours_or_92_96_or_100_quarters(day, minutes):
    new_id = numbered()
    series = build.whole_day(day_series(day, minutes), new_id(), AT)
    (message,) = build.messages([series], PARTIES, AT, new_id)
    element = sent(message)
    assert faults(element) == []
    count = {3: 23, 10: 25, 5: 24}[day.month] * (60 // minutes)
    assert len(element.findall(".//{*}Observation")) == count
    assert {one.text for one in element.iter("{*}Metered")} >= {"1.234"}
    start, end = (element.findtext(".//{*}" + name) for name in ("Start", "End"))
    assert start[11:19] == end[11:19] == "00:00:00"
    assert (start[-6:] == end[-6:]) == (day.month == 5)


def test_a_day_with_a_wrong_number_of_values_is_not_sent():
    short = day_series(DST[2], 60)
    with pytest.raises(ElhubError, match="has 23 values on 2024-05-02, which has 24"):
        build.whole_day(short._replace(values=short.values[1:]), "x", AT)


def test_a_prosumer_is_two_series_of_one_point():
    new_id = numbered()
    both = [build.whole_day(day_series(DST[2], 60, direction=way), new_id(), AT)
            for way in (model.OUT, model.IN)]  # fmt: skip
    (message,) = build.messages(both, PARTIES, AT, new_id)
    assert faults(sent(message)) == []
    assert [one.direction for one in message.series] == ["Out", "In"]


def test_a_message_has_at_most_9999_series():
    new_id = numbered()
    one = build.run_of(day_series(DST[2], 60), 0, 1, "", AT)
    many = (replace(one, series_id=new_id()) for _ in range(10_000))
    assert [len(one.series) for one in build.messages(many, PARTIES, AT, new_id)] == [9999, 1]


def test_three_decimals_always():
    assert [codec.kwh(wh) for wh in (0, 1, 10, 1000, 123_456)] == [
        "0.000", "0.001", "0.010", "1.000", "123.456"
    ]  # fmt: skip


# --- corrections -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_a_correction_sends_what_changed_and_nothing_else_and_then_elhub_has_the_day(seed):
    dice = random.Random(seed)
    states = ("measured", "estimated", "final")
    before, after = (
        [Quantity(dice.randrange(3), dice.choice(states)) for _ in range(24)] for _ in range(2)
    )
    day = day_series(DST[2], 60)._replace(values=tuple(after))
    changed = build.changes(before, after)
    held = tuple(before)
    for first, last in build.runs(changed):
        series = build.run_of(day, first, last, "x", AT)
        assert series.end - series.begin == timedelta(hours=last - first)
        held = build.overlay(held, first, series.values)
    assert build.changes(held, after) == ()
    for k, (was, is_, has) in enumerate(zip(before, after, held, strict=True)):
        assert has == (is_ if k in changed else was)
        assert has.wh == is_.wh


def test_a_change_from_estimated_to_final_is_no_correction():
    was = [Quantity(5, "estimated", "V002", "E001"), Quantity(6, "estimated", "V002", "E001")]
    assert build.changes(was, [Quantity(5, "final", "V002", "E001"), Quantity(6, "measured")]) == (
        1,
    )


def test_runs_are_neighbours():
    assert build.runs([5, 3, 4, 9, 23]) == [(3, 6), (9, 10), (23, 24)]


def test_deadlines_are_local():
    assert build.first_deadline(date(2024, 3, 30)).isoformat() == "2024-03-31T05:00:00+00:00"
    assert build.first_deadline(date(2024, 12, 1)).isoformat() == "2024-12-02T06:00:00+00:00"
    assert build.ready_deadline(date(2024, 10, 21)).isoformat() == "2024-10-26T22:00:00+00:00"


def test_parties_are_glns():
    with pytest.raises(ElhubError, match="no GLN"):
        build.Parties("7080000000028", COMPANY)
    assert build.is_gln(SUPPLIER) and build.is_gln(model.ELHUB)


# --- bad XML -----------------------------------------------------------------------------

LAUGHS = (
    b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>"""
)


@pytest.mark.parametrize(
    ("octets", "says"),
    (
        (LAUGHS, "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document type"),
        (LAUGHS.decode().encode("utf-16"), "not UTF-8"),
        (b'<?xml version="1.0" encoding="UTF-7"?>+ADw-x/+AD4-', "no XML"),
        (b"", "no XML"),
        (b"<html><body>502</body>", "no XML"),
        (b"\x00\xff\xfe", "not UTF-8"),
        (b"<x>" * 400 + b"</x>" * 400, "no XML"),
    ),
)
def test_hostile_xml_is_refused(octets, says):
    with pytest.raises(ElhubError, match=says):
        safexml.parse(octets)


def test_a_document_of_the_hub_is_read_as_utf_8_whatever_it_says():
    assert safexml.parse('<?xml version="1.0" encoding="UTF-16"?><x>ø</x>'.encode()).text == "ø"


@given(message=st.sampled_from(one_of_each()), data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_elhubs_schema_refuses_the_codec_refuses_too(message, data):
    """Elements taken away, doubled, moved, renamed, their text and attributes changed."""
    element = codec.encode(message)
    _spoil(element, data)
    wrong = faults(element)
    try:
        codec.decode(safexml.parse(etree.tostring(element)))
    except ElhubError as error:
        assert "\n" not in str(error)
        assert wrong, f"Elhub takes it, but: {error}"
    else:
        assert not wrong, wrong


def _spoil(element, data):
    every_element = list(element.iter())[1:]
    victim = every_element[data.draw(st.integers(0, len(every_element) - 1))]
    parent = victim.getparent()
    how = data.draw(st.sampled_from(("drop", "double", "move", "rename", "text", "attribute")))
    if how == "drop":
        parent.remove(victim)
    elif how == "double":
        parent.insert(parent.index(victim), etree.fromstring(etree.tostring(victim)))
    elif how == "move":
        parent.append(victim)
    elif how == "rename":
        victim.tag = "{urn:none}" + etree.QName(victim).localname
    elif how == "text" and not len(victim):
        texts = ("", "x", "-1", "1.2345", " 1.5 ", "+2.", "1e3", "2024-05-02", "24:00", "39", "E10")
        victim.text = data.draw(st.sampled_from(texts))
    elif victim.attrib:
        name = data.draw(st.sampled_from(sorted(victim.attrib)))
        change = data.draw(st.sampled_from((None, "", "260", "6", "89", "9", "E001", "V009", "56")))
        if change is None:
            del victim.attrib[name]
        else:
            victim.set(name, change)
