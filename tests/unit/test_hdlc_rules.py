"""The rules of `hdlc_rules.py` on CPython and on the MicroPython VM."""

from __future__ import annotations

from pathlib import Path

import pytest
from hdlc_rules import RULES

from openams.faultlab import link_lab


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule):
    rule()


ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import hdlc_rules
for rule in hdlc_rules.RULES:
    rule()
print(len(hdlc_rules.RULES))
"""


def test_the_rules_on_the_vm(micropython):
    paths = (str(Path(__file__).parent), str(Path(link_lab.__file__).parent))
    assert micropython(ON_VM, *paths, heap_kib=512).strip() == str(len(RULES))
