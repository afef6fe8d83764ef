"""A meter that nobody talks to: its RAM and its flash as octets, in a file.

What is put away is the firmware's state as it stands, not a flash to start from: who wakes it
finds no power-up in its logs. Functions that the firmware makes as it goes are kept as their code
and what they close over; so a sleeper is of this version of the firmware and of Python, and of no
other.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import marshal
import pickle
import platform
import sqlite3
import sys
import tempfile
import types
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.places import repository_root
from openams.private import write_private

_LEVEL = 1  # of the compression: a fifth of the octets; more costs more than it gives


def version() -> str:
    """What a sleeper belongs to: the firmware's sources and this Python."""
    found = hashlib.sha256(platform.python_version().encode())
    root = repository_root() / "firmware" / "ams"
    for path in sorted(root.rglob("*.py")):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _make_function(code: bytes, module: str, cells: int) -> types.FunctionType:
    closure = tuple(types.CellType() for _ in range(cells))
    return types.FunctionType(
        marshal.loads(code), sys.modules[module].__dict__, None, None, closure
    )


def _fill_function(function: types.FunctionType, state: tuple[Any, Any, Any]) -> None:
    function.__defaults__, function.__kwdefaults__, contents = state
    for cell, (full, value) in zip(function.__closure__ or (), contents, strict=True):
        if full:
            cell.cell_contents = value


def _content(cell: types.CellType) -> tuple[bool, Any]:
    try:
        return True, cell.cell_contents
    except ValueError:
        return False, None


def _make_view(whole: Any, first: int, count: int, readonly: bool) -> memoryview:
    view = memoryview(whole)[first : first + count]
    return view.toreadonly() if readonly else view


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, types.FunctionType):
            if "<locals>" not in thing.__qualname__ and "<lambda>" not in thing.__qualname__:
                return NotImplemented
            contents = tuple(_content(cell) for cell in thing.__closure__ or ())
            return (
                _make_function,
                (marshal.dumps(thing.__code__), thing.__module__, len(contents)),
                (thing.__defaults__, thing.__kwdefaults__, contents),
                None,
                None,
                _fill_function,
            )
        if isinstance(thing, memoryview):
            whole = thing.obj
            if thing.format != "B" or thing.ndim != 1 or not thing.c_contiguous:
                raise pickle.PicklingError("a view of another form")
            if not len(thing):
                return _make_view, (whole, 0, 0, thing.readonly)
            if isinstance(whole, bytes):
                # Whatever it shows of them never changes.
                return memoryview, (bytes(thing),)
            base = memoryview(whole).cast("B")
            first = _address(thing) - _address(base) if not thing.readonly else 0
            if thing.readonly and len(thing) != len(base):
                raise pickle.PicklingError("a part that nobody may write")
            return _make_view, (whole, first, len(thing), thing.readonly)
        return NotImplemented


def freeze(thing: Any) -> bytes:
    """Raises PicklingError or TypeError for what cannot be put away now."""
    out = io.BytesIO()
    _Pickler(out, pickle.HIGHEST_PROTOCOL).dump(thing)
    return zlib.compress(out.getvalue(), _LEVEL)


def thaw(octets: bytes) -> Any:
    return pickle.loads(zlib.decompress(octets))


class Sleepers:
    """The meters that are asleep, by number, in a SQLite file: a folder's, or one thrown away.

    The meters' keys lie in it in clear, as in the flash of a board: the file is its owner's alone.
    """

    def __init__(self, folder: Path | None = None, name: str = "meters.db") -> None:
        self._folder = None
        if folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="openams-field-")
            folder = Path(self._folder.name)
        self.path = folder / name
        if not self.path.exists():
            write_private(self.path, b"", new=True, hint="name another folder with --state")
        self._database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        with self._errors():
            self._database.execute("PRAGMA journal_mode = MEMORY")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute("CREATE TABLE IF NOT EXISTS head (name TEXT, value TEXT)")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS meter (meter_id TEXT PRIMARY KEY, state BLOB)"
            )
            self._check()
            self._database.execute("BEGIN")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BenchError(f"cannot use {self.path}: {error}") from None

    def _check(self) -> None:
        now = version()
        row = self._database.execute("SELECT value FROM head WHERE name = 'version'").fetchone()
        if row is None:
            self._database.execute("INSERT INTO head VALUES ('version', ?)", (now,))
        elif row[0] != now:
            raise BenchError(
                f"{self.path} is of another version of the firmware or of Python: "
                "name another folder with --state"
            )

    def put(self, meter_id: str, state: bytes) -> None:
        with self._errors():
            self._database.execute("INSERT OR REPLACE INTO meter VALUES (?, ?)", (meter_id, state))

    def get(self, meter_id: str) -> bytes | None:
        with self._errors():
            row = self._database.execute(
                "SELECT state FROM meter WHERE meter_id = ?", (meter_id,)
            ).fetchone()
        return row[0] if row else None

    def save(self) -> None:
        """All that was put is in the file."""
        with self._errors():
            self._database.execute("COMMIT")
            self._database.execute("BEGIN")

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("COMMIT")
        self._database.close()
        if self._folder is not None:
            self._folder.cleanup()
