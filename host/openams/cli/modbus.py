"""`ams modbus`: the Modbus port of a meter, which only reads."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from openams.cli.common import JsonOption
from openams.cli.customer_port import ACTIONS, asked
from openams.cli.meter import Access, ClientOption, UrlArgument, takes_access
from openams.client.names import MODBUS_ANSWERS, MODBUS_MAPS, MODBUS_OPEN
from openams.terminal import say


@takes_access
def modbus(
    url: UrlArgument,
    access: Access,
    action: Annotated[str, typer.Argument(metavar="|".join(ACTIONS))] = "status",
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open or close the Modbus port, or show which unit has which map."""
    is_open, maps, answers = asked(
        "modbus", url, access, action, client, (MODBUS_OPEN, MODBUS_MAPS, MODBUS_ANSWERS)
    )
    if as_json:
        say(json.dumps({"open": is_open, "maps": maps, "answers": answers}))
    else:
        state = "open" if is_open else "closed"
        say(f"Modbus {state}, units {maps}, {answers} requests answered")
