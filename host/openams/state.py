"""The meter's flash as a file: made blank, never overwritten unasked."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from openams.errors import BenchError

FLASH_SIZE = 1024 * 1024
# Of the two firmware images together, as on a Pico.
SLOTS_SIZE = 256 * 1024
_NAME = "flash.bin"
_SLOTS = "slots.bin"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class StateImage:
    """The image in a folder, with the flash of the firmware slots beside it (`slots`).

    Locked while a meter runs on it.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise BenchError(f"--state {folder} is a file: name a folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BenchError(f"cannot make --state {folder}: {error.strerror}") from None
        self.path = folder / _NAME
        self.slots = folder / _SLOTS
        for path, size in ((self.path, FLASH_SIZE), (self.slots, SLOTS_SIZE)):
            if not path.exists():
                blank = path.with_name(path.name + ".new")
                # The meter's keys will lie in it in clear.
                with os.fdopen(os.open(blank, _NEW, 0o600), "wb") as file:
                    file.write(b"\xff" * size)
                blank.rename(path)
        # One that is too short or too long is taken as it is: the meter says what it found.
        self.length = self.path.stat().st_size
        self._lock = os.open(self.path, os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise BenchError(f"{self.path} is in use by another meter") from None

    def close(self) -> None:
        os.close(self._lock)
