"""What every command to a meter takes, in one place: whose keys, where they are, how patient."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from openams.cli.keys import KeystoreOption, PassphraseOption, check_meter_id
from openams.errors import BenchError
from openams.keys.model import CLIENT_SAPS
from openams.keys.opening import open_keystore

if TYPE_CHECKING:
    from openams.client.client import Client
    from openams.keys.keystore import Keystore

UrlArgument = Annotated[
    str, typer.Argument(metavar="URL", help="tcp://host:4059 or serial:///dev/ttyUSB0?baud=9600")
]
ClientOption = Annotated[
    str | None, typer.Option("--client", help=f"Role: one of {', '.join(CLIENT_SAPS)}.")
]
MeterIdOption = Annotated[
    str | None, typer.Option("--meter-id", help="Whose keys; found out if it is not given.")
]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds to wait for an answer.")]


@dataclass
class Access:
    """The options of `takes_access`, and what is made of them."""

    meter_id: str | None
    keystore: Path | None
    passphrase_file: Path | None
    timeout_s: float

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s <= 3600:
            raise BenchError("--timeout must be more than 0 seconds, and at most 3600")
        if self.meter_id:
            check_meter_id(self.meter_id)

    @functools.cached_property
    def store(self) -> Keystore:
        """Opened once: it may ask for a passphrase."""
        return open_keystore(self.keystore, self.passphrase_file)

    @contextmanager
    def connected(self, url: str, role: str) -> Iterator[Client]:
        """An association with the meter at `url` in a role."""
        from openams.client.client import session
        from openams.client.links import parse_url

        parsed = parse_url(url)
        if role not in CLIENT_SAPS:
            raise BenchError(
                f"--client {role!r} is unknown: choose one of {', '.join(CLIENT_SAPS)}"
            )
        store = None if role == "public" else self.store
        with session(parsed, role, store, self.meter_id, self.timeout_s) as client:
            yield client

    def connector(self, url: str, role: str) -> Callable[[], AbstractContextManager[Client]]:
        """Opens such an association again and again."""
        return lambda: self.connected(url, role)

    def identify(self, url: str) -> str:
        """The meter's number, from here on that of this access."""
        if self.meter_id is None:
            from openams.client.client import identify
            from openams.client.links import parse_url

            self.meter_id = identify(parse_url(url), self.store, self.timeout_s).meter_id
        return self.meter_id


_OPTIONS = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
    for name, kind, default in (
        ("meter_id", MeterIdOption, None),
        ("keystore", KeystoreOption, None),
        ("passphrase_file", PassphraseOption, None),
        ("timeout", TimeoutOption, 10.0),
    )
)


def takes_access(command: Callable[..., None]) -> Callable[..., None]:
    """The parameter `access` of a command becomes the options that make one."""
    hints = get_type_hints(command, include_extras=True)
    others = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "access"
    ]

    @functools.wraps(command)
    def call(**given: Any) -> None:
        options = [given.pop(option.name) for option in _OPTIONS]
        command(access=Access(*options), **given)

    # What typer looks at.
    parameters = [*others, *_OPTIONS]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call
