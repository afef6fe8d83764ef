"""pytest plugin: `--meter` says which meter the tests of tests/hil run against.

    --meter emulator | micropython | serial:/dev/ttyUSB0
    --rig rig.yaml     what is connected to a board, see docs/hil.md

A test says what it needs: `@pytest.mark.needs("load", "han")`; it is skipped, with the
reason, on a rig that lacks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openams.hil.meter import HilMeter

METERS = "emulator, micropython or serial:DEVICE"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("openams", "OpenAMS: hardware in the loop")
    group.addoption("--meter", default="emulator", help=f"meter under test: {METERS}")
    group.addoption("--rig", default=None, metavar="FILE", help="what is connected to a board")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*parts): what a rig must have, see openams.hil.meter")


def make_meter(choice: str, rig_file: str | None, folder: Path) -> HilMeter:
    """Raises BenchError, one line, when there is no such meter."""
    # Loaded here: the plugin is there in every run of pytest in this environment.
    from openams.errors import BenchError
    from openams.hil.rig import Rig, load_rig

    rig = load_rig(Path(rig_file)) if rig_file else Rig()
    if choice.startswith("serial:"):
        from openams.hil.board import SerialMeter

        return SerialMeter(choice.removeprefix("serial:"), rig)
    if rig_file:
        raise BenchError(f"--rig goes with --meter serial:DEVICE, not with {choice}")
    if choice in ("emulator", "micropython"):
        from openams.hil.emulated import ProcessMeter

        return ProcessMeter(choice, "cpython" if choice == "emulator" else choice, folder)
    raise BenchError(f"--meter {choice!r} is unknown: choose {METERS}")


@pytest.fixture(scope="session")
def hil_meter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HilMeter]:
    """The meter under test, one for the whole run."""
    from openams.errors import BenchError

    config = request.config
    try:
        meter = make_meter(
            config.getoption("--meter"), config.getoption("--rig"), tmp_path_factory.mktemp("meter")
        )
    except BenchError as error:
        # No test can run: one line instead of a traceback at each.
        pytest.exit(f"hil: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
    yield meter
    meter.close()


@pytest.fixture
def meter(request: pytest.FixtureRequest, hil_meter: HilMeter) -> HilMeter:
    """The meter, if it has what the test needs; its HAN port is heard from here on."""
    needed = {part for mark in request.node.iter_markers("needs") for part in mark.args}
    lacking = needed - hil_meter.capabilities
    if lacking:
        pytest.skip(f"{hil_meter.name} lacks {', '.join(sorted(lacking))}")
    hil_meter.readings()
    return hil_meter
