"""Files of frames: what is bad in one is said, and does not hide what follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_han_codec import sample

from openams.han.reader import decode_file

GOOD = sample("kaifa", 2)
NEXT = sample("aidon", 3)
TELEGRAM = sample("p1", 2)


def flip(frame: bytes, at: int = 60) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


def ciphered(frame: bytes) -> bytes:
    """A good frame that nobody has a key for."""
    from ams.han.cipher import Cipher

    return bytes(Cipher(bytes(8), [(bytes(16), bytes(16))], 1).wrap(frame))


def results(tmp_path: Path, content: bytes) -> list[str]:
    path = tmp_path / "frames"
    path.write_bytes(content)
    return [found if isinstance(found, str) else found.format for _, found in decode_file(path)]


def test_a_list_that_cannot_be_read_does_not_end_a_dump(tmp_path):
    found = results(tmp_path, GOOD + ciphered(GOOD) + NEXT + GOOD)
    assert [found[0], *found[2:]] == ["kaifa", "aidon", "kaifa"]
    assert "encrypted" in found[1]


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("bad", [flip(GOOD), GOOD[:50], flip(TELEGRAM)])
def test_a_damaged_frame_is_said_once(tmp_path, as_text, bad):
    content = [GOOD, bad, NEXT, GOOD]
    data = "\n".join(piece.hex() for piece in content).encode() if as_text else b"".join(content)
    found = results(tmp_path, data)
    assert [item for item in found if "damaged" not in item] == ["kaifa", "aidon", "kaifa"]
    assert len(found) == 4


@pytest.mark.parametrize("bad", [GOOD[:-9], TELEGRAM[:-9]])
def test_a_file_that_ends_inside_a_frame(tmp_path, bad):
    assert results(tmp_path, GOOD + bad) == ["kaifa", "the last frame is cut short"]


def test_kaifa_at_current_transformers_counts_in_32_bits_in_norway(tmp_path):
    """KFM_001 names double-long-unsigned for every type; only Swedish captures are wider."""
    from push_request import handle
    from test_han_codec import SAMPLE, request

    from openams.han.reader import decode_frame
    from openams.han.replay import replay

    for variant, bits in (("no", None), ("no", 64), ("se", None), ("se", 32)):
        asked = request("kaifa", variant, "3P4W", 3, SAMPLE, (5_000, 0, 0, 0), 840_000_010)
        asked["identity"]["meter_type"] = "MA304T4"
        asked["options"] = {"energy_bits": bits} if bits else {}
        frame = handle(asked)
        wide = bits == 64 or (bits is None and variant == "se")
        assert decode_frame(frame).traits["energy_bits"] == (64 if wide else 32)
        again = replay([(1, frame, "")], lambda sent: handle(json.loads(json.dumps(sent))))
        assert again["identical"] == 1
