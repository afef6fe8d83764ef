"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket, ended with them."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from openams.headend.store import open_store
from tests.conftest import ROOT
from tests.smalldisk import small_disk

_WAIT_S = 60


def programs():
    """The folder of the server's programs; installs it where that can be done."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if not found:
        subprocess.run(["sh", str(ROOT / "tools" / "postgres.sh")], check=False)
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if not found:
        pytest.skip("no postgresql: sudo apt-get install postgresql")
    return Path(found[-1]).parent


class Server:
    """`url(name)` makes a database; `kill` ends it as a power cut does, `start` begins again."""

    def __init__(self):
        self.bin = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="openams-pg-"))
        self.data = self.folder / "data"
        # It refuses to run as root.
        self.user = None
        if os.geteuid() == 0:
            self.user = next(name for name in ("postgres", "nobody") if _is_user(name))
            shutil.chown(self.folder, self.user)
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", "openams", "--no-sync")
        self.process = None
        self._has_empty = False
        self.start()

    def _as_user(self):
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid} if self.user else {}

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self.bin / program, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            **self._as_user(),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, "-k", self.folder, "-h", ""]
                + ["-c", "max_connections=40", "-c", "log_min_messages=fatal"]
                # What the kernel has outlives the server, and no test ends the kernel.
                + ["-c", "fsync=off"],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as_user(),
            )
        end = time.monotonic() + _WAIT_S
        while not self._ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "PostgreSQL does not start"
            time.sleep(0.05)

    def _ready(self):
        done = subprocess.run(
            [self.bin / "pg_isready", "-q", "-h", self.folder, "-U", "openams"], check=False
        )
        return done.returncode == 0

    def kill(self):
        """All its processes at once: what was not written is gone."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def murder(self):
        """SIGKILL to all of them: nobody has time for anything."""
        own = self.process.pid
        children = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[1]) == own:
                    children.append(int(path.parent.name))
        for pid in (own, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        while any(_runs(pid) for pid in children):
            time.sleep(0.01)

    def url(self, name, *like):
        self._run("createdb", "-h", self.folder, "-U", "openams", *like, name)
        return f"postgresql://openams@/{name}?host={self.folder}"

    def store_url(self, name):
        """Of a store that has its tables: made once, and copied."""
        if not self._has_empty:
            with open_store(self.url("empty")):
                self._has_empty = True
        return self.url(name, "--template", "empty")

    @contextlib.contextmanager
    def small_url(self, name, size_kib):
        """Of a database whose tables lie on a disk of their own, of so many KiB, and its folder."""
        with small_disk(self.folder / f"small-{name}", size_kib) as disk:
            shutil.chown(disk, self.user)
            self._sql(f"CREATE TABLESPACE {name} LOCATION '{disk}'")
            yield self.url(name, "--tablespace", name), disk
            self._sql(f"DROP DATABASE {name}")
            self._sql(f"DROP TABLESPACE {name}")

    def _sql(self, text):
        self._run("psql", "-q", "-h", self.folder, "-U", "openams", "-d", "postgres", "-c", text)

    def close(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _runs(pid):
    """Not those that nobody has taken note of: where process 1 does not, they stay for ever."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _is_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
