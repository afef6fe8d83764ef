"""Third-party readers, and the program as a user runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import warm
from dsmr_parser import telegram_specifications
from dsmr_parser.exceptions import InvalidChecksumError, ParseError
from dsmr_parser.parsers import TelegramParser
from han import autodecoder, hdlc
from warm import AMS as AMS

DATA = Path(__file__).resolve().parents[1] / "data"
DAY = DATA / "kaifa_ma304h3e_2017-09-15.csv"


def ams(*arguments: Any, ok: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    done = warm.run([*map(str, arguments)], timeout)
    if ok:
        assert done.returncode == 0, done.stderr
    return done


def amshan_frames(octets: bytes) -> list[dict[str, Any]]:
    """What amshan makes of a stream: its good frames, decoded."""
    out = []
    for frame in hdlc.HdlcFrameReader(False).read(octets):
        if frame.is_good_ffc and frame.is_expected_length:
            decoded = autodecoder.AutoDecoder().decode_message(frame)
            if decoded is not None:
                out.append(decoded)
    return out


def dsmr(telegram: bytes) -> dict[str, Any] | None:
    """What dsmr-parser makes of a P1 telegram, None when it rejects it."""
    try:
        parsed = TelegramParser(telegram_specifications.SWEDEN).parse(telegram.decode("latin-1"))
    except (InvalidChecksumError, ParseError, ValueError):  # ValueError: no CRC to be found
        return None
    return {name: getattr(parsed, name).value for name in dir(parsed) if name.isupper()}
