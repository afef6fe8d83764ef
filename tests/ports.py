"""Ports of this machine for servers that tests start, and their start."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from pathlib import Path

_WAIT_S = 30


def free_port() -> int:
    """Of TCP and UDP, and none that a client's own end may take before it is used."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind(("127.0.0.1", port))
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"{process.args} does not listen"
            time.sleep(0.02)
