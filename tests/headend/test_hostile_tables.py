"""Tables that persons and other programs hand in: all of what they say is read, or none with the
line that is wrong; what is handed out calculates nothing in a spreadsheet."""

from __future__ import annotations

import csv
import io
import os
import random
from datetime import UTC, datetime

import pytest

from openams import csvtable
from openams.bench.profiles import write_csv
from openams.cli.elhub import _read_points
from openams.cli.profiled import readings
from openams.concentrator.roster import read_list as read_roster
from openams.control.ration import load_plan
from openams.errors import BenchError
from openams.field.meters import read_list
from openams.headend import registercsv
from openams.headend.beginning import read_meters
from openams.headend.register import Access, Area, ConcentratorRow, MeterRow, Tables
from openams.headend.report.model import Figure, Report, Row
from openams.headend.report.table import as_csv
from tests.headend.registers import AREA, files, gsrn, meter_id
from tests.headend.test_elhub_hub import COMPANY

SEED = int(os.environ.get("OPENAMS_SEED", "0"))
COUNT = int(os.environ.get("OPENAMS_LIES", "300"))
CELLS = (
    "", " ", '"', '""', '"a', "\0", "\r", "\n", "\r\n", "\u2028", "\ufeff", "x" * 200_000, "=1+1",
    "-1", "NaN", "1E999999", "1E-999999", "1_000", "٣٣", "9" * 400, "0001-01-01", "9999-12-31",
    "2026-01-05", "tcp://h:1", "tcp://h\n:1", "tcp://" + "a" * 300 + ":1", "'=x", "yes", ",", ";",
    "\x1b[2J", "🦊" * 300,
)  # fmt: skip


def spoiled(rng, text):
    """A table with a few cells, lines or octets that are otherwise."""
    for _ in range(rng.randrange(1, 4)):
        lines = text.split("\n")
        k = rng.randrange(len(lines))
        cells = lines[k].split(",")
        what = rng.randrange(7)
        if what <= 2:
            cells[rng.randrange(len(cells))] = rng.choice(CELLS)
        elif what == 3:
            cells.insert(rng.randrange(len(cells) + 1), rng.choice(CELLS))
        elif what == 4:
            del cells[rng.randrange(len(cells))]
        elif what == 5:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
        else:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(CELLS) + text[at:]
            continue
        lines[min(k, len(lines) - 1)] = ",".join(cells)
        text = "\n".join(lines)
    return text


def written(rng, path, text):
    octets = text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")),
                         "replace")  # fmt: skip
    path.write_bytes(octets[: rng.choice((None, None, None, rng.randrange(len(octets) + 1)))])


METERS = "meter_id,url\n" + "".join(f"{meter_id(k)},tcp://127.0.0.1:405{k}\n" for k in range(3))
PLAN = "meter_id,url,group,critical\n" + "".join(
    f"{meter_id(k)},tcp://h:1,g,{'yes' * (k == 1)}\n" for k in range(3)
)
POINTS = (
    "gsrn,party,kind,resolution_min,settlement,from\n"
    f"{gsrn(0)},{COMPANY},consumption,60,interval,2026-01-01\n"
)


@pytest.mark.parametrize(("read", "good"), [
    (read_roster, METERS), (read_meters, METERS), (load_plan, PLAN),
    (lambda path: list(_read_points(path)), POINTS),
    (lambda path: read_list(path, 0), "meter_id,net\n" + f"{meter_id(0)},cellular\n"),
])  # fmt: skip
def test_lists_that_are_none_are_refused_in_a_line(tmp_path, read, good):
    rng, path = random.Random(SEED), tmp_path / "t.csv"
    path.write_text(good)
    assert read(path)
    refused = 0
    for _ in range(COUNT):
        written(rng, path, spoiled(rng, good))
        try:
            read(path)
        except BenchError:
            refused += 1
    assert refused > COUNT // 3


def test_registers_that_are_none_name_their_lines(tmp_path, file_store):
    rng = random.Random(SEED)
    good = {path.stem: path.read_text() for path in files(tmp_path, 2)}
    good["concentrators"] = "concentrator,net,url\nC1,mesh,tcp://h:1\n"
    good["access"] = f"who,role,scope,target,from,to\nkari,customer,point,{gsrn(0)},2026-01-01,\n"
    wrong = 0
    for _ in range(COUNT):
        name = rng.choice(list(good))
        path = tmp_path / f"{name}.csv"
        written(rng, path, spoiled(rng, good[name]))
        try:
            tables, errors = registercsv.load([path])
        except BenchError:
            continue
        wrong += bool(errors)
        assert all(len(str(one)) < 1000 and one.line > 0 for one in errors)
        file_store.import_register(tables, 1)
    assert wrong > COUNT // 5


def test_readings_that_are_none_name_their_lines(tmp_path, file_store):
    tables, errors = registercsv.load(files(tmp_path, 2))
    assert errors == [] and file_store.import_register(tables, 1) == []
    rng, path = random.Random(SEED), tmp_path / "readings.csv"
    today = datetime.now(UTC).date().isoformat()
    good = "gsrn,date,kwh,source\n" + "".join(f"{gsrn(k)},{today},{k + 7},sms\n" for k in (0, 1))
    store = file_store.name.removeprefix("sqlite:///")
    refused = 0
    for number in range(COUNT // 4):
        if number:
            written(rng, path, spoiled(rng, good))
        else:
            path.write_text(good)
        try:
            readings(path, store, True)
        except BenchError as error:
            refused += 1
            assert number and "\n" not in str(error)
    assert refused > COUNT // 20


@pytest.mark.parametrize(("rows", "says"), [
    # A comma too many moves the mark out of its column, a quote swallows the lines that follow.
    ("{0},tcp://h:1,a,b,yes\n", "5 values for 4"), ("{0},tcp://h:1\n", "2 values for 4"),
    ('{0},tcp://h:1,"a,yes\n{1},tcp://h:1,b,yes\n', "line"), ("{0},tcp://h:1,,si\n", "yes or no"),
])  # fmt: skip
def test_a_critical_meter_is_never_lost_by_a_comma(tmp_path, rows, says):
    path = tmp_path / "plan.csv"
    path.write_text("meter_id,url,group,critical\n" + rows.format(meter_id(0), meter_id(1)))
    with pytest.raises(BenchError, match=says):
        load_plan(path)


def test_heads_of_plans_are_read_as_persons_write_them(tmp_path):
    path = tmp_path / "plan.csv"
    path.write_text(f"\ufeffMeter_ID, URL , Critical\r\n{meter_id(0)},tcp://h:1,YES\r\n")
    assert load_plan(path).entries[0].critical
    path.write_text(f"meter_id,url,critical,critical\n{meter_id(0)},tcp://h:1,yes,\n")
    with pytest.raises(BenchError, match="twice"):
        load_plan(path)


# --- what is handed out ----------------------------------------------------------------------

FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(A1)", "'=x", "''+x", "'x", "=cmd|' /C calc'!A0", "a=b", "-")


def calculated(text):
    """Cells that a spreadsheet would not take as they are."""
    return [
        cell for row in csv.reader(io.StringIO(text)) for cell in row
        if cell.lstrip().startswith(("=", "+", "-", "@")) and not _is_number(cell)
    ]  # fmt: skip


def _is_number(cell):
    try:
        return bool(float(cell) + 1)
    except ValueError:
        return False


def test_a_register_goes_out_and_in_again_and_calculates_nothing(tmp_path):
    tables = Tables()
    for number, text in enumerate(FORMULAS):
        tables.areas.append(Area(AREA, text)) if not number else None
        tables.concentrators.append(ConcentratorRow(text, "mesh", f"tcp://h:{number + 1}"))
        tables.meters.append(MeterRow(meter_id(number), text, "mesh", text, "", text))
        tables.access.append(Access(text, "customer", "point", gsrn(number), number, None))
    texts = registercsv.texts(tables)
    assert all(calculated(text) == [] for text in texts.values())
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    again, errors = registercsv.load([tmp_path / name for name in texts])
    for name in ("areas", "concentrators", "meters"):
        assert sorted(getattr(again, name)) == sorted(getattr(tables, name)), name
    assert [one for one in errors if not one.file.endswith("access.csv")] == []


def test_what_a_meter_says_calculates_nothing():
    """Who reads its profile or events into a file may open that in a spreadsheet."""
    out = io.StringIO()
    write_csv([{"time": text, "a": -5} for text in FORMULAS] + [{"time": "x", "more": 1}], out)
    assert calculated(out.getvalue()) == [] and ",-5," in out.getvalue()


def test_a_report_calculates_nothing():
    rows = tuple(Row(text, 1, 0.5, -0.5) for text in FORMULAS)
    figure = Figure(1, "k", "=title", rows, note="@note")
    day = datetime(2026, 1, 1, tzinfo=UTC)
    report = Report("=company", day, day.date(), day.date(), (figure,), (), ())
    assert calculated(as_csv(report)) == []


@pytest.mark.parametrize("text", FORMULAS)
def test_marks_are_taken_off_again(text):
    assert csvtable.given(csvtable.shown(text)) == text
