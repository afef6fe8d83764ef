"""A long answer in blocks: what is made ahead changes no octet of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams.cosem.access import PIECE
from ams.cosem.axdr import Writer
from ams.cosem.block import STAGE_SIZE, Transfer
from ams.results import AccessError

SIZES = st.lists(st.integers(0, PIECE), max_size=30)


def pieces(stage, sizes, fails_at=None):
    for k, size in enumerate(sizes):
        if k == fails_at:
            raise AccessError(4)
        stage.raw(bytes((k + 1,)) * size)
        yield


def taking_back(stage, sizes):
    """As a list of values does: what is in the stage may be taken back."""
    for k, size in enumerate(sizes):
        stage.raw(b"x")
        if k % 3 == 0:
            stage.clear()
        stage.raw(bytes((k + 1,)) * (size - size // 3))
        yield


def blocks(make, sizes, room, ahead, listed=False):
    """The answer as it went out, with `ahead` pieces asked for before each block."""
    stage = Writer(STAGE_SIZE)
    transfer = Transfer(stage, make(stage, sizes), 0xC4, listed)
    out = bytearray()
    ahead = iter(ahead)
    while True:
        block = Writer(1024)
        last = transfer.fill(block, room)
        out += block.buffer[: block.length]
        if last:
            return bytes(out)
        for _ in range(next(ahead, 0)):
            transfer.prepare()


@given(SIZES, st.integers(1, 1000), st.lists(st.integers(0, 4), max_size=40))
def test_nothing_is_lost_or_said_twice(sizes, room, ahead):
    whole = b"".join(bytes((k + 1,)) * size for k, size in enumerate(sizes))
    assert blocks(pieces, sizes, room, ahead) == whole
    plain = blocks(taking_back, sizes, room, [], True)
    assert blocks(taking_back, sizes, room, ahead, True) == plain


@pytest.mark.parametrize("ahead", [0, 4])
def test_what_fails_ahead_fails_where_it_would(ahead):
    stage = Writer(STAGE_SIZE)
    transfer = Transfer(stage, pieces(stage, [300, 300, 300], 2), 0xC4)
    assert not transfer.fill(Writer(1024), 300)
    for _ in range(ahead):
        transfer.prepare()
    with pytest.raises(AccessError):
        transfer.fill(Writer(1024), 300)
