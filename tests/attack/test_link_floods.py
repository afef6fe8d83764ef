"""The floods of `link_floods.py` on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from openams.faultlab import link_lab

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "attack"))

import link_floods  # noqa: E402

BAUDS = (9600, 115200)


@pytest.mark.parametrize("baud", BAUDS)
@pytest.mark.parametrize("kind", link_floods.FLOODS, ids=lambda kind: kind.__name__)
def test_nothing_waits_for_who_does_not_listen(kind, baud):
    most, _, count = link_floods.flood(kind, baud, 4000)
    assert most == 0, "a turn is never more than the line takes"
    # No more was said than the line can carry, in half of the time.
    assert count <= baud // 10 * 2 + link_floods.Uart.room


ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import link_floods
for kind in link_floods.FLOODS:
    for baud in (9600, 115200):
        print(kind.__name__, baud, *link_floods.flood(kind, baud, 4000))
"""


def test_nor_does_the_heap_grow(micropython):
    boards = str(TESTS.parent / "boards")
    paths = (boards, str(TESTS), str(TESTS / "attack"), str(Path(link_lab.__file__).parent))
    lines = micropython(ON_VM, *paths, heap_kib=384).splitlines()
    assert len(lines) == len(link_floods.FLOODS) * len(BAUDS)
    for line in lines:
        most, grown = map(int, line.split()[2:4])
        # The collector may take a stale word of the stack for a pointer: some blocks, not more.
        assert most == 0 and grown <= 1024, line
