"""`ams vee` as a user runs it: table, JSON, both directions, and errors of one line."""

from __future__ import annotations

import copy
import json

import pytest
from typer.testing import CliRunner

from openams.cli.main import app
from openams.headend.vee.cases import load
from openams.headend.vee.model import VeeError
from tests.conftest import DATA
from tests.interop.helpers import ams

CASES = json.loads((DATA / "vee" / "cases.json").read_text())["cases"]
ONE = next(case for case in CASES if case["name"] == "open-one-hour")


def written(tmp_path, *cases):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": cases}))
    return path


def run(path, *options):
    done = CliRunner().invoke(app, ["vee", str(path), *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_table_has_what_is_not_measured_and_the_notes(tmp_path):
    odd = copy.deepcopy(ONE)
    odd["intervals"][3]["status"] = ["meter-cover-opened"]
    text = run(written(tmp_path, odd))
    assert "open-one-hour 2026-01-21: 24 values, 1 not measured" in text
    for word in ("09:00", "1433", "estimated", "missing", "V002", "E001", "status-unknown"):
        assert word in text


def test_json_has_the_documented_keys_and_more(tmp_path):
    days = json.loads(run(written(tmp_path, ONE, ONE), "--json"))["days"]
    assert [day["name"] for day in days] == ["open-one-hour"] * 2
    measured, missing = days[0]["intervals"][8:10]
    assert measured == {"wh": 1782, "state": "measured", "validation": None, "estimation": None}
    assert missing["wh"] == 1433 and missing["method"] == "history"
    assert days[0]["sum_off_wh"] == 0 and days[0]["rules"]


def test_no_cases_are_no_error(tmp_path):
    assert json.loads(run(written(tmp_path), "--json")) == {"days": []}


def test_a_prosumer_has_both_directions(tmp_path):
    both = copy.deepcopy(ONE)
    both["point"]["kind"] = "prosumer"
    both["export"] = {
        "registers": {"start_wh": 5, "end_wh": 5 + 24 * 100},
        "intervals": [None if k == 12 else {"wh": 100} for k in range(24)],
        "history": {},
    }
    (day,) = json.loads(run(written(tmp_path, both), "--json"))["days"]
    assert day["export"]["intervals"][12]["wh"] == 100
    assert day["export"]["intervals"][12]["estimation"] == "E006"
    assert day["intervals"][9]["wh"] == 1433
    assert "export" in run(written(tmp_path, both))


def test_a_changed_meter_has_two_registers(tmp_path):
    case = copy.deepcopy(ONE)
    start, end = case["registers"].values()
    case["registers"] = [
        {"start_wh": start, "end_wh": start + 900, "to": "2026-01-21T00:30:00+01:00"},
        {"start_wh": 0, "end_wh": end - start - 900, "from": "2026-01-21T00:30:00+01:00"},
    ]
    (day,) = json.loads(run(written(tmp_path, case), "--json"))["days"]
    assert day["total_wh"] == end - start and day["intervals"][9]["wh"] == 1433


# --- errors --------------------------------------------------------------------------------


def at(*path):
    """Puts a value into a case."""

    def put(case, value):
        for key in path[:-1]:
            case = case[key]
        case[path[-1]] = value

    return put


BAD = [
    (at("name"), 7, "with a name"),
    (at("name"), "", "with a name"),
    (at("point"), [], '"point" must be an object'),
    (at("point", "kind"), "car", "choose one of consumption, production"),
    (at("point", "system"), "2P", "choose one of 1P2W, 3P3W, 3P4W"),
    (at("point", "system"), None, "choose one of 1P2W"),
    (at("point", "system"), ["3P3W"], "choose one of 1P2W"),
    (at("point", "fuse_a"), -63, "above 0"),
    (at("point", "fuse_a"), 0, "above 0"),
    (at("point", "fuse_a"), "63", 'a number, not "63"'),
    (at("point", "fuse_a"), True, "a number, not true"),
    (at("point", "fuse_a"), 1e300, "a number"),
    (at("point", "resolution_min"), 30, "60 or 15"),
    (at("point", "resolution_min"), "60", "60 or 15"),
    (at("point", "resolution_min"), 60.5, "60 or 15"),
    (at("point", "annual_kwh"), -1, "not be negative"),
    (at("day"), "2026-03-29", "24 intervals, but 2026-03-29 has 23"),
    (at("day"), "2026-10-25", "24 intervals, but 2026-10-25 has 25"),
    (at("day"), "21.01.2026", "write it like 2026-01-31"),
    (at("day"), "1871-01-21", "2000 to 2099"),
    (at("day"), 20260121, '"day" must be a text'),
    (at("intervals"), {}, '"intervals" must be a list'),
    (at("intervals"), [], "0 intervals, but 2026-01-21 has 24"),
    (at("intervals", 3), 700, 'interval 3 must be null or an object with "wh"'),
    (at("intervals", 3), {"status": []}, 'interval 3 must be null or an object with "wh"'),
    (at("intervals", 3, "wh"), "700", 'interval 3: "wh" must be whole Wh or null, not "700"'),
    (at("intervals", 3, "wh"), 700.5, "whole Wh"),
    (at("intervals", 3, "wh"), True, "whole Wh"),
    (at("intervals", 3, "wh"), 10**40, "whole Wh"),
    (at("intervals", 3, "status"), "dst", '"status" must be a list of names'),
    (at("intervals", 3, "status"), [1], '"status" must be a list of names'),
    (at("registers"), None, '"registers" must be an object'),
    (at("registers"), [1], '"registers" must be an object'),
    (at("registers"), {"start_wh": 1}, 'has no "end_wh"'),
    (at("registers", "start_wh"), "1", '"start_wh" must be whole Wh'),
    (at("registers", "start_wh"), -1, "not be negative"),
    (at("registers", "from"), "noon", "write it like 2026-01-31T12:00:00+00:00"),
    (at("history"), [], '"history" must be an object'),
    (at("history", "yesterday"), [], "write it like 2026-01-31"),
    (at("history", "2026-01-20"), 5, "must be a list"),
    (at("history", "2026-01-20"), ["5"] * 24, "whole Wh"),
    (at("power_cuts"), {}, '"power_cuts" must be a list'),
    (at("power_cuts"), [["2026-01-21T09:00:00+00:00"]], "[begin, end]"),
    (at("power_cuts"), [["2026-01-21T09:00:00", None]], "has no offset"),
    (at("power_cuts"), [[9, 12]], "is no time"),
    (at("power_cuts"), [["2026-01-21T09:00:00+00:00"] * 2], "is not before"),
]


@pytest.mark.parametrize(("put", "value", "says"), BAD)
def test_a_case_that_is_no_day_says_what_and_where(tmp_path, put, value, says):
    case = copy.deepcopy(ONE)
    put(case, value)
    with pytest.raises(VeeError) as error:
        load(written(tmp_path, CASES[0], case))
    assert says in str(error.value) and str(error.value).startswith("case 2")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "key", ["name", "point", "day", "registers", "intervals", "history", "power_cuts"]
)
def test_a_missing_key_is_named(tmp_path, key):
    case = copy.deepcopy(ONE)
    del case[key]
    with pytest.raises(VeeError, match=key):
        load(written(tmp_path, case))


def test_the_program_says_it_in_one_line_and_fails(tmp_path):
    case = copy.deepcopy(ONE)
    case["intervals"].pop()
    for path in (written(tmp_path, case), tmp_path / "nowhere.json", DATA / "README.md"):
        done = ams("vee", path, "--json", ok=False)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("ams: ") and done.stderr.count("\n") == 1
