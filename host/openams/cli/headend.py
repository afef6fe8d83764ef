"""`ams headend`: the collection centre."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from openams.cli import bus, centre, deliver, profiled, report
from openams.cli.centre import now_ms, read_tokens
from openams.cli.common import BusOption, JsonObjectOption, StoreOption, group
from openams.cli.keys import PassphraseOption
from openams.errors import BenchError
from openams.keys.opening import open_keystore
from openams.meter_time import local_text, parse_time, to_utc_ms
from openams.private import write_private
from openams.terminal import say

app = group("The collection centre: register, store, collection.")


@app.command("import", epilog="Example: ams headend import areas.csv terms.csv meters.csv")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.csv ...")],
    who: Annotated[str, typer.Option(help="Who does it, for the record.")] = "",
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Take CSV files into the register: all rows of all files, or none with every error named."""
    from openams.headend import registercsv
    from openams.headend.store import open_store, store_url

    tables, errors = registercsv.load(files)
    if not errors:
        with open_store(store_url(store)) as opened:
            faults = opened.import_register(tables, now_ms(), who)
        errors = registercsv.placed(faults, tables)
    if errors:
        if as_json:
            say(json.dumps({"imported": {}, "errors": [one._asdict() for one in errors]}))
        for one in () if as_json else errors:
            say(str(one), error=True)
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        raise BenchError(f"{count}, nothing is imported: mend the lines and call again")
    counts = tables.count()
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
    say(json.dumps({"imported": counts, "errors": []}) if as_json else f"imported: {text}")


@app.command(epilog="Example: ams headend export FOLDER")
def export(
    folder: Annotated[Path, typer.Argument(help="Where the CSV files go; made if not there.")],
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Write the register as CSV files that may be imported again."""
    from openams.headend import registercsv
    from openams.headend.store import open_store, store_url
    from openams.private import make_folder

    with open_store(store_url(store)) as opened:
        tables = opened.register()
    make_folder(folder)
    for name, text in registercsv.texts(tables).items():
        write_private(folder / name, text.encode())
    counts: dict[str, Any] = tables.count()
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    say(json.dumps({"folder": str(folder), **counts}) if as_json else f"{folder}: {text}")


_Keystore = Annotated[
    Path | None,
    typer.Option("--keystore", envvar="OPENAMS_KEYSTORE", help="Of ams keys readers."),
]
_DayOption = Annotated[
    str | None, typer.Option("--day", metavar="DATE", help="A local day; yesterday by default.")
]


def _day(text: str | None) -> date:
    from openams.headend.days import local_day

    if text is None:
        return local_day(now_ms()) - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BenchError(f"--day {text!r} is no date: write it like 2026-01-31") from None


@app.command(epilog="Example: ams headend collect --keystore collector.keys")
def collect(
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due any more.")] = False,
    day: Annotated[
        str | None, typer.Option("--day", metavar="DATE", help="Make this local day due at once.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of this collector; each has its own.")] = "collector",
    sessions: Annotated[int, typer.Option(help="At a time.")] = 100,
    permits: Annotated[int, typer.Option(help="At a time in a segment of the net.")] = 8,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 30.0,
    lease: Annotated[
        int, typer.Option(help="Seconds after which a dead collector's turn is free.")
    ] = 600,
    tokens: Annotated[
        Path | None, typer.Option(help="JSON file: the token of each concentrator.")
    ] = None,
    bus_url: BusOption = None,
    store: StoreOption = None,
    keystore: _Keystore = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Collect what is due, until Ctrl-C: days of meters, from concentrators and directly.

    With --bus the work comes from ams headend dispatch, and no store is opened.
    """
    import asyncio

    from openams.headend.collect.clock import StoreClock
    from openams.headend.collect.collector import Collector, Roads, Settings
    from openams.headend.collect.plan import Plan, plan_day
    from openams.headend.store import open_store, store_url

    if not 1 <= sessions <= 10_000 or not 1 <= permits <= 10_000 or timeout <= 0 or lease < 1:
        raise BenchError("--sessions and --permits are 1 to 10000, --timeout and --lease above 0")
    keys = open_keystore(keystore, passphrase_file)
    known = read_tokens(tokens) if tokens else {}
    if bus_url is not None:
        if day is not None:
            raise BenchError("--day belongs to ams headend dispatch: it says what is due")
        say(bus.collected(bus_url, keys, name, sessions, timeout, known, once, as_json))
        return
    with open_store(store_url(store)) as opened:
        if day is not None:
            plan_day(opened, Plan(), _day(day), now_ms())
            opened.run("UPDATE turn SET next_ms = ? WHERE next_ms > ?", now_ms(), now_ms())
        roads = Roads(timeout, known)
        settings = Settings(name, sessions, permits, timeout, lease)
        collector = Collector(
            opened, keys, StoreClock(opened, name), settings, roads, say=bus.said,
        )  # fmt: skip
        bus.ends(collector)
        asyncio.run(collector.run(idle=once))
    counts = collector.counts
    text = f"{counts['sessions']} sessions, {counts['failed']} failed, {counts['rows']} rows"
    say(json.dumps(counts) if as_json else text)


@app.command(epilog="Example: ams headend evaluate --day 2026-01-31")
def evaluate(
    day: _DayOption = None,
    point: Annotated[list[str] | None, typer.Option(help="Only these points.")] = None,
    bus_url: BusOption = None,
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Validate and estimate a day of all points: what is new becomes a revision."""
    from openams.headend.evaluate import evaluate_days
    from openams.headend.store import open_store, store_url

    chosen = _day(day)
    with open_store(store_url(store)) as opened:
        if bus_url is not None:
            counts = bus.evaluated(opened, bus_url, chosen, datetime.now(UTC), point)
        else:
            counts = evaluate_days(opened, chosen, datetime.now(UTC), point)
    if as_json:
        say(json.dumps({"day": chosen.isoformat(), **counts}))
    else:
        names = ("revisions", "unchanged", "values", "estimated")
        say(f"{chosen}: " + ", ".join(f"{counts[name]} {name}" for name in names))


@app.command(epilog="Example: ams headend values 707057500022939815 --day 2026-01-31 --json")
def values(
    gsrn: Annotated[str, typer.Argument(metavar="GSRN", help="The metering point.")],
    day: _DayOption = None,
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Show every value that a point's day ever had: when, why and by which rules."""
    from openams.headend.register import A_MINUS, A_PLUS
    from openams.headend.store import open_store, store_url

    chosen = _day(day)
    with open_store(store_url(store)) as opened:
        found = [one for k in (A_PLUS, A_MINUS) for one in opened.revisions(chosen, gsrn, k)]
    if as_json:
        say(json.dumps([{**one._asdict(), "day": chosen.isoformat()} for one in found]))
        return
    for one in found:
        say(
            f"series {one.series} revision {one.number} of {local_text(one.at_ms)}, {one.why}, "
            f"{one.rules}{' by ' * bool(one.who)}{one.who}: {sum(one.wh)} Wh, "
            f"{sum(state != 'measured' for state in one.states)} not measured, "
            f"{len(one.changed)} changed"
        )
        say(" ".join(map(str, one.wh)))
    if not found:
        say(f"no values of {gsrn} on {chosen}")


@app.command(epilog="Example: ams headend status --day 2026-01-31 --json")
def status(
    day: _DayOption = None, store: StoreOption = None, as_json: JsonObjectOption = False
) -> None:
    """Show how far collection is with a day, and what a person should see to."""
    from openams.headend.days import day_number
    from openams.headend.store import open_store, store_url

    chosen = _day(day)
    with open_store(store_url(store)) as opened:
        states = opened.count_days(day_number(chosen))
        outcomes = dict(opened.all(
            "SELECT outcome, count(*) FROM attempt WHERE at_ms >= ? GROUP BY outcome",
            now_ms() - 86_400_000,
        ))  # fmt: skip
        notices = opened.notices()
        following = opened.next_turn()
    if as_json:
        say(json.dumps({
            "day": chosen.isoformat(), "days": states, "sessions_24h": outcomes,
            "next": None if following is None else local_text(following),
            "notices": [
                {"number": n, "since": local_text(at), "kind": kind, "subject": subject,
                 "text": text, "times": times}
                for n, at, kind, subject, text, times in notices
            ],
        }))  # fmt: skip
        return
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    say(f"{chosen}: {counted or 'nothing is due'}")
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    say(f"sessions of 24 hours: {said or 'none'}")
    for number, at, kind, subject, text, times in notices:
        say(f"notice {number} since {local_text(at)}: {kind} {subject}: {text} ({times} times)")


@app.command(epilog="Example: ams headend order han-open 7359990000000017 --who kari")
def order(
    kind: Annotated[
        str, typer.Argument(metavar="han-open|han-close|interval|clock|limit|ration|firmware")
    ],
    meter_id: Annotated[
        str | None, typer.Argument(metavar="METER_ID", help="Of ration: with --plan left out.")
    ] = None,
    minutes: Annotated[int, typer.Option(help="Of interval: 15 or 60.")] = 15,
    day: Annotated[
        str | None, typer.Option("--day", metavar="DATE", help="Of interval: from its midnight.")
    ] = None,
    watt: Annotated[
        int | None, typer.Option(help="Of limit: mean import; left out: no limit.")
    ] = None,
    action: Annotated[
        str | None, typer.Option(metavar="disconnect|reconnect", help="Of ration.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Of ration: all meters of a plan.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of firmware: released to this meter.")
    ] = None,
    who: Annotated[str, typer.Option(help="Who asked for it.")] = "",
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Give an order to a meter: a job of the process that has the operator's keys."""
    from openams.headend.collect import orders as doing
    from openams.headend.store import open_store, store_url

    detail: dict[str, Any] = {}
    if kind == "interval":
        if day is None or minutes not in (15, 60):
            raise BenchError(
                "write it like ams headend order interval METER --minutes 15 --day 2026-02-01"
            )
        detail = {"minutes": minutes, "day": _day(day).isoformat()}
    elif kind == "limit":
        detail = {"watt": watt}
    elif kind == "ration":
        detail = {"action": action}
    elif kind == "firmware":
        detail = {"image": str(image.absolute()) if image else ""}
    rationed = [(meter_id, "")] if meter_id else []
    if plan is not None:
        from openams.control.ration import load_plan

        if kind != "ration" or meter_id:
            raise BenchError("--plan is of ration alone, and names the meters itself")
        rationed = [(one.meter_id, one.group) for one in load_plan(plan).entries
                    if not one.critical]  # fmt: skip
        detail["plan"] = plan.name
    if not rationed:
        raise BenchError("name the meter, or of ration a --plan that has one that is not critical")
    with open_store(store_url(store)) as opened, opened.transaction():
        for number, of in rationed:
            more = {**detail, "group": of} if of else detail
            until = doing.give(opened, kind, number, now_ms(), who, more)
    named = meter_id or f"{len(rationed)} meters"
    text = f"{kind} of {named}: until {local_text(until)}"
    said = {"kind": kind, "until": local_text(until), "meters": len(rationed)}
    say(json.dumps(said) if as_json else text)


@app.command(epilog="Example: ams headend orders --keystore operator.keys --once")
def orders(
    once: Annotated[bool, typer.Option("--once", help="Only what is due now.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 30.0,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, max=64, help="Orders beside one another.")
    ] = 8,
    store: StoreOption = None,
    keystore: _Keystore = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Do the orders that are due, until Ctrl-C: needs the operator's keys, not the collector's."""
    from openams.headend.collect.crew import Crew
    from openams.headend.store import store_url

    keys = open_keystore(keystore, passphrase_file)
    crew = Crew(
        store_url(store), keys, at_once, now_ms, lambda text: say(text, error=True), timeout
    )
    total = crew.run(once)
    text = ", ".join(f"{count} {state}" for state, count in sorted(total.items()))
    say(json.dumps(total) if as_json else text or "nothing is due")


@app.command(epilog="Example: ams headend close 17 --who kari")
def close(
    number: Annotated[int, typer.Argument(help="Of the notice, as ams headend status has it.")],
    who: Annotated[str, typer.Option(help="Who has seen to it.")],
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Close a notice that somebody has seen to."""
    from openams.headend.store import open_store, store_url

    with open_store(store_url(store)) as opened:
        if not opened.close_notice(number, who, now_ms()):
            raise BenchError(f"there is no open notice {number}")
    say(json.dumps({"closed": number}) if as_json else f"notice {number} is closed")


@app.command(epilog="Example: ams headend visited 7359990000000017 --at 2026-01-31T10:00:00")
def visited(
    meter_id: Annotated[str, typer.Argument(metavar="METER_ID")],
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it was; left out: now.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonObjectOption = False,
) -> None:
    """Tell that a fitter found nobody in: why a meter that nobody reaches stays silent."""
    from openams.headend.causes import nobody_in
    from openams.headend.store import open_store, store_url

    when = now_ms() if at is None else to_utc_ms(parse_time("--at", at))
    if when > now_ms():
        raise BenchError(f"--at {at} is to come: tell of a visit when it is over")
    with open_store(store_url(store)) as opened:
        if not opened.meters_of([meter_id]):
            raise BenchError(f"meter {meter_id} is not in the register")
        nobody_in(opened, meter_id, when)
    text = f"meter {meter_id}: nobody was in at {local_text(when)}"
    say(json.dumps({"meter_id": meter_id, "at": local_text(when)}) if as_json else text)


# Commands in modules of their own: delivery and report have many options.
app.command("init", epilog="Example: ams headend init centre plan.csv")(centre.init)
app.command("run", epilog="Example: ams headend run centre")(centre.run)
app.command(
    "deliver",
    epilog="Example: ams headend deliver --hub https://hub.example:8200 --identity our.pem "
    "--hub-certificate hub.pem --party 7080000000014",
)(deliver.deliver)
app.command("dispatch", epilog="Example: ams headend dispatch --bus nats://127.0.0.1:4222")(
    bus.dispatch
)
app.command("listen", epilog="Example: ams headend listen --port 4060 --keystore collector.keys")(
    bus.listen
)
app.command("engine", epilog="Example: ams headend engine --bus nats://127.0.0.1:4222")(bus.engine)
app.command("readings", epilog="Example: ams headend readings visits.csv")(profiled.readings)
app.command("profiled", epilog="Example: ams headend profiled --plan dark")(profiled.profiled)
app.command("report", epilog="Example: ams headend report --html report.html")(report.report)
app.command("metrics", epilog="Example: ams headend metrics --port 9400")(report.metrics)
