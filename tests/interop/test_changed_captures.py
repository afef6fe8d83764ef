"""Captures with octets changed, left out and put in, and their checks made right again: each is
remade, refused in words, or told apart, and nothing is handed back.

A slice here, by seed (OPENAMS_SEED); in `make campaign` many more.
"""

from __future__ import annotations

import os
import random

import pytest
from helpers import DATA
from push_request import handle

from openams.han.frames import crc_p1, crc_x25
from openams.han.marks import SML_START
from openams.han.reader import load_frames, load_keys
from openams.han.replay import replay

SEED = int(os.environ.get("OPENAMS_SEED", "1"))
HAN = DATA / "han"
FRAMES = [
    frame for name in ("frames", "makes") for _, frame, _ in load_frames(HAN / f"{name}.jsonl")
]
KEYS = load_keys(HAN / "makes-keys.json")


def changed(draw, frame):
    octets = bytearray(frame)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(len(octets))
        way = draw.random()
        if way < 0.6:
            octets[at] = draw.choice((draw.randrange(256), octets[at] ^ 1 << draw.randrange(8)))
        elif way < 0.7:
            del octets[at : at + draw.randrange(1, 5)]
        elif way < 0.8:
            octets[at:at] = draw.randbytes(draw.randrange(1, 5))
        else:
            octets[at] = draw.choice(b"\x00\x01\x7f\x80\xff0159")
    return octets


def checked(octets):
    """The same with its checks right; as it is where they cannot be found any more."""
    if octets[:1] == b"/" and b"!" in octets:
        end = octets.rindex(b"!") + 1
        octets[end : end + 4] = b"%04X" % crc_p1(bytes(octets[:end]))
    elif octets[:8] == SML_START:
        octets[-2:] = crc_x25(bytes(octets[:-2])).to_bytes(2, "little")
    elif octets[:1] == b"\x68":
        octets[-2] = sum(octets[4:-2]) & 0xFF
    elif octets[:1] and octets[0] >> 4 == 0xA:
        ends = [at for at in range(2, min(12, len(octets))) if octets[at] & 1]
        if len(ends) > 1:
            head = ends[1] + 2  # both addresses and the control octet
            octets[head : head + 2] = crc_x25(bytes(octets[:head])).to_bytes(2, "little")
        octets[-2:] = crc_x25(bytes(octets[:-2])).to_bytes(2, "little")
    return bytes(octets)


def run(count, seed):
    draw = random.Random(seed)
    frames = [checked(changed(draw, draw.choice(FRAMES))) for _ in range(count)]
    result = replay([(k, frame, "") for k, frame in enumerate(frames)], handle, KEYS)
    assert result["frames"] == count and all(entry["reason"] for entry in result["different"])
    refused = [entry for entry in result["different"] if "sent" not in entry]
    # A value that was changed comes again; what makes no list is refused.
    assert result["identical"] > count // 20 and len(refused) > count // 3
    for entry in result["different"]:
        if "sent" in entry:
            # What was sent is the meter's own.
            assert entry["sent"] != entry["expected"] and "differs from octet" in entry["reason"]


def test_some():
    run(400, SEED)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(SEED, SEED + 20))
def test_many(seed):
    run(5000, seed)
