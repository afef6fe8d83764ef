"""Ports that listen."""

from __future__ import annotations

import socket

from openams.errors import BenchError


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket that listens; BenchError in one line when the port cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=64)
    except (OSError, OverflowError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise BenchError(
            f"cannot listen on {host}:{port}: {text}; name another port with {option}, or 0 for a "
            "free one"
        ) from None
