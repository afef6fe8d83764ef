"""What a chain got wrong, and what a person is told of it; how far a clock may be off."""

from __future__ import annotations

import functools
import json
import sys
from datetime import date, timedelta

import pytest

from openams.chain import whole
from openams.chain.truth import Truth
from openams.cli import main as cli
from openams.field.faults import Fault
from openams.field.ledger import Ledger, TrueDay
from openams.field.meters import FieldPlan, MeterSpec
from openams.headend.days import day_bounds
from openams.headend.register import A_MINUS, A_PLUS, Relation

DAY = date(2026, 1, 12)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
METER = "7359990010000003"
UWS_PER_WH = 3_600_000_000 // 1000 * 1000


def test_a_value_that_is_wrong_is_told_with_what_went_on_around_it(tmp_path, monkeypatch, capsys):
    def tampered(course):
        """Somebody writes another value, and calls it measured."""
        (terms, *_), day = course.store.all_terms(DAY), DAY
        was = course.store.revisions(day, terms.gsrn, A_PLUS)[-1]
        wh = (was.wh[0] + 500, *was.wh[1:])
        course.store.put_revisions(
            [was._replace(number=was.number + 1, wh=wh, why="edit", changed=(0,))]
        )
        (meter,) = [one for one in course.store.relations(*day_bounds(day), gsrns=[terms.gsrn])]
        end = day_bounds(day)[1]
        ledger = Ledger.open(course.setup.ledger)
        ledger.add_faults([Fault("torn-block", "meter", end - 1000, end, (meter.meter_id,))])
        ledger.close()

    file, folder = tmp_path / "off.json", tmp_path / "kept"
    words = ["--meters", "1", "--days", "1", "--faults", "none", "--json", "--details", str(file)]
    monkeypatch.setattr(sys, "argv", ["ams", "chain", *words, "--folder", str(folder)])
    monkeypatch.setattr(whole, "run", functools.partial(whole.run, also=tampered))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    figures = json.loads(capsys.readouterr().out)
    assert figures["wrong_unmarked"] == 1 and figures["lost"] == 1
    details = json.loads(file.read_text())
    assert details == json.loads((folder / "details.json").read_text())
    assert details["causes"] == [] and details["left_out"] == 0
    assert {one["what"] for one in details["values"]} == {"wrong", "hub", "register", "sum"}
    (wrong,) = [one for one in details["values"] if one["what"] == "wrong"]
    assert wrong["ours_wh"] - wrong["true_wh"] == pytest.approx(500, abs=10)
    assert wrong["begin"] == "2026-01-12T00:00:00+01:00" and "edit" in wrong["revisions"][-1]
    (meter,) = wrong["meters"]
    assert meter["faults"] == ["torn-block 2026-01-12T23:59:59+01:00 to 2026-01-13T00:00:00+01:00"]
    assert meter["rows"] and meter["clock"] and meter["registers"] and meter["events"]


@pytest.fixture
def ledger(tmp_path):
    """A house that draws 7.2 kW in the quarters beside the second midnight, and nothing else."""
    spec = MeterSpec(METER, clock_ppm=-40)
    begin = day_bounds(BEFORE)[0]
    with_ = Ledger.create(tmp_path / "ledger.db", FieldPlan((spec,), (), begin), {})
    quarter = 1800 * UWS_PER_WH
    for day, first, last in ((BEFORE, 0, 0), (DAY, 0, quarter), (AFTER, quarter, 0)):
        quarters = [first, *[0] * 94, last]
        with_.add_days([TrueDay(spec.meter_id, day, day_bounds(day)[0], 0, 0, tuple(quarters))])
    yield with_
    with_.close()


def test_a_clock_that_is_off_counts_of_what_flows_on_either_side_of_midnight(ledger):
    on = [Relation("707057500000000001", METER, day_bounds(BEFORE)[0], None, 0, None, 0, None)]
    allowed_s = 8 + 40e-6 * 2 * 86_400
    wh = 7200 / 3600 * allowed_s
    # Before the day's last boundary flows as much as after it; at the first there is nothing.
    day = Truth(ledger).day(DAY, on, A_PLUS, 60)
    assert day.wh == (*[0] * 23, 1800)
    assert day.slack == pytest.approx((*[1] * 23, 1 + wh))
    # The day after begins with it, so the one before may have some seconds of it.
    before = Truth(ledger).day(AFTER, on, A_PLUS, 60)
    assert before.slack == pytest.approx((1 + wh, *[1] * 23))
    # Nobody reached it for three days, and looked at its clock: it may be off by more.
    begin = day_bounds(DAY)[0] - 3 * 86_400_000
    ledger.add_faults([Fault("module-hang", "meter", begin, begin + 86_400_000, (METER,))])
    longer = Truth(ledger).day(AFTER, on, A_PLUS, 60)
    assert longer.slack[0] == pytest.approx(before.slack[0])
    ledger.add_faults([Fault("module-hang", "meter", begin, day_bounds(DAY)[1], (METER,))])
    longer = Truth(ledger).day(AFTER, on, A_PLUS, 60)
    assert longer.slack[0] == pytest.approx(before.slack[0] + 2 * 5 * 86_400 * 40e-6)
    # What flows the other way is not of this series.
    assert set(Truth(ledger).day(DAY, on, A_MINUS, 60).slack) == {1}
