"""`ams readout`: what the optical port shows to everybody as text."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from openams.cli.common import JsonOption
from openams.cli.meter import Access, ClientOption, UrlArgument, takes_access
from openams.client import data as axdr
from openams.client.names import READOUT_LEVEL, READOUT_LEVELS, READOUT_LIST
from openams.errors import BenchError
from openams.terminal import say


@takes_access
def readout(
    url: UrlArgument,
    access: Access,
    action: Annotated[str, typer.Argument(metavar="status|off|registers|profiles")] = "status",
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set what the optical port shows as text: nothing, registers, or profiles too."""
    if action != "status" and action not in READOUT_LEVELS:
        names = ", ".join(("status", *READOUT_LEVELS))
        raise BenchError(f"readout {action!r} is unknown: choose one of {names}")
    role = client or ("reader" if action == "status" else "operator")
    with access.connected(url, role) as meter:
        if action != "status":
            meter.set(1, READOUT_LEVEL, 2, axdr.enum(READOUT_LEVELS.index(action)))
        level = READOUT_LEVELS[meter.get(1, READOUT_LEVEL, 2)]
        listed = meter.get(1, READOUT_LIST, 2)
    if as_json:
        say(json.dumps({"readout": level, "list": listed}))
    else:
        say(f"readout at the optical port: {level}, in the manner of {listed}")
