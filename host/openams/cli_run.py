"""`ams run`: a meter in a scenario, shown live."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams import terminal
from openams.client.event_details import event_text, means
from openams.client.names import READOUT_LEVELS, READOUT_LISTS
from openams.errors import BenchError
from openams.grid.scenario import Scenario, load
from openams.han.reader import FrameReader, HanError, format_reading, load_keys
from openams.hanformats import names, parse_options, resolve
from openams.keys.cli import KeystoreOption, PassphraseOption, open_keystore
from openams.meter_time import local_text, parse_start
from openams.options import CHIP, DEFAULT_METER_ID, Options, check
from openams.orders import POLICIES, parse_order, parse_policy
from openams.profiles import named
from openams.runtimes.launch import RUNTIMES
from openams.runtimes.wire import Frame
from openams.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from openams.hanline import HanLine
    from openams.linkports import LinkPorts
    from openams.liveview import View
    from openams.session import Session

RUN_ON = (*RUNTIMES, CHIP)
_LINE_EVERY_S = 1.0
_VIEW_EVERY_S = 0.25


def run(
    scenario: Annotated[
        str, typer.Option(help="A scenario file, or built in: house, year, fault.")
    ] = "house",
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUN_ON)}.")] = "micropython",
    system: Annotated[str | None, typer.Option(help="1P2W, 3P3W or 3P4W.")] = None,
    front_end: Annotated[str, typer.Option(help="ideal or adc12.")] = "ideal",
    han_format: Annotated[str, typer.Option(help=f"One of {', '.join(names())}.")] = "kaifa",
    han_variant: Annotated[
        str | None, typer.Option(help="Variant of the format, see docs/han.md.")
    ] = None,
    han_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An option of the format, see docs/han.md."),
    ] = None,
    han_summer_time: Annotated[
        bool | None,
        typer.Option(
            "--han-summer-time/--han-standard-time",
            help="Time of the lists; else as the maker's meters have it.",
        ),
    ] = None,
    han_open: Annotated[
        bool, typer.Option("--han-open", help="Open the HAN port, as its operator.")
    ] = False,
    han: Annotated[
        Path | None, typer.Option(metavar="LINK", help="Name for the HAN port's serial link.")
    ] = None,
    dlms_port: Annotated[
        int | None, typer.Option(metavar="N", help="TCP port for DLMS clients; 0 takes a free one.")
    ] = None,
    dlms_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address that --dlms-port listens on.")
    ] = "127.0.0.1",
    service: Annotated[
        Path | None, typer.Option(metavar="LINK", help="Name for the service port's serial link.")
    ] = None,
    readout: Annotated[
        str | None,
        typer.Option(
            metavar="registers|profiles|off",
            help="Open the text readout at the optical port, as its operator; docs/links.md.",
        ),
    ] = None,
    readout_list: Annotated[
        str, typer.Option(help=f"Whose manner it has: {', '.join(READOUT_LISTS)}.")
    ] = "landis",
    mbus: Annotated[
        str | None,
        typer.Option(metavar="model|DEVICE", help="M-Bus of sub-meters, see docs/mbus.md."),
    ] = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    quirk: Annotated[
        str | None, typer.Option(help="Misbehaviour of the port, docs/han.md.")
    ] = None,
    han_keys: Annotated[
        Path | None, typer.Option(help="Key file: encrypts the lists; made if it is not there.")
    ] = None,
    meter_id: Annotated[str, typer.Option(help="GS1 number, 16 digits.")] = DEFAULT_METER_ID,
    state: Annotated[
        Path | None, typer.Option(help="Folder that keeps the meter's flash between runs.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="ISO-TIME", help="Time of the meter at the start.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="S", help="Simulated seconds to run.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Simulated seconds per second, or max.")] = "1",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    capture_period: Annotated[
        int | None, typer.Option(metavar="MIN", help="Interval of the load profile: 15 or 60.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="S=ACTION", help="What happens S seconds in; see docs/storage.md."),
    ] = None,
    breaker_policy: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Set at provisioning: " + ", ".join(POLICIES)),
    ] = None,
    format_: Annotated[
        bool, typer.Option("--format", help="Erase the state image first, whatever it holds.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end, nothing else.")
    ] = False,
) -> None:
    """Run a meter in a scenario."""
    format_name, variant = resolve(han_format, han_variant)
    options = Options(
        runtime=_choice("--runtime", runtime, RUN_ON),
        front_end=front_end,
        han_format=format_name,
        han_variant=variant,
        han_options=parse_options(han_option or []),
        han_summer_time=han_summer_time,
        han_open=han_open,
        readout=None if readout is None else _choice("--readout", readout, READOUT_LEVELS),
        readout_list=_choice("--readout-list", readout_list, READOUT_LISTS),
        quirk=quirk,
        mbus=mbus,
        breaker=parse_policy(breaker_policy),
        han_keys=han_keys,
        meter_id=meter_id,
        state=state,
        start=parse_start(start) if start else None,
        duration_s=duration,
        speed=_speed(speed),
        seed=seed,
        capture_period_min=_period(capture_period),
        format=format_,
        at=[parse_order(text) for text in at or []],
    )
    if format_ and not state:
        raise BenchError("--format erases a state image: name it with --state")
    played = load(scenario, system, seed)
    check(options, played)
    for note in played.notes:
        say(f"ams: {played.name}: {note}", error=True)
    with contextlib.ExitStack() as stack:
        line = _han_line(han, options)
        if line:
            stack.callback(line.close)
        ports = None
        if dlms_port is not None or service or han_open or readout:
            from openams.keys.provision import provisioned

            options.keystore = open_keystore(keystore, passphrase_file)
            # At full speed a month of encrypted lists passes before anybody could ask for more.
            lists = int(duration or 0) if options.speed is None else 0
            options.security = provisioned(options.keystore, meter_id, least=lists)
        if dlms_port is not None or service:
            ports = _link_ports(service, dlms_port, dlms_host)
            stack.callback(ports.close)
        _run(played, options, line, ports, as_json)


def _link_ports(service: Path | None, dlms_port: int | None, host: str) -> LinkPorts:
    if dlms_port is not None and not 0 <= dlms_port <= 65535:
        raise BenchError(f"--dlms-port {dlms_port} is none: give a number from 0 to 65535")
    from openams.linkports import LinkPorts
    from openams.ptylink import PtyLink

    return LinkPorts(PtyLink(service, "--service") if service else None, dlms_port, host)


def _period(minutes: int | None) -> int | None:
    if minutes not in (None, 15, 60):
        raise BenchError(f"--capture-period {minutes} is none: choose 15 or 60 minutes")
    return minutes


def _choice(option: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise BenchError(f"{option} {value!r} is unknown: choose one of {', '.join(choices)}")
    return value


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 < value < 1e6:
            return value
    raise BenchError(f"--speed {text!r} is no speed: give a number above 0, or max")


def _han_line(link: Path | None, options: Options) -> HanLine | None:
    # At full speed nothing can follow the port; a link is made only if it was asked for.
    if options.speed is None and link is None:
        return None
    from openams.hanline import HanLine

    return HanLine(link, options.speed)


@contextlib.contextmanager
def _interruptible(session: Session) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run as its duration would: a normal stop."""

    def cancel(*_: object) -> None:
        session.cancel()

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(
    scenario: Scenario,
    options: Options,
    line: HanLine | None,
    ports: LinkPorts | None,
    as_json: bool,
) -> None:
    from openams.liveview import View
    from openams.session import Session

    frames = FrameReader()
    readings: dict[int, str] = {}

    def on_frame(frame: Frame) -> None:
        # The view shows what a reader on the far end of the line makes of it.
        try:
            for reading in frames.feed(frame.data):
                readings.pop(reading.list_no, None)
                readings[reading.list_no] = format_reading(reading)
        except HanError as error:
            readings[0] = f"unreadable: {error}"

    console = terminal.console()
    logged: list[str] = []
    session = Session(scenario, options, line, None if as_json else on_frame, logged.append, ports)
    if options.han_keys:
        frames.use_keys(load_keys(options.han_keys))
    links = [str(line.link)] if line else []
    urls = ports.urls if ports else []
    view = View(session, links, "read it: ams han watch " + (links[0] if links else ""), urls)
    try:
        with _interruptible(session):
            if as_json:
                session.play(lambda: None)
            elif console.is_terminal:
                _play_live(session, view, console, readings)
            else:
                _play_plain(session, view, readings, links, urls)
            result = session.finish(as_json)
    finally:
        session.close()
    for text in logged:
        say(f"ams: {text}", error=True)
    summary = _summary(session, result)
    if as_json:
        say(json.dumps(summary))
    else:
        _print_summary(summary)


def _play_live(session: Session, view: View, console: Console, readings: dict[int, str]) -> None:
    from rich.live import Live

    with Live(console=console, auto_refresh=False, screen=False) as live:

        def show() -> None:
            view.take(session.process.view())
            view.last_readings = dict(readings)
            live.update(view.render(console), refresh=True)

        session.play(show, _VIEW_EVERY_S)
        show()


def _play_plain(
    session: Session, view: View, readings: dict[int, str], links: list[str], urls: list[str]
) -> None:
    name = session.scenario.name
    say(f"meter on {session.options.runtime}, {name}, {session.scenario.system}")
    for link in links:
        say(f"HAN port: {link}")
    for url in urls:
        say(f"DLMS: {url}")
    shown = 0

    def show() -> None:
        nonlocal shown
        view.take(session.process.view())
        say(view.line())
        if readings and session.progress.frames != shown:
            shown = session.progress.frames
            # The list that came last stands last.
            say(f"  HAN {list(readings.values())[-1]}")

    session.play(show, _LINE_EVERY_S)


def _summary(session: Session, result: dict[str, Any]) -> dict[str, Any]:
    """What `--json` prints."""
    from openams.liveview import status_names

    quantities = dict(result["quantities"])
    quantities["status_names"] = status_names(quantities["status"])
    return {
        "meter_id": session.options.meter_id,
        "runtime": session.options.runtime,
        "scenario": session.scenario.name,
        "system": session.scenario.system,
        "sampled": session.sampled,
        "start": local_text(session.start_ms),
        "end": local_text(result["utc_ms"]),
        "simulated_s": session.progress.simulated_s,
        "wall_s": round(session.progress.wall_s, 3),
        "registers": result["registers"],
        "remainder_uws": result["remainder_uws"],
        "max_demand_mw": result["max_demand_mw"],
        "quantities": quantities,
        "capture_period_s": result["profile"]["capture_period_s"],
        "profile": [named("load", row) for row in result["entries"]],
        "storage": result["storage"],
        "events": [
            {
                "time": local_text(when),
                "log": log,
                "code": code,
                "name": name,
                "detail": detail,
                "extra": extra,
                "means": means(code, detail, extra),
            }
            for when, code, name, detail, log, extra in result["events"]
        ],
        "breaker": {
            **result["breaker"],
            "state": ("disconnected", "connected", "ready-for-reconnection")[
                result["breaker"]["state"]
            ],
        },
        "han": {**result["han"], "frames_sent": sum(result["han"]["sent"])},
        "missed": {
            "samples": result["samples_missing"],
            "samples_late": result["samples_late"],
            "lists": result["han"]["missed"],
        },
        "heap": {"used": result["heap_used"], "free": result["heap_free"]},
    }


def _print_summary(summary: dict[str, Any]) -> None:
    registers = summary["registers"]
    end = datetime.fromisoformat(summary["end"])
    say(
        f"stopped at {end:%Y-%m-%d %H:%M:%S%z}: {summary['simulated_s']:.0f} s simulated in "
        f"{summary['wall_s']:.1f} s"
    )
    say(
        f"A+ {registers['a_plus_mwh'] / 1e6:.6f} kWh, A- {registers['a_minus_mwh'] / 1e6:.6f} kWh, "
        f"R+ {registers['r_plus_mvarh'] / 1e6:.6f} kvarh, "
        f"R- {registers['r_minus_mvarh'] / 1e6:.6f} kvarh"
    )
    say(f"HAN frames sent {sum(summary['han']['sent'])}, events {len(summary['events'])}")
    if sys.stdout.isatty():
        for event in summary["events"][-5:]:
            say(f"  {event['time']} {event_text(event)}")
