"""Wheel and source package, the same octets each time: only what is in git, times of the commit."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BUILD = (
    "import sys; from setuptools import build_meta as back;"
    "print(getattr(back, sys.argv[1])(sys.argv[2]))"
)


def commit_time() -> int:
    """SOURCE_DATE_EPOCH, or else the time of the last commit."""
    named = os.environ.get("SOURCE_DATE_EPOCH")
    return int(named or _git("log", "-1", "--format=%ct"))


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True
    ).stdout


def changes() -> str:
    """What is not committed."""
    return _git("status", "--porcelain")


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A file without owner, at the time of the commit."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o644, commit_time()
    archive.addfile(entry, io.BytesIO(data))


def _copy_sources(target: Path) -> None:
    """The files that git knows, as they are now, with modes and times that are always the same."""
    time = commit_time()
    for name in sorted(set(_git("ls-files", "-z").split("\0"))):
        source = ROOT / name
        # A deleted file is known until its deletion is.
        if not name or not source.is_file() or name.startswith(("tests/", ".")):
            continue
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        os.utime(copy, (time, time))


def _build(kind: str, out: Path) -> Path:
    with tempfile.TemporaryDirectory() as work:
        _copy_sources(Path(work))
        # Its umask goes into the wheel's entries.
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, kind, str(out.resolve())],
            cwd=work, capture_output=True, text=True, umask=0o022,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(commit_time())},
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"release: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return out / done.stdout.strip().splitlines()[-1]


def wheel(out: Path) -> Path:
    return _build("build_wheel", out)


def sdist(out: Path) -> Path:
    path = _build("build_sdist", out)
    path.write_bytes(_normal(path.read_bytes()))
    return path


def _normal(archive: bytes) -> bytes:
    """The same files in order of their names, without owners or times of the build."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=commit_time()) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            entry = tarfile.TarInfo(member.name)
            entry.type, entry.size, entry.mode = member.type, member.size, member.mode
            entry.mtime = commit_time()
            new.addfile(entry, old.extractfile(member) if member.isfile() else None)
    return out.getvalue()
