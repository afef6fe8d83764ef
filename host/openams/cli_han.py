"""`ams han`: watch a port, decode a file, replay captures through the meter."""

from __future__ import annotations

import json
import termios
import time
from pathlib import Path
from typing import Annotated

import serial
import typer

from openams.errors import BenchError
from openams.han.cipher import Keys
from openams.han.reader import (
    FrameReader,
    HanError,
    decode_file,
    format_reading,
    load_frames,
    load_keys,
    reading_to_json,
)
from openams.runtimes.launch import RUNTIMES
from openams.runtimes.process import MeterProcess
from openams.terminal import say

app = typer.Typer(help="Read HAN ports, files and captures.", no_args_is_help=True)

_KeysOption = Annotated[Path | None, typer.Option(help="File with the keys of encrypted lists.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _keys(path: Path | None) -> list[Keys]:
    return load_keys(path) if path else []


@app.command()
def watch(
    port: Annotated[str, typer.Argument(help="Serial port, or the link that `ams run` names.")],
    baud: Annotated[int, typer.Option(help="Baud rate; P1 is 115200.")] = 2400,
    parity: Annotated[str, typer.Option(help="even, none or odd.")] = "even",
    count: Annotated[int | None, typer.Option(help="Stop after so many lists.")] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Give up after so many seconds without a list.")
    ] = None,
    keys: _KeysOption = None,
    as_json: _Json = False,
) -> None:
    """Print the lists that come from a port, one a line."""
    parities = {"even": serial.PARITY_EVEN, "none": serial.PARITY_NONE, "odd": serial.PARITY_ODD}
    if parity not in parities:
        raise BenchError(f"--parity {parity!r} is unknown: choose even, none or odd")
    reader = FrameReader(_keys(keys))
    try:
        with _open(port, baud, parities[parity]) as line:
            _watch(line, reader, count, timeout, as_json)
    except (serial.SerialException, OSError, ValueError) as error:
        raise BenchError(f"cannot read {port}: {error}") from None


def _open(port: str, baud: int, parity: str) -> serial.Serial:
    try:
        return serial.Serial(port, baud, parity=parity, timeout=0.2)
    except termios.error:
        # A pseudo-terminal has no parity: Linux refuses to be asked for one.
        return serial.Serial(port, baud, timeout=0.2)


def _watch(
    line: serial.Serial,
    reader: FrameReader,
    count: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    seen = 0
    last = time.monotonic()
    while count is None or seen < count:
        data = line.read(line.in_waiting or 1)
        readings = reader.feed(data)
        while True:
            try:
                reading = next(readings, None)
            except HanError as error:
                say(f"ams: {error}", error=True)
                break
            if reading is None:
                break
            seen += 1
            last = time.monotonic()
            shown = json.dumps(reading_to_json(reading)) if as_json else format_reading(reading)
            say(shown)
        if timeout is not None and time.monotonic() - last > timeout:
            raise BenchError(
                f"no list for {timeout:g} s: is the port open, and its baud rate right?"
            )


@app.command()
def decode(
    file: Annotated[Path, typer.Argument(help="Frames: binary, hex text or JSON lines.")],
    keys: _KeysOption = None,
    as_json: _Json = False,
) -> None:
    """Print the lists in a file. Ends with 1 if one of them cannot be read."""
    bad = 0
    good = []
    for place, found in decode_file(file, _keys(keys)):
        if isinstance(found, str):
            bad += 1
            if as_json:
                good.append({"place": place, "error": found})
            else:
                say(f"{place}: {found}")
        elif as_json:
            good.append({"place": place, **reading_to_json(found)})
        else:
            good.append({})
            say(format_reading(found))
    if not good and not bad:
        raise BenchError(f"{file} holds no frames")
    if as_json:
        say(json.dumps({"readings": good}))
    if bad:
        raise typer.Exit(1)


@app.command()
def replay(
    frames: Annotated[Path, typer.Argument(help='JSON lines with a "frame" in hex.')],
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUNTIMES)}.")] = "micropython",
    as_json: _Json = False,
) -> None:
    """Put captured frames through the meter and compare what it sends, byte for byte."""
    from openams.han.replay import replay as replay_frames

    loaded = load_frames(frames)
    with MeterProcess(runtime) as process:
        process.configure({"system": None})
        result = replay_frames(loaded, process.push)
        process.stop()
    if as_json:
        say(json.dumps(result))
        return
    say(f"{result['identical']} of {result['frames']} frames identical")
    for entry in result["different"]:
        say(f"  line {entry['line']}: {entry['reason']} ({entry['source']})")
