"""Numbers of meters, metering points and the like: GS1, with a check digit at their end."""

from __future__ import annotations

from openams.errors import BenchError

METER_DIGITS = 16


def check_digit(digits: str) -> str:
    """The digit behind these: GS1 General Specifications 7.9, weights 3 and 1 from the right."""
    total = sum(int(d) * (3 if place % 2 == 0 else 1) for place, d in enumerate(reversed(digits)))
    return str(-total % 10)


def check_meter_number(number: str) -> str:
    """The number itself; BenchError for one that is none, or whose check digit is wrong."""
    if len(number) != METER_DIGITS or not (number.isascii() and number.isdigit()):
        raise BenchError(f"{number!r} is no meter number: give a GS1 number of 16 digits")
    right = check_digit(number[:-1])
    if number[-1] != right:
        raise BenchError(
            f"{number} has a wrong check digit: it would be {right} at the end, or another digit "
            "is mistyped"
        )
    return number


def meter_number(k: int) -> str:
    """Number `k` of the bench's own meters: 0 to 8 999 999."""
    digits = f"73599900{1_000_000 + k:07d}"
    return digits + check_digit(digits)
