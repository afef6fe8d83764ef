"""`ams han`: watch a port, decode a file, replay captures through the meter."""

from __future__ import annotations

import errno
import json
import os
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openams.cli.common import JsonOption, group
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
from openams.private import reason
from openams.runtimes.launch import RUNTIMES
from openams.serialport import open_serial
from openams.terminal import say

if TYPE_CHECKING:
    import serial

app = group("Read HAN ports, files and captures.")

_KeysOption = Annotated[Path | None, typer.Option(help="File with the keys of encrypted lists.")]


def _keys(path: Path | None) -> list[Keys]:
    return load_keys(path) if path else []


_PARITIES = {"even": "E", "none": "N", "odd": "O"}
_LOOK_S = 0.2
# What is said of a port that is not plugged in, or is just being pulled out.
_NOT_THERE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO)


@app.command(epilog="Example: ams han watch /dev/ttyUSB0 --wait --json")
def watch(
    port: Annotated[str, typer.Argument(help="Serial port, or the link that `ams run` names.")],
    baud: Annotated[int, typer.Option(help="Baud rate; P1 is 115200.")] = 2400,
    parity: Annotated[str, typer.Option(help="even, none or odd.")] = "even",
    count: Annotated[int | None, typer.Option(help="Stop after so many lists.")] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Give up after so many seconds without a list.")
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait until the port is there, and again when it has gone."),
    ] = False,
    keys: _KeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the lists that come from a port, one a line, until Ctrl-C."""
    if parity not in _PARITIES:
        raise BenchError(f"--parity {parity!r} is unknown: choose even, none or odd")
    watched = _Watch(port, baud, _PARITIES[parity], count, timeout, _keys(keys), as_json)
    try:
        watched.listen(wait)
    except KeyboardInterrupt:
        return


class _Watch:
    """A port that is listened to, over its coming and going."""

    def __init__(
        self,
        port: str,
        baud: int,
        parity: str,
        count: int | None,
        timeout: float | None,
        keys: list[Keys],
        as_json: bool,
    ) -> None:
        self._port, self._baud, self._parity = port, baud, parity
        self._count, self._timeout, self._keys = count, timeout, keys
        self._as_json = as_json
        self._seen = 0
        self._last = time.monotonic()

    def listen(self, wait: bool) -> None:
        """Until there were enough lists; BenchError when the port ends before, or no list comes."""
        told = False
        while True:
            try:
                line = self._open()
            except (OSError, ValueError) as error:
                if not wait or getattr(error, "errno", None) not in _NOT_THERE:
                    raise BenchError(f"cannot read {self._port}: {_words(error)}") from None
                if not told:
                    say(f"ams: waiting for {self._port}", error=True)
                    told = True
                self._patience()
                time.sleep(_LOOK_S)
                continue
            try:
                with line:
                    self._follow(line)
                return
            except OSError:
                gone = f"{self._port} has gone, after {self._seen} lists"
            if not wait:
                raise BenchError(f"{gone}: the meter has stopped, or its cable is out")
            say(f"ams: {gone}", error=True)
            told = False

    def _open(self) -> serial.Serial:
        try:
            return open_serial(self._port, self._baud, parity=self._parity, timeout=_LOOK_S)
        except termios.error:
            # A pseudo-terminal has no parity: Linux refuses to be asked for one.
            return open_serial(self._port, self._baud, timeout=_LOOK_S)

    def _follow(self, line: serial.Serial) -> None:
        # What had begun when the port went away does not go on in the next.
        reader = FrameReader(self._keys)
        while self._count is None or self._seen < self._count:
            try:
                data = line.read(line.in_waiting or 1)
            except termios.error as error:
                raise OSError(*error.args) from None
            self._take(reader, data)
            self._patience()

    def _take(self, reader: FrameReader, data: bytes) -> None:
        readings = reader.feed(data)
        while self._count is None or self._seen < self._count:
            try:
                reading = next(readings, None)
            except HanError as error:
                say(f"ams: {error}", error=True)
                readings = reader.feed(b"")
                continue
            if reading is None:
                return
            self._seen += 1
            self._last = time.monotonic()
            as_json = self._as_json
            say(json.dumps(reading_to_json(reading)) if as_json else format_reading(reading))

    def _patience(self) -> None:
        if self._timeout is not None and time.monotonic() - self._last > self._timeout:
            raise BenchError(
                f"no list for {self._timeout:g} s: is the port open, and its baud rate right?"
            )


def _words(error: Exception) -> str:
    """Of the system, without pyserial's words around them."""
    if isinstance(error, OSError) and error.errno:
        strange = OSError(error.errno, os.strerror(error.errno))
        return reason(strange, "name another port, or see who may open it")
    return str(error)


@app.command(epilog="Example: cat frames.bin | ams han decode - --json")
def decode(
    file: Annotated[
        Path, typer.Argument(help="Frames: binary, hex text or JSON lines; - for standard input.")
    ],
    keys: _KeysOption = None,
    as_json: JsonOption = False,
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


@app.command(epilog="Example: ams han replay frames.jsonl --runtime micropython")
def replay(
    frames: Annotated[Path, typer.Argument(help='JSON lines with a "frame" in hex.')],
    runtime: Annotated[str, typer.Option(help=f"One of {', '.join(RUNTIMES)}.")] = "micropython",
    keys: _KeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put captured frames through the meter and compare what it sends, byte for byte."""
    from openams.han.replay import replay as replay_frames
    from openams.runtimes.process import MeterProcess

    loaded = load_frames(frames)
    with MeterProcess(runtime) as process:
        process.configure({"system": None})
        result = replay_frames(loaded, process.push, _keys(keys))
        process.stop()
    if as_json:
        say(json.dumps(result))
        return
    say(f"{result['identical']} of {result['frames']} frames identical")
    for entry in result["different"]:
        say(f"  line {entry['line']}: {entry['reason']} ({entry['source']})")
