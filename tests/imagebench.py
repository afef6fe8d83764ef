"""Images for a meter of the bench, put into its slot as a transfer leaves them, and its life."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from dlms import TITLE, security
from fileflash import FileFlash

from ams.cosem.keyring import Keyring
from ams.registers.nv_memory import NvMemory
from ams.storage.layout import SECURITY, UPDATE
from ams.update import verify
from ams.update.slots import slots
from ams.update.updater import Updater
from openams.grid.frontend import make_front_end
from openams.image import build as make
from openams.keys.releasekey import public_octets
from openams.runtimes.launch import LINK_HEAP_KIB
from openams.runtimes.process import MeterProcess
from openams.runtimes.state import FLASH_SIZE, SLOTS_SIZE, StateImage

ROOT = Path(__file__).resolve().parents[1]
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = public_octets(KEY)
UPDATE_KEY = bytes(range(16))
# An hour ends half a second later.
START_MS = 840_000_000_000 // 3_600_000 * 3_600_000 - 500
EXPIRY_S = START_MS // 1000 + 86400
METER_ID = "7359990000000017"
SETS = 80  # of one message: one cycle at 4 kS/s
FRONT_END = make_front_end("ideal", "1P2W", 1)
INIT = b'__version__ = "0.2.0"\nSECURITY_VERSION = 1\nSTATE_FORMAT = 1\n'


def source(name: str, *changes: tuple[str, str]) -> bytes:
    """A file of the firmware with something else in it."""
    text = (ROOT / "firmware" / name).read_text()
    for old, new in changes:
        assert re.search(old, text), old
        text = re.sub(old, new, text, count=1)
    return text.encode()


# What new firmware can do wrong, as changed modules.
BROKEN = {
    "raises": {"ams/control/case.py": b"raise RuntimeError('broken')\n"},
    "loops": {"ams/control/case.py": b"while True:\n    pass\n"},
    "meters-no-more": {
        "ams/meter.py": source("ams/meter.py", (r"self\.metrology\.feed\(buffer, count\)", "pass"))
    },
    "link-is-mute": {
        "ams/cosem/server.py": source(
            "ams/cosem/server.py", (r"(    def request\(.*\):\n)", r"\1        return None\n")
        )
    },
    "link-raises": {
        "ams/link.py": source("ams/link.py", (r"(    def poll\(.*\):\n)", r"\1        1 // 0\n"))
    },
}
GOOD = {"ams/control/case.py": source("ams/control/case.py")}


def image_of(files: dict[str, bytes], title: bytes = TITLE, **more: Any) -> bytes:
    """Released to the meter of the bench; `more` as make.build has it, and key, expiry_s."""
    key = more.pop("key", KEY)
    update_key = more.pop("update_key", UPDATE_KEY)
    expiry_s = more.pop("expiry_s", EXPIRY_S)
    version = more.pop("init", {"ams/__init__.py": INIT})
    options = {"board": "unix", "version": "0.2.0", "security": 1, **more}
    manifest, package = make.build({**version, **files}, **options)
    mac = make.release(manifest, title, expiry_s, update_key)
    return make.whole(manifest, package, make.sign(manifest, key), title, expiry_s, mac)


def activate(state: Path, slots_file: Path, image: bytes, board: bytes = b"unix") -> None:
    """What a transfer of the image, its verification and activation leave in the flash."""
    nv_memory = NvMemory(FileFlash(state, FLASH_SIZE), METER_ID)
    nv_memory.mount_rings()
    terms = verify.Terms(
        b"openams", board, (0, 1, 0), 1, TITLE, UPDATE_KEY, PUBLIC, lambda: START_MS // 1000
    )
    cells = nv_memory.cells(UPDATE)
    places = slots(FileFlash(slots_file, SLOTS_SIZE))
    updater = Updater(cells, places, terms, lambda reason: None, lambda: None)
    updater.initiate(b"v2", len(image), 256)
    for number, at in enumerate(range(0, len(image), 256)):
        updater.put(number, image[at : at + 256])
    updater.verify()
    while updater.busy:
        updater.step()
    updater.activate()


class Life:
    """A meter on a runtime, with a load of one kilowatt; survives its restarts."""

    def __init__(self, folder: Path, runtime: str, **options: Any) -> None:
        self.state = StateImage(folder)
        self.runtime = runtime
        self.now_ms = START_MS
        self.index = 0
        self.frames: list[Any] = []
        self.log: list[str] = []
        self.octets: list[tuple[int, int, bytes]] = []
        self._options = options
        self.process: MeterProcess | None = None
        t = np.arange(SETS) * 2 * np.pi / SETS
        wave = np.stack([325 * np.sin(t), 6.2 * np.sin(t)], axis=1)
        self._codes = FRONT_END.quantise(wave)

    def config(self) -> dict[str, Any]:
        return {
            "system": "1P2W",
            "calibration": FRONT_END.calibration("1P2W"),
            "identity": {"meter_id": METER_ID, "meter_type": "6515"},
            "han": {"format": "kaifa"},
            "han_open": True,
            "utc_ms": self.now_ms,
            "flash": str(self.state.path),
            "flash_size": FLASH_SIZE,
            "slots": str(self.state.slots),
            "slots_size": SLOTS_SIZE,
            "security": security(update=UPDATE_KEY.hex(), release_key=PUBLIC.hex()),
            "trial_ms": self._options.get("trial_ms", 45000),
        }

    def power_up(self) -> None:
        self.process = MeterProcess(
            self.runtime,
            self.frames.append,
            None,
            self.log.append,
            LINK_HEAP_KIB,
            lambda *message: self.octets.append(message),
            watchdog_s=self._options.get("watchdog_s", 20.0),
        )
        self.process.configure(self.config())

    def run(self, seconds: float) -> None:
        assert self.process
        for _ in range(round(50 * seconds)):
            self.now_ms += 20
            self.process.samples(self.now_ms, self.index, self._codes)
            self.index += SETS

    def activate(self, image: bytes) -> None:
        activate(self.state.path, self.state.slots, image)

    def view(self) -> dict[str, Any]:
        assert self.process
        return self.process.view()

    def events(self) -> list[str]:
        assert self.process
        return [row[4] for row in self.process.rows("events")]

    def settings_and_keys(self) -> tuple[Any, ...]:
        nv_memory = NvMemory(FileFlash(self.state.path, FLASH_SIZE), METER_ID)
        settings = nv_memory.load_settings()
        nv_memory.mount_rings()
        ring = Keyring(nv_memory.cells(SECURITY))
        pairs = [(c.sap, c.keys.encryption, c.keys.authentication) for c in ring.clients if c.keys]
        return settings, ring.title, ring.kek(), ring.secret("update"), pairs

    def power_cut(self) -> None:
        assert self.process
        self.process.kill()

    def close(self) -> None:
        if self.process:
            self.process.kill()
        self.state.close()
