"""Serial ports by their names: devices, and the links that benches make to their lines."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import serial

# Majors of Linux for the ends of pseudo-terminals (Documentation/admin-guide/devices.txt).
_PTY_MAJORS = range(136, 144)


def leads_elsewhere(link: Path) -> bool:
    """Whether a link was made to a pseudo-terminal that is gone, with its number given to another.

    The system gives the number of a line that is gone to the next that is made, which is somebody
    else's, and younger than the link. A bench that was killed takes no link away.
    """
    try:
        made = link.lstat()
        device = link.stat()
    except OSError:
        return False
    if not stat.S_ISLNK(made.st_mode) or not stat.S_ISCHR(device.st_mode):
        return False
    return os.major(device.st_rdev) in _PTY_MAJORS and device.st_ctime_ns > made.st_mtime_ns


def open_serial(port: str, baud: int, **options: Any) -> serial.Serial:
    """`options` are pyserial's, as are the errors. Nobody else's line is opened, heard or talked
    to by the link of a bench that is gone: FileNotFoundError, as if the link led nowhere."""
    # Loaded here: what opens no port does not wait for it.
    import serial

    if leads_elsewhere(Path(port)):
        raise FileNotFoundError(errno.ENOENT, "it leads to a line that is gone", port)
    return serial.Serial(port, baud, **options)
