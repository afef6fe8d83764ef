"""The whole chain: what the head-end says in the end is what the meters counted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from lxml import etree

from openams.chain.course import Down, Wanted
from openams.chain.whole import run
from openams.cli import main as cli
from openams.errors import BenchError
from openams.field.faults import Rates
from openams.headend.days import day_bounds
from openams.headend.elhub.link import DirectLine
from openams.meter_time import from_utc_ms
from tests.headend.elhubsdk import body_faults

KEYS = [
    "meters", "days", "values", "read_rate_0700", "read_rate_d5", "estimated_share", "lost",
    "wrong_unmarked", "doubled", "sum_off_wh", "causes", "estimation_error", "elhub", "wall_s",
    "sessions", "memory_mib",
]  # fmt: skip
# More goes wrong than in the country, since there are few meters; no hour is repeated by chance.
ROUGH = Rates(
    0.1,
    0.02,
    disturbed={"torn-block": 60, "counter-refused": 60, "power-cut": 100, "clock-wrong": 40},
)


def right(figures):
    """Nothing lost, wrong, doubled or off."""
    return {name: figures[name] for name in ("lost", "wrong_unmarked", "doubled", "sum_off_wh")}


NOTHING = {"lost": 0, "wrong_unmarked": 0, "doubled": 0, "sum_off_wh": 0}


@pytest.fixture
def said(monkeypatch):
    """What goes to Elhub and comes back, octets."""
    out, plain = [], DirectLine.exchange

    def exchange(line, service, octets):
        status, answer = plain(line, service, octets)
        out.extend((octets, answer))
        return status, answer

    monkeypatch.setattr(DirectLine, "exchange", exchange)
    return out


def test_a_few_meters_over_the_change_to_summer_time_are_as_their_ledger_says(said):
    whole = run(Wanted(8, 2, 5, date(2026, 3, 28), rates=ROUGH))
    bodies = [one for octets in said for one in etree.fromstring(octets).find("{*}Body")]
    names = {etree.QName(one).localname for one in bodies}
    assert any("CollectedData" in name for name in names) and len(names) > 2, names
    assert [body_faults(one) for one in bodies if body_faults(one)] == []
    figures = whole.figures
    assert list(figures) == KEYS
    assert right(figures) == NOTHING, whole.comparison.wrong[:5]
    assert figures["read_rate_0700"] <= figures["read_rate_d5"] <= 1
    assert figures["elhub"]["rejected"] == 0 and figures["elhub"]["accepted"] > 0
    assert json.loads(json.dumps(figures)) == figures


@pytest.mark.parametrize("seed", [4, 5])
def test_clocks_that_are_set_wrong_and_right_again_tell_no_wrong_hours(seed):
    """By night, between two readings, over a midnight, twice a day: every second meter's."""
    rates = Rates(0.05, disturbed={"clock-wrong": 500})
    whole = run(Wanted(40, 2, seed, date(2026, 1, 12), rates=rates))
    assert right(whole.figures) == NOTHING, whole.comparison.off[:5]
    assert whole.figures["read_rate_d5"] > 0.7


@pytest.mark.campaign
@pytest.mark.parametrize("meters", [10_000, 100_000])
def test_a_day_of_many_meters(meters):
    """The rare is there, too. By OPENAMS_SEED; ten thousand take ten minutes of two cores."""
    whole = run(Wanted(meters, 1, int(os.environ.get("OPENAMS_SEED", "7")), parts=4))
    figures = whole.figures
    print(json.dumps(figures))
    assert right(figures) == NOTHING, whole.comparison.off[:5]
    assert figures["elhub"]["rejected"] == 0 and figures["read_rate_d5"] > 0.99
    assert figures["estimation_error"]["ours"] < figures["estimation_error"]["flat"]


@pytest.mark.campaign
@pytest.mark.parametrize("start", [date(2026, 3, 26), date(2026, 10, 22)])
def test_a_thousand_meters_for_a_week_with_all_faults(start):
    whole = run(Wanted(1000, 7, 7, start, parts=2))
    figures, causes = whole.figures, whole.figures["causes"]
    assert right(figures) == NOTHING, whole.comparison.wrong[:5]
    known = {cause: found for cause, found in causes.items() if cause != "none"}
    total = sum(sum(found.values()) for found in known.values())
    well = sum(found.get(cause, 0) + found.get("unknown", 0) for cause, found in known.items())
    assert well >= 0.9 * total, causes
    error = figures["estimation_error"]
    assert error["ours"] <= 0.7 * error["flat"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--meters", "0"], "--meters is 1 to"),
        (["--days", "0"], "--days is 1 to"),
        (["--start", "yesterday"], "no date"),
        (["--faults", "rain=1"], "signal=0.5"),
        (["--faults", "module-hang=1"], "cause, meter"),
        (["--store", "mysql://x/y"], "is no URL of a store"),
        (["--workers", "-1"], "--workers"),
        (["--lasting", "-1"], "0 or more"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_so(options, words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ams", "chain", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code != 0
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said


def test_a_head_end_that_begins_anew_in_the_night_sends_nothing_before_it_is_collected(monkeypatch):
    """It is killed each night, before or amid the readings: no estimates go out for them."""
    monkeypatch.setattr("openams.chain.course._KILLS", 100)
    revisions = set()

    def taken(course):
        for day in (date(2026, 1, 12), date(2026, 1, 13), date(2026, 1, 14)):
            revisions.update(one.revision for one in course.store.values(day))

    figures = run(Wanted(8, 3, 5, date(2026, 1, 12), rates=Rates(0, 0)), also=taken).figures
    assert figures["read_rate_0700"] == 1 and right(figures) == NOTHING
    assert figures["elhub"]["corrected"] == 0 and revisions == {1}


def test_what_was_read_before_the_head_end_went_down_is_with_elhub_in_time(monkeypatch):
    """It stands still from half past five until nine: who was read by then is not late for that."""
    begin_ms = day_bounds(date(2026, 1, 12))[1] + 330 * 60_000
    end_ms = begin_ms + 210 * 60_000
    monkeypatch.setattr(
        "openams.chain.course._downs", lambda wanted, plan: [Down(begin_ms, end_ms)]
    )
    sent = []

    def told(progress, store):
        if progress.now <= from_utc_ms(begin_ms):
            sent.append(progress.delivered["series"])

    figures = run(Wanted(8, 1, 5, date(2026, 1, 12), rates=Rates(0, 0)), told=told).figures
    assert figures["read_rate_0700"] == 1 and right(figures) == NOTHING
    assert sent[-1] == figures["elhub"]["accepted"] and figures["elhub"]["corrected"] == 0


def test_a_share_of_the_field_that_fails_or_ends_is_told_in_a_line(monkeypatch, capfd):
    def broken(part):
        raise KeyError("nobody thought of that")

    monkeypatch.setattr("openams.chain.part.FieldPart.direct", broken)
    with pytest.raises(BenchError, match="failed at direct: KeyError"):
        run(Wanted(4, 1, 5, date(2026, 1, 12), parts=2))
    assert "in broken" in capfd.readouterr().err, "and where it is"
    parent = os.getpid()

    def killed(part, *values):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return []

    monkeypatch.setattr("openams.chain.part.FieldPart.direct", lambda part: [])
    monkeypatch.setattr("openams.chain.part.FieldPart.gasps", killed)
    with pytest.raises(BenchError, match="has ended: begin the run again"):
        run(Wanted(4, 1, 5, date(2026, 1, 12), parts=2))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_thrown_away_is_so_where_somebody_ends_it(number):
    """It lies in memory where there is room: what stays there is missed by everybody."""
    words = ["chain", "--meters", "120", "--days", "9", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "openams", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stderr:
            if "collecting" in line:
                break
        links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        (found,) = {re.sub("(openams-chain-[^/]*).*", r"\1", x) for x in links if "-chain-" in x}
        assert Path(found).is_dir()
        process.send_signal(number)
        process.communicate(timeout=120)
        assert process.returncode in (130, 143)
        assert not Path(found).exists()
    finally:
        process.kill()
        process.wait()
