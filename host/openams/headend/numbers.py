"""Numbers with a check character: metering points (GS1) and grid areas (EIC)."""

from __future__ import annotations

from openams.gs1 import check_digit

_EIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"


def gsrn_fault(text: str) -> str | None:
    """What is wrong with the number of a metering point; None: nothing."""
    if len(text) != 18 or not (text.isascii() and text.isdigit()):
        return f"{text!r} is no metering point: a GSRN has 18 digits"
    due = check_digit(text[:-1])
    if text[-1] != due:
        return f"metering point {text} has check digit {text[-1]} where {due} is due"
    return None


def eic_check(text: str) -> str:
    """The check character that follows 15 characters (EIC reference manual, annex)."""
    total = sum(_EIC.index(c) * (16 - k) for k, c in enumerate(text))
    return _EIC[(36 - (total - 1) % 37)]


def area_fault(text: str) -> str | None:
    """What is wrong with the code of a metering grid area: EIC of type Y, 16 characters."""
    if len(text) != 16 or any(c not in _EIC for c in text):
        return f"{text!r} is no grid area: an EIC code has 16 characters 0-9, A-Z and -"
    if text[2] != "Y":
        return f"{text} is no grid area: its third character is {text[2]}, not Y"
    due = eic_check(text[:-1])
    if text[-1] != due:
        return f"grid area {text} has check character {text[-1]} where {due} is due"
    return None
