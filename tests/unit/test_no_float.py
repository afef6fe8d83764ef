"""Results must not depend on the width of a float: the meter uses none."""

import ast
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware" / "ams"
MODULES = sorted(FIRMWARE.rglob("*.py"))
HARDWARE = {"machine", "rp2", "esp32", "network", "os", "socket", "time"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_no_float_and_no_hardware(path):
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, (float, complex))), (
            where
        )
        if isinstance(node, (ast.BinOp, ast.AugAssign)):
            assert not isinstance(node.op, ast.Div), f"{where}: / makes a float"
        if isinstance(node, ast.Name):
            assert node.id != "float", where
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            assert not names & (HARDWARE | {"math"}), where
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in HARDWARE | {"math"}, where


def test_modules_are_short():
    for path in MODULES:
        assert len(path.read_text().splitlines()) <= 420, path


def test_frozen_names_are_apart():
    """A frozen module is named by its path with _ for /: two of one name do not compile."""
    names = {}
    for path in MODULES:
        name = str(path.relative_to(FIRMWARE).with_suffix("")).replace("/", "_")
        names.setdefault(name, []).append(path)
    assert [paths for paths in names.values() if len(paths) > 1] == []
