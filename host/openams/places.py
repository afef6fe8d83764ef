"""Where the firmware's sources are: in the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

from openams.errors import BenchError

PACKAGE = Path(__file__).resolve().parent
# Put there when a wheel is built, see setup.py.
_INSTALLED = PACKAGE / "_firmware"
# What helps who may not write where the keystore is by default.
KEYSTORE_HINT = "name a keystore elsewhere with --keystore or OPENAMS_KEYSTORE"
SHIMS = PACKAGE / "emulator" / "shims"


def repository_root() -> Path:
    """The folder with `firmware/` and `boards/`."""
    for root in (_INSTALLED, PACKAGE.parents[1]):
        if (root / "firmware" / "ams").is_dir():
            return root
    raise BenchError(f"no firmware with the bench in {PACKAGE}: install it again")
