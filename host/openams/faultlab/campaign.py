"""Runs powercut.py or updatelab.py on a runtime: a slice of the operations in a process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from openams.bench.options import DEFAULT_METER_ID
from openams.errors import BenchError
from openams.grid.frontend import make_front_end
from openams.image import build
from openams.keys.releasekey import public_octets
from openams.places import PACKAGE, SHIMS, repository_root
from openams.runtimes.launch import find_micropython
from openams.runtimes.state import FLASH_SIZE

TORN = ("clean", "bytes", "bits")
# A small flash, so that every ring wraps within the work: registers 2 sectors,
# load profile 3, and so on (see storage/layout.py).
_SECTORS = 37
_SHARES = (2, 2, 2, 2, 2, 3, 3, 3, 3, 0)
# The laboratory keeps the flash and its history on the heap, the meter is a small part of it.
_HEAP = "128m"
LAST = 1 << 30
# Files of the update's image: of two sectors, and no more, so that each start is quick.
_VERSION = b'__version__ = "0.2.0"\nSECURITY_VERSION = 1\nSTATE_FORMAT = 1\n'
_EXTRA = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(128))
_EXPIRY_S = 0xFFFFFFFF
_CODE = 1000  # octets of a whole firmware


@dataclass
class Campaign:
    runtime: str
    operations: int
    torn: list[str]
    second: bool
    seed: int
    every: int
    image: Path | None = None
    meter_id: str = DEFAULT_METER_ID
    first: int = 0  # operations before it are not cut
    last: int = LAST
    update: bool = False  # the work is a firmware update
    halves: bool = False  # of a whole firmware


class Part:
    """A process that cuts at operations `part * every`, and then each `parts * every`."""

    def __init__(self, campaign: Campaign, part: int, parts: int) -> None:
        self.failed: list[dict[str, Any]] = []
        self.counts = {"operations": 0, "minutes": 0, "done": -1, "tried": 0, "second": 0}
        self._request = _request(campaign, part * campaign.every, parts * campaign.every)
        self._campaign = campaign
        self._process: subprocess.Popen[str] | None = None

    def run(self, on_message: Callable[[], None]) -> None:
        argv, environment = _command(self._campaign)
        with tempfile.TemporaryFile("w+") as errors:
            self._process = subprocess.Popen(
                argv,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            assert self._process.stdin and self._process.stdout
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(self._request))
                self._process.stdin.close()
            last = ""
            for line in self._process.stdout:
                last = line
                self._take(line)
                on_message()
            if self._process.wait():
                errors.seek(0)
                why = (errors.read() or last).strip()[-300:].replace("\n", " ")
                raise BenchError(f"the campaign failed: {why}")

    def _take(self, line: str) -> None:
        if not line.startswith("{"):
            return
        message = json.loads(line)
        if "error" in message:
            raise BenchError(f"the meter keeps nothing on this image: {message['error']}")
        if "failure" in message:
            self.failed.append(message)
        else:
            self.counts.update(message)

    def stop(self) -> None:
        if self._process:
            self._process.kill()


def _request(campaign: Campaign, part: int, of: int) -> dict[str, Any]:
    request = _plain_request(campaign, part, of)
    if campaign.update:
        security, image = _released(campaign.halves)
        request["config"]["security"] = security
        request["update"] = image.hex()
        request["halves"] = campaign.halves
    return request


def _released(halves: bool) -> tuple[dict[str, Any], bytes]:
    """Keys of a meter and an image for it: of nobody else, and thrown away."""
    key = ec.generate_private_key(ec.SECP256R1())
    title, update_key = b"OAM\0\0\0\0\1", secrets.token_bytes(16)
    if halves:
        # updatelab.ORIGINS: the second is free.
        manifest, package = build.build_whole(_EXTRA[:_CODE], 0x10010000, "unix", "0.2.0", 1)
    else:
        files = {"ams/__init__.py": _VERSION, "ams/extra.py": _EXTRA}
        manifest, package = build.build(files, "unix", "0.2.0", 1)
    mac = build.release(manifest, title, _EXPIRY_S, update_key)
    image = build.whole(manifest, package, build.sign(manifest, key), title, _EXPIRY_S, mac)
    security = {
        "system_title": title.hex(),
        "kek": secrets.token_hex(16),
        "clients": [
            {"sap": 6, "encryption": secrets.token_hex(16), "authentication": secrets.token_hex(16)}
        ],
        "update": update_key.hex(),
        "release_key": public_octets(key).hex(),
    }
    return security, image


def _plain_request(campaign: Campaign, part: int, of: int) -> dict[str, Any]:
    return {
        "config": {
            "system": "3P4W",
            "calibration": make_front_end("ideal", "3P4W", 1).calibration("3P4W"),
            "identity": {"meter_id": campaign.meter_id},
            "han": {"format": "kaifa"},
        },
        "sectors": FLASH_SIZE // 4096 if campaign.image else _SECTORS,
        "shares": None if campaign.image else _SHARES,
        "image": str(campaign.image) if campaign.image else None,
        "operations": campaign.operations,
        "torn": [None if name == "clean" else name for name in campaign.torn],
        "second": campaign.second,
        "seed": campaign.seed,
        "of": of,
        "part": part,
        "first": campaign.first,
        "last": campaign.last,
    }


def _command(campaign: Campaign) -> tuple[list[str], dict[str, str]]:
    root = repository_root()
    script = PACKAGE / "faultlab" / ("updatelab.py" if campaign.update else "powercut.py")
    environment = dict(os.environ)
    paths = [str(root / "firmware")]
    if campaign.runtime == "micropython":
        environment["MICROPYPATH"] = ":".join(paths)
        return [find_micropython(), "-X", f"heapsize={_HEAP}", str(script)], environment
    paths.append(str(SHIMS))
    environment["PYTHONPATH"] = ":".join(paths)
    return [sys.executable, str(script)], environment
