"""The emulator's compiled core, compiled once more for this very Python.

A wheel of rp2040py is built for the limited API of Python, in which every access of the chip to
its memory looks its own method up by name. The same sources, which the wheel holds, run three
times as fast when they are compiled for one Python only. That is done at the first use, if there
is a C compiler with Python's headers, and kept in the cache; without, all works as it comes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from openams import private
from openams.errors import BenchError

_PACKAGE = "rp2040py.native"
# Set, the wheel's own modules are used.
AS_IT_COMES = "OPENAMS_EMULATOR_AS_IT_COMES"
_SUFFIX = EXTENSION_SUFFIXES[0]


class Finder:
    """Finds the modules of the package in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, module = name.rpartition(".")
        file = self.folder / (module + _SUFFIX)
        if package != _PACKAGE or not file.exists():
            return None
        return importlib.util.spec_from_file_location(name, file)


def install() -> Path | None:
    """From here on the quicker modules are imported; None when there are none."""
    if os.environ.get(AS_IT_COMES) or _PACKAGE in sys.modules:
        return None
    try:
        folder = _built()
    except (OSError, RuntimeError, subprocess.CalledProcessError):
        return None  # what comes with the package works as well
    except BenchError as error:
        print(f"ams: {error}; the emulated chip runs slower without it", file=sys.stderr)
        return None
    if folder is not None:
        sys.meta_path.insert(0, Finder(folder))
    return folder


def can_build() -> bool:
    """Whether there is a compiler, and the headers of this Python."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return shutil.which(_compiler()) is not None and headers.exists()


def _compiler() -> str:
    return os.environ.get("CC") or "cc"


def _sources() -> list[Path]:
    found = importlib.util.find_spec("rp2040py")  # not imported by that
    places = found.submodule_search_locations if found else None
    return sorted((Path(places[0]) / "native").glob("*.c")) if places else []


def _built() -> Path | None:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    tag = f"{version('rp2040py')}-{sysconfig.get_config_var('SOABI')}-{sys.hexversion:x}"
    place = base / "openams" / "emulator" / tag
    if place.exists():
        # Code is run from it.
        private.check_folder(place.parent)
        private.check_folder(place)
        return place
    sources = _sources()
    if not sources or not can_build():
        return None
    private.make_folder(place.parent)
    with private.locked(place.parent / "lock"):
        if not place.exists():
            print("compiling the emulated chip for this Python, once ...", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=place.parent) as work:
                whole = Path(work) / "whole"
                whole.mkdir()
                _compile(sources, whole)
                whole.rename(place)
    return place


def _compile(sources: list[Path], folder: Path) -> None:
    """All of them at a time."""
    include = sysconfig.get_path("include")
    running = [
        subprocess.Popen(
            [
                *[_compiler(), "-O2", "-shared", "-fPIC", f"-I{include}", str(source)],
                *["-o", str(folder / (source.stem + _SUFFIX))],
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for source in sources
    ]
    for process in running:
        process.wait()
    for process in running:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
