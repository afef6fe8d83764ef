"""`ams field`: a field of meters in virtual time, its faults, and the ledger of what was true."""

from __future__ import annotations

import json
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.cli.common import JsonObjectOption, group
from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.errors import BenchError
from openams.keys.opening import open_keystore
from openams.terminal import say

if TYPE_CHECKING:
    from openams.field.faults import Fault, Rates
    from openams.field.ledger import Ledger
    from openams.field.meters import FieldPlan
    from openams.field.run import Order

app = group("A field of meters in virtual time, its faults, and the truth beside it.")
_LedgerArgument = Annotated[Path, typer.Argument(metavar="LEDGER", help="Of ams field run.")]
_MeterOption = Annotated[str | None, typer.Option("--meter", help="Of this meter alone.")]


@app.command(epilog="Example: ams field run --meters 200 --days 30 --seed 1 --ledger field.db")
def run(
    meters: Annotated[int, typer.Option(help="How many meters.")] = 200,
    list_file: Annotated[
        Path | None, typer.Option("--list", help="CSV file of the meters, docs/field.md.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the meters, their loads and faults.")] = 1,
    start: Annotated[
        str | None, typer.Option(metavar="ISO-TIME", help="Midnight of --days ago by default.")
    ] = None,
    days: Annotated[int, typer.Option(help="How many days.")] = 1,
    speed: Annotated[
        str | None, typer.Option(metavar="N|real|max", help="real with ports, max without.")
    ] = None,
    period: Annotated[int | None, typer.Option(help="15 or 60 minutes; else by the load.")] = None,
    net: Annotated[
        list[str] | None, typer.Option(metavar="NET=SHARE", help="mesh, cellular, plc.")
    ] = None,
    load: Annotated[
        list[str] | None, typer.Option(metavar="LOAD=SHARE", help="Loads, docs/field.md.")
    ] = None,
    per_master: Annotated[int, typer.Option(help="Meters of a concentrator.")] = 82,
    missing: Annotated[
        float, typer.Option(help="Share of the meter-days that go missing.")
    ] = 0.013,
    lasting: Annotated[float, typer.Option(help="Share of meters that nobody reaches.")] = 0.004,
    cause: Annotated[
        list[str] | None, typer.Option(metavar="CAUSE=SHARE", help="Of the missing days.")
    ] = None,
    rate: Annotated[
        list[str] | None, typer.Option(metavar="KIND=N", help="In a thousand meter-days.")
    ] = None,
    faults: Annotated[bool, typer.Option(help="Faults by the seed, or only those ordered.")] = True,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND@FROM/TO:METER,...",
            help="By hand; TO is a time or +SECONDS; of a concentrator its name.",
        ),
    ] = None,
    ledger: Annotated[Path, typer.Option(help="The truth: made, or gone on with.")] = Path(
        "field.db"
    ),
    port: Annotated[
        int | None, typer.Option(help="Of the first meter; others follow. 0: any. Else none.")
    ] = None,
    all_ports: Annotated[
        bool, typer.Option("--all-ports", help="Of meters behind concentrators too.")
    ] = False,
    gateway_port: Annotated[
        int | None, typer.Option(help="Of the first concentrator; others follow. 0: any.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Write numbers and URLs to this CSV file.")
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Answer on when the days are over.")] = False,
    workers: Annotated[int, typer.Option(help="Processes; without ports.")] = 1,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Let the days of a field pass, and keep the ledger of what its meters truly counted."""
    from openams.field import run as running
    from openams.private import write_private
    from openams.progress import Steps

    begin_ms = _begin(start, days)
    if list_file is not None:
        from openams.field.meters import read_list

        field = read_list(list_file, begin_ms, seed)
    else:
        field = _plan(meters, seed, begin_ms, net, load, per_master, period)
    what = running.Running(
        field,
        open_keystore(keystore, passphrase_file),
        ledger,
        _rates(missing, lasting, cause, rate) if faults else None,
        tuple(_order(text, field) for text in fault or ()),
        days,
        _speed(speed, port is not None or gateway_port is not None),
        port,
        all_ports,
        gateway_port,
        stay,
        workers,
    )
    running.check(what)
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def opened(urls: dict[str, str]) -> None:
        if plan is not None:
            write_private(plan, running.plan_text(field, urls).encode())
        if urls and not as_json:
            say(f"{len(urls)} meters are called, from {next(iter(urls.values()))}")

    with Steps("field") as steps:
        result = running.run(what, lambda unit, done, of: steps.show(unit, done, of), opened)
    if as_json:
        say(json.dumps(result))
        return
    say(
        f"{result['meters']} meters, {result['concentrators']} concentrators, {result['faults']} "
        f"faults; ledger {ledger}; {result['registers']} registers read, "
        f"{len(result['differing'])} differ from the truth"
    )


@app.command(epilog="Example: ams field faults field.db")
def faults(
    ledger: Annotated[
        Path | None, typer.Argument(metavar="LEDGER", help="Without one: the kinds there are.")
    ] = None,
    meter: _MeterOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """List the faults of a ledger and the shares of their causes, or the kinds that there are."""
    from openams.field.faults import KINDS
    from openams.field.ledger import Ledger

    if ledger is None:
        if as_json:
            said = {
                k: {"cause": v.cause, "loses": v.loses, "seen": v.says} for k, v in KINDS.items()
            }
            say(json.dumps({"kinds": said}))
            return
        _table(
            ("kind", "cause", "loses days", "what a client sees"),
            [(k, v.cause, "yes" if v.loses else "no", v.says) for k, v in KINDS.items()],
        )
        return
    book = Ledger.open(ledger)
    found = book.faults(meter)
    shares = _shares(book)
    if as_json:
        say(json.dumps({"shares": shares, "faults": [_fault(fault) for fault in found]}))
        return
    _table(
        ("begin", "end", "kind", "cause", "meters", "detail"),
        [
            (
                row["begin"],
                row["end"],
                row["kind"],
                row["cause"],
                _named(row["meters"]),
                row["detail"],
            )
            for row in map(_fault, found)
        ],
    )
    for name, value in shares["by_cause"].items():
        say(f"{name:<14} {value['lost_meter_days']:>8} meter-days  {100 * value['share']:6.2f} %")
    say(
        f"{shares['lost_meter_days']} of {shares['meter_days']} meter-days lost, "
        f"{100 * shares['lost_share']:.2f} %"
    )


@app.command("ledger", epilog="Example: ams field ledger field.db --meter 7359990010000003")
def show_ledger(
    ledger: _LedgerArgument,
    meter: _MeterOption = None,
    day: Annotated[str | None, typer.Option(metavar="DATE", help="Of this day alone.")] = None,
    period: Annotated[int, typer.Option(help="15 or 60 minutes.")] = 60,
    check: Annotated[
        bool, typer.Option("--check", help="Fails where registers differ from the truth.")
    ] = False,
    as_json: JsonObjectOption = False,
) -> None:
    """What the meters truly counted: of one its days or intervals, of all their registers."""
    from openams.field.ledger import Ledger, parse_day

    if period not in (15, 60):
        raise BenchError("--period is 15 or 60 minutes")
    book = Ledger.open(ledger)
    if meter is None:
        if day is not None:
            raise BenchError("--day is of one meter: name it with --meter")
        _show_registers(book, as_json, check)
        return
    spec = book.spec(meter)
    days = [book.day(meter, parse_day(day))] if day else list(book.days(meter))
    cuts = [_span(*cut) for cut in book.power_cuts(meter)]
    rows: list[dict[str, Any]] = [
        {
            "day": entry.day.isoformat(),
            "import_wh": entry.wh[0],
            "export_wh": entry.wh[1],
            "intervals": [
                {"begin": _time(row.pop("begin_ms")), **row} for row in entry.intervals(period)
            ],
        }
        for entry in days
    ]
    if as_json:
        about = {"profile": spec.profile, "system": spec.system, "period_s": spec.period_s}
        say(json.dumps({"meter_id": meter, **about, "days": rows, "power_cuts": cuts}))
        return
    if day:
        names = ("begin", "import_mwh", "export_mwh")
        _table(names, [tuple(str(row[n]) for n in names) for row in rows[0]["intervals"]])
    else:
        names = ("day", "import_wh", "export_wh")
        _table(names, [tuple(str(row[n]) for n in names) for row in rows])
    for cut in cuts:
        say(f"without supply from {cut['begin']} to {cut['end']}: {cut['kind']}")


def _show_registers(book: Ledger, as_json: bool, check: bool) -> None:
    rows = book.registers()
    differing = book.differing()
    if as_json:
        run = book.run()
        say(json.dumps({"run": run, "registers": rows, "differing": len(differing)}))
    else:
        names = ("meter_id", "import_mwh", "export_mwh", "true_import_mwh", "true_export_mwh")
        _table(names, [tuple(str(row[name]) for name in names) for row in rows])
        say(f"{len(rows)} meters, {len(differing)} of them differ from the truth")
    if check and differing:
        raise BenchError(f"{differing[0]['meter_id']} and {len(differing) - 1} more differ")


# --- what the options say ----------------------------------------------------------------


def _begin(start: str | None, days: int) -> int:
    from datetime import UTC, datetime

    from openams.meter_time import NORWAY, parse_start, to_utc_ms

    if start is not None:
        return to_utc_ms(parse_start(start))
    midnight = (
        datetime.now(UTC).astimezone(NORWAY).replace(hour=0, minute=0, second=0, microsecond=0)
    )
    return to_utc_ms(midnight - timedelta(days=min(max(days, 1), 3660)))


def _speed(text: str | None, serves: bool) -> float | None:
    if text is None:
        return 1.0 if serves else None
    if text in ("real", "max"):
        return 1.0 if text == "real" else None
    try:
        return float(text)
    except ValueError:
        raise BenchError(f"--speed {text!r}: real, max, or a number") from None


def _shared(option: str, given: list[str] | None) -> dict[str, float]:
    out = {}
    for text in given or ():
        name, _, value = text.rpartition("=")
        try:
            out[name] = float(value)
        except ValueError:
            raise BenchError(f"{option} {text!r}: write it like NAME=0.5") from None
        if not 0 <= out[name] < 1e9:
            raise BenchError(f"{option} {text!r}: give 0 or more")
    return out


def _plan(
    meters: int,
    seed: int,
    begin_ms: int,
    net: list[str] | None,
    load: list[str] | None,
    per_master: int,
    period: int | None,
) -> FieldPlan:
    from openams.field.meters import make_plan

    more: dict[str, Any] = {}
    if net:
        more["shares"] = _shared("--net", net)
    if load:
        more["mix"] = _shared("--load", load)
    return make_plan(
        meters, seed, begin_ms=begin_ms, per_master=per_master, period_min=period, **more
    )


def _rates(
    missing: float, lasting: float, cause: list[str] | None, rate: list[str] | None
) -> Rates:
    from openams.field.faults import Rates

    usual = Rates()
    rates = Rates(
        missing,
        min(lasting, missing),
        _shared("--cause", cause) or usual.shares,
        {**usual.disturbed, **_shared("--rate", rate)},
    )
    rates.check()
    return rates


def _order(text: str, plan: FieldPlan) -> Order:
    """KIND@FROM/TO:METER,METER"""
    from openams.field.faults import check_kind, ordered
    from openams.field.run import Order
    from openams.meter_time import parse_time, to_utc_ms

    kind, _, rest = text.partition("@")
    times, _, names = rest.rpartition(":") if kind != "head-end-down" else (rest, "", "")
    begin, _, end = times.partition("/")
    if not begin or not end:
        raise BenchError(
            f"--fault {text!r}: write it like module-hang@2026-01-31T10:00/+3600:7359…"
        )
    cause = check_kind(kind).cause
    begin_ms = to_utc_ms(parse_time("--fault", begin))
    if end.startswith("+") and end[1:].isdigit():
        end_ms = begin_ms + 1000 * int(end[1:])
    else:
        end_ms = to_utc_ms(parse_time("--fault", end))
    meters = tuple(name for name in names.split(",") if name)
    detail = ""
    if cause == "concentrator":
        meters, detail = (), names
    ordered(plan, kind, begin_ms, end_ms, meters, detail)  # what is wrong is said before all
    return Order(kind, begin_ms, end_ms, meters, detail)


# --- what is shown -----------------------------------------------------------------------


def _time(utc_ms: int) -> str:
    from openams.meter_time import local_text

    return local_text(utc_ms - utc_ms % 1000)


def _span(begin_ms: int, end_ms: int, kind: str) -> dict[str, str]:
    return {"begin": _time(begin_ms), "end": _time(end_ms), "kind": kind}


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        **_span(fault.begin_ms, fault.end_ms, fault.kind),
        "cause": fault.cause,
        "meters": list(fault.meters),
        "detail": fault.detail,
    }


def _named(meters: list[str]) -> str:
    return ", ".join(meters) if len(meters) < 3 else f"{len(meters)} meters"


def _shares(book: Ledger) -> dict[str, Any]:
    """Of the days that the faults take: how many in all, and by cause."""
    from openams.field.faults import DAY_MS, lost_days, nights

    run = book.run()
    meters = len(book.meters()) - len(book.replaced())
    there = nights(run["begin_ms"], run["begin_ms"] + run["days"] * DAY_MS)
    lost: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for fault in book.faults():
        lost[fault.cause] += lost_days(fault, there)
        counts[fault.cause] += 1
    total = sum(lost.values())
    return {
        "meter_days": meters * len(there),
        "lost_meter_days": total,
        "lost_share": total / max(1, meters * len(there)),
        "by_cause": {
            cause: {
                "faults": counts[cause],
                "lost_meter_days": lost[cause],
                "share": lost[cause] / total if total else 0.0,
            }
            for cause in sorted(counts)
        },
    }


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Whole columns, however narrow the terminal: numbers of meters are of no use when cut."""
    widths = [max(len(row[k]) for row in (titles, *rows)) for k in range(len(titles))]
    for row in (titles, *rows):
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
