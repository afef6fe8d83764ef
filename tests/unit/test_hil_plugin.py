"""The pytest plugin as another project has it: markers that are wrong, and what it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from openams.hil.meter import CAPABILITIES
from openams.hil.plugin import PARTS

TESTS = """
import pytest

@pytest.mark.needs("loda")
def test_misspelt(meter): ...

@pytest.mark.needs("load", "hna")
def test_one_of_two(meter): ...

@pytest.mark.needs
def test_nothing(meter): ...

@pytest.mark.needs("loda")
def test_without_the_fixture(): ...

@pytest.mark.needs(load=True)
def test_by_name(meter): ...

@pytest.mark.meter("3P4W")
def test_option_without_its_name(meter): ...

@pytest.mark.meter(sistem="3P4W")
def test_unknown_option(meter): ...

@pytest.mark.needs("load", "han", "registers", "power")
def test_right(meter): ...
"""


def test_what_is_unknown_is_an_error_and_never_a_test_that_is_skipped(tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", tmp_path],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1 and "skipped" not in done.stdout, done.stdout
    assert "1 passed, 7 errors" in done.stdout
    assert "needs('loda'): a test needs one of load, han, registers, power" in done.stdout
    assert "needs('hna')" in done.stdout and "needs(nothing)" in done.stdout
    assert "meter('3P4W'): write options by name" in done.stdout
    assert "no meter option 'sistem'" in done.stdout


def test_the_parts_are_those_of_the_meters():
    assert PARTS == CAPABILITIES


@pytest.mark.parametrize(
    "module, heavy",
    [
        (
            "openams.hil.plugin",
            ("numpy", "cryptography", "yaml", "serial", "openams.bench.session"),
        ),
        # A fixture starts in half a second: what makes samples is loaded while its meter starts.
        ("openams.hil.emulated", ("numpy", "cryptography", "yaml", "serial", "typer", "rich")),
    ],
)
def test_what_takes_long_to_load_is_not_loaded_for_it(module, heavy):
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
