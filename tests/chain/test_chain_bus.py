"""The chain on other engines: the same values to the last Wh, whoever collects."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from openams.chain.course import Wanted
from openams.chain.whole import run
from openams.errors import BenchError
from openams.field.faults import Rates

START = date(2026, 3, 28)
# Much goes wrong, since there are few meters.
ROUGH = Rates(
    0.1,
    0.02,
    disturbed={
        "torn-block": 30,
        "counter-refused": 60,
        "power-cut": 60,
        "clock-wrong": 30,
        "hour-repeated": 60,
        "meter-changed": 20,
        "store-lost": 5,
    },
)


def found(wanted):
    """(figures, values and states of all days)."""
    values = {}

    def taken(course):
        for k in range(wanted.days):
            for one in course.store.values(wanted.start + timedelta(days=k)):
                values[one.day, one.gsrn, one.series] = one.wh, one.states, one.total_wh

    return run(wanted, also=taken).figures, values


def right(figures):
    return [figures[name] for name in ("lost", "wrong_unmarked", "doubled", "sum_off_wh")] == [
        0
    ] * 4


def test_two_collectors_on_a_bus_that_are_killed_and_begin_again(nats, monkeypatch):
    """Some of a night's turns are out when the head-end dies: they come to the next one."""
    monkeypatch.setattr("openams.chain.course._KILLS", 100)
    wanted = Wanted(2, 1, 4, START, bus=nats.url, collectors=2, rates=Rates(0, 0))
    figures, values = found(wanted)
    assert right(figures) and values
    assert figures["read_rate_d5"] == 1


def test_collectors_without_a_bus_and_a_bus_that_is_not_there_are_one_line():
    with pytest.raises(BenchError, match="--bus nats://"):
        run(Wanted(1, 1, collectors=2))
    with pytest.raises(BenchError, match="no bus at nats://127.0.0.1:1"):
        run(Wanted(1, 1, bus="nats://127.0.0.1:1"))


@pytest.mark.campaign
def test_equal_to_the_last_wh_on_every_engine(postgres, nats):
    figures, alone = found(Wanted(40, 2, 7, START, rates=ROUGH))
    assert right(figures)
    for collectors in (0, 1, 2, 4):
        nats.empty()
        store = postgres.store_url(f"chain{collectors}")
        bus = nats.url if collectors else None
        wanted = Wanted(40, 2, 7, START, store, ROUGH, bus=bus, collectors=max(1, collectors))
        figures, values = found(wanted)
        assert right(figures)
        assert values == alone, collectors
