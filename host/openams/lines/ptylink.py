"""A serial line without hardware: a pseudo-terminal behind a symbolic link."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
import tty
from pathlib import Path

from openams import private
from openams.errors import BenchError
from openams.serialport import leads_elsewhere


def default_link(name: str) -> Path:
    """A name of this user's own, free right now: /tmp/openams-UID/<name>."""
    folder = Path(tempfile.gettempdir()) / f"openams-{os.getuid()}"
    hint = f"name one with --{name}"
    private.make_folder(folder, hint)
    # In a folder of somebody else's the name could lead to his line.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise BenchError(f"{folder} is not this user's own: {hint}")
    private.check_folder(folder, hint)
    for number in range(1, 100):
        link = folder / (name if number == 1 else f"{name}{number}")
        if not _in_use(link):
            return link
    raise BenchError(f"all names in {folder} are in use: name one with --{name}")


def _in_use(link: Path) -> bool:
    """Whether a name is taken by something other than a dead link of a bench."""
    try:
        made = link.lstat()
    except OSError:
        return False
    if not stat.S_ISLNK(made.st_mode):
        return True
    return link.exists() and not leads_elsewhere(link)


class PtyLink:
    """`link` leads to the far end; `master` is ours, read and written without waiting."""

    def __init__(self, link: Path, option: str) -> None:
        """`option` is what an error tells the user to change."""
        self.link = link
        if _in_use(link):
            raise BenchError(f"{link} is in use: name another link with {option}")
        if not link.parent.is_dir():
            raise BenchError(f"no folder {link.parent} to put the link of {option} in")
        private.check_folder(link.parent, f"name another link with {option}")
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.device = os.ttyname(self.slave)
        try:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(self.device)
        except OSError as error:
            os.close(self.master)
            os.close(self.slave)
            hint = f"name another link with {option}"
            raise BenchError(f"cannot make {link}: {private.reason(error, hint)}") from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self.link.is_symlink() and os.readlink(self.link) == self.device:
                self.link.unlink()
        os.close(self.master)
        os.close(self.slave)


def urls(listener: socket.socket | None, line: PtyLink | None) -> list[str]:
    """Where clients find what listens at a port and at a line."""
    out = []
    if listener:
        host, port = listener.getsockname()[:2]
        out.append(f"tcp://{host}:{port}")
    if line:
        out.append(f"serial://{line.link}")
    return out
