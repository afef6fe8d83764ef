"""Single keys of a terminal, which shows none of them."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_keys() -> Iterator[bool]:
    """While it is open no key is echoed, and each is there at once. Gives whether there are keys:
    where the standard input is no terminal, or one in the background, there are none."""
    try:
        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        if os.tcgetpgrp(number) != os.getpgrp():
            raise OSError
    except (OSError, ValueError, AttributeError, termios.error):
        yield False
        return
    quiet = termios.tcgetattr(number)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    # Behind a stopped program the terminal would stay as it is here.
    quiet[6][termios.VSUSP] = b"\0"
    termios.tcsetattr(number, termios.TCSADRAIN, quiet)
    try:
        yield True
    finally:
        # What was typed ahead is not for the shell.
        termios.tcsetattr(number, termios.TCSAFLUSH, before)


def pressed() -> str:
    """Keys that were pressed since the last call."""
    number = sys.stdin.fileno()
    keys = b""
    while select.select([number], [], [], 0)[0] and (more := os.read(number, 64)):
        keys += more
    return keys.decode(errors="replace")
