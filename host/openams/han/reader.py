"""The reader: octets from a port, a file or a capture in, readings out."""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from openams.han.assembly import Apdu, Assembler
from openams.han.cipher import Keys, opened
from openams.han.errors import CutShortError, HanError
from openams.han.frames import Deframer, Hdlc
from openams.han.lists import read_notification
from openams.han.marks import SML_START, mbus_length, push_end, push_start
from openams.han.p1 import read_telegram
from openams.han.pushes import is_push, read_push
from openams.han.reading import Reading, format_reading, reading_to_json
from openams.han.sml import read_file

__all__ = ["FrameReader", "HanError", "decode_file", "decode_frame", "format_reading",
           "load_keys", "reading_to_json"]  # fmt: skip
_LLC = b"\xe6\xe7\x00"


def decode_frame(frame: bytes, keys: list[Keys] | None = None) -> Reading:
    """One list: a telegram, an SML file, its frames (HDLC with or without flags, M-Bus), or the
    APDU that they would carry. Raises HanError."""
    if frame[:1] == b"/":
        found = list(Deframer().feed(frame))
        if not found:
            raise HanError("telegram check is wrong, or the telegram is cut short")
        return read_telegram(found[0])
    if frame[:8] == SML_START:
        return read_file(frame)
    apdu = _assembled(frame)
    return _read_apdu(apdu, keys or [])


def _assembled(frame: bytes) -> Apdu:
    if frame[:1] in (b"\x0f", b"\xdb", _LLC[:1]):
        octets = frame.removeprefix(_LLC)
        return Apdu(octets, "none", Hdlc(b"", octets), frame)
    assembler = Assembler()
    apdu = None
    for piece in pieces(frame):
        if apdu is not None:
            raise HanError("more than one list where one was due")
        waiting = assembler.begun
        apdu = assembler.add(piece)
        if waiting and apdu is None and assembler.count == 1:
            raise CutShortError("another list begins before the last frame of one")
    if apdu is None:
        raise CutShortError("the list ends before its last frame")
    return apdu


def pieces(frame: bytes) -> list[bytes]:
    """The frames of one list, HDLC ones without flags: they share one, or have one each."""
    if frame[:1] == b"\x68":
        length = mbus_length(frame)
        if length is None or length >= len(frame):
            return [frame]
        return [frame[:length], *pieces(frame[length:])]
    frame = frame.removeprefix(b"\x7e")
    length = (frame[0] & 7) << 8 | frame[1] if len(frame) > 1 else 0
    if length < 2 or frame[length : length + 1] != b"\x7e":
        return [frame]
    rest = frame[length + 1 :]
    return [frame[:length], *(pieces(rest) if rest else [])]


def _read_apdu(apdu: Apdu, keys: list[Keys]) -> Reading:
    octets, sealed = apdu.octets, None
    if octets[:1] == b"\xdb":
        sealed = opened(octets, keys)
        octets = sealed.plain
    if octets[:1] == b"\x0f" and is_push(octets):
        reading = read_push(apdu, octets, sealed.title if sealed else None)
    else:
        reading = read_notification(apdu.hdlc, octets, apdu.raw)
    if sealed:
        reading.traits["sealed"] = sealed
    return reading


class FrameReader:
    """Takes octets as they come; gives readings, or the errors of good frames."""

    def __init__(self, keys: list[Keys] | None = None) -> None:
        self._deframer = Deframer()
        self._assembler = Assembler()
        self._keys = keys or []
        self._frames: deque[bytes] = deque()

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
        return self._deframer.begun or self._assembler.begun

    def feed(self, data: bytes) -> Iterator[Reading]:
        """Raises HanError for a good frame with content that cannot be read.

        The frames behind it come with the next call, of no octets too.
        """
        self._frames += self._deframer.feed(data)
        while self._frames:
            frame = self._frames.popleft()
            if frame[:1] in (b"/", b"\x0f", SML_START[:1]):
                yield decode_frame(frame, self._keys)
                continue
            apdu = self._assembler.add(frame)
            if apdu is not None:
                yield _read_apdu(apdu, self._keys)


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


def _is_stream(octets: bytes) -> bool:
    """Whether more than one push stands there, with nothing around them."""
    try:
        return push_start(octets) == 0 and (push_end(octets) or 0) < len(octets)
    except HanError:
        return False


def decode_file(path: Path, keys: list[Keys] | None = None) -> Iterator[tuple[str, Reading | str]]:
    """(place, reading or error) of everything in a file, in order."""
    stream = FrameReader(keys)
    place = str(path)
    for place, octets in _octets(path):
        # Without flags, or the APDU alone.
        single = octets[0] >> 4 == 0xA or octets[:1] in (b"\x0f", b"\xdb", _LLC[:1])
        single = single and not _is_stream(octets)
        try:
            if single:
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
