"""Metering ICs by name: what a board may carry, and what it says when the name is wrong."""

from __future__ import annotations

import re
import sys

import pytest
from boardrun import run_board

from ams.hal import MeteringIc
from ams.metrology.calibration import Calibration
from drivers import metering_ic
from openams.errors import BenchError
from openams.flashing import package, provision
from openams.flashing.targets import TARGETS, metering_ics
from tests.conftest import ROOT

sys.path.append(str(ROOT / "tools" / "firmware"))
import images

ICS = sorted({(board, name) for board in TARGETS for name in metering_ics(board)})


@pytest.mark.parametrize(("board", "name"), ICS)
def test_each_ic_that_a_board_may_name_is_there_whole(board, name):
    module, systems = metering_ic.load(name)
    assert systems and module.__doc__ and module.SPI_HZ >= 100_000
    for system in systems:
        record = provision.nominal_calibration(board, name, system)
        assert record == module.default_calibration(system)
        driver = module.make(None, lambda level: None, Calibration(system, record), None)
        assert isinstance(driver, MeteringIc) and callable(driver.begin)
    # On the board: in the package that is flashed, and in the image unless it is left out there.
    assert f"drivers/{name}" in package.sources(TARGETS[board])
    if board in images.BOARDS:
        image = images.BOARDS[board]
        left_out = f"drivers/{name}.py" in image.without
        assert (f"'{name}.py'" in images.manifest(image)) != left_out
        assert not left_out or f"`{name}`" in (ROOT / "docs/boards/pico.md").read_text()
    # With its register model, tests on both VMs and its row in the docs.
    assert (ROOT / "host/openams/emulator/models" / f"{name}.py").is_file()
    assert list((ROOT / "tests/drivers").glob(f"test_{name}.py"))
    assert f"| `{name}` |" in (ROOT / "docs/boards/README.md").read_text()


@pytest.mark.parametrize(
    ("name", "says"),
    [("ade7880", "there is no driver"), ("relay", "there is no driver"), ("ade7953", "1P2W")],
)
def test_a_name_that_does_not_fit_is_said_in_one_line(name, says):
    record = provision.nominal_calibration("pico", "atm90e32", "3P4W")
    with pytest.raises(ValueError, match=says) as told:
        metering_ic.make(name, Calibration("3P4W", record), None, None, None, {})
    assert "\n" not in str(told.value) and name in str(told.value)
    with pytest.raises(BenchError, match=f"no nominal calibration of {name}.*ade7953"):
        provision.nominal_calibration("pico", name, "3P4W")


@pytest.mark.parametrize("python", ["cpython", "micropython"])
def test_a_board_measures_with_the_ic_that_its_settings_name(python, tmp_path):
    out = run_board(python, "esp32_ade7953.py", ("boards/esp32",), tmp_path)
    out = dict(re.findall(r"^(\w+) (.*)$", out, re.M))
    assert out["ic"] == "Ade7953 1"
    watt_seconds, seconds = map(int, out["counted"].split())
    # 2.3 kW for a minute, the last poll still open; what a poll waits is time too.
    assert 60 <= seconds <= 62 and 0.99 < watt_seconds / (2300 * seconds) < 1.015
    assert out["quantities"] == "230000 10000000 2300000 50000"
    assert "there is no driver" in out["nobody"] and "measures 3P3W, 3P4W" in out["other"]
