"""The lines of a board's log. Nothing is sent: the meter goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from openams.errors import BenchError
from openams.flashing.link import why_not_open
from openams.serialport import open_serial


def listen(port: str, on_line: Callable[[str], None], until: Callable[[], bool]) -> None:
    """Calls `on_line` with each line, until told or until the board is gone."""
    try:
        line = open_serial(port, 115200, timeout=0.1, exclusive=True)
    except OSError as error:
        raise BenchError(why_not_open(port, error)) from None
    pending = b""
    with line:
        while not until():
            try:
                data = line.read(max(1, line.in_waiting))
            except OSError:
                raise BenchError(f"{port}: the board is gone") from None
            *whole, pending = (pending + data).split(b"\n")
            for text in whole:
                on_line(text.decode(errors="replace").rstrip("\r"))
            if not data:
                time.sleep(0.01)
