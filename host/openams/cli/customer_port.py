"""What `ams modbus` and `ams home` share: a port for the customer that the operator opens."""

from __future__ import annotations

from typing import Any

from openams.cli.meter import Access
from openams.client import data as axdr
from openams.client.errors import ResultError
from openams.errors import BenchError

ACTIONS = ("status", "open", "close")
_OBJECT_UNDEFINED = 4


def asked(
    name: str, url: str, access: Access, action: str, client: str | None, objects: tuple[str, ...]
) -> list[Any]:
    """Opens or closes the first of the `objects` if that is the action; the values of all."""
    if action not in ACTIONS:
        raise BenchError(f"{name} {action!r} is unknown: choose one of {', '.join(ACTIONS)}")
    role = client or ("reader" if action == "status" else "operator")
    with access.connected(url, role) as meter:
        try:
            if action != "status":
                meter.set(1, objects[0], 2, axdr.boolean(action == "open"))
            return [meter.get(1, ln, 2) for ln in objects]
        except ResultError as error:
            if error.result != _OBJECT_UNDEFINED:
                raise
            raise BenchError(
                f"the meter has no {name}: name it in its settings, see docs/{name}.md"
            ) from None
