"""TCP ports of the field's meters, for any client: octets as they come, at the pace of the field.

A meter that gives no answer is silent: its port takes the connection, as an operator's network
does, and nothing comes. What is refused is closed at once.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import time
from collections.abc import Iterable

from openams.errors import BenchError
from openams.field.channel import Channel, NoAnswer, Unreachable
from openams.field.field import Field

_PIECE = 4096


class _Caller:
    """A connection: `channel` None while nobody answers."""

    def __init__(self, connection: socket.socket, meter_id: str, channel: Channel | None) -> None:
        self.connection = connection
        self.meter_id = meter_id
        self.channel = channel


class Ports:
    """A port of each of `meters`: the first `first`, the others follow; 0: any free ones. Those of
    `hidden` have any.

    `speed`: seconds of the field in one; None: as fast as it goes, then no answer waits.
    """

    def __init__(
        self,
        field: Field,
        meters: Iterable[str],
        first: int = 0,
        speed: float | None = 1.0,
        hidden: Iterable[str] = (),
    ) -> None:
        self.urls: dict[str, str] = {}
        self.speed = speed
        self._field = field
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._callers: set[_Caller] = set()
        # When (monotonic), to whom, what; None: it is closed then.
        self._late: list[tuple[float, int, _Caller, bytes | None]] = []
        self._serial = itertools.count()
        try:
            for number, meter_id in enumerate(meters):
                self._listen(meter_id, first + number if first else 0)
            for meter_id in hidden:
                self._listen(meter_id, 0)
        except OSError as error:
            self.close()
            raise BenchError(
                f"cannot open a port for each meter: {error.strerror}; "
                "choose others with --port, or raise the limit of open files (ulimit -n)"
            ) from None

    def _listen(self, meter_id: str, port: int) -> None:
        listener = socket.socket()
        self._listeners.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(8)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, meter_id)
        self.urls[meter_id] = f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    def __enter__(self) -> Ports:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        for caller in list(self._callers):
            self._end(caller)
        for listener in self._listeners:
            listener.close()
        self._selector.close()

    def poll(self, timeout_s: float) -> None:
        """Serves who is there, for so long at the most."""
        if self._late:
            timeout_s = max(0.0, min(timeout_s, self._late[0][0] - time.monotonic()))
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, str):
                assert isinstance(key.fileobj, socket.socket)
                self._accept(key.fileobj, key.data)
            else:
                self._read(key.data)
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, caller, octets = heapq.heappop(self._late)
            if octets is None:
                self._end(caller)
            elif caller in self._callers:
                self._write(caller, octets)

    def _accept(self, listener: socket.socket, meter_id: str) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        channel = None
        try:
            channel = self._field.call(meter_id)
        except NoAnswer:
            pass
        except Unreachable:
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller = _Caller(connection, meter_id, channel)
        self._callers.add(caller)
        self._selector.register(connection, selectors.EVENT_READ, caller)

    def _read(self, caller: _Caller) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = caller.connection.recv(_PIECE)
        if not data:
            self._end(caller)
            return
        channel = caller.channel
        if channel is None:
            return
        began = channel.utc_ms = max(channel.utc_ms, self._field.utc_ms)
        try:
            answer = channel.exchange(data)
        except NoAnswer:
            # From now on nothing comes any more.
            caller.channel = None
            return
        except Unreachable:
            self._end(caller)
            return
        wait_s = (channel.utc_ms - began) / 1000 / self.speed if self.speed else 0.0
        self._later(wait_s, caller, answer)
        if not channel.is_open:
            self._later(wait_s, caller, None)

    def _later(self, wait_s: float, caller: _Caller, octets: bytes | None) -> None:
        if octets != b"":
            due = time.monotonic() + wait_s
            heapq.heappush(self._late, (due, next(self._serial), caller, octets))

    def _write(self, caller: _Caller, octets: bytes) -> None:
        try:
            caller.connection.setblocking(True)
            caller.connection.sendall(octets)
            caller.connection.setblocking(False)
        except OSError:
            self._end(caller)

    def _end(self, caller: _Caller) -> None:
        if caller not in self._callers:
            return
        self._callers.discard(caller)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(caller.connection)
        caller.connection.close()
        if caller.channel is not None:
            caller.channel.close()
