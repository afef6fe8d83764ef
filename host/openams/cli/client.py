"""`ams read|events|clock|interval|han-port`: a meter at the other end of a link."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.cli.common import JsonOption
from openams.cli.meter import Access, ClientOption, UrlArgument, takes_access
from openams.client import data as axdr
from openams.client import readout
from openams.client.data import parse_date_time
from openams.client.errors import ResultError
from openams.client.event_details import event_text
from openams.client.firmware_names import LOGS
from openams.client.names import (
    CLOCK,
    HAN_ENCRYPTED,
    HAN_FORMAT,
    HAN_OPEN,
    HAN_SENT,
    HAN_SUMMER_TIME,
    parse_obis,
)
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.meter_time import NORWAY, parse_range, parse_time
from openams.terminal import say

if TYPE_CHECKING:
    from openams.client.client import Client

_TEMPORARY_FAILURE = 2
_HAN_PORT = ("status", "open", "close", "rekey", "encrypt", "summer-time")


@takes_access
def read(
    url: UrlArgument,
    access: Access,
    obis: Annotated[
        list[str] | None,
        typer.Argument(metavar="OBIS", help="1.0.1.8.0.255, or 1.0.1.8.0.255@3 for attribute 3."),
    ] = None,
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read objects of a meter; without OBIS all that the client may read."""
    wanted = [_attribute(text) for text in obis or []]
    role = client or "reader"
    with access.connected(url, role) as meter:
        if wanted:
            values = [_wanted(meter, name, number) for name, number in wanted]
        else:
            values = [readout.value_of(meter, entry) for entry in readout.object_list(meter)]
    if as_json:
        say(json.dumps(values))
    else:
        for value in values:
            say(_value_line(value))
    if wanted and any("error" in value for value in values):
        raise typer.Exit(1)


def _wanted(meter: Client, name: str, number: int | None) -> dict[str, Any]:
    """One object's value: of the class that is customary, or else of that which the list says."""
    entry = readout.guess(name)
    if entry is not None:
        value = _value(meter, entry, number)
        if "error" not in value:
            return value
    return _value(meter, readout.find(readout.object_list(meter), name), number)


def _value(meter: Client, entry: readout.Entry, number: int | None) -> dict[str, Any]:
    if number is None:
        return readout.value_of(meter, entry)
    return readout.attribute_of(meter, entry, number)


def _attribute(text: str) -> tuple[str, int | None]:
    name, mark, number = text.partition("@")
    parse_obis(name)
    if not mark:
        return name, None
    if not number.isdigit() or not 1 <= int(number) <= 255:
        raise BenchError(f"{text!r} names no attribute: write it like 1.0.1.8.0.255@3")
    return name, int(number)


def _value_line(value: dict[str, Any]) -> str:
    shown = value["value"]
    if "error" in value:
        shown = f"({value['error'].split(': ')[-1]})"
    elif not isinstance(shown, str):
        shown = json.dumps(shown)
    number = f"@{value['attribute']}" if value["attribute"] not in (2, 7) else ""
    obis = value["obis"] + number
    name = value.get("name") or value["class_name"]
    return f"{obis:<20} {name:<42} {shown} {value.get('unit', '')}".rstrip()


@takes_access
def events(
    url: UrlArgument,
    access: Access,
    log: Annotated[str | None, typer.Option("--log", help=f"One of {', '.join(LOGS)}.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="ISO-TIME")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="ISO-TIME")] = None,
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the event logs of a meter, oldest first."""
    if log is not None and log not in LOGS:
        raise BenchError(f"--log {log!r} is unknown: choose one of {', '.join(LOGS)}")
    begin, end = parse_range(from_, to)
    found: list[dict[str, Any]] = []
    role = client or "reader"
    with access.connected(url, role) as meter:
        for name, obis in zip(LOGS, readout.EVENT_LOGS, strict=True):
            if log in (None, name):
                found += readout.events(meter, name, obis, begin, end)
    # By moments: the offset of the written time changes with the season.
    found.sort(key=lambda event: datetime.fromisoformat(event["time"] or "2000-01-01T00:00:00Z"))
    if as_json:
        say(json.dumps(found))
        return
    for event in found:
        say(f"{event['time']} {event['log']:<13} {event['code']:>3} {event_text(event)}")
    if not found:
        say("no events")


@takes_access
def clock(
    url: UrlArgument,
    access: Access,
    action: Annotated[str, typer.Argument(metavar="show|sync|set")] = "show",
    time: Annotated[str | None, typer.Argument(metavar="[ISO-TIME]", help="For set.")] = None,
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the meter's clock, set it by this computer's, or to a time."""
    _one_of("clock", action, ("show", "sync", "set"))
    if (action == "set") != (time is not None):
        raise BenchError("write it like ams clock URL set 2026-01-31T12:00:00, or sync")
    wanted = parse_time("the time", time) if time else None
    role = client or ("reader" if action == "show" else "operator")
    with access.connected(url, role) as meter:
        before = _clock_of(meter)
        if action != "show":
            value = axdr.octets(axdr.date_time(wanted or datetime.now(UTC)))
            meter.set(8, CLOCK, 2, value)
        here = datetime.now(UTC)
        after = _clock_of(meter) if action != "show" else before
    shown = after.astimezone(NORWAY).isoformat() if after else None
    ahead = round((after - here).total_seconds(), 1) if after else None
    if as_json:
        say(json.dumps({"time": shown, "ahead_of_this_computer_s": ahead}))
    else:
        say(f"{shown or 'not set'}" + (f", {ahead:+} s from this computer" if after else ""))


def _clock_of(meter: Client) -> datetime | None:
    return parse_date_time(meter.get(8, CLOCK, 2))


@takes_access
def interval(
    url: UrlArgument,
    minutes: Annotated[int, typer.Argument(metavar="15|60")],
    access: Access,
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the interval of the load profile."""
    if minutes not in (15, 60):
        raise BenchError(f"an interval of {minutes} min is none: choose 15 or 60")
    obis = readout.PROFILES["load"]
    role = client or "operator"
    with access.connected(url, role) as meter:
        meter.set(7, obis, 4, axdr.uint32(60 * minutes))
        period_s = meter.get(7, obis, 4)
    if as_json:
        say(json.dumps({"capture_period_s": period_s}))
    else:
        say(f"the load profile has intervals of {period_s // 60} min")


@takes_access
def han_port(
    url: UrlArgument,
    access: Access,
    action: Annotated[str, typer.Argument(metavar="|".join(_HAN_PORT))] = "status",
    switch: Annotated[
        str | None, typer.Argument(metavar="[on|off]", help="For encrypt and summer-time.")
    ] = None,
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open or close the customer's HAN port, encrypt its lists, or give them new keys.

    `summer-time off` has the lists show standard time all the year, as most makers' do.
    """
    _one_of("han-port", action, _HAN_PORT)
    takes_switch = action in ("encrypt", "summer-time")
    if takes_switch != (switch is not None) or switch not in (None, "on", "off"):
        raise BenchError("write it like ams han-port URL encrypt on, or open")
    role = client or ("reader" if action == "status" else "operator")
    with access.connected(url, role) as meter:
        if action in ("open", "close"):
            meter.set(1, HAN_OPEN, 2, axdr.boolean(action == "open"))
        elif action == "rekey":
            _rekey(meter, access.store)
        elif action == "encrypt":
            _encrypt(meter, switch == "on", access.store)
        elif action == "summer-time":
            meter.set(1, HAN_SUMMER_TIME, 2, axdr.boolean(switch == "on"))
        status = {
            name: meter.get(1, obis, 2)
            for name, obis in (
                ("open", HAN_OPEN),
                ("encrypted", HAN_ENCRYPTED),
                ("format", HAN_FORMAT),
                ("sent", HAN_SENT),
            )
        }
        # A meter of before does not have it.
        with contextlib.suppress(ResultError):
            status["summer_time"] = meter.get(1, HAN_SUMMER_TIME, 2)
    if as_json:
        say(json.dumps(status))
        return
    say(
        f"HAN port {'open' if status['open'] else 'closed'}, {status['format']}, "
        f"{'encrypted' if status['encrypted'] else 'in clear'}, "
        f"{'summer time' if status.get('summer_time') else 'standard time all the year'}, "
        f"{status['sent']} lists sent"
    )


def _rekey(meter: Client, store: Keystore) -> None:
    """The keystore has the new keys before the meter: a list can always be read."""
    from openams.client.rotation import change_secret

    store.prepare_secret(meter.meter_id, "han")
    if not change_secret(meter, store, "han"):
        raise BenchError("the meter is too old for this: update it with ams image")


def _encrypt(meter: Client, on: bool, store: Keystore) -> None:
    try:
        meter.set(1, HAN_ENCRYPTED, 2, axdr.boolean(on))
    except ResultError as error:
        if not on or error.result != _TEMPORARY_FAILURE:
            raise
        # It has no keys yet.
        _rekey(meter, store)
        meter.set(1, HAN_ENCRYPTED, 2, axdr.boolean(on))


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BenchError(f"{what} {value!r} is unknown: choose one of {', '.join(choices)}")
