"""The reader: octets from a port, a file or a capture in, readings out."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from openams.han.cipher import Keys, open_ciphered
from openams.han.errors import HanError, UnknownListError
from openams.han.frames import Deframer, parse_hdlc
from openams.han.lists import read_notification
from openams.han.p1 import read_telegram
from openams.han.reading import Reading, format_reading, reading_to_json

__all__ = ["FrameReader", "HanError", "decode_file", "decode_frame", "format_reading",
           "load_keys", "reading_to_json"]  # fmt: skip


def decode_frame(frame: bytes, keys: list[Keys] | None = None) -> Reading:
    """One HDLC frame, with or without flags, or one telegram. Raises HanError."""
    if frame[:1] == b"/":
        found = list(Deframer().feed(frame))
        if not found:
            raise HanError("telegram check is wrong, or the telegram is cut short")
        return read_telegram(found[0])
    if frame[:1] == b"\x7e" and frame[-1:] == b"\x7e" and len(frame) > 2:
        frame = frame[1:-1]
    hdlc = parse_hdlc(frame)
    if hdlc.information[:3] != b"\xe6\xe7\x00":
        raise UnknownListError("the frame has no LLC header of a meter")
    apdu = hdlc.information[3:]
    if apdu[:1] == b"\xdb":
        apdu = open_ciphered(apdu, keys or [])
    return read_notification(hdlc, apdu, frame)


class FrameReader:
    """Takes octets as they come; gives readings, or the errors of good frames."""

    def __init__(self, keys: list[Keys] | None = None) -> None:
        self._deframer = Deframer()
        self._keys = keys or []

    def use_keys(self, keys: list[Keys]) -> None:
        """Keys for the frames from now on."""
        self._keys = keys

    @property
    def dropped(self) -> int:
        """Octets that belonged to no good frame."""
        return self._deframer.dropped

    @property
    def damaged(self) -> int:
        """Frames with a good head, and telegrams, that were passed over."""
        return self._deframer.damaged

    @property
    def begun(self) -> bool:
        """Whether a frame has begun and waits for its end."""
        return self._deframer.begun

    def feed(self, data: bytes) -> Iterator[Reading]:
        """Raises HanError for a good frame with content that cannot be read."""
        for frame in self._deframer.feed(data):
            yield decode_frame(frame, self._keys)


def load_keys(path: Path) -> list[Keys]:
    """Keys of a file {"keys": [{"encryption": hex, "authentication": hex}, ...]}."""
    try:
        records = json.loads(path.read_text())["keys"]
        keys = [
            Keys(bytes.fromhex(record["encryption"]), bytes.fromhex(record["authentication"]))
            for record in records
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Never the content: it is secret.
        raise HanError(f"{path} is no key file ({type(error).__name__})") from None
    if not keys or any(len(k.encryption) != 16 or len(k.authentication) != 16 for k in keys):
        raise HanError(f"{path}: keys must have 16 octets each")
    return keys


# In the place of a file: what comes from the standard input, to its end.
STDIN = Path("-")


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    except OSError as error:
        raise HanError(f"cannot read {path}: {error.strerror}") from None


def _octets(path: Path) -> list[tuple[str, bytes]]:
    """(place, octets) of a file: JSON lines with "frame", text in hex, or binary."""
    data = _read(path)
    if not data:
        raise HanError(f"{path} is empty")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return [(str(path), data)]
    if text.lstrip().startswith("{"):
        return [(f"{path}:{number}", frame) for number, frame, _ in _json_lines(text, path)]
    if text.lstrip().startswith("/"):
        return [(str(path), data)]
    pieces = []
    for number, line in enumerate(text.splitlines(), start=1):
        plain = re.sub(r"[\s:,]|0x", "", line)
        if not plain or line.startswith("#"):
            continue
        if not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", plain):
            raise HanError(f"{path}:{number}: neither hex nor a frame")
        pieces.append((f"{path}:{number}", bytes.fromhex(plain)))
    if not pieces:
        raise HanError(f"{path} holds no frames")
    return pieces


def load_frames(path: Path) -> list[tuple[int, bytes, str]]:
    """(line, frame, source) of JSON lines with a "frame" in hex. Raises HanError."""
    try:
        text = _read(path).decode()
    except UnicodeDecodeError:
        raise HanError(f"{path} is no text: write JSON lines, in UTF-8") from None
    return _json_lines(text, path)


def _json_lines(text: str, path: Path) -> list[tuple[int, bytes, str]]:
    out = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            frame = bytes.fromhex(record["frame"])
        except (ValueError, KeyError, TypeError):
            raise HanError(f'{path}:{number}: no JSON object with a "frame" in hex') from None
        out.append((number, frame, str(record.get("source", ""))))
    if not out:
        raise HanError(f"{path} holds no frames")
    return out


def decode_file(path: Path, keys: list[Keys] | None = None) -> Iterator[tuple[str, Reading | str]]:
    """(place, reading or error) of everything in a file, in order."""
    stream = FrameReader(keys)
    place = str(path)
    for place, octets in _octets(path):
        single = octets[:1] != b"/" and octets[:1] != b"\x7e" and octets[:1] >= b"\xa0"
        try:
            if single and octets[0] >> 4 == 0xA:
                yield place, decode_frame(octets, keys)
                continue
        except HanError as error:
            yield place, str(error)
            continue
        yield from ((place, found) for found in _all_of(stream, octets))
    if stream.begun:
        yield place, "the last frame is cut short"


def _all_of(stream: FrameReader, octets: bytes) -> Iterator[Reading | str]:
    """Readings and errors of some octets: what is bad does not hide what follows."""
    damaged = stream.damaged
    while True:
        try:
            yield from stream.feed(octets)
            break
        except HanError as error:
            yield str(error)
            octets = b""  # the rest is in the stream already
    for _ in range(stream.damaged - damaged):
        yield "a frame is damaged: its check is wrong, or it is cut short"
