"""`ams breaker|limit|order`: what the operator does to breaker and limiter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from openams.cli.common import JsonOption, group
from openams.cli.keys import KeystoreOption, PassphraseOption, check_meter_id, meter_first
from openams.cli.meter import Access, UrlArgument, takes_access
from openams.cli.output import print_values
from openams.control.orders import Order, countersigned, parse, seconds
from openams.errors import BenchError
from openams.keys.opening import open_keystore
from openams.meter_time import parse_time
from openams.private import write_private

_ACTIONS = "state|disconnect|reconnect|mode|anew"
_MONITORED = ("average-import", "current-l1", "current-l2", "current-l3", "current-max")
order_app = group("Sealed orders to a breaker, in files.")


@contextmanager
def _operator(access: Access, url: str) -> Iterator[Any]:
    from openams.control.client import Operator

    number = access.identify(url)
    with access.connected(url, "breaker") as meter:
        yield Operator(meter, access.store, number)


def _print(value: dict[str, Any], as_json: bool) -> None:
    print_values(value, as_json, 26, "off")


@takes_access
def breaker(
    url: UrlArgument,
    access: Access,
    action: Annotated[
        str, typer.Argument(metavar="state|disconnect|reconnect|mode|anew")
    ] = "state",
    mode: Annotated[int | None, typer.Argument(metavar="[0-6]", help="For mode.")] = None,
    order: Annotated[
        Path | None, typer.Option("--order", help="A sealed order made with ams order.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show or move the breaker of a meter; needs the keys of the breaker's client.

    anew: numbers and time of sealed orders begin anew (docs/breaker.md).
    """
    if action not in ("state", "disconnect", "reconnect", "mode", "anew"):
        raise BenchError(
            f"breaker {action!r} is unknown: state, disconnect, reconnect, mode or anew"
        )
    if (action == "mode") != (mode is not None) or (mode is not None and not 0 <= mode <= 6):
        raise BenchError("write it like ams breaker URL mode 4; modes go from 0 to 6")
    if order and action not in ("disconnect", "reconnect"):
        raise BenchError(f"--order is spent by disconnect or reconnect, not by {action}")
    sealed = _read_order(order, action) if order else None
    with _operator(access, url) as operator:
        if action == "state":
            state = operator.state()
        elif action == "mode":
            state = operator.set_mode(mode)
        elif action == "anew":
            state = operator.begin_anew(sealed)
        else:
            state = operator.move(action, sealed)
    _print(state, as_json)


def _read_order(path: Path, action: str) -> bytes:
    data = _bytes_of(path)
    found, _ = parse(data)
    if found.action != action:
        raise BenchError(f"{path} is an order to {found.action}, not to {action}")
    return data


def _bytes_of(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise BenchError(f"cannot read an order from {path}: {error}") from None


@takes_access
def limit(
    url: UrlArgument,
    access: Access,
    action: Annotated[str, typer.Argument(metavar="show|set")] = "show",
    monitored: Annotated[str | None, typer.Option(help=", ".join(_MONITORED))] = None,
    threshold: Annotated[
        str | None, typer.Option(help="Normal threshold in W, or in A of a current; or off.")
    ] = None,
    emergency_threshold: Annotated[str | None, typer.Option(help="In W or A, or off.")] = None,
    over: Annotated[int | None, typer.Option(metavar="S", help="Trips when over so long.")] = None,
    under: Annotated[int | None, typer.Option(metavar="S", help="Comes back when under.")] = None,
    reconnect: Annotated[
        bool | None, typer.Option(help="Whether it reconnects by itself (modes 5, 6).")
    ] = None,
    window: Annotated[int | None, typer.Option(metavar="S", help="Of the mean import.")] = None,
    emergency: Annotated[
        str | None, typer.Option(metavar="ID,ISO-TIME,S", help="The emergency profile.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="ID,ID", help="Emergency ids that count here.")
    ] = None,
    quota_wh: Annotated[int | None, typer.Option(help="Energy of a period, 0: none.")] = None,
    quota_period: Annotated[
        int | None, typer.Option(metavar="S", help="Of --quota-wh; 86400 else.")
    ] = None,
    quota_warning: Annotated[
        int | None, typer.Option(metavar="PERMILLE", help="Of --quota-wh; 900 else.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set the limiter and the quota of a meter."""
    if action not in ("show", "set"):
        raise BenchError(f"limit {action!r} is unknown: show or set")
    if monitored is not None and monitored not in _MONITORED:
        raise BenchError(f"--monitored {monitored!r} is unknown: {', '.join(_MONITORED)}")
    wanted = (monitored, threshold, emergency_threshold, over, under, reconnect, window,
              emergency, groups, quota_wh)  # fmt: skip
    if quota_wh is None and (quota_period, quota_warning) != (None, None):
        raise BenchError("--quota-period and --quota-warning are of a quota: give --quota-wh too")
    changes = any(option is not None for option in wanted)
    if changes != (action == "set"):
        raise BenchError(
            "limit set changes nothing without an option: ams limit --help lists them"
            if action == "set"
            else "limit show takes no settings: write  ams limit URL set ..."
        )
    normal = _threshold("--threshold", threshold)
    emergency_milli = _threshold("--emergency-threshold", emergency_threshold)
    profile = _emergency(emergency) if emergency else None
    ids = _ids(groups) if groups is not None else None
    with _operator(access, url) as operator:
        if action == "set":
            if monitored:
                operator.set_monitored(monitored)
            before = operator.limits()
            for number, given in ((4, normal), (5, emergency_milli)):
                if given is not None:
                    operator.set_threshold(number, before["monitored"], given[0])
            for number, duration_s in ((6, over), (7, under)):
                if duration_s is not None:
                    operator.set_duration(number, duration_s)
            if reconnect is not None:
                operator.set_actions(1, 2 if reconnect else 0)
            if window is not None:
                operator.set_window(window, before["reconnections_per_hour"])
            if profile:
                operator.set_emergency(*profile)
            if ids is not None:
                operator.set_groups(ids)
            if quota_wh is not None:
                period_s = quota_period or 86400
                permille = 900 if quota_warning is None else quota_warning
                operator.set_quota(quota_wh, period_s if quota_wh else 0, permille)
        shown = operator.limits()
    _print(shown, as_json)


def _threshold(option: str, text: str | None) -> tuple[int | None] | None:
    """None: not given. (None,): off. Else in mW or mA."""
    if text is None:
        return None
    if text == "off":
        return (None,)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 2_000_000:
        raise BenchError(f"{option} {text!r} is no threshold: give W, or A for a current, or off")
    return (round(1000 * value),)


def _emergency(text: str) -> tuple[int, datetime, int]:
    parts = text.split(",")
    if len(parts) != 3 or not parts[0].isdigit() or not parts[2].isdigit():
        raise BenchError("write --emergency like 3,2026-01-31T12:00:00,7200")
    return int(parts[0]), parse_time("--emergency", parts[1]), int(parts[2])


def _ids(text: str) -> list[int]:
    parts = [part for part in text.split(",") if part]
    if not all(part.isdigit() and int(part) < 65536 for part in parts) or len(parts) > 8:
        raise BenchError("write --groups like 1,3: at most eight numbers below 65536")
    return [int(part) for part in parts]


# --- orders in files -----------------------------------------------------------------


def _write_order(path: Path, sealed: bytes) -> None:
    """Whoever has it can spend it."""
    write_private(path, sealed.hex().encode() + b"\n")


@order_app.command(
    "make", epilog="Example: ams order make 7359990000000017 disconnect order.txt --valid 3600"
)
def make(
    meter_id: Annotated[str, typer.Argument(metavar="METER_ID")],
    action: Annotated[str, typer.Argument(metavar="disconnect|reconnect|anew")],
    out: Annotated[Path, typer.Argument(metavar="FILE")],
    valid: Annotated[int, typer.Option(metavar="S", help="Good for so long.")] = 3600,
    from_: Annotated[str | None, typer.Option("--from", metavar="ISO-TIME")] = None,
    number: Annotated[int | None, typer.Option(help="Its number; the next one else.")] = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make and seal an order with the meter's breaker key."""
    if action not in ("disconnect", "reconnect", "anew"):
        raise BenchError(f"an order to {action!r} is none: disconnect, reconnect or anew")
    if not 0 < valid <= 366 * 86400:
        raise BenchError("--valid goes from 1 second to a year")
    if action == "anew" and valid > 3600:
        raise BenchError("an order to begin anew is good for 3600 seconds at most")
    store = open_keystore(keystore, passphrase_file)
    keys = store.get(check_meter_id(meter_id))
    keys.demand_settled("breaker")
    start = parse_time("--from", from_) if from_ else datetime.now(UTC) - timedelta(seconds=60)
    order = Order(
        bytes.fromhex(keys.system_title),
        action,
        store.reserve_order(meter_id, number or 1),
        seconds(start),
        seconds(start + timedelta(seconds=valid)),
    )
    _write_order(out, order.sealed(keys.key("breaker")))
    _print({"number": order.number, "action": action, "file": str(out)}, as_json)


@order_app.command(
    "countersign", epilog="Example: ams order countersign 7359990000000017 order.txt"
)
def countersign(
    meter_id: Annotated[str, typer.Argument(metavar="METER_ID")],
    order_file: Annotated[str, typer.Argument(metavar="FILE")],
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the second person's seal, with the second breaker key of that person's keystore."""
    number, file = meter_first(meter_id, order_file)
    keys = open_keystore(keystore, passphrase_file).get(number)
    keys.demand_settled("breaker_second")
    data = _bytes_of(file)
    order, _ = parse(data)
    if order.system_title.hex() != keys.system_title:
        raise BenchError(f"{file} is an order to another meter")
    _write_order(file, countersigned(data, keys.key("breaker_second")))
    _print({"number": order.number, "action": order.action, "seals": 2}, as_json)
