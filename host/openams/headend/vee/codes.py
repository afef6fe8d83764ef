"""States and codes of a value as Elhub has them: the one table.

Elhub's schema (CollectedData, version 2.3) gives the codes V001 to V004, V011 to V014, V999 and
E001 to E008. What they mean stands in Elhub's "Standard for validering, estimering og endring av
måleverdier", of which only the title of E001 and the rules of choice are public. So each row says
where its meaning is from: `public`, `inferred` (from Elhub's example messages) or `chosen` (by
OpenAMS: to be put right by who has the standard, here and nowhere else).
"""

from __future__ import annotations

from typing import NamedTuple

# By which rules a value was made; a new number whenever the same day could give another value.
RULES = "vee-1"

MEASURED = "measured"
FINAL = "final"
ESTIMATED = "estimated"
TEMPORARY = "temporary"


class State(NamedTuple):
    name: str
    norwegian: str
    element: str  # of Observation in CollectedData
    quality: str | None  # its attribute Quality


STATES = {
    row.name: row
    for row in (
        State(MEASURED, "Målt", "Metered", None),
        State(ESTIMATED, "Estimert", "Estimated", "56"),
        State(FINAL, "Endelig estimert", "Estimated", "81"),
        State(TEMPORARY, "Midlertidig", "Temporary", None),
    )
}


class Code(NamedTuple):
    code: str
    meaning: str
    source: str  # public, inferred, chosen
    reasons: tuple[str, ...] = ()  # what of OpenAMS leads to it


VALIDATION = (
    Code("V001", "the meter marks the value as not valid", "chosen",
         ("data-not-valid", "critical-error", "clock-invalid", "clock-wrong", "wrong-length",
          "energy-missing")),
    Code("V002", "no value", "inferred", ("missing", "no-supply")),
    Code("V003", "more than main fuse and net allow", "chosen", ("above-fuse", "both-ways")),
    Code("V004", "less than nothing", "chosen", ("negative",)),
    Code("V011", "the sum of the intervals is not the difference of the registers", "chosen",
         ("sum", "scale", "unresolved")),
    Code("V012", "zero while the register moves, or energy without supply", "chosen",
         ("flat-zero", "energy-in-cut")),
    Code("V013", "a jump against the history", "chosen", ("jump", "night-production")),
    Code("V014", "the hour before once more, or the two hours after it in one", "chosen",
         ("clock-not-advanced", "catch-up", "repeated")),
    Code("V999", "other: a person has looked at it", "chosen", ("edited",)),
)  # fmt: skip

ESTIMATION = (
    Code("E001", "total known, shape from the point's history", "public"),
    Code("E002", "total known, no history: standard shape and neighbours", "chosen"),
    Code("E003", "no total: level and shape from history and the rest of the day", "chosen"),
    Code("E004", "no total, no history: neighbours, or the assumed yearly volume", "chosen"),
    Code("E005", "a part of the interval without supply: the rest as E001 to E004", "chosen"),
    Code("E006", "production", "inferred"),
    Code("E007", "no supply all the interval: zero", "chosen"),
    Code("E008", "other: the value of a person, or values brought to the sum of the register",
         "chosen"),
)  # fmt: skip

_VALIDATION_OF = {reason: row.code for row in VALIDATION for reason in row.reasons}
REASONS = tuple(_VALIDATION_OF)


def validation_code(reason: str) -> str:
    """The V code of what was found."""
    return _VALIDATION_OF[reason]


def estimation_code(total: bool, history: bool, supply: float, production: bool) -> str:
    """The E code: total volume known, history known, share of the interval with supply."""
    if supply <= 0:
        return "E007"
    if supply < 1:
        return "E005"
    if production:
        return "E006"
    if total:
        return "E001" if history else "E002"
    return "E003" if history else "E004"
