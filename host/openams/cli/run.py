"""`ams run`: a meter in a scenario, shown live."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openams import terminal
from openams.bench.broker_url import parse_broker
from openams.bench.options import CHIP, DEFAULT_METER_ID, Options, check
from openams.bench.orders import POLICIES, parse_order, parse_policy
from openams.bench.run_summary import print_summary, summary_of
from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.client.names import READOUT_LEVELS, READOUT_LISTS
from openams.errors import BenchError
from openams.grid.registry import load
from openams.grid.scenario import Scenario
from openams.han.formats import names, parse_options, resolve
from openams.han.reader import FrameReader, HanError, format_reading, load_keys
from openams.keys.opening import open_keystore
from openams.lines.displayline import parse_display
from openams.lines.modbusline import parse_units
from openams.meter_time import parse_start
from openams.runtimes.launch import RUNTIMES
from openams.runtimes.wire import Frame
from openams.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from openams.bench.liveview import View
    from openams.bench.session import Session
    from openams.han.reading import Reading
    from openams.lines.hanline import HanLine
    from openams.lines.linkports import LinkPorts
    from openams.web.face import Face
    from openams.web.server import WebServer

RUN_ON = (*RUNTIMES, CHIP)
_LINE_EVERY_S = 1.0
_VIEW_EVERY_S = 0.25


def run(
    scenario: Annotated[
        str, typer.Option(help="A scenario file, or built in: house, year, fault, feeder.")
    ] = "house",
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUN_ON)}.")] = "micropython",
    system: Annotated[str | None, typer.Option(help="1P2W, 3P3W or 3P4W.")] = None,
    front_end: Annotated[str, typer.Option(help="ideal or adc12; ads131m08 on rp2040.")] = "ideal",
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
    web: Annotated[
        int | None,
        typer.Option(metavar="N", help="Port of the meter's web page; 0 takes a free one."),
    ] = None,
    web_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address that --web listens on.")
    ] = "127.0.0.1",
    mbus: Annotated[
        str | None,
        typer.Option(metavar="model|DEVICE", help="M-Bus of sub-meters, see docs/mbus.md."),
    ] = None,
    modbus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="tcp:PORT|pty[:LINK]", help="Modbus, opened as its operator; docs/modbus.md."
        ),
    ] = None,
    modbus_map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UNIT=MAP",
            help="Which unit has which map: sunspec (1 unless told), sunspec-float, sdm630 (2).",
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Publish to an MQTT broker, opened as its operator; docs/home.md."
        ),
    ] = None,
    mqtt_password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Password of the user of --mqtt.")
    ] = None,
    mqtt_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Authority of the broker's certificate.")
    ] = None,
    mqtt_version: Annotated[
        str | None, typer.Option(metavar="3.1.1|5", help="What is spoken there, 3.1.1 unless told.")
    ] = None,
    display: Annotated[
        str | None,
        typer.Option(
            metavar="ssd1306[:PNG]|lcd", help="The display of the case, see docs/display.md."
        ),
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
    transformers: Annotated[
        str | None,
        typer.Option(metavar="A/A[,V/V]", help="Ratios of a point behind transformers."),
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
        # The page shows what the display does, whether there is one or not.
        display=parse_display(display) if display else ("page", None) if web is not None else None,
        modbus=modbus or [],
        modbus_units=parse_units(modbus_map or []),
        mqtt=parse_broker(mqtt, mqtt_password_file, mqtt_ca, mqtt_version) if mqtt else None,
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
    if not mqtt and (mqtt_password_file or mqtt_ca or mqtt_version):
        raise BenchError("--mqtt-password-file, --mqtt-ca and --mqtt-version go with --mqtt")
    if format_ and not state:
        raise BenchError("--format erases a state image: name it with --state")
    played = load(scenario, system, seed)
    if transformers is not None or scenario == "feeder":
        from openams.grid.feeder import USUAL, Secondary, parse_ratios

        ratios = parse_ratios(transformers or USUAL)
        options.transformers = ratios.config()
        played = Secondary(played, ratios)
    check(options, played)
    for note in played.notes:
        say(f"ams: {played.name}: {note}", error=True)
    with contextlib.ExitStack() as stack:
        line = _han_line(han, options)
        if line:
            stack.callback(line.close)
        ports = page = None
        if web is not None:
            page = _web_server(web, web_host)
            stack.callback(page.close)
        if dlms_port is not None or service or han_open or readout or modbus or mqtt or page:
            from openams.keys.provision import provisioned

            options.keystore = open_keystore(keystore, passphrase_file)
            # At full speed a month of encrypted lists passes before anybody could ask for more.
            lists = int(duration or 0) if options.speed is None else 0
            options.security = provisioned(options.keystore, meter_id, least=lists)
        if page and dlms_port is None:
            # The page's operator comes by it.
            dlms_port = 0
        if dlms_port is not None or service:
            ports = _link_ports(service, dlms_port, dlms_host)
            stack.callback(ports.close)
        _run(played, options, line, ports, page, as_json)


def _web_server(port: int, host: str) -> WebServer:
    if not 0 <= port <= 65535:
        raise BenchError(f"--web {port} is no port: give a number from 0 to 65535")
    from openams.web.server import WebServer

    return WebServer(host, port)


def _link_ports(service: Path | None, dlms_port: int | None, host: str) -> LinkPorts:
    if dlms_port is not None and not 0 <= dlms_port <= 65535:
        raise BenchError(f"--dlms-port {dlms_port} is none: give a number from 0 to 65535")
    from openams.lines.linkports import LinkPorts
    from openams.lines.ptylink import PtyLink

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
    from openams.lines.hanline import HanLine

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


class _Frames:
    """What a reader on the far end of the HAN line makes of it: for the view and the page."""

    def __init__(self, keys: Path | None) -> None:
        self._reader = FrameReader()
        self._keys = keys
        # The last frame of each list; the list that came last stands last.
        self.readings: dict[int, str] = {}
        self.face: Face | None = None

    def use_keys(self) -> None:
        """Once the run has made them."""
        if self._keys:
            self._reader.use_keys(load_keys(self._keys))

    def take(self, frame: Frame) -> None:
        damaged = self._reader.damaged
        readings: list[Reading] = []
        error = None
        try:
            for reading in self._reader.feed(frame.data):
                readings.append(reading)
                self._keep(reading.list_no, format_reading(reading))
        except HanError as found:
            error = str(found)
            self._keep(0, f"unreadable: {error}")
        if self._reader.damaged > damaged:
            error = error or "damaged: its check is wrong, or it is cut short"
        if self.face:
            self.face.frame(frame, readings, error)

    def _keep(self, list_no: int, text: str) -> None:
        self.readings.pop(list_no, None)
        self.readings[list_no] = text


def _run(
    scenario: Scenario,
    options: Options,
    line: HanLine | None,
    ports: LinkPorts | None,
    page: WebServer | None,
    as_json: bool,
) -> None:
    from openams.bench.liveview import View
    from openams.bench.session import Session

    frames = _Frames(options.han_keys)
    console = terminal.console()
    logged: list[str] = []
    wanted = None if as_json and not page else frames.take
    session = Session(scenario, options, line, wanted, logged.append, ports)
    frames.use_keys()
    links = [str(line.link)] if line else []
    urls = ports.urls if ports else []
    view = View(session, links, "read it: ams han watch " + (links[0] if links else ""), urls)
    if page:
        from openams.web.face import Face

        tcp = next((url for url in urls if url.startswith("tcp:")), None)
        face = frames.face = Face(session, page.hub, tcp)
        page.start(face.do)
        view.page = page.url
        view.on_figures = face.show
    try:
        with _interruptible(session):
            if as_json:
                _play_silent(session, view, page)
            elif console.is_terminal:
                _play_live(session, view, console, frames.readings)
            else:
                _play_plain(session, view, frames.readings, links, urls)
            result = session.finish(as_json)
    finally:
        session.close()
    for text in logged:
        say(f"ams: {text}", error=True)
    summary = summary_of(session, result)
    if as_json:
        say(json.dumps(summary))
    else:
        print_summary(summary)


def _play_silent(session: Session, view: View, page: WebServer | None) -> None:
    """Only a page is shown anything; where it is stands beside the one JSON object."""
    if page is None:
        session.play(lambda: None)
        return
    say(f"ams: web page: {page.url}", error=True)
    session.play(lambda: view.take(session.process.view()), _VIEW_EVERY_S)


def _play_live(session: Session, view: View, console: Console, readings: dict[int, str]) -> None:
    from rich.live import Live

    from openams.keyboard import pressed, quiet_keys

    with quiet_keys() as keys, Live(console=console, auto_refresh=False, screen=True) as live:
        view.keys = "q ends the run" if keys else "Ctrl-C ends the run"

        def show() -> None:
            if keys and "q" in pressed().lower():
                session.cancel()
            view.take(session.process.view())
            view.last_readings = dict(readings)
            live.update(view.render(console), refresh=True)

        session.play(show, _VIEW_EVERY_S)


def _play_plain(
    session: Session, view: View, readings: dict[int, str], links: list[str], urls: list[str]
) -> None:
    name = session.scenario.name
    say(f"meter on {session.options.runtime}, {name}, {session.scenario.system}")
    for link in links:
        say(f"HAN port: {link}")
    for url in urls:
        say(f"DLMS: {url}")
    if session.options.mqtt:
        say(f"MQTT: {session.options.mqtt['broker']}")
    for url in session.modbus_urls:
        say(f"Modbus: {url}")
    if view.page:
        say(f"web page: {view.page}")
    shown = 0
    due = 0.0

    def show() -> None:
        nonlocal shown, due
        view.take(session.process.view())
        if session.progress.wall_s < due:
            return  # that was for the page
        due = session.progress.wall_s + _LINE_EVERY_S
        say(view.line())
        if session.display and session.display.kind == "lcd":
            say(f"  display [{'] ['.join(session.display.rows())}]")
        elif session.display:
            say(f"  display [{view.shown()}]")
        if readings and session.progress.frames != shown:
            shown = session.progress.frames
            # The list that came last stands last.
            say(f"  HAN {list(readings.values())[-1]}")

    session.play(show, _VIEW_EVERY_S if view.page else _LINE_EVERY_S)
