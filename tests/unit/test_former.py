"""Former names of modules lead to the modules of now, and nobody here uses them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import openams_former as former

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", former.FORMER)
def test_a_former_name_is_the_module_itself(name):
    former.install()
    with pytest.warns(DeprecationWarning, match=re.escape(f"{name} is ")):
        sys.modules.pop(name, None)
        module = importlib.import_module(name)
    now = importlib.import_module(former.FORMER[name])
    assert module is now
    assert now.__name__ == now.__spec__.name == former.FORMER[name]


def test_a_script_in_the_environment_of_a_checkout_needs_nothing_else():
    script = "import sys; sys.path[:0] = ['firmware', 'host/openams/emulator/shims']\n"
    script += "from ams.registers import events, profile\nimport ams.events.events as now\n"
    script += "from ams.cosem.objects import base\nassert events is now and base.READER == 2\n"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in former.NAMES.items() for name in names]
)
def test_a_former_name_in_a_module_is_what_it_became(module, name):
    now = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=f"{name} is "):
        found = getattr(now, name)
    assert found is getattr(now, former.NAMES[module][name])
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nothing'"):
        now.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("held", "name"), [(held, name) for held, names in former.ATTRIBUTES.items() for name in names]
)
def test_a_former_attribute_is_what_it_became(held, name):
    owner = getattr(importlib.import_module(held[0]), held[1])
    one = owner.__new__(owner)
    setattr(one, former.ATTRIBUTES[held][name], mark := object())
    with pytest.warns(DeprecationWarning, match=f"{held[1]}.{name} is "):
        assert getattr(one, name) is mark


def test_a_module_with_former_names_is_loaded_as_any_other():
    former.install()
    for name in former.NAMES:
        module = importlib.import_module(name)
        assert module.__spec__.loader is module.__loader__
        assert module.__loader__.get_source(name) == Path(module.__file__).read_text()


def test_nothing_here_uses_one():
    names = "|".join(map(re.escape, former.FORMER))
    former_names = re.compile(rf"^\s*(?:from|import) ({names})(?![\w.])", re.M)
    for folder in ("firmware", "host", "boards", "tests", "tools", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not former_names.search(path.read_text()), path
    attributes = "|".join(name for names in former.ATTRIBUTES.values() for name in names)
    of_a_meter = re.compile(rf"\bmeter\.({attributes})\b")
    for folder in ("firmware", "host", "boards", "tests", "tools", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not of_a_meter.search(path.read_text()), path
