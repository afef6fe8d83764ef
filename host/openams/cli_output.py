"""How commands print what they found."""

from __future__ import annotations

import json
from typing import Any


def print_values(value: dict[str, Any], as_json: bool, width: int = 18, none: str = "-") -> None:
    """One JSON object, or a line for each name; `none` stands for None."""
    if as_json:
        print(json.dumps(value))
        return
    for name, entry in value.items():
        shown = json.dumps(entry) if isinstance(entry, (dict, list)) else entry
        print(f"{name:<{width}} {none if shown is None else shown}")
