"""The register: numbers with check characters, what contradicts itself, CSV in and out."""

from __future__ import annotations

import json
import shutil
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.gs1 import check_digit
from openams.headend import register, registercsv
from openams.headend.days import day_bounds
from openams.headend.numbers import area_fault, eic_check, gsrn_fault
from openams.headend.register import Access, visible
from openams.headend.store import open_store
from tests.headend.registers import AREA, files, gsrn, meter_id
from tests.interop.helpers import ams

HEAD = "gsrn,from,to,kind,settlement,reason,resolution_min,fuse_a,system,area,annual_kwh"


# --- numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("good", ["707057500022939815", "707057500022939822", "707057500022939839"])
def test_elhubs_own_points_check_out(good):
    assert gsrn_fault(good) is None


@pytest.mark.parametrize("good", ["10YNO-1--------2", "10YNO-2--------T"])
def test_check_characters_of_known_areas(good):
    assert eic_check(good[:-1]) == good[-1]


@given(st.text("0123456789", min_size=17, max_size=17), st.integers(0, 17), st.integers(1, 9))
def test_every_wrong_digit_of_a_point_is_found(digits, place, by):
    number = digits + check_digit(digits)
    wrong = str((int(number[place]) + by) % 10)
    assert gsrn_fault(number) is None
    assert gsrn_fault(number[:place] + wrong + number[place + 1 :]) is not None


@pytest.mark.parametrize(
    "bad",
    ["", "70705750002293981", "7070575000229398150", "70705750002293981x", "７07057500022939815"],
)
def test_what_is_no_point(bad):
    assert "18 digits" in gsrn_fault(bad)


@pytest.mark.parametrize("bad", ["50Y", "50yTEST0OPENAMSX", "50XTEST0OPENAMS0", AREA[:-1] + "*"])
def test_what_is_no_area(bad):
    assert area_fault(bad)
    assert area_fault(AREA) is None


# --- a register as a whole -----------------------------------------------------------------


def errors_of(tmp_path, **texts):
    """What the register says against itself, with the line."""
    tables, errors = registercsv.load(files(tmp_path, **texts))
    assert errors == []
    faults = registercsv.placed(register.contradictions(tables), tables)
    return [f"{one.file.rsplit('/', 1)[-1]}:{one.line}: {one.text}" for one in faults]


def terms(*rows):
    return HEAD + "\n" + "".join(f"{row}\n" for row in rows)


def one_terms(cells):
    return terms(f"{gsrn(0)},{cells},{AREA},")


def test_a_good_register_says_nothing(tmp_path):
    assert errors_of(tmp_path) == []


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ("2026-01-01,2026-01-01,consumption,interval,,60,63,3P3W", "not after its begin"),
        ("2026-01-01,,consumption,profile,,,25,1P2W", "needs a reason: one of health"),
        ("2026-01-01,,consumption,interval,health,60,25,1P2W", "has no reason"),
        ("2026-01-01,,consumption,profile,health,60,25,1P2W", "has no resolution"),
        ("2026-01-01,,consumption,interval,,,25,1P2W", "needs a resolution"),
        ("2026-01-01,,production,profile,health,,25,1P2W", "settled by its intervals"),
        ("2026-01-01,,exchange,interval,,60,25,3P4W", "15 min"),
        ("2026-01-01,,consumption,interval,,60,,3P3W", "main fuse"),
        ("2026-01-01,,consumption,joint,,60,63,3P3W", "needs a reason: one of exempt"),
    ],
)
def test_terms_that_cannot_be(tmp_path, cells, says):
    found = errors_of(tmp_path, terms=one_terms(cells), meters="meter_id,make,net\n",
                      relations="gsrn,meter_id,from\n")  # fmt: skip
    assert len(found) == 1 and found[0].startswith("terms.csv:2: ") and says in found[0]


def test_an_unmetered_point_has_a_yearly_volume_and_no_meter(tmp_path):
    rows = terms(f"{gsrn(0)},2026-01-01,,consumption,unmetered,,15,,,{AREA},")
    found = errors_of(tmp_path, count=1, terms=rows)
    assert [line.split(":")[0] for line in found] == ["relations.csv", "terms.csv"]
    assert "it has no meter" in found[0] and "yearly volume" in found[1]


def test_two_terms_at_once(tmp_path):
    row = "consumption,interval,,60,63,3P3W"
    found = errors_of(
        tmp_path,
        count=1,
        terms=terms(f"{gsrn(0)},2026-01-01,,{row},{AREA},", f"{gsrn(0)},2026-06-01,,{row},{AREA},"),
    )
    assert len(found) == 1 and found[0].startswith("terms.csv:3: ")
    assert "end those on 2026-06-01" in found[0]


def test_a_meter_changed_in_the_middle_of_a_day_has_no_gap_and_no_overlap(tmp_path):
    def relations(until, begin):
        return (
            "gsrn,meter_id,from,to,start_plus_kwh,end_plus_kwh\n"
            f"{gsrn(0)},{meter_id(0)},2026-01-01,{until},0,1234.567\n"
            f"{gsrn(0)},{meter_id(1)},{begin},,0.002,\n"
        )

    good = relations("2026-03-29T12:15:00+02:00", "2026-03-29T12:15:00+02:00")
    assert errors_of(tmp_path, relations=good) == []
    bad = relations("2026-03-29T12:16:00+02:00", "2026-03-29T12:15:00+02:00")
    found = errors_of(tmp_path, relations=bad)
    assert len(found) == 1 and "relations.csv:3" in found[0] and meter_id(0) in found[0]


def test_a_meter_is_on_one_point_at_a_time(tmp_path):
    found = errors_of(
        tmp_path,
        relations="gsrn,meter_id,from,to\n"
        f"{gsrn(0)},{meter_id(0)},2026-01-01,\n{gsrn(1)},{meter_id(0)},2026-02-01,\n",
    )
    assert len(found) == 1 and f"meter {meter_id(0)} is with {gsrn(0)}" in found[0]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (f"{gsrn(9)},{meter_id(0)},2026-01-01,,,", "is not in the register"),
        (f"{gsrn(0)},{meter_id(9)},2026-01-01,,,", "is not in the register"),
        (f"{gsrn(0)},{meter_id(0)},2025-12-31,,,", "do not cover 2025-12-31T00:00"),
        (f"{gsrn(0)},{meter_id(0)},2026-01-01,2025-01-01,,", "not after its begin"),
        (f"{gsrn(0)},{meter_id(0)},2026-01-01,2026-02-01,10,9.5", "went back from 10000000"),
        (f"{gsrn(0)},{meter_id(0)},2026-01-01,,10,11", "last reading of A+ and no end"),
    ],
)
def test_relations_that_cannot_be(tmp_path, row, says):
    text = f"gsrn,meter_id,from,to,start_plus_kwh,end_plus_kwh\n{row}\n"
    found = errors_of(tmp_path, relations=text)
    assert len(found) == 1 and says in found[0]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("aidon,cellular,,", "needs its URL"),
        ("aidon,mesh,,", "needs its concentrator"),
        ("aidon,mesh,C9,", "C9 is not in the register"),
        ("aidon,plc,C1,", "is of net mesh"),
        ("aidon,cellular,C1,tcp://h:1", "has no concentrator"),
        ("aidon,none,,tcp://h:1", "neither URL nor concentrator"),
    ],
)
def test_meters_that_nobody_reaches(tmp_path, row, says):
    found = errors_of(
        tmp_path,
        count=1,
        concentrators="concentrator,net,url\nC1,mesh,http://h:4060\n",
        meters=f"meter_id,make,net,concentrator,url\n{meter_id(0)},{row}\n",
    )
    assert any(says in line for line in found), found


# --- who may see what ----------------------------------------------------------------------


def test_a_customer_sees_his_own_time_and_no_other():
    mine = [
        Access("kari", "customer", "values", gsrn(0), 100, 200),
        Access("kari", "customer", "all", gsrn(0), 150, 300),
        Access("kari", "customer", "values", gsrn(1), 0, None),
    ]
    assert visible(mine, "values", gsrn(0), AREA, 0, 1000) == [(100, 300)]
    assert visible(mine, "events", gsrn(0), AREA, 0, 1000) == [(150, 300)]
    assert visible(mine, "values", gsrn(2), AREA, 0, 1000) == []
    assert visible(mine, "values", gsrn(1), AREA, 500, 1000) == [(500, 1000)]
    everything = [Access("ops", "operator", "all", "*", 0, None)]
    assert visible(everything, "readings", gsrn(2), AREA, 5, 6) == [(5, 6)]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("kari,customer,all,*,2026-01-01,", "may not see everything"),
        (f"kari,supplier,all,{AREA},2026-01-01,", "may not see a grid area"),
        (f"kari,customer,all,{gsrn(8)},2026-01-01,", "neither a point nor an area"),
        (f"kari,customer,all,{gsrn(0)},2026-01-02,2026-01-01", "not after its begin"),
    ],
)
def test_grants_that_open_too_much_or_nothing(tmp_path, row, says):
    found = errors_of(tmp_path, access=f"who,role,scope,target,from,to\n{row}\n")
    assert len(found) == 1 and says in found[0]


# --- files and store -----------------------------------------------------------------------


def test_every_error_is_named_in_its_line_and_nothing_is_imported(tmp_path):
    bad = f"{gsrn(0)[:-1]}{(int(gsrn(0)[-1]) + 1) % 10}"
    paths = files(
        tmp_path,
        terms=terms(
            f"{bad},2026-13-01,,consumtion,interval,,61,-5,3P3W,{AREA},",
            f"{gsrn(1)},2026-01-01,,consumption,interval,,60,63,3P3W",
            f"{gsrn(2)},2026-01-01,,consumption,interval,,60,63,3P3W,{AREA},",
            f"{gsrn(2)},2026-01-01,,consumption,interval,,60,63,3P3W,{AREA},",
        ),
        areas=f"area,nmae\n{AREA},Test\n",
    )
    done = ams("headend", "import", *paths, "--store", tmp_path / "s.db", "--json", ok=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    said = json.loads(done.stdout)
    assert said["imported"] == {}
    places = [(one["file"].rsplit("/", 1)[-1], one["line"]) for one in said["errors"]]
    assert places == [("areas.csv", 1)] + [("terms.csv", line) for line in (2, 2, 2, 2, 2, 3, 5)]
    text = json.dumps(said)
    for word in ("check digit", "no date", "'consumtion' is unknown", "'61'", "terms.csv:4"):
        assert word in text
    assert not (tmp_path / "s.db").exists()


def test_in_and_out_again_on_the_command_line(tmp_path):
    store = tmp_path / "s.db"
    done = ams("headend", "import", *files(tmp_path, count=5), "--store", store)
    assert done.returncode == 0 and "5 terms" in done.stdout
    done = ams("headend", "export", tmp_path / "out", "--store", store, "--json")
    assert json.loads(done.stdout)["meters"] == 5
    again = tmp_path / "again.db"
    out = sorted((tmp_path / "out").glob("*.csv"))
    assert ams("headend", "import", *out, "--store", again).returncode == 0
    with open_store(store) as one, open_store(again) as other:
        assert registercsv.texts(one.register()) == registercsv.texts(other.register())


def test_semicolons_and_decimal_commas_of_spreadsheets(tmp_path):
    text = (
        "\ufeffgsrn;from;to;kind;settlement;reason;resolution_min;fuse_a;system;area;annual_kwh\r\n"
        f"{gsrn(0)};2026-01-01;;consumption;interval;;60;62,5;3P3W;{AREA};12000,5\r\n"
    )
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    tables, errors = registercsv.load([tmp_path / "t.csv"])
    assert errors == [] and tables.terms[0].fuse_a == 62.5 and tables.terms[0].annual_kwh == 12000.5


@pytest.mark.parametrize(
    "text", ["", "\n", "a,b\n1,2\n", 'area,name\n"x', "gsrn,gsrn\n", "\x00\n", "area,name\n,,x,\n"]
)
def test_what_is_no_file_of_a_register(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    tables, errors = registercsv.load([tmp_path / "x.csv"])
    assert errors and not any(tables.count().values())


@given(st.text(max_size=300))
def test_no_text_makes_it_fall(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "x.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    for head in ("", "area,name\n", HEAD + "\n"):
        (folder / "x.csv").write_text(head + text, errors="replace")
        registercsv.load([folder / "x.csv"])


def imported(store, folder, count=3, **texts):
    tables, errors = registercsv.load(files(folder, count, **texts))
    assert errors == []
    return registercsv.placed(store.import_register(tables, 1), tables)


def test_a_contradiction_with_what_is_there_leaves_the_register_as_it_was(store, tmp_path):
    assert imported(store, tmp_path) == []
    before = registercsv.texts(store.register())
    found = imported(
        store,
        tmp_path,
        areas="area,name\n",
        terms=HEAD + "\n",
        meters=f"meter_id,make,net,url\n{meter_id(7)},aidon,cellular,tcp://h:1\n",
        relations=f"gsrn,meter_id,from\n{gsrn(0)},{meter_id(7)},2026-05-01\n",
    )
    assert len(found) == 1 and found[0].line == 2 and meter_id(0) in found[0].text
    assert registercsv.texts(store.register()) == before


def test_a_row_that_takes_another_ones_place_leaves_both_on_record(store, tmp_path):
    assert imported(store, tmp_path) == []
    text = f"area,name\n{AREA},Renamed\n"
    assert imported(store, tmp_path, areas=text) == []
    rows = store.all("SELECT before, after FROM register_change WHERE row_table = 'area'")
    assert [json.loads(after)["name"] for _, after in rows] == ["Test", "Renamed"]
    assert json.loads(rows[1][0])["name"] == "Test" and rows[0][0] is None


# --- piece by piece ------------------------------------------------------------------------

DAYS = st.sampled_from([20260101, 20260110, 20260120])
MOMENTS = st.sampled_from([day_bounds(date(2026, 1, day))[0] + 7 for day in (1, 10, 20, 31)])
POINTS = st.integers(0, 2).map(gsrn)
METERS = st.integers(0, 2).map(meter_id)
DOORS = st.sampled_from(["C1", "C2"])


@st.composite
def pieces(draw):
    """A few rows of a register of three points and meters: most contradict something."""
    out = register.Tables()
    if draw(st.booleans()):
        out.areas = [register.Area(AREA, draw(st.sampled_from(["North", "South"])))]
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["interval", "interval", "unmetered"]))
        out.terms.append(register.Terms(
            draw(POINTS), draw(DAYS), draw(st.sampled_from([None, None, 20260120])), "consumption",
            kind, "", 60, 63, "3P3W", draw(st.sampled_from([AREA, AREA, AREA, "X"])), 1000,
        ))  # fmt: skip
    for _ in range(draw(st.integers(0, 2))):
        net = draw(st.sampled_from(["mesh", "plc"]))
        out.concentrators.append(register.ConcentratorRow(draw(DOORS), net, "http://c"))
    for _ in range(draw(st.integers(0, 2))):
        net = draw(st.sampled_from(["mesh", "plc", "cellular"]))
        url, door = ("tcp://h:1", "") if net == "cellular" else ("", draw(DOORS))
        out.meters.append(register.MeterRow(draw(METERS), "aidon", net, door, url, ""))
    for _ in range(draw(st.integers(0, 2))):
        out.relations.append(register.Relation(
            draw(POINTS), draw(METERS), draw(MOMENTS), draw(st.none() | MOMENTS),
            None, None, None, None,
        ))  # fmt: skip
    for _ in range(draw(st.integers(0, 1))):
        target = draw(st.sampled_from([gsrn(0), gsrn(1), AREA]))
        who, role = draw(st.sampled_from([("a", "customer"), ("b", "operator")]))
        out.access.append(Access(who, role, "all", target, draw(MOMENTS), None))
    # Of two rows with one key a file has the first.
    return register.merged(register.merged(register.Tables(), out), register.Tables())


@settings(max_examples=60, deadline=None)
@given(st.lists(pieces(), min_size=6, max_size=20))
def test_a_few_rows_are_judged_as_if_all_were_looked_at(empty_file, tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("pieces")
    shutil.copy(empty_file, folder / "store.db")
    all_of_it = register.Tables()
    with open_store(folder / "store.db") as opened:
        for new in changes:
            then = register.merged(all_of_it, new)
            faults = register.contradictions(then)
            assert set(opened.import_register(new, 1)) == set(faults)
            all_of_it = all_of_it if faults else then
        kept = opened.register()
    for name in register.KEYS:
        assert sorted(getattr(kept, name), key=str) == sorted(getattr(all_of_it, name), key=str)


def test_one_meter_of_many_is_changed_without_reading_them_all(file_store, tmp_path, monkeypatch):
    assert imported(file_store, tmp_path, count=300) == []
    rows, execute = [], type(file_store.database).execute

    def counted(self, sql, params=()):
        found, touched = execute(self, sql, params)
        rows.append(len(found))
        return found, touched

    monkeypatch.setattr(type(file_store.database), "execute", counted)
    at_ms = day_bounds(date(2026, 5, 1))[0]
    (was,) = file_store.relations(at_ms - 1, at_ms, meter_id=meter_id(7))
    new = register.MeterRow(meter_id(900), "aidon", "cellular", "", "tcp://h:1", "")
    begun = was._replace(meter_id=new.meter_id, from_ms=at_ms)
    tables = register.Tables(meters=[new], relations=[was._replace(to_ms=at_ms), begun])
    assert file_store.import_register(tables, 2) == []
    assert sum(rows) < 20


def test_the_meter_of_a_moment(store, tmp_path):
    text = (
        "gsrn,meter_id,from,to\n"
        f"{gsrn(0)},{meter_id(0)},2026-01-01,2026-03-29T12:15:00+02:00\n"
        f"{gsrn(0)},{meter_id(1)},2026-03-29T12:15:00+02:00,\n"
    )
    assert imported(store, tmp_path, relations=text) == []
    day = date(2026, 3, 29)
    both = store.relations_of_day(day, [gsrn(0)])
    assert [one.meter_id for one in both] == [meter_id(0), meter_id(1)]
    assert [one.meter_id for one in store.relations_of_day(date(2026, 3, 30))] == [meter_id(1)]
    assert store.terms(gsrn(0), day).fuse_a == 63 and store.terms(gsrn(0), date(2025, 1, 1)) is None
    assert len(list(store.all_terms(day, "interval", AREA))) == 3
    assert list(store.all_terms(day, "profile")) == []


def test_who_may_see_what_is_asked_of_the_store(store, tmp_path):
    begin, end = day_bounds(date(2026, 2, 1))
    text = f"who,role,scope,target,from,to\nkari,customer,values,{gsrn(0)},2026-02-01,2026-02-02\n"
    assert imported(store, tmp_path, access=text) == []
    assert store.visible("kari", "values", gsrn(0), 0, 10**13) == [(begin, end)]
    assert store.visible("ola", "values", gsrn(0), 0, 10**13) == []
