"""The meter's flash as a file: made blank, never overwritten unasked."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from openams import private
from openams.errors import BenchError

FLASH_SIZE = 1024 * 1024
# Of the two firmware images together: each has room for all modules of a meter.
SLOTS_SIZE = 1024 * 1024
# As states of former versions have it, and a Pico's.
_SMALL_SLOTS = 256 * 1024
_NAME = "flash.bin"
_SLOTS = "slots.bin"
_HINT = "name another folder with --state"


class StateImage:
    """The image in a folder, with the flash of the firmware slots beside it (`slots`).

    Locked while a meter runs on it. The meter's keys lie in it in clear, and code in the slots:
    both are the user's own, and nobody else's (`private`). Not `durable`: of a run whose
    flash is thrown away.
    """

    def __init__(self, folder: Path, durable: bool = True) -> None:
        if folder.exists() and not folder.is_dir():
            raise BenchError(f"--state {folder} is a file: name a folder")
        private.make_folder(folder, _HINT)
        self.path = folder / _NAME
        self.slots = folder / _SLOTS
        for path, size in ((self.path, FLASH_SIZE), (self.slots, SLOTS_SIZE)):
            if not path.exists():
                # Another that has just made it is as good.
                with contextlib.suppress(FileExistsError):
                    private.fill_private(path, 0xFF, size, durable, _HINT)
            self._check(path)
        # One that is too short or too long is taken as it is: the meter says what it found.
        self.length = self.path.stat().st_size
        large = self.slots.stat().st_size > _SMALL_SLOTS
        self.slots_size = SLOTS_SIZE if large else _SMALL_SLOTS
        self._lock = private.open_private(self.path, os.O_RDWR, _HINT)
        if not private.try_lock(self._lock):
            os.close(self._lock)
            raise BenchError(f"{self.path} is in use by another meter") from None

    def _check(self, path: Path) -> None:
        try:
            descriptor = private.open_private(path, os.O_RDWR, _HINT)
        except FileNotFoundError:
            raise BenchError(f"{path} leads to no file: take it away or {_HINT}") from None
        private.close_to_others(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        os.close(self._lock)
