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
import termios
import threading
import time
from pathlib import Path
from typing import Any

from openams.ptylink import PtyLink, default_link

# A reader that comes late finds at most this much of the past.
_STALE_OCTETS = 1500
_SLICE_S = 0.02
# Frames that wait to be sent: the newest, where the line or a reader is too slow for all.
_FRAMES_MAX = 64
# What a pseudo-terminal holds, less than its 4096 octets; how long to wait for a reader.
_ROOM_OCTETS = 3500
_PATIENCE_S = 1.0
_TAKEN_S = 0.3


class HanLine:
    """A pseudo-terminal with a symbolic link to its far end."""

    def __init__(self, link: Path | None, speed: float | None) -> None:
        """`speed` is simulated seconds per second; None sends without pacing."""
        self._pty = PtyLink(link or default_link("han"), "--han")
        self.link = self._pty.link
        self._master, self._slave = self._pty.master, self._pty.slave
        self._speed = speed
        self._patience_s = _PATIENCE_S
        self._octets_per_s = 240.0
        self._queue: queue.Queue[bytes | None] = queue.Queue(_FRAMES_MAX)
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
        self._put(data)

    def _put(self, data: bytes | None) -> None:
        while True:
            try:
                self._queue.put_nowait(data)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._queue.get_nowait()

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
        self._put(None)
        self._thread.join(timeout=timeout_s)
        # What is unread when the line closes is lost.
        unread, waited = self._unread(), 0.0
        while unread and waited < _TAKEN_S:
            time.sleep(_SLICE_S)
            left = self._unread()
            waited = 0.0 if left < unread else waited + _SLICE_S
            unread = left

    def close(self) -> None:
        self._put(None)
        self._pty.close()
