"""When somebody closes a file or a line, as the system tells it (Linux inotify)."""

from __future__ import annotations

import contextlib
import ctypes
import os

_IN_CLOSE_WRITE, _IN_CLOSE_NOWRITE = 0x8, 0x10


class Closings:
    """Who closes `path` from now on. Where the system does not tell, nobody does."""

    def __init__(self, path: str) -> None:
        self._fd = -1
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "inotify_init1"):
            return
        fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            return
        if libc.inotify_add_watch(fd, os.fsencode(path), _IN_CLOSE_WRITE | _IN_CLOSE_NOWRITE) < 0:
            os.close(fd)
            return
        self._fd = fd

    def any(self) -> bool:
        """Whether somebody closed it since this was last asked; how many is not told."""
        told = b""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                while piece := os.read(self._fd, 4096):
                    told = piece
        return bool(told)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
