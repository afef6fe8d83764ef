"""The report: each figure is what the store says, on a page, in a table, for machines."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import pytest
import warm
from elhubstore import FIRST, Chain, add_points, hub_points, put, terms
from lxml import etree
from prometheus_client.parser import text_string_to_metric_families

from openams.headend.days import day_bounds, day_number
from openams.headend.register import MeterRow, Relation
from openams.headend.report import chain, charts, page, regulator, table
from openams.headend.report.company import Company, load
from openams.headend.report.gather import report
from openams.headend.report.health import log, metrics
from openams.headend.report.model import ReportError
from openams.headend.store import open_store
from openams.meter_time import to_utc_ms

# 05:00 local of the day after FIRST.
MORNING = datetime(2024, 5, 4, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def profile(number, reason):
    return terms(number)._replace(
        settlement="profile", reason=reason, resolution_min=0, kind="consumption"
    )


def company(store):
    """Ten points by the hour or quarter, four by profile, two jointly metered, two unmetered."""
    points = [terms(number) for number in range(10)]
    points += [profile(10, "health"), profile(11, "health"), profile(12, "low-use"),
               profile(13, "uncategorised")]  # fmt: skip
    points += [terms(number)._replace(settlement="joint", reason=reason, kind="consumption")
               for number, reason in ((14, "exempt"), (16, "under-way"))]  # fmt: skip
    points += [terms(number)._replace(settlement="unmetered", kind="consumption", fuse_a=None,
               system="", annual_kwh=500.0, resolution_min=15) for number in (17, 18)]  # fmt: skip
    add_points(store, points)
    begin = day_bounds(FIRST)[0]
    metered = points[:16]
    nets = ["mesh"] * 9 + ["none"] * 7
    rows = [(f"M{k}", "aidon" if k % 2 else "kamstrup", net, "", "", "")
            for k, net in enumerate(nets)]  # fmt: skip
    store.put_rows("meter", MeterRow._fields, rows)
    relations = [(one.gsrn, f"M{k}", begin, None, 0, None, 0, None)
                 for k, one in enumerate(metered)]  # fmt: skip
    store.put_rows("relation", Relation._fields, relations)
    return points


def figure(found, number):
    (one,) = [one for one in found.regulator if one.number == number]
    return one, {row.label: row.count for row in one.rows}


def own(found, key):
    (one,) = [one for one in found.own if one.key == key]
    return one


def test_the_register_makes_figures_1_3_5_6_and_9_to_11(store):
    points = company(store)
    stated = Company(unmetered_plan="both", older_meters=(points[0].gsrn,),
                     high_voltage=(points[0].gsrn, points[4].gsrn, points[8].gsrn))  # fmt: skip
    found = report(store, FIRST, FIRST, MORNING, stated)
    one, counts = figure(found, 1)
    assert counts == {"AMS with module": 8, "AMS without module": 7, "older meter": 1,
                      "unmetered": 2}  # fmt: skip
    assert one.rows[0].national == 0.988 and one.whole == 18
    assert figure(found, 3)[1] == {"health": 2, "low-use": 1, "refused": 0, "other": 0,
                                   "uncategorised": 1}  # fmt: skip
    assert figure(found, 5)[1] == {"ams": 0, "integrated": 0, "both": 1, "neither": 0}
    assert figure(found, 6)[1] == {"exempt": 1, "not-assessed": 0, "under-way": 1, "other": 0}
    assert figure(found, 9)[1] == {"quarters": 1, "hours": 2}
    assert figure(found, 10)[1] == {"quarters": 1, "hours": 1}
    assert figure(found, 11)[1] == {"quarters": 0, "hours": 2}
    assert own(found, "makes").rows[0].count == 8
    assert [one.number for one in found.regulator] == list(range(1, 12))


def test_what_is_not_stated_is_not_made_up(store):
    company(store)
    found = report(store, FIRST, FIRST, MORNING, Company())
    for number in (5, 7, 8):
        one, counts = figure(found, number)
        assert set(counts.values()) == {None} and "not stated" in one.note
        assert sum(row.national for row in one.rows) == pytest.approx(1, abs=0.01)
    assert any("low voltage" in text for text in found.missing)


def test_causes_are_those_of_meter_days_that_did_not_come_in_time(store):
    company(store)
    jobs = [("complete", 2 * HOUR, {}), ("complete", 9 * HOUR, {"cause": "signal"}),
            ("lost", HOUR, {"cause": "meter"}), ("partial", HOUR, {})]  # fmt: skip
    midnight = day_bounds(FIRST + timedelta(days=1))[0]
    for number, (state, after, result) in enumerate(jobs):
        at = midnight + after // timedelta(milliseconds=1)
        store.add_jobs("day", [(f"M{number}", day_number(FIRST), 0, 0, {})], 0)
        store.run("UPDATE job SET state = ?, changed_ms = ?, result = ? WHERE subject = ?",
                  state, at, json.dumps(result), f"M{number}")  # fmt: skip
    counts = figure(report(store, FIRST, FIRST, MORNING, Company()), 2)[1]
    assert counts == {"signal": 1, "meter": 1, "concentrator": 0, "headend": 0, "other": 0,
                      "unknown": 1}  # fmt: skip


def test_the_read_rate_is_what_was_measured_by_each_moment(store):
    points = [terms(0), terms(4)._replace(resolution_min=60)]
    add_points(store, points)
    whole = {k: (100, "measured") for k in range(24)}
    gap = {**whole, 3: (90, "estimated"), 4: (110, "estimated")}
    put(store, points[0], FIRST, MORNING, change=whole)
    put(store, points[1], FIRST, MORNING, change=gap)
    put(store, points[1], FIRST, MORNING + timedelta(days=1), change={3: (100, "measured")})
    found = report(store, FIRST, FIRST, MORNING + timedelta(days=9), Company())
    lines = {line.label: line.values[0] for line in found.courses[0].lines}
    assert lines["D+1 07:00"] == pytest.approx(46 / 48)
    assert lines["D+2"] == lines["D+5"] == lines["now"] == pytest.approx(47 / 48)
    assert own(found, "estimated").rows[0].count == 1
    error = own(found, "estimation-error").rows[0]
    assert (error.count, error.share) == (10, pytest.approx(0.1))
    early = report(store, FIRST, FIRST, MORNING - HOUR, Company())
    assert early.courses[0].lines[0].values == (0.0,)


def test_deliveries_and_corrections_are_counted_by_the_deadlines(store):
    points = [terms(number) for number in (0, 4)]
    add_points(store, points)
    there = Chain(store, MORNING, [])
    there.hub_store.add_points(hub_points(points))
    put(store, points[0], FIRST, MORNING)
    there.run(hours=1, steps=2)
    there.clock.now = MORNING + 6 * HOUR
    put(store, points[1], FIRST, there.clock.now)
    put(store, points[0], FIRST, there.clock.now, change={0: (1, "measured")})
    there.run(hours=2, steps=3)
    found = report(store, FIRST, FIRST, there.clock.now + timedelta(days=8), Company())
    lines = {line.label: line.values[0] for line in found.courses[1].lines}
    assert lines == {"D+1 07:00": 0.5, "D+5": 1.0, "now": 1.0}
    rows = {row.label: row.count for row in own(found, "corrections").rows}
    assert rows["changed after D+1 07:00"] == 1 and rows["changed after D+5"] == 0


def test_open_han_ports_are_those_of_the_last_order(store):
    company(store)
    for at, (subject, kind) in enumerate(
        (("M1", "han-open"), ("M2", "han-open"), ("M2", "han-close"), ("M3", "han-close"))
    ):
        store.add_jobs(kind, [(subject, 0, 0, 0, {})], at)
        store.run("UPDATE job SET state = 'done', changed_ms = ? WHERE subject = ? AND kind = ?",
                  at, subject, kind)  # fmt: skip
    found = own(report(store, FIRST, FIRST, MORNING, Company()), "han")
    assert (found.rows[0].count, found.whole) == (1, 16)


def test_a_report_of_nothing_divides_by_nothing(store):
    found = report(store, FIRST, FIRST + timedelta(days=2), MORNING, Company())
    assert all(row.share in (None, 0.0) for one in found.own for row in one.rows)
    assert page.html(found) and table.as_csv(found) and table.as_json(found)


# --- forms -------------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        if tag == "figure":
            self.ids.append(of["id"])
        self.loads += [of[name] for name in ("src", "href") if name in of]


def test_the_page_has_every_figure_as_a_chart_and_loads_nothing(store):
    company(store)
    found = report(store, FIRST, FIRST + timedelta(days=9), MORNING, Company("A & <B>"))
    text = page.html(found)
    read = Page(text)
    assert len(read.ids) == 11 + len(found.own) + 2
    assert read.loads == []
    assert "<B>" not in text and "A &amp; &lt;B&gt;" in text
    assert "@media print" in text
    for part in text.split("<svg")[1:]:
        etree.fromstring("<svg" + part.partition("</svg>")[0] + "</svg>")


def test_bars_are_as_long_as_their_shares():
    known = regulator.Known([profile(k, "health" if k < 3 else "other") for k in range(4)], (), ())
    one = next(one for one in regulator.figures(known) if one.number == 3)
    widths = [float(rect.get("width")) for rect in etree.fromstring(charts.bars(one))
              if rect.tag.endswith("rect") and rect.get("class") == "own"]  # fmt: skip
    assert widths[0] / widths[3] == pytest.approx(3, rel=0.01)
    assert widths[1] == 0


def test_json_and_csv_say_the_same(store):
    company(store)
    found = report(store, FIRST, FIRST, MORNING, Company())
    as_json = json.loads(json.dumps(table.as_json(found)))
    assert list(as_json["figures"]) == [str(number) for number in range(1, 12)]
    rows = list(csv.DictReader(io.StringIO(table.as_csv(found))))
    assert tuple(rows[0]) == table.COLUMNS
    for number, one in as_json["figures"].items():
        mine = [row for row in rows if row["figure"] == number]
        assert [row["row"] for row in mine] == [row["label"] for row in one["rows"]]
        for row, told in zip(mine, one["rows"], strict=True):
            assert (row["count"] == "") == (told["count"] is None)


@pytest.mark.parametrize(
    ("text", "says"),
    (
        ("[]", "one JSON object"),
        ("{", "no JSON"),
        ('{"plan": "ams"}', "'plan' is none of"),
        ('{"limit_ready": "soon"}', "limit_ready is one of"),
        ('{"high_voltage": "1"}', "high_voltage is a list"),
        ('{"control_fee": "yes"}', "control_fee is true or false"),
    ),
)
def test_a_statement_that_is_wrong_is_named(tmp_path, text, says):
    path = tmp_path / "company.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=says):
        load(path)


# --- machines ----------------------------------------------------------------------------


def test_metrics_are_read_by_prometheus_own_parser(store):
    points = [terms(number) for number in range(3)]
    add_points(store, points)
    there = Chain(store, MORNING, points[:2])
    for one in points:
        put(store, one, FIRST, MORNING)
    there.run(hours=3, steps=4)
    store.notice('odd "kind"\\', "subject", "text", to_utc_ms(MORNING))
    text = metrics(store, there.clock.now)
    found = {one.name: one for one in text_string_to_metric_families(text)}
    states = {one.labels["state"]: one.value for one in found["openams_elhub_series"].samples}
    assert states["accepted"] == 3 and states["parked"] == 1
    kinds = {one.labels["kind"] for one in found["openams_notices_open"].samples}
    assert kinds == {"elhub-parked", 'odd "kind"\\'}
    there_now = found["openams_elhub_day_there"].samples
    assert there_now[0].labels == {"age_days": "1"} and there_now[0].value == 3
    assert all(one.documentation for one in found.values())
    assert points[0].gsrn not in text


def test_a_log_line_is_one_json_object():
    out = io.StringIO()
    log("elhub-step", MORNING, out, series=3, error="two\nlines")
    (line,) = out.getvalue().splitlines()
    assert json.loads(line) == {"at": "2024-05-04T03:00:00.000+00:00", "event": "elhub-step",
                                "series": 3, "error": "two\nlines"}  # fmt: skip


def test_the_commands(tmp_path):
    with open_store(tmp_path / "store.db") as store:
        company(store)
    where = ["--store", str(tmp_path / "store.db")]
    files = ["--html", str(tmp_path / "r.html"), "--csv", str(tmp_path / "r.csv")]
    days = ["--from", "2024-05-03", "--to", "2024-05-05"]
    done = warm.run(["headend", "report", *days, *files, *where, "--json"], timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["first"] == "2024-05-03"
    assert "<svg" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.csv").read_text().startswith("figure,key,title")
    done = warm.run(["headend", "metrics", *where], timeout=60)
    printed = {one.name for one in text_string_to_metric_families(done.stdout)}
    assert "openams_elhub_series" in printed and len(printed) > 3
    done = warm.run(["headend", "report", "--from", "2024-05-09", "--to", "2024-05-05", *where],
                    timeout=60)  # fmt: skip
    assert done.returncode != 0 and "no 1 to 400 days" in done.stderr.replace("\n", " ")


def test_estimates_are_judged_by_what_came_later():
    estimates, reads = chain.Estimates(), chain.DayReads(date(2024, 5, 3))
    story = [chain.Seen(1, (5, 9), ("estimated", "measured"), {0: {"method": "history"}}),
             chain.Seen(2, (8, 9), ("measured", "measured"), {})]  # fmt: skip
    chain.add_series(reads, estimates, 2, story, [1, 2, 2, 2])
    assert (reads.by, estimates.off_wh, estimates.wape) == ([1, 2, 2, 2], 3, 3 / 8)
