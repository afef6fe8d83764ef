"""Validation, estimation and editing of interval values: pure functions over one day of one point.

`evaluate` takes a `Day` as it stands after collection and gives a `Result`: a value for every
interval, what failed, how it was estimated, from what and by which rules. `revise` takes what came
later and keeps all that was before. Nothing here reads, writes or asks for the time.
"""

from __future__ import annotations

from openams.headend.vee.codes import ESTIMATED, FINAL, MEASURED, RULES, TEMPORARY
from openams.headend.vee.day import evaluate
from openams.headend.vee.model import (
    Day,
    Note,
    Point,
    Reading,
    RegisterSpan,
    Result,
    Value,
    VeeError,
)
from openams.headend.vee.revise import Record, Revision, corrections, edit, record, revise

__all__ = [
    "ESTIMATED",
    "FINAL",
    "MEASURED",
    "RULES",
    "TEMPORARY",
    "Day",
    "Note",
    "Point",
    "Reading",
    "Record",
    "RegisterSpan",
    "Result",
    "Revision",
    "Value",
    "VeeError",
    "corrections",
    "edit",
    "evaluate",
    "record",
    "revise",
]
