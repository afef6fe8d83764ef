"""The pseudo-terminal of the HAN port: frames go whole or not at all, and those are counted."""

from __future__ import annotations

import os
import random
import threading
import time
import tty

import pytest

from openams.lines.hanline import HanLine

LINE = {"baudrate": 115200, "bits": 8, "parity": None, "stop": 1}


def frames(count, size=300, seed=1):
    """Each begins with its number and its length, and is told from every other."""
    rng = random.Random(seed)
    out = []
    for number in range(count):
        body = bytes(rng.randrange(256) for _ in range(rng.randrange(30, size)))
        out.append(number.to_bytes(4, "big") + len(body).to_bytes(2, "big") + body)
    return out


def split(octets, sent):
    """The frames found in a stream. Raises for an octet that is of no whole frame."""
    found, at = [], 0
    while at < len(octets):
        number = int.from_bytes(octets[at : at + 4], "big")
        frame = sent[number]
        assert octets[at : at + len(frame)] == frame, f"frame {number} is cut"
        found.append(number)
        at += len(frame)
    assert found == sorted(set(found))
    return found


class Reader(threading.Thread):
    """Takes at most `size` octets each `pause_s`, until the line hangs up."""

    def __init__(self, path, pause_s=0.0, size=4096):
        super().__init__(daemon=True)
        self.octets = b""
        self._fd = os.open(path, os.O_RDONLY | os.O_NOCTTY)
        tty.setraw(self._fd)
        self._pause_s, self._size = pause_s, size
        self.start()

    def run(self):
        try:
            while data := os.read(self._fd, self._size):
                self.octets += data
                time.sleep(self._pause_s)
        except OSError:
            pass
        os.close(self._fd)


def play(tmp_path, sent, speed, **reader):
    line = HanLine(tmp_path / "han", speed)
    line.set_line(LINE)
    taker = Reader(line.link, **reader)
    line.send(sent[0])
    while not taker.octets:
        time.sleep(0.001)  # it is there: from here on it counts what goes by
    for frame in sent[1:]:
        line.send(frame)
    line.drain(60)
    left_out = line.left_out
    line.close()
    taker.join(10)
    return taker.octets, left_out


@pytest.mark.parametrize(("pause_s", "size"), [(0, 4096), (0.002, 4096), (0.0005, 61)])
def test_at_full_speed_a_reader_sets_the_pace(tmp_path, pause_s, size):
    sent = frames(400)
    octets, left_out = play(tmp_path, sent, None, pause_s=pause_s, size=size)
    found = split(octets, sent)
    assert left_out == 0 and len(found) == len(sent)


@pytest.mark.parametrize("speed", [None, 10.0])
def test_a_reader_that_does_not_keep_up_gets_whole_frames_and_the_rest_is_counted(tmp_path, speed):
    """It takes little, with longer breaks than anybody waits for."""
    sent = frames(60)
    octets, left_out = play(tmp_path, sent, speed, pause_s=1.3, size=1300)
    # What the reader had begun to take when the line hung up may end inside a frame.
    whole = octets
    while True:
        try:
            found = split(whole, sent)
            break
        except AssertionError:
            whole = whole[:-1]
            assert len(octets) - len(whole) < 306, "no more than the last frame"
    assert 0 < len(found) < len(sent)
    assert len(found) + left_out == len(sent)


def test_nobody_reads_and_nothing_is_missed(tmp_path):
    for speed in (None, 100.0):
        line = HanLine(tmp_path / "han", speed)
        line.set_line(LINE)
        for frame in frames(200):
            line.send(frame)
        line.drain(60)
        assert line.left_out == 0
        line.close()


@pytest.mark.parametrize("speed", [None, 10.0])
def test_what_goes_by_after_a_reader_has_closed_the_line_is_not_missed(tmp_path, speed):
    """It was there a moment before; a second one that stays is told from it."""
    sent = frames(20)
    for stays in (False, True):
        line = HanLine(tmp_path / "han", speed)
        line.set_line(LINE)
        fd = os.open(line.link, os.O_RDONLY | os.O_NOCTTY)
        line.send(sent[0])
        assert os.read(fd, len(sent[0]))
        time.sleep(0.1)
        other = os.open(line.link, os.O_RDONLY | os.O_NOCTTY)
        line.send(sent[1])
        time.sleep(0.1)
        os.close(fd)
        if stays:
            line.send(sent[2])
            time.sleep(0.1)
            assert os.read(other, 2000)
        else:
            os.close(other)
        for frame in sent[3:]:
            line.send(frame)
        line.drain(60)
        assert (line.left_out > 0) is stays
        line.close()
        if stays:
            os.close(other)


def test_who_comes_late_begins_with_a_whole_frame(tmp_path):
    """`cat` does not throw away what waits; that is little, and whole."""
    sent = frames(300)
    line = HanLine(tmp_path / "han", 100.0)
    line.set_line(LINE)
    for frame in sent[:200]:
        line.send(frame)
    time.sleep(1.0)
    taker = Reader(line.link)
    for frame in sent[200:]:
        line.send(frame)
        time.sleep(0.01)
    line.drain(60)
    left_out = line.left_out
    line.close()
    taker.join(10)
    found = split(taker.octets, sent)
    assert found[0] > 150
    # A reader that gets no processor for a while does without some, as it should: they are counted.
    assert len(found) + left_out == 300 - found[0]


def test_short_writes_and_a_full_line_cut_nothing(tmp_path):
    """More at once than the terminal takes: parts, refusals for a while, until all is there."""
    line = HanLine(tmp_path / "han", None)
    sent = os.urandom(300_000)
    taker = Reader(line.link, pause_s=0.001)
    line._write(sent)
    line.drain(5)
    line.close()
    taker.join(10)
    assert taker.octets == sent
