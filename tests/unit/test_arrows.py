"""Rooms know those that they stand on: the tables of tools/rooms.py, and no circle anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))

import rooms


@pytest.mark.parametrize("tree", rooms.TREES)
def test_every_arrow_is_in_the_table_and_no_other(tree):
    assert rooms.arrows(tree) | {"": set()} == rooms.ARROWS[tree] | {"": set()}


@pytest.mark.parametrize("tree", rooms.TREES)
def test_no_circle_of_rooms(tree):
    assert rooms.circle(rooms.ARROWS[tree]) == []


@pytest.mark.parametrize("tree", rooms.TREES)
def test_no_circle_of_modules(tree):
    known = rooms.modules(tree)
    graph = {
        module: set(rooms.imports(tree, path, known)) - {module} for module, path in known.items()
    }
    assert rooms.circle(graph) == []


def test_a_circle_is_found():
    assert rooms.circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_each_file_of_the_firmware_has_a_name_of_its_own():
    names = [path.name for path in rooms.TREES["ams"].rglob("*.py") if path.stem != "__init__"]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("tree", rooms.TREES)
def test_every_room_says_what_it_is(tree):
    for path in rooms.TREES[tree].glob("*/__init__.py"):
        assert len(rooms.opening(path)) > 20, path


def test_the_page_is_as_the_tables_are():
    assert rooms.page() == rooms.PAGE.read_text()
