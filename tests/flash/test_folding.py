"""Constants of other modules are put where they are used, and nothing else changes."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from vmboard import VM

from openams.flashing import package
from openams.flashing.folding import folded
from openams.flashing.targets import ROOT, TARGETS

# What a Pico with MicroPython as it comes does without, and nobody asks for there.
LEFT_OUT = {
    "ams/control/control", "ams/home/home", "ams/link", "ams/modbus/modbus_port",
    "ams/objects/model", "ams/update/slots", "ams/update/switch", "amsboot/slotfiles",
    "drivers/links", "drivers/outside", "drivers/screens",
}  # fmt: skip

ONE = """
from micropython import const
A = const(7)
B = const(-0x10)
NOT_A_NUMBER = const("text")
ASKED = const(9)
OF_AN_OBJECT = const(11)
_OWN = const(A + 1)
def own(argument=A):
    return argument + _OWN + B
"""
TWO = """
from one import A, B as C, own
import one
import one as other
class Thing:
    OF_AN_OBJECT = 12
def values(one_more, ASKED=3):
    return [A, C, one.A, other.B, own(), ASKED, Thing().OF_AN_OBJECT, one.OF_AN_OBJECT,
            one.NOT_A_NUMBER, one_more.A]
def hidden(one):
    return one.A
print(values(other), hidden(Thing_ := type("T", (), {"A": 5})))
"""


def run(folder: Path) -> str:
    done = subprocess.run([VM, "two.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_folded_says_the_same(tmp_path: Path) -> None:
    texts = {"one": ONE, "two": TWO}
    for place, text in texts.items():
        (tmp_path / f"{place}.py").write_text(text)
    before = run(tmp_path)
    after = folded(texts, ["what runs asks for one.ASKED"])
    for place, text in after.items():
        (tmp_path / f"{place}.py").write_text(text)
    assert run(tmp_path) == before
    # `one` is an argument somewhere: what is asked of it, or of an object, stays.
    assert re.findall(r"^[A-Z]\w* = ", after["one"], re.MULTILINE) == [
        "A = ", "NOT_A_NUMBER = ", "ASKED = ", "OF_AN_OBJECT = ",
    ]  # fmt: skip
    assert "[7, -16, one.A, -16, own(), ASKED" in after["two"]


@pytest.fixture(scope="module")
def meter() -> dict[str, str]:
    """The sources of a Pico's package, folded as they are for it."""
    texts = {place: path.read_text() for place, path in package.sources(TARGETS["pico"]).items()}
    return folded(texts)


def test_of_the_meter_little_is_left(meter: dict[str, str]) -> None:
    left = [
        name
        for place, text in meter.items()
        if place.startswith("ams/")
        for name in re.findall(r"^([A-Z]\w*) = const", text, re.MULTILINE)
    ]
    assert len(left) < 10, left


def test_no_name_is_asked_for_that_is_gone(meter: dict[str, str]) -> None:
    """Of the package's own modules: every import, and every attribute of one of them."""
    there = {}
    for place, text in meter.items():
        names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
        defined = {n.name for n in ast.parse(text).body if hasattr(n, "name")}
        imported = {
            a.asname or a.name.partition(".")[0]
            for n in ast.walk(ast.parse(text))
            if isinstance(n, (ast.Import, ast.ImportFrom))
            for a in n.names
        }
        there[place.removesuffix("/__init__").replace("/", ".")] = names | defined | imported
    for place, text in meter.items():
        aliases = {}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module in there:
                for alias in node.names:
                    child = f"{node.module}.{alias.name}"
                    known = alias.name in there[node.module] or child in there
                    assert known or child.replace(".", "/") in LEFT_OUT, (place, child)
                    if child in there:
                        aliases[alias.asname or alias.name] = child
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in aliases:
                    assert attr in there[aliases[name]], (place, name, attr)


def test_what_is_loaded_later_is_there_or_left_out_on_purpose() -> None:
    board = TARGETS["pico"]
    there = package.sources(board)
    known = package.modules(ROOT, board.base, board.code)
    missing = set()
    for path in there.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            places = {name.replace(".", "/") for name in names}
            missing |= {place for place in places if place in known and place not in there}
    assert missing == LEFT_OUT
