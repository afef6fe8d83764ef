"""`ams modbus`: the Modbus port of a meter, which only reads."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from openams.cli.common import JsonOption
from openams.cli.meter import Access, ClientOption, UrlArgument, takes_access
from openams.client import data as axdr
from openams.client.errors import ResultError
from openams.client.names import MODBUS_ANSWERS, MODBUS_MAPS, MODBUS_OPEN
from openams.errors import BenchError
from openams.terminal import say

_OBJECT_UNDEFINED = 4
_ACTIONS = ("status", "open", "close")


@takes_access
def modbus(
    url: UrlArgument,
    access: Access,
    action: Annotated[str, typer.Argument(metavar="|".join(_ACTIONS))] = "status",
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open or close the Modbus port, or show which unit has which map."""
    if action not in _ACTIONS:
        raise BenchError(f"modbus {action!r} is unknown: choose one of {', '.join(_ACTIONS)}")
    role = client or ("reader" if action == "status" else "operator")
    with access.connected(url, role) as meter:
        try:
            if action != "status":
                meter.set(1, MODBUS_OPEN, 2, axdr.boolean(action == "open"))
            is_open = meter.get(1, MODBUS_OPEN, 2)
            maps = meter.get(1, MODBUS_MAPS, 2)
            answers = meter.get(1, MODBUS_ANSWERS, 2)
        except ResultError as error:
            if error.result != _OBJECT_UNDEFINED:
                raise
            raise BenchError(
                "the meter has no Modbus: name it in its settings, see docs/modbus.md"
            ) from None
    if as_json:
        say(json.dumps({"open": is_open, "maps": maps, "answers": answers}))
    else:
        state = "open" if is_open else "closed"
        say(f"Modbus {state}, units {maps}, {answers} requests answered")
