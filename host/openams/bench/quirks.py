"""Ways in which the HAN port may misbehave, as the firmware has them (ams/han/quirks.py)."""

from __future__ import annotations

from openams.client.firmware_names import QUIRKS


def quirks_of(name: str, encrypted: bool) -> dict[str, str]:
    """Those that a port of a format can be given while it runs, and what each does."""
    out = dict(QUIRKS)
    only_p1 = ("sweden-hybrid", "malformed-obis")
    for quirk in ("to-p1",) if name == "p1" else only_p1:
        del out[quirk]
    # From text there is no way back to lists that are encrypted.
    for quirk in ("to-p1",) if encrypted else ("rekey",):
        out.pop(quirk, None)
    return out
