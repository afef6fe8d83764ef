"""Where `ams run --mqtt` publishes: a URL, made into the settings `home` of a meter."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from openams.errors import BenchError

_EXAMPLE = "write it like mqtt://user@192.168.1.5, or mqtts://user@broker.local:8883/prefix"
VERSIONS = ("3.1.1", "5")
_PORTS = {"mqtt": 1883, "mqtts": 8883}


def parse_broker(
    url: str, password_file: Path | None, ca: Path | None, version: str | None = None
) -> dict[str, Any]:
    """Settings of the firmware's `home.broker`. A name is looked up here: the meter would wait."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise BenchError(f"--mqtt: the port is none: {_EXAMPLE}") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise BenchError(f"--mqtt: {_EXAMPLE}")
    settings: dict[str, Any] = {
        "broker": f"{_address(parts.hostname)}:{port}",
        "name": parts.hostname,
    }
    if parts.username:
        settings["user"] = unquote(parts.username)
    if parts.password is not None:
        settings["password"] = unquote(parts.password)
    if password_file is not None:
        settings["password"] = _text("--mqtt-password-file", password_file).rstrip("\r\n")
    if "password" in settings and "user" not in settings:
        raise BenchError("--mqtt: a password goes with a user: mqtt://user@...")
    if prefix := unquote(parts.path).strip("/"):
        settings["prefix"] = prefix
    if parts.scheme == "mqtts":
        if ca is None:
            raise BenchError("--mqtt: mqtts verifies the broker: name its authority with --mqtt-ca")
        settings.update(tls=True, ca=_text("--mqtt-ca", ca))
    elif ca is not None:
        raise BenchError("--mqtt-ca: mqtt:// is in clear: write mqtts://")
    if version not in (None, *VERSIONS):
        raise BenchError(f"--mqtt-version: one of {', '.join(VERSIONS)}")
    if version:
        settings["mqtt"] = version
    for sign in '+#$"\\':
        if sign in prefix:
            raise BenchError(f"--mqtt: no topic begins with a prefix that has a {sign}")
    return settings


def _address(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BenchError(f"--mqtt: {host} is not found") from None
    return str(found[0][4][0])


def _text(option: str, path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BenchError(f"{option} {path}: {why}") from None
