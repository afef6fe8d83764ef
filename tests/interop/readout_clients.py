"""Who else reads a meter at its optical port: clients of others on the service port's line.

A pseudo-terminal has no parity, and Linux refuses those who ask for one. So the line is brought to
a socket, which has none either and refuses nobody: `bridged` carries octets between the two.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openams" / "node"
ROOT = Path(__file__).resolve().parents[2]
LOCKED = ROOT / "tests" / "data" / "node"


@contextlib.contextmanager
def bridged(link: Path) -> Iterator[int]:
    """The TCP port of a line; one client at a time."""
    descriptor = os.open(link, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(descriptor)
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def carry() -> None:
        while not over.is_set():
            if not select.select([server], [], [], 0.1)[0]:
                continue
            peer, _ = server.accept()
            with peer:
                while not over.is_set():
                    ready = select.select([peer, descriptor], [], [], 0.1)[0]
                    if peer in ready:
                        data = peer.recv(4096)
                        if not data:
                            break
                        os.write(descriptor, data)
                    if descriptor in ready:
                        peer.sendall(os.read(descriptor, 4096))

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        thread.join()
        server.close()
        os.close(descriptor)


def node_modules() -> Path:
    """smartmeter-obis and what it needs, as tests/data/node/package-lock.json says; no scripts of
    theirs are run. Installed once."""
    lock = (LOCKED / "package-lock.json").read_text()
    done = CACHE / "node_modules" / "smartmeter-obis" / "package.json"
    kept = CACHE / "package-lock.json"
    if done.exists() and kept.exists() and kept.read_text() == lock:
        return CACHE / "node_modules"
    _have_npm()
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        (CACHE / name).write_text((LOCKED / name).read_text())
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(CACHE)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert made.returncode == 0, made.stderr
    return CACHE / "node_modules"


def _have_npm() -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "tools" / "node.sh")], stderr=subprocess.PIPE, text=True, timeout=900
    )
    if done.returncode:
        pytest.fail(done.stderr)
