"""A long answer in blocks: of any room, and by steps (ams.cosem.ahead) or at once."""

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


def blocks(make, sizes, room, stepped):
    """The answer as it went out, block by block."""
    stage = Writer(STAGE_SIZE)
    transfer = Transfer(stage, make(stage, sizes), 0xC4)
    out = bytearray()
    while True:
        block = Writer(1024)
        last = None
        if stepped:
            while last is None:
                last = transfer.part(block, room - block.length)
        else:
            last = transfer.fill(block, room)
        out += block.buffer[: block.length]
        if last:
            return bytes(out)
        assert block.length == room


@given(SIZES, st.integers(1, 1000))
def test_nothing_is_lost_or_said_twice(sizes, room):
    whole = b"".join(bytes((k + 1,)) * size for k, size in enumerate(sizes))
    assert blocks(pieces, sizes, room, False) == blocks(pieces, sizes, room, True) == whole
    plain = blocks(taking_back, sizes, 1000, False)
    assert blocks(taking_back, sizes, room, True) == plain


@given(SIZES, st.integers(1, 1000), st.integers(0, 1000))
def test_what_is_put_back_comes_once_more(sizes, room, cut):
    whole = b"".join(bytes((k + 1,)) * size for k, size in enumerate(sizes))
    stage = Writer(STAGE_SIZE)
    transfer = Transfer(stage, pieces(stage, sizes), 0xC4)
    out = bytearray()
    last = False
    while not last:
        block = Writer(1024)
        transfer.fill(block, room)
        transfer.put_back(block, min(cut, block.length))
        last = transfer.fill(block, room - block.length)
        out += block.buffer[: block.length]
    assert bytes(out) == whole


def test_what_fails_fails_at_its_place():
    stage = Writer(STAGE_SIZE)
    transfer = Transfer(stage, pieces(stage, [300, 300, 300], 2), 0xC4)
    assert not transfer.fill(Writer(1024), 300)
    with pytest.raises(AccessError):
        transfer.fill(Writer(1024), 600)
