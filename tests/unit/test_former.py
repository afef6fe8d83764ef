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


def test_nothing_here_uses_one():
    names = "|".join(map(re.escape, former.FORMER))
    former_names = re.compile(rf"^\s*(?:from|import) ({names})(?![\w.])", re.M)
    for folder in ("firmware", "host", "boards", "tests", "tools", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not former_names.search(path.read_text()), path
