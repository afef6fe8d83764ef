"""The HAN port as a serial line: a pseudo-terminal at the pace of its baud rate.

The meter's frames go out octet by octet as a UART would send them. Whatever
opens the link (pyserial, cat, a reader under test) sees a serial port. A frame
goes whole or not at all: one that finds no room, because whoever reads does not
keep up, is left out and counted. While nobody reads, frames go by as on a wire
that nothing hangs on.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import queue
import select
import termios
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from openams.lines.closings import Closings
from openams.lines.ptylink import PtyLink, default_link

# A reader that comes late finds at most this much of the past.
_STALE_OCTETS = 1500
_SLICE_S = 0.02
# Frames that wait to be sent: the newest, where the line is too slow for all.
_FRAMES_MAX = 64
# What a pseudo-terminal holds, less than its 4096 octets; how long to wait for a reader.
_ROOM_OCTETS = 3500
_PATIENCE_S = 1.0
_TAKEN_S = 0.3
_READER_S = 3.0  # how long one that reads is waited for at the end
# Whoever has taken nothing for so long while there was something to take is gone, as is who has
# closed the line.
_GONE_S = 30.0


def _wait(fd: int, event: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(fd, event)
    poll.poll(1000 * seconds)


class HanLine:
    """A pseudo-terminal with a symbolic link to its far end."""

    def __init__(self, link: Path | None, speed: float | None) -> None:
        """`speed` is simulated seconds per second; None sends without pacing."""
        self._pty = PtyLink(link or default_link("han"), "--han")
        self.link = self._pty.link
        self._master, self._slave = self._pty.master, self._pty.slave
        self._closings = Closings(self._pty.device)
        self._speed = speed
        self._patience_s = _PATIENCE_S
        self._octets_per_s = 240.0
        self._written = self._taken = 0  # octets since the beginning
        self._seen = 0  # that nobody had taken when the system was last asked
        self._read_at: float | None = None  # when somebody was last seen to read
        self._ends: deque[int] = deque(maxlen=_ROOM_OCTETS)  # of the last frames, as `_written`
        self._left_out = self._overflowed = 0  # frames, since somebody reads
        self._closing = False
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

    @property
    def left_out(self) -> int:
        """Frames that somebody was there to read and that did not go."""
        return self._left_out + self._overflowed

    def send(self, data: bytes) -> None:
        """Queues a frame; returns at once, at full speed when there is room for it."""
        if self._speed is None:
            # Whoever reads sets the pace, of the meter too.
            self._queue.put(data)
        else:
            self._put(data)

    def _put(self, data: bytes | None) -> None:
        while True:
            try:
                self._queue.put_nowait(data)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._queue.get_nowait()
                    self._overflowed += self._somebody_reads()

    def _run(self) -> None:
        free_at = time.monotonic()
        while True:
            data = self._queue.get()
            if data is None or self._closing:
                return
            if not self._has_room(len(data)):
                if self._somebody_reads():
                    self._left_out += 1
                continue
            self._ends.append(self._written + len(data))
            if self._speed is None:
                self._write(data)
                continue
            free_at = max(free_at, time.monotonic())
            pace = self._octets_per_s * self._speed
            size = max(1, int(pace * _SLICE_S))
            for at in range(0, len(data), size):
                if self._closing:
                    return
                piece = data[at : at + size]
                # An octet is there when its last bit is.
                free_at += len(piece) / pace
                delay = free_at - time.monotonic()
                if delay > 0:
                    time.sleep(delay)
                self._write(piece)

    def _has_room(self, count: int) -> bool:
        """Whether a whole frame fits. At full speed a reader sets the pace: it is waited for."""
        waited = 0.0
        unread = self._look()
        if self._speed is None:
            while unread + count > _ROOM_OCTETS and waited < self._patience_s:
                time.sleep(_SLICE_S / 10)
                waited += _SLICE_S / 10
                left = self._look()
                if left < unread:
                    # Somebody reads: give it time.
                    waited, self._patience_s = 0.0, _PATIENCE_S
                unread = left
            if unread + count > _ROOM_OCTETS:
                self._patience_s = 0.0
                return False
            return True
        if unread > _STALE_OCTETS and not self._somebody_reads():
            # Frames that nobody was there to see: between two of them, so that none is cut.
            termios.tcflush(self._slave, termios.TCIFLUSH)
            self._taken, self._seen, unread = self._written, 0, 0
        return unread + count <= _ROOM_OCTETS

    def _somebody_reads(self) -> bool:
        return self._read_at is not None and time.monotonic() - self._read_at < _GONE_S

    def _look(self) -> int:
        """Octets that nobody has taken yet, at most; notes when somebody takes some.

        The system counts what was written a moment later, and all of it only when nothing is
        left: less than before, or nothing, is sure; more than that is not known.
        """
        seen = self._unread()
        taken = self._written if seen == 0 else self._taken + max(0, self._seen - seen)
        self._seen = seen
        if taken > self._taken:
            self._taken = taken
            self._read_at = time.monotonic()
        if self._closings.any():
            self._read_at = None  # whoever else reads shows it by reading on
        return self._written - self._taken

    def _unread(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self._slave, termios.FIONREAD, count)
        if count[0] == 0:
            # Asked whether there is something to read, the system brings what is on its way.
            _wait(self._slave, select.POLLIN, 0)
            fcntl.ioctl(self._slave, termios.FIONREAD, count)
        return count[0]

    def _write(self, data: bytes) -> None:
        """All of it: a line that takes a part, or nothing just now, is asked again."""
        view = memoryview(data)
        while view and not self._closing:
            try:
                count = os.write(self._master, view)
            except BlockingIOError:
                _wait(self._master, select.POLLOUT, _SLICE_S)
                continue
            except OSError:
                return  # the line is closed
            self._written += count
            view = view[count:]

    def drain(self, timeout_s: float) -> None:
        """Waits until what was queued has been sent, and taken if somebody reads."""
        if self._speed is None:
            self._queue.put(None)
        else:
            self._put(None)
        self._thread.join(timeout=timeout_s)
        # What is unread when the line closes is lost.
        unread, waited = self._look(), 0.0
        while unread and waited < (_READER_S if self._somebody_reads() else _TAKEN_S):
            time.sleep(_SLICE_S)
            left = self._look()
            waited = 0.0 if left < unread else waited + _SLICE_S
            unread = left
        if self._somebody_reads():
            taken = self._written - self._take_rest()
            self._left_out += sum(end > taken for end in self._ends)

    def _take_rest(self) -> int:
        """What is left when the line closes, and how much that was, to the octet."""
        count = 0
        os.set_blocking(self._slave, False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._slave, 4096):
                count += len(data)
        return count

    def close(self) -> None:
        self._closing = True
        self._put(None)
        self._thread.join(1.0)
        self._closings.close()
        self._pty.close()
