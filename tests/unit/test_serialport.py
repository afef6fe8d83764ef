"""A bench that was killed leaves a link; its line's number goes to somebody else's line."""

from __future__ import annotations

import os
import select
import time
import tty

import pytest

from openams.client.errors import LinkError
from openams.client.links import open_link, parse_url
from openams.lines.ptylink import PtyLink
from openams.serialport import leads_elsewhere, open_serial


@pytest.fixture
def link(tmp_path):
    """Leads to a line of somebody else, under the number of one that is gone."""
    link = tmp_path / "han"
    others = []
    master, slave = os.openpty()
    link.symlink_to(os.ttyname(slave))
    os.close(master)
    os.close(slave)
    time.sleep(0.05)  # a tick of the system's clock, by which it tells which is younger
    # The lowest number that is free is the next one; another process may have been faster.
    while not link.exists():
        others.append(os.openpty())
        assert len(others) < 50
    for pair in others:
        tty.setraw(pair[1])
    yield link, others
    for pair in others:
        os.close(pair[0])
        os.close(pair[1])


def test_nobody_elses_line_is_opened(link):
    link, others = link
    assert leads_elsewhere(link)
    for pair in others:
        os.write(pair[0], b"yours")
    with pytest.raises(FileNotFoundError, match="a line that is gone"):
        open_serial(str(link), 9600)
    with pytest.raises(LinkError, match="a line that is gone"):
        open_link(parse_url(f"serial://{link}"), 16, 1)
    for pair in others:
        assert os.read(pair[1], 10) == b"yours", "another one's octets were taken"
        assert not select.select([pair[0]], [], [], 0)[0], "another one was told something"


def test_a_bench_takes_the_name_over(link):
    link, _ = link
    line = PtyLink(link, "--han")
    assert not leads_elsewhere(link)
    with open_serial(str(link), 9600, timeout=5) as port:
        os.write(line.master, b"mine")
        assert port.read(4) == b"mine"
    line.close()


def test_links_to_what_is_there_are_opened(tmp_path):
    """Also a link of a link, and a line by its own name."""
    line = PtyLink(tmp_path / "han", "--han")
    (tmp_path / "again").symlink_to(tmp_path / "han")
    for name in (tmp_path / "han", tmp_path / "again", line.device):
        with open_serial(str(name), 9600, timeout=5) as port:
            os.write(line.master, b"here")
            assert port.read(4) == b"here"
    line.close()
    assert not leads_elsewhere(tmp_path / "han")
