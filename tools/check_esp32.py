"""Type check of the ESP32 board's code against the published stubs of its modules.

The stubs (PyPI micropython-esp32-stubs) lie in site-packages, where mypy does
not look for them: the modules that the board uses are laid out for it here.
Prints what is wrong in the given files (all of the board's by default) and
ends with 1 if anything is.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from mypy import api

from openams.flashing.targets import metering_ics

ROOT = Path(__file__).resolve().parents[1]
# What the ESP32's modules differ in from CPython's, and what CPython has not.
STUBS = ("machine", "esp32", "network", "micropython", "time", "socket", "tls", "vfs")
DRIVERS = (
    "bus", "datagrams", "ds3231", "ic_reader", "inputs", "line", "links", "metering_ic", "ntp",
    "pulse_led", "radio", "relay", "tcp", "tls", "watchdog",
)  # fmt: skip


def board_files() -> list[Path]:
    files = sorted((ROOT / "boards" / "esp32").glob("*.py"))
    names = (*metering_ics("esp32"), *DRIVERS)
    return files + [ROOT / "boards" / "drivers" / f"{name}.py" for name in names]


def check(files: list[Path]) -> list[str]:
    """The complaints about `files`."""
    site = Path(sysconfig.get_paths()["purelib"])
    with tempfile.TemporaryDirectory() as directory:
        stubs = Path(directory)
        for name in STUBS:
            shutil.copy(site / f"{name}.pyi", stubs)
        shutil.copytree(site / "_mpy_shed", stubs / "_mpy_shed")
        settings = stubs / "mypy.ini"
        paths = [stubs, ROOT / "firmware", ROOT / "boards" / "esp32", ROOT / "boards"]
        settings.write_text(f"[mypy]\nmypy_path = {':'.join(map(str, paths))}\n")
        out, errors, code = api.run(
            [
                f"--config-file={settings}",
                # The stubs lie elsewhere each time: a cache would answer for other files.
                f"--cache-dir={os.devnull}",
                "--check-untyped-defs",
                "--no-strict-optional",
                "--follow-imports=silent",
                "--explicit-package-bases",
                "--no-error-summary",
                "--show-absolute-path",
                *map(str, files),
            ]
        )
    mine = {str(file) for file in files}
    found = [line for line in out.splitlines() if line.split(":")[0] in mine]
    if errors or code > 1:
        # Nothing was checked.
        found.append(errors.strip() or out.strip().splitlines()[-1])
    return found


def main() -> int:
    complaints = check([Path(name).resolve() for name in sys.argv[1:]] or board_files())
    for line in complaints:
        print(line)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
