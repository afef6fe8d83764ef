"""`ams flash` and `ams console`: the firmware on a board, and what the board says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.cli.common import JsonObjectOption
from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.cli.output import progress
from openams.errors import BenchError
from openams.flashing import install as installing
from openams.flashing import package, provision
from openams.flashing.link import BoardLink, find_port
from openams.flashing.targets import Target, target
from openams.keys.keystore import Keystore
from openams.keys.opening import open_keystore
from openams.keys.provision import provisioned
from openams.terminal import say

if TYPE_CHECKING:
    from openams.flashing.calibrate import Load

Port = Annotated[str | None, typer.Option(help="Serial port; without it the only board found.")]


def flash(
    board: Annotated[str, typer.Option(help="pico, pico-w, pico2, pico2-w, esp32 ...")] = "pico",
    port: Port = None,
    meter_id: Annotated[
        str | None, typer.Option(help="GS1 number of the meter, 16 digits: makes the board it.")
    ] = None,
    system: Annotated[str, typer.Option(help="1P2W, 3P3W or 3P4W.")] = "1P2W",
    front_end: Annotated[
        str, typer.Option(help="adc or ade7953 (one phase), atm90e32 (three), ads131m08.")
    ] = "adc",
    neutral: Annotated[
        bool, typer.Option("--neutral", help="ads131m08, 3P4W: the neutral's current is sampled.")
    ] = False,
    settings: Annotated[
        Path | None, typer.Option(help="JSON file with more settings: calibration, han ...")
    ] = None,
    keys: Annotated[
        bool, typer.Option(help="--no-keys: a meter without keys has no two-way link.")
    ] = True,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make another meter of a board that is one.")
    ] = False,
    code: Annotated[bool, typer.Option(help="--no-code: only provision.")] = True,
    reset: Annotated[bool, typer.Option(help="--no-reset: leave the board at its prompt.")] = True,
    as_json: JsonObjectOption = False,
) -> None:
    """Put the firmware on a MicroPython board, verify it, and make it a meter.

    A cable that is pulled at any moment leaves the old code running.
    """
    wanted = target(board)
    identity = None
    if meter_id is not None:
        store = open_keystore(keystore, passphrase_file) if keys else None
        identity = _identity(wanted, meter_id, system, front_end, neutral, settings, store)
    files = package.flashed(wanted) if code else {}
    with BoardLink(port or find_port()) as link:
        report: dict[str, Any] = {"port": link.port, "board": board}
        paths: tuple[str, ...] = ()
        link.start_clean()
        machine = installing.check_board(link, wanted)
        if code:
            with progress("octets", as_json) as told:
                done = installing.install(link, wanted, files, told, settings=identity or ())
            report |= {"slot": done.slot, "files": done.files, "octets": done.octets}
            paths = ("/" + done.slot,)
        else:
            if wanted.files and not installing.has_frozen_firmware(machine):
                installing.check_ram(link, wanted, identity or ())
            paths = provision.code_paths(link)
        if identity is not None:
            provision.write_settings(link, identity, paths, replace)
            report["meter_id"] = meter_id
        if reset:
            link.start("import machine;machine.reset()")
    _print(report, as_json)


def _identity(
    board: Target,
    meter_id: str,
    system: str,
    front_end: str,
    neutral: bool,
    settings: Path | None,
    store: Keystore | None,
) -> dict[str, Any]:
    if not (meter_id.isdigit() and len(meter_id) == 16):
        raise BenchError(f"--meter-id {meter_id}: a GS1 number has 16 digits")
    if board.platform == "esp32":
        raise BenchError(
            "an ESP32 has who it is in meter.json (docs/boards/esp32.md): flash without --meter-id"
        )
    more: dict[str, Any] = {}
    if settings is not None:
        try:
            more = json.loads(settings.read_text())
        except (OSError, ValueError) as error:
            raise BenchError(f"{settings}: {error}") from None
    calibration = more.pop("calibration", None)
    if calibration is None:
        calibration = provision.nominal_calibration(board.name, front_end, system, neutral)
    security = None
    if store is not None:
        security = provisioned(store, meter_id, device=True)
    return provision.identity(meter_id, system, front_end, calibration, security) | more


def _print(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say(json.dumps(report))
        return
    if "slot" in report:
        kib = report["octets"] / 1024
        say(f"{report['port']}: {report['files']} files, {kib:.0f} KiB, read back and the same")
    if "meter_id" in report:
        say(f"{report['port']}: this is meter {report['meter_id']} now")


def calibrate(
    port: Port = None,
    element: Annotated[
        int | None, typer.Option(help="1, 2 or 3: the element that has the load.", show_default="1")
    ] = None,
    neutral: Annotated[
        bool, typer.Option("--neutral", help="The neutral has the load: it has a current alone.")
    ] = False,
    voltage: Annotated[float | None, typer.Option(help="True voltage / V; asked for.")] = None,
    current: Annotated[float | None, typer.Option(help="True current / A; asked for.")] = None,
    angle: Annotated[
        float | None,
        typer.Option(help="Of the current behind the voltage / deg.", show_default="0"),
    ] = None,
    windows: Annotated[int, typer.Option(help="Windows of 200 ms that are averaged.")] = 25,
    as_json: JsonObjectOption = False,
) -> None:
    """Teach a board its gains and phase: a known load in, the record stored on the board."""
    from openams.flashing.calibrate import Load

    if neutral and not (element is voltage is angle is None):
        raise BenchError("--neutral goes with --current alone: it is no element and has no voltage")
    if not neutral and voltage is None:
        voltage = typer.prompt("True voltage / V", type=float)
    if current is None:
        current = typer.prompt("True current / A", type=float)
    with BoardLink(port or find_port()) as link:
        link.start_clean()
        paths = provision.code_paths(link)
        settings = provision.read_settings(link, paths)
        if settings is None:
            raise BenchError(f"{link.port} is no meter yet: run  ams flash --meter-id ...")

        def keep(record: dict[str, Any]) -> None:
            provision.write_settings(link, settings | {"calibration": record}, paths)

        if neutral:
            report = _teach_neutral(link, settings, current, windows, keep)
        else:
            load = Load(voltage or 0.0, current, angle or 0.0)
            report = _teach_element(link, settings, element or 1, load, windows, keep)
        # The meter goes on, with what it has learnt.
        link.start("import machine;machine.reset()")
    if as_json:
        say(json.dumps({"port": link.port, **report}))
        return
    for name, was in report["found"].items():
        unit = name.rsplit("_", 1)[1]
        say(f"{name.rsplit('_', 1)[0]}: was off by {was:+.0f} {unit}, "
              f"is now by {report['left'][name]:+.0f}")  # fmt: skip


def _teach_element(
    link: BoardLink,
    settings: dict[str, Any],
    element: int,
    load: Load,
    windows: int,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    from openams.flashing.calibrate import correct
    from openams.flashing.reading import read_elements

    elements = read_elements(link, windows)
    if not 1 <= element <= len(elements):
        raise BenchError(f"--element {element}: this meter has {len(elements)}")
    place = element - 1
    record, found = correct(settings["calibration"], place, load, elements[place])
    keep(record)
    after = correct(record, place, load, read_elements(link, windows)[place])[1]
    return {"element": element, "found": vars(found), "left": vars(after)}


def _teach_neutral(
    link: BoardLink,
    settings: dict[str, Any],
    current_a: float,
    windows: int,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    from openams.flashing.calibrate import correct_neutral
    from openams.flashing.reading import read_neutral

    if settings["system"] != "3P4W" or len(settings["calibration"]["channels"]) != 7:
        raise BenchError(
            f"{link.port}: this meter has no current of the neutral: it is sampled where "
            "ams flash --neutral said so"
        )
    record, found = correct_neutral(settings["calibration"], current_a, read_neutral(link, windows))
    keep(record)
    left = correct_neutral(record, current_a, read_neutral(link, windows))[1]
    return {"neutral": True, "found": {"current_ppm": found}, "left": {"current_ppm": left}}


def console(
    port: Port = None,
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0: at Ctrl-C.")] = 0,
    as_json: JsonObjectOption = False,
) -> None:
    """Print what the board logs, with the time at which it came. It is only listened to."""
    from openams.flashing.console import listen

    end = time.monotonic() + seconds if seconds else None

    def show(line: str) -> None:
        stamp = time.strftime("%H:%M:%S")
        text = json.dumps({"time": stamp, "line": line}) if as_json else f"{stamp} {line}"
        say(text)

    try:
        listen(port or find_port(), show, lambda: end is not None and time.monotonic() >= end)
    except KeyboardInterrupt:
        return
