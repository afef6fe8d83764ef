"""What many commands take, and how a group of them is made, in one place."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonObjectOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="OPENAMS_STORE",
        metavar="URL",
        help="A file, sqlite:///FILE or postgresql://HOST/NAME.",
    ),
]
BusOption = Annotated[
    str | None,
    typer.Option(
        "--bus", envvar="OPENAMS_BUS", metavar="URL", help="NATS with JetStream: nats://host:4222"
    ),
]


def group(text: str) -> typer.Typer:
    """Commands under one name; `text` is its help."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)
