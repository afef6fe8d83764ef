"""The floods of `floods.py` on CPython and on the MicroPython VM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "attack"))

import floods  # noqa: E402

ON_VM = """
import gc, sys
sys.path[:0] = sys.argv[1:-2]
import floods
trials = (floods.TRIALS, floods.MORE)[int(sys.argv[-2])]
print(floods.kept_out(trials, int(sys.argv[-1])))
"""


def on_vm(micropython, which: int, count: int) -> str:
    boards = str(TESTS.parent / "boards")
    paths = (boards, str(TESTS), str(TESTS / "attack"))
    return micropython(ON_VM, *paths, str(which), str(count), heap_kib=4096, timeout_s=3600).strip()


def test_whoever_has_keys_gets_in_forty_times_of_forty():
    assert floods.kept_out() == []


def test_and_on_the_vm(micropython):
    assert on_vm(micropython, 0, 10) == "[]"


@pytest.mark.campaign
def test_longer_floods(micropython):
    assert floods.kept_out(floods.MORE) == []
    assert on_vm(micropython, 0, 40) == "[]"
    assert on_vm(micropython, 1, 40) == "[]"


def test_a_network_with_nine_connections():
    """An ESP32's: at 50 a second each newcomer has as many before he is displaced."""
    for words in ((floods.silent,), (floods.speaking,), floods.MIX):
        got_in, board = floods.trial(words, 20, 0, 100, 5, 1, places=9)
        assert got_in == 40 and board.most <= 9, words


def test_an_address_from_which_keys_were_shown_is_kept():
    """However many there are, and however slow its own: from elsewhere nobody displaces it."""
    board = floods.Board(5, 9)
    assert floods.victims(board, 300, 1, address="head-end") == 1
    board.flood = floods.Flood((floods.silent,), 0, 20)
    assert floods.victims(board, 300, 20, address="head-end") == 20
    assert floods.victims(board, 300, 5, address="another") == 0
