"""`ams home`: the home automation of a meter, which only publishes."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from openams.cli.common import JsonOption
from openams.cli.customer_port import ACTIONS, asked
from openams.cli.meter import Access, ClientOption, UrlArgument, takes_access
from openams.client.names import HOME_OPEN, HOME_PUBLISHED, HOME_STATE
from openams.terminal import say


@takes_access
def home(
    url: UrlArgument,
    access: Access,
    action: Annotated[str, typer.Argument(metavar="|".join(ACTIONS))] = "status",
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open or close the home automation of a meter, or show how it stands."""
    is_open, state, published = asked(
        "home", url, access, action, client, (HOME_OPEN, HOME_STATE, HOME_PUBLISHED)
    )
    if as_json:
        say(json.dumps({"open": is_open, "state": state, "published": published}))
    else:
        opened = "open" if is_open else "closed"
        say(f"home automation {opened}, {state}, {published} messages published")
