"""A NATS server with JetStream of the tests' own: in a temporary folder, on a free port."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.ports import free_port, until_it_listens


def program():
    """Where the server is; installs it where that can be done."""
    found = shutil.which("nats-server")
    if not found:
        subprocess.run(["sh", str(ROOT / "tools" / "nats.sh")], check=False)
        found = shutil.which("nats-server")
    if not found:
        pytest.skip("no nats-server: sudo apt-get install nats-server")
    return found


class NatsServer:
    """`kill` ends it as SIGKILL does, `start` begins again on the same port and disk."""

    def __init__(self):
        self.program = program()
        self.folder = Path(tempfile.mkdtemp(prefix="openams-nats-"))
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-js", "-sd", self.folder / "store", "-a", "127.0.0.1"]
                + ["-p", str(self.port)],
                stdout=log,
                stderr=log,
            )
        until_it_listens(self.port, self.process, self.folder / "log")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def lose(self):
        """Its disk is gone, with all that lay on it."""
        self.kill()
        shutil.rmtree(self.folder / "store", ignore_errors=True)

    def empty(self):
        """Nothing of an earlier test is in it."""
        self.lose()
        self.start()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
