"""The HAN port as a serial line: a pseudo-terminal at the pace of its baud rate.

The meter's frames go out octet by octet as a UART would send them. Whatever
opens the link (pyserial, cat, a reader under test) sees a serial port; what
nobody reads is lost, as on a wire.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import queue
import tempfile
import termios
import threading
import time
import tty
from pathlib import Path
from typing import Any

from openams.errors import BenchError

# A reader that comes late finds at most this much of the past.
_STALE_OCTETS = 1500
_SLICE_S = 0.02
# What a pseudo-terminal holds, less than its 4096 octets; how long to wait for a reader.
_ROOM_OCTETS = 3500
_PATIENCE_S = 1.0
_TAKEN_S = 0.3


def default_link() -> Path:
    """A name of this user's own, free right now."""
    folder = Path(tempfile.gettempdir()) / f"openams-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(1, 100):
        link = folder / ("han" if number == 1 else f"han{number}")
        if not _in_use(link):
            return link
    raise BenchError(f"all names in {folder} are in use: name one with --han")


def _in_use(link: Path) -> bool:
    """Whether a name is taken by something other than a dead link of a bench."""
    return os.path.lexists(link) and not (link.is_symlink() and not link.exists())


class HanLine:
    """A pseudo-terminal with a symbolic link to its far end."""

    def __init__(self, link: Path | None, speed: float | None) -> None:
        """`speed` is simulated seconds per second; None sends without pacing."""
        self.link = link or default_link()
        if _in_use(self.link):
            raise BenchError(f"{self.link} is in use: name another link with --han")
        if not self.link.parent.is_dir():
            raise BenchError(f"no folder {self.link.parent} to put the HAN link in")
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.device = os.ttyname(self._slave)
        if self.link.is_symlink():
            self.link.unlink()
        try:
            self.link.symlink_to(self.device)
        except OSError as error:
            raise BenchError(f"cannot make {self.link}: {error.strerror}") from None
        self._speed = speed
        self._patience_s = _PATIENCE_S
        self._octets_per_s = 240.0
        self._queue: queue.Queue[bytes | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def set_line(self, line: dict[str, Any]) -> None:
        """Takes the UART settings of the meter: baud rate, bits, parity, stop bits."""
        parity = 0 if line["parity"] is None else 1
        self._octets_per_s = line["baudrate"] / (1 + line["bits"] + parity + line["stop"])
        attributes = termios.tcgetattr(self._slave)
        rate = getattr(termios, f"B{line['baudrate']}", termios.B2400)
        attributes[4] = attributes[5] = rate
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._slave, termios.TCSANOW, attributes)

    def send(self, data: bytes) -> None:
        """Queues a frame; returns at once."""
        self._queue.put(data)

    def _run(self) -> None:
        free_at = time.monotonic()
        while True:
            data = self._queue.get()
            if data is None:
                return
            if self._speed is None:
                self._write_unpaced(data)
                continue
            if self._unread() > _STALE_OCTETS:
                termios.tcflush(self._slave, termios.TCIFLUSH)
            free_at = max(free_at, time.monotonic())
            pace = self._octets_per_s * self._speed
            size = max(1, int(pace * _SLICE_S))
            for at in range(0, len(data), size):
                piece = data[at : at + size]
                # An octet is there when its last bit is.
                free_at += len(piece) / pace
                delay = free_at - time.monotonic()
                if delay > 0:
                    time.sleep(delay)
                self._write(piece)

    def _write_unpaced(self, data: bytes) -> None:
        """At full speed a reader sets the pace; frames that nobody takes are dropped whole."""
        waited = 0.0
        unread = self._unread()
        while unread + len(data) > _ROOM_OCTETS and waited < self._patience_s:
            time.sleep(_SLICE_S / 10)
            waited += _SLICE_S / 10
            left = self._unread()
            if left < unread:
                # Somebody reads: give it time.
                waited, self._patience_s = 0.0, _PATIENCE_S
            unread = left
        if unread + len(data) <= _ROOM_OCTETS:
            self._write(data)
        else:
            self._patience_s = 0.0

    def _unread(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self._slave, termios.FIONREAD, count)
        return count[0]

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._master, data)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EIO):
                raise

    def drain(self, timeout_s: float) -> None:
        """Waits until what was queued has been sent, and taken if somebody reads."""
        self._queue.put(None)
        self._thread.join(timeout=timeout_s)
        # What is unread when the line closes is lost.
        unread, waited = self._unread(), 0.0
        while unread and waited < _TAKEN_S:
            time.sleep(_SLICE_S)
            left = self._unread()
            waited = 0.0 if left < unread else waited + _SLICE_S
            unread = left

    def close(self) -> None:
        self._queue.put(None)
        with contextlib.suppress(OSError):
            if self.link.is_symlink() and os.readlink(self.link) == self.device:
                self.link.unlink()
        os.close(self._master)
        os.close(self._slave)
