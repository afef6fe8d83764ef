"""`ams run` on a real terminal: its own screen, keys, another size, and what it leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from helpers import AMS

ALTERNATE, BACK, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"


class Terminal:
    def __init__(self, columns, lines, *options):
        self.master, slave = pty.openpty()
        self._slave = slave
        self.size(columns, lines)
        self.before = termios.tcgetattr(slave)
        self.said = ""
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        command = [AMS, "run", "--runtime", "cpython", "--scenario", "house", *options]
        self.process = subprocess.Popen(
            ["setsid", "-c", *command], stdin=slave, stdout=slave, stderr=slave, env=environment
        )

    def size(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def key(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.said += os.read(self.master, 65536).decode(errors="replace")

    def wait(self, found, timeout_s=60):
        end = time.monotonic() + timeout_s
        while not found():
            assert time.monotonic() < end, self.said[-3000:]
            self.read(0.1)

    def screen(self):
        """Lines of the last whole picture."""
        pictures = self.said.split(BACK)[0].split(HOME)
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", pictures[-2])
        return [line.rstrip("\r") for line in text.rstrip("\r\n").split("\n")]

    def ended(self):
        self.wait(lambda: self.process.poll() is not None)
        self.read(0.3)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def terminal():
    made = []

    def start(*words):
        made.append(Terminal(*words))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_it_has_its_own_screen_follows_its_size_and_ends_by_q(terminal):
    one = terminal(80, 24, "--han-open")
    one.wait(lambda: one.said.count(HOME) > 3 and "EXPORT" in one.said or "import" in one.said)
    one.wait(lambda: len(one.screen()) == 24)
    assert ALTERNATE in one.said and BACK not in one.said
    assert {len(line) for line in one.screen()} == {80}
    # Keys that mean nothing leave nothing on the screen.
    one.key("xyzzy\n\t\x1b[A")
    one.read(0.6)
    assert "xyzzy" not in one.said and {len(line) for line in one.screen()} == {80}
    for columns, lines in ((60, 20), (132, 43)):
        one.size(columns, lines)
        one.wait(lambda: len(one.screen()) == lines)  # noqa: B023
        one.read(0.3)
        assert {len(line) for line in one.screen()} == {columns}
    one.key("q")
    assert one.ended() == 0
    left = one.said.split(BACK)[-1]
    assert "stopped at" in left and "A+" in left and "╭" not in left
    assert termios.tcgetattr(one._slave) == one.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_terminal_is_as_it_was_however_it_ends(terminal, number):
    one = terminal(80, 24)
    one.wait(lambda: one.said.count(HOME) > 1)
    one.process.send_signal(number)
    assert one.ended() == 0 and BACK in one.said
    assert termios.tcgetattr(one._slave) == one.before
