"""What a company states of itself, since no register has it: a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openams.headend.report.model import ReportError

UNMETERED_PLANS = ("ams", "integrated", "both", "neither")
COMPETENCES = ("alone", "alliance", "hired", "hired-only")
LIMIT_READY = ("ready", "week", "month", "year", "never")
_CHOICES = {
    "unmetered_plan": UNMETERED_PLANS,
    "security_competence": COMPETENCES,
    "limit_ready": LIMIT_READY,
}
_NAMES = (*_CHOICES, "name", "control_fee", "high_voltage", "older_meters")


@dataclass(frozen=True, slots=True)
class Company:
    """None: not stated. `high_voltage`: points of consumption above low voltage; `older_meters`:
    points with a meter that is no AMS."""

    name: str = ""
    unmetered_plan: str | None = None
    security_competence: str | None = None
    limit_ready: str | None = None
    control_fee: bool | None = None
    high_voltage: tuple[str, ...] = ()
    older_meters: tuple[str, ...] = ()


def load(path: Path) -> Company:
    """ReportError names the key that is wrong."""
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"cannot read {path}: {error}") from None
    except (json.JSONDecodeError, RecursionError):
        raise ReportError(f"{path} is no JSON") from None
    if not isinstance(stated, dict):
        raise ReportError(f"{path} has to hold one JSON object")
    for name in stated:
        if name not in _NAMES:
            raise ReportError(f"{path}: {name!r} is none of {', '.join(sorted(_NAMES))}")
    for name, choice in _CHOICES.items():
        if stated.get(name) not in (None, *choice):
            raise ReportError(f"{path}: {name} is one of {', '.join(choice)}")
    if not isinstance(stated.get("name", ""), str):
        raise ReportError(f"{path}: name is a text")
    if stated.get("control_fee") not in (None, True, False):
        raise ReportError(f"{path}: control_fee is true or false")
    lists = {name: _texts(path, name, stated) for name in ("high_voltage", "older_meters")}
    return Company(**{**stated, **lists})


def _texts(path: Path, name: str, stated: dict[str, Any]) -> tuple[str, ...]:
    found = stated.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ReportError(f"{path}: {name} is a list of points")
    return tuple(found)
