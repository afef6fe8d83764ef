"""pytest plugin: `--meter` says which meter the tests of tests/hil run against.

    --meter emulator | micropython | rp2040 | serial:/dev/ttyUSB0
    --rig rig.yaml     what is connected to a board, see docs/hil.md

A test says what it needs: `@pytest.mark.needs("load", "han")`; it is skipped, with the
reason, on a rig that lacks it.

For tests of readers and head-ends: `meter` is an emulated meter, `han_port` a serial device
that speaks HAN; `@pytest.mark.meter(...)` or the fixture `meter_options` say which. `field` is
many of them, with ports and the truth beside them; `@pytest.mark.field(...)` (docs/fixtures.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from openams.field.fixture import FieldUnderTest
    from openams.hil.meter import HilMeter

Made = TypeVar("Made")
# What a test may need of a rig: openams.hil.meter.CAPABILITIES, which is not loaded for it.
PARTS = ("load", "han", "registers", "power")
METERS = "emulator, micropython, rp2040 or serial:DEVICE"
# Emulated meters, and the runtime of each.
RUNTIMES = {"emulator": "cpython", "micropython": "micropython", "rp2040": "rp2040"}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("openams", "OpenAMS: hardware in the loop")
    group.addoption("--meter", default="emulator", help=f"meter under test: {METERS}")
    group.addoption("--rig", default=None, metavar="FILE", help="what is connected to a board")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"needs(*parts): what a rig must have: {', '.join(PARTS)}")
    config.addinivalue_line("markers", "meter(**options): an emulated meter of its own for a test")
    config.addinivalue_line("markers", "field(**options): what a test's field of meters is like")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marker of what nobody knows is an error, and no test that is skipped."""
    for mark in item.iter_markers("needs"):
        wrong = [part for part in mark.args if part not in PARTS]
        if wrong or mark.kwargs or not mark.args:
            said = ", ".join(map(repr, wrong)) or "nothing"
            pytest.fail(f"needs({said}): a test needs one of {', '.join(PARTS)}", pytrace=False)
    for name in ("meter", "field"):
        for mark in item.iter_markers(name):
            if mark.args:
                pytest.fail(f"{name}({mark.args[0]!r}): write options by name", pytrace=False)


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
    if choice not in RUNTIMES:
        raise BenchError(f"--meter {choice!r} is unknown: choose {METERS}")
    return make_emulated(choice, folder, {})


def make_emulated(choice: str, folder: Path, asked: Mapping[str, Any]) -> HilMeter:
    """Raises BenchError, one line, for options that there are not."""
    from openams.hil.options import parse_options

    options = parse_options(asked)
    if choice == "rp2040":
        from openams.hil.chip import ChipUnderTest

        return ChipUnderTest(folder, options)
    from openams.hil.emulated import ProcessMeter

    return ProcessMeter(choice, RUNTIMES[choice], folder, options)


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
def meter_options() -> Mapping[str, Any]:
    """Options of the emulated meters; override it in a conftest.py or a module."""
    return {}


@pytest.fixture
def _asked(request: pytest.FixtureRequest, meter_options: Mapping[str, Any]) -> dict[str, Any]:
    """The fixture's options, and over them those of the markers, the nearest last."""
    asked = dict(meter_options)
    for mark in reversed(list(request.node.iter_markers("meter"))):
        asked.update(mark.kwargs)
    return asked


@pytest.fixture
def meter(
    request: pytest.FixtureRequest, _asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HilMeter]:
    """The meter, if it has what the test needs; its HAN port is heard from here on.

    Without options it is one for the whole run, else an emulated one of the test's own.
    """
    if not _asked and request.node.get_closest_marker("meter") is None:
        shared: HilMeter = request.getfixturevalue("hil_meter")
        needed = {part for mark in request.node.iter_markers("needs") for part in mark.args}
        lacking = needed - shared.capabilities
        if lacking:
            pytest.skip(f"{shared.name} lacks {', '.join(sorted(lacking))}")
        shared.readings()
        yield shared
        return
    choice = _emulated(request)
    own = _or_fail(lambda: make_emulated(choice, tmp_path_factory.mktemp("meter"), _asked))
    yield own
    own.close()


@pytest.fixture
def han_port(
    request: pytest.FixtureRequest, _asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Path of a serial device that speaks HAN.

    With `meter` in the test it is that meter's port, and speaks as its time passes; alone it
    speaks by itself, a house metered in real time (or at the option `speed`).
    """
    runtime = RUNTIMES[_emulated(request)]
    if "meter" in request.fixturenames:
        yield str(request.getfixturevalue("meter").han_port())
        return
    from openams.hil.live import LivePort
    from openams.hil.options import parse_options

    port = _or_fail(
        lambda: LivePort(tmp_path_factory.mktemp("han"), runtime, parse_options(_asked))
    )
    yield str(port.path)
    port.close()


@pytest.fixture
def field(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FieldUnderTest]:
    """A field of meters of the test's own, in virtual time: docs/field.md."""
    from openams.field.fixture import FieldUnderTest, parse_options

    asked: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("field"))):
        asked.update(mark.kwargs)
    made = _or_fail(lambda: FieldUnderTest(parse_options(asked), tmp_path_factory.mktemp("field")))
    yield made
    made.close()


def _emulated(request: pytest.FixtureRequest) -> str:
    choice = str(request.config.getoption("--meter"))
    if choice not in RUNTIMES:
        pytest.skip(f"emulated meters only: not with --meter {choice}")
    return choice


def _or_fail(make: Callable[[], Made]) -> Made:
    from openams.errors import BenchError

    try:
        return make()
    except BenchError as error:
        why = str(error)
    pytest.fail(why, pytrace=False)
