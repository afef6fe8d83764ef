"""Ways in which the HAN port may misbehave, as the firmware has them (ams/han/quirks.py)."""

from __future__ import annotations

QUIRKS = {
    "stale-hour": "every other hourly list repeats the hour before; the next carries two",
    "parity": "8N1 where 8E1 is due, and the reverse",
    "sweden-hybrid": "HDLC at 2400 baud where P1 is due; energies in Wh that read as 10 Wh",
    "rekey": "encrypted; every tenth minute the key changes to the next one",
    "noise": "single bits flip in one frame of four",
    "cut": "one frame of four ends early",
    "overrun": "one frame of four loses its end to the next frame",
    "silent": "nothing for three minutes out of ten",
    "port-reset": "over-current: dead for every fifth minute, then back",
    "stuck": "silent from the first to tenth minute on, until the meter's supply is cut",
    "energy-scale": "energies ten times what they were, from a moment of the first night on",
    "voltage-scale": "voltages a hundred times what they were, from a moment of the first night on",
    "power-scale": "powers ten times what they were, from a moment of the first night on",
    "newlines": "an adapter that writes text: 0D 0A for each 0A, and after each frame",
    "stray": "one to eight octets of no frame before one frame of four",
    "debug-text": "an adapter that logs to the line it sends on: text after one frame of two",
    "malformed-obis": "P1: octets of two lines are lost in one telegram of four",
    "short-buffer": "an adapter with 256 octets: what a frame has beyond them is lost",
    "to-p1": "the operator makes an HDLC port a P1 port, one to ten minutes on",
}


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
