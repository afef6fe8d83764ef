"""What a meter says when it refuses an image (firmware: ams.update.reasons), and what helps."""

from __future__ import annotations

REASONS = {
    1: ("bad-form", "it is no image, or a damaged one: send it once more"),
    2: ("bad-size", "its length is not what it says: build and sign it again"),
    3: ("wrong-product", "it is for another product"),
    4: ("wrong-board", "it is for another board: ams image show says which"),
    5: ("bad-signature", "the meter has another release key, or the image was not signed"),
    6: ("wrong-meter", "it is released to another meter"),
    7: ("bad-release", "the meter has another update key than the keystore"),
    8: ("expired", "its release has expired: send it anew"),
    9: ("clock-invalid", "the meter's clock is not set: ams clock URL sync"),
    10: ("old-security", "its security version is lower than that of what ran"),
    11: ("version-too-low", "what runs is too old to be followed by it"),
    12: ("state-format", "it would not understand what the meter's flash holds"),
    13: ("bad-name", "a file has a name that is not allowed"),
    14: ("bad-package", "its files are not those that were signed"),
    15: ("bad-file", "a file is not the one that was signed"),
    16: ("too-large", "a file, or all together, are too large"),
    17: ("incomplete", "blocks are missing: send it once more"),
    18: ("no-key", "the meter has no update key or no release key"),
    19: ("not-stored", "the meter's flash does not keep it"),
    20: ("changed", "the flash is not what was verified: send it once more"),
    21: ("not-confirmed", "the self-test did not pass"),
    22: ("wrong-place", "it runs in another half than the one that is free: send both in a file"),
}


def name(reason: int) -> str:
    return REASONS.get(reason, (f"reason-{reason}", ""))[0]


def text(reason: int) -> str:
    """Name and what it means, in one line."""
    short, long = REASONS.get(reason, (f"reason-{reason}", "unknown to this version"))
    return f"{short}: {long}"
