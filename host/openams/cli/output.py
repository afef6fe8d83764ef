"""How commands print what they found, and how far they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from openams.terminal import console, say

# How much of how much is done.
Progress = Callable[[int, int], None]


def print_values(value: dict[str, Any], as_json: bool, width: int = 18, none: str = "-") -> None:
    """One JSON object, or a line for each name; `none` stands for None."""
    if as_json:
        say(json.dumps(value))
        return
    for name, entry in value.items():
        shown = json.dumps(entry) if isinstance(entry, (dict, list)) else entry
        say(f"{name:<{width}} {none if shown is None else shown}")


@contextmanager
def progress(what: str, quiet: bool) -> Iterator[Progress]:
    """A bar on standard error, where somebody looks at it."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(error=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
