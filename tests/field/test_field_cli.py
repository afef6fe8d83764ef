"""`ams field` as a user calls it, and the fixture that other projects use."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fieldbench import BEGIN_MS, reading

from openams.cli import main as cli
from openams.errors import BenchError
from openams.field.fixture import FieldUnderTest, parse_options
from openams.field.ledger import Ledger
from openams.field.meters import make_plan


@pytest.fixture
def ams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Callable[..., Any]:
    """The command line in this process: what it prints, or the one line of its error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, fails: bool = False) -> Any:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["ams", "field", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, errors = capfd.readouterr()
        assert bool(ended.value.code) == fails, errors
        if fails:
            assert errors.count("\n") == 1 and errors.startswith("ams: "), errors
            return errors
        return json.loads(out) if "--json" in arguments else out

    return call


FEW = ("run", "--meters", "6", "--start", "2026-01-10", "--load", "cabin=1")


def test_a_field_runs_and_its_ledger_is_read(ams: Callable[..., Any]) -> None:
    fault = "power-cut@2026-01-10T03:00/+1800:7359990010000003"
    two = ams(*FEW, "--workers", "2", "--fault", fault, "--json")
    assert (two["meters"], two["faults"], two["registers"]) == (6, two["faults"], 6)
    assert two["differing"] == []
    one = ams(*FEW, "--fault", fault, "--ledger", "one.db", "--json")
    assert one["faults"] == two["faults"] >= 1
    same = [ams("ledger", name, "--json") for name in ("field.db", "one.db")]
    assert same[0] == same[1]
    number = "7359990010000003"
    day = ams("ledger", "field.db", "--meter", number, "--json", "--period", "15")
    assert len(day["days"][0]["intervals"]) == 96
    assert day["power_cuts"] == [
        {"begin": "2026-01-10T03:00:00+01:00", "end": "2026-01-10T03:30:00+01:00",
         "kind": "power-cut"}
    ]  # fmt: skip
    listed = ams("faults", "field.db", "--meter", number, "--json")
    assert [entry["kind"] for entry in listed["faults"]] == ["power-cut"]
    assert "0 of them differ" in ams("ledger", "field.db", "--check")
    assert "ledger of another field" in ams(*FEW, "--seed", "2", fails=True)


def test_kinds_of_faults_are_listed_without_a_ledger(ams: Callable[..., Any]) -> None:
    kinds = ams("faults", "--json")["kinds"]
    assert kinds["module-hang"]["cause"] == "meter"
    assert "hour-repeated" in ams("faults")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--meters", "0"), "a field has 1 to"),
        (("run", "--load", "castle=1"), "profile 'castle' is unknown"),
        (("run", "--net", "smoke=1"), "net 'smoke' is unknown"),
        (("run", "--net", "mesh"), "write it like"),
        (("run", "--period", "30"), "15 or 60"),
        (("run", "--missing", "2"), "no more than all"),
        (("run", "--cause", "ghosts=1"), "choose signal"),
        (("run", "--rate", "ghosts=1"), "is unknown"),
        (("run", "--fault", "module-hang@2026-01-10"), "write it like"),
        (("run", "--fault", "module-hang@2026-01-10/+5:1"), "no meter 1"),
        (("run", "--list", "none.csv"), "none.csv"),
        (("run", "--speed", "fast"), "real, max, or a number"),
        (("run", "--days", "0"), "--days"),
        (("run", "--workers", "2", "--port", "0"), "without ports"),
        (("run", "--net", "cellular=1", "--gateway-port", "0"), "behind a concentrator"),
        (("run", "--port", "65530"), "ports are needed"),
        (("run", "--ledger", "no/such/folder.db"), "unable to open"),
        (("ledger", "none.db"), "there is no ledger"),
        (("faults", "none.db"), "there is no ledger"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_made(
    arguments: tuple[str, ...], says: str, tmp_path: Path, ams: Callable[..., Any]
) -> None:
    assert says in ams(*arguments, fails=True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_ledger(tmp_path: Path) -> None:
    plan = make_plan(200, begin_ms=BEGIN_MS)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    try:
        with pytest.raises(BenchError, match="cannot write") as error:
            Ledger.create(tmp_path / "field.db", plan, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "make room" in str(error.value) and "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_client_calls_a_field_that_stays(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "openams", "field", *FEW, "--port", "0", "--gateway-port", "0"]
        + ["--speed", "max", "--plan", "plan.csv", "--stay", "--no-faults"],
        cwd=tmp_path,
    )
    try:
        plan = tmp_path / "plan.csv"
        for _ in range(600):
            if plan.exists() and plan.read_text().count("\n") == 7:
                break
            time.sleep(0.05)
        _, *rows = plan.read_text().splitlines()
        number, url, _ = rows[4].split(",")
        assert "?gateway=" in rows[5]
        done = subprocess.run(
            [sys.executable, "-m", "openams", "read", url, "1.0.1.8.0.255", "--meter-id", number]
            + ["--json"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "1.0.1.8.0.255" in done.stdout
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.field(meters=3, load={"heating": 1}, period=15)
def test_the_fixture_lets_time_pass_and_keeps_the_truth(field: FieldUnderTest) -> None:
    field.wait(hours=26)
    number = field.meters[1].meter_id
    with reading(field.keystore, field.urls[number], number) as client:
        shown = client.get(3, "1.0.1.8.0.255", 2)
        rows = client.get(7, "1.0.99.1.0.255", 2)
    assert len(rows) >= 4 * 26 - 1
    assert shown > 1000
    field.order("module-hang", number, hours=3)
    with pytest.raises(BenchError), reading(field.keystore, field.urls[number], number, 0.3):
        pass
    field.wait(hours=4)
    with reading(field.keystore, field.urls[number], number) as client:
        assert client.get(3, "1.0.1.8.0.255", 2) > shown
    book = field.ledger()
    assert book.differing() == []
    assert [fault.kind for fault in book.faults()] == ["module-hang"]
    book.close()


def test_options_of_the_fixture_that_there_are_not_are_told() -> None:
    with pytest.raises(BenchError, match="no field option 'metres'"):
        parse_options({"metres": 3})
