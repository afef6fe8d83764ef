"""Ports that listen."""

from __future__ import annotations

import socket
import sys
from http.server import ThreadingHTTPServer
from typing import Any

from openams.errors import BenchError


class HttpServer(ThreadingHTTPServer):
    """A thread for each connection; who hangs up, or takes too long, is no error of ours."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


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
