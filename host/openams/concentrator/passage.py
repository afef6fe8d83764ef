"""The way through a concentrator to each meter: the gateway's prefix off, and on again.

What a client sends behind a prefix goes to the meter named there, octet by octet as it came, and
what the meter says comes back the same way; ciphering is between those two, and no key for it is
here. Each client has a connection of its own to each meter that it speaks to. Nothing is held for
anybody but one message at a time: who does not read is waited for a while, then hung up on.

A message without a prefix is a meter's own, which it sends unasked: it is kept for the head-end.
Where there is no meter to give an answer, an exception response says why, behind the prefix:
    D8 01 02  no such meter here, or no prefix at all    D8 01 01  it does not answer, or hung up
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from openams.client import prefix
from openams.client.prefix import NETWORK, REQUEST, RESPONSE, Prefixed, PrefixError
from openams.gs1 import METER_DIGITS

_WRAPPER = struct.Struct(">HHHH")
# The wrapper counts no further. A prefix comes out of that.
_MESSAGE_MOST = 0xFFFF
APDU_MOST = _MESSAGE_MOST - 3 - METER_DIGITS
# Messages of a client that wait for a meter's connection.
_WAITING_MOST = 4
NO_METER, NO_ANSWER = b"\xd8\x01\x02", b"\xd8\x01\x01"


@dataclass(frozen=True)
class Bounds:
    clients: int = 32
    meters_a_client: int = 16  # links; the one unused longest gives way
    open_s: float = 10.0  # for a meter to take a connection
    write_s: float = 20.0  # for somebody to read what is sent to him
    idle_s: float = 300.0  # without a message of the client
    torn_s: float = 20.0  # from the first octet of a message to its last
    # When all places are taken: one who was silent for so long, or has never said anything for
    # so long, gives way to who comes.
    silent_s: float = 30.0
    mute_s: float = 3.0


class WrongMessage(Exception):
    """No wrapper, or a message longer than there are any: nobody knows where the next begins."""


async def read_message(
    reader: asyncio.StreamReader, first_s: float | None, rest_s: float | None
) -> tuple[int, int, bytes] | None:
    """(source, destination, message) of a wrapper's frame; None at the end of the connection.

    Raises WrongMessage; TimeoutError when it does not begin, or end, in time.
    """
    try:
        async with asyncio.timeout(first_s):
            start = await reader.readexactly(1)
        async with asyncio.timeout(rest_s):
            head = start + await reader.readexactly(_WRAPPER.size - 1)
            version, source, destination, size = _WRAPPER.unpack(head)
            if version != 1 or size > _MESSAGE_MOST:
                raise WrongMessage
            return source, destination, await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def framed(source: int, destination: int, message: bytes) -> bytes:
    return _WRAPPER.pack(1, source, destination, len(message)) + message


class Places(Protocol):
    """Which meters there are, and where."""

    def find(self, meter_id: str) -> tuple[str, int] | None:
        """Host and port; None for a meter that is not here."""

    def heard(self, message: bytes) -> bool:
        """Whether it is one that a meter of here sends unasked; then it is taken."""


class _Link:
    """A client's connection to one meter, for one pair of SAPs."""

    def __init__(
        self, client: _Client, address: bytes, saps: tuple[int, int], place: tuple[str, int]
    ) -> None:
        self._client = client
        self._address = address
        self._saps = saps
        self._place = place
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_MOST)
        self._asked = False  # the last word was the client's
        self._task = asyncio.create_task(self._run())

    async def send(self, apdu: bytes) -> None:
        """Waits while the meter is behind. Raises TimeoutError."""
        async with asyncio.timeout(self._client.bounds.write_s):
            await self._waiting.put(apdu)

    async def _run(self) -> None:
        bounds = self._client.bounds
        writer: asyncio.StreamWriter | None = None
        pump: asyncio.Task[None] | None = None
        self._asked = True
        try:
            async with asyncio.timeout(bounds.open_s):
                reader, writer = await asyncio.open_connection(*self._place, limit=_MESSAGE_MOST)
            pump = asyncio.create_task(self._carry_back(reader))
            while not pump.done():
                apdu = asyncio.create_task(self._waiting.get())
                await asyncio.wait((apdu, pump), return_when=asyncio.FIRST_COMPLETED)
                if not apdu.done():
                    apdu.cancel()
                    break
                self._asked = True
                writer.write(framed(*self._saps, apdu.result()))
                async with asyncio.timeout(bounds.write_s):
                    await writer.drain()
        except (OSError, TimeoutError):
            pass  # it is not there, or takes nothing
        finally:
            if pump:
                pump.cancel()
            if writer:
                writer.close()
            self._client.forget(self._address, self._saps, self)
        if self._asked or not self._waiting.empty():
            client, server = self._saps
            await self._client.refuse(self._address, (server, client), NO_ANSWER)

    async def _carry_back(self, reader: asyncio.StreamReader) -> None:
        """All that the meter says, until one of both hangs up."""
        # The meter's end of the line may speak nonsense: as if it had hung up.
        with contextlib.suppress(WrongMessage, TimeoutError, OSError):
            while message := await read_message(reader, None, self._client.bounds.torn_s):
                source, destination, apdu = message
                if len(apdu) > APDU_MOST:
                    return
                self._asked = False
                answer = Prefixed(RESPONSE, NETWORK, self._address, apdu).octets()
                await self._client.send(framed(source, destination, answer))

    def close(self) -> None:
        self._task.cancel()


class _Client:
    """A connection of a client, with those to its meters."""

    def __init__(
        self,
        places: Places,
        bounds: Bounds,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.bounds = bounds
        self._places = places
        self._reader = reader
        self._writer = writer
        self._links: dict[tuple[bytes, tuple[int, int]], _Link] = {}
        self._heard = 0
        self._last = asyncio.get_running_loop().time()
        # What goes out is whole messages: meters take turns.
        self._turn = asyncio.Lock()

    async def serve(self) -> None:
        try:
            while True:
                message = await read_message(self._reader, self.bounds.idle_s, self.bounds.torn_s)
                if message is None:
                    return
                source, destination, octets = message
                self._heard += 1
                self._last = asyncio.get_running_loop().time()
                await self._take((source, destination), octets)
        except (WrongMessage, TimeoutError, OSError):
            pass
        finally:
            self.close()

    async def _take(self, saps: tuple[int, int], octets: bytes) -> None:
        try:
            found = prefix.parse(octets)
        except PrefixError:
            # Torn: whose it was to be nobody can say, and what follows may be whole again.
            await self.send(framed(saps[1], saps[0], NO_METER))
            return
        if found is None:
            if await asyncio.to_thread(self._places.heard, octets):
                return
            await self.send(framed(saps[1], saps[0], NO_METER))
            return
        place = None
        if (found.tag, found.network) == (REQUEST, NETWORK):
            place = self._places.find(found.address.decode("ascii", "replace"))
        if place is None or len(found.apdu) > APDU_MOST:
            await self.refuse(found.address, (saps[1], saps[0]), NO_METER)
            return
        try:
            await self._link(found.address, saps, place).send(found.apdu)
        except TimeoutError:
            self.forget(found.address, saps)
            await self.refuse(found.address, (saps[1], saps[0]), NO_ANSWER)

    def _link(self, address: bytes, saps: tuple[int, int], place: tuple[str, int]) -> _Link:
        link = self._links.pop((address, saps), None)
        if link is None:
            if len(self._links) >= self.bounds.meters_a_client:
                self.forget(*next(iter(self._links)))
            link = _Link(self, address, saps, place)
        self._links[address, saps] = link  # the newest is the last
        return link

    def forget(self, address: bytes, saps: tuple[int, int], ended: _Link | None = None) -> None:
        """Ends a link; one that `ended` by itself is only taken from the list."""
        link = self._links.get((address, saps))
        if link is not None and ended in (None, link):
            del self._links[address, saps]
            if ended is None:
                link.close()

    async def refuse(self, address: bytes, saps: tuple[int, int], why: bytes) -> None:
        answer = Prefixed(RESPONSE, NETWORK, address, why).octets()
        with contextlib.suppress(OSError, TimeoutError):
            await self.send(framed(*saps, answer))

    async def send(self, frame: bytes) -> None:
        """Raises OSError, also when the client does not read: it is hung up on then."""
        async with self._turn:
            if self._writer.is_closing():
                raise ConnectionResetError
            self._writer.write(frame)
            try:
                async with asyncio.timeout(self.bounds.write_s):
                    await self._writer.drain()
            except TimeoutError:
                self._writer.transport.abort()
                raise ConnectionResetError from None

    @property
    def silent_s(self) -> float:
        """How long nothing came of it: longer than it may while others wait, when above 0."""
        most = self.bounds.silent_s if self._heard else self.bounds.mute_s
        return asyncio.get_running_loop().time() - self._last - most

    def hang_up(self) -> None:
        self._writer.transport.abort()

    def close(self) -> None:
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._writer.close()


class Passage:
    """On a socket that listens; serves in a thread of its own from `start` on."""

    def __init__(
        self, listener: socket.socket, places: Places, bounds: Bounds | None = None
    ) -> None:
        self._places = places
        self._bounds = bounds or Bounds()
        self._socket = listener
        self.port: int = self._socket.getsockname()[1]
        self._clients: set[_Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        begun = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(begun.set)), daemon=True
        )
        self._thread.start()
        begun.wait()

    async def _run(self, begun: Callable[[], None]) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, sock=self._socket, limit=_MESSAGE_MOST)
        begun()
        await self._end.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= self._bounds.clients:
            quiet = max(self._clients, key=lambda client: client.silent_s)
            if quiet.silent_s <= 0:
                writer.close()
                return
            self._clients.remove(quiet)
            quiet.hang_up()
        # Little is held for one who does not read.
        writer.transport.set_write_buffer_limits(high=_MESSAGE_MOST)
        client = _Client(self._places, self._bounds, reader, writer)
        self._clients.add(client)
        try:
            await client.serve()
        finally:
            self._clients.discard(client)

    def close(self) -> None:
        if self._loop and self._end and self._thread:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(timeout=5)
        self._socket.close()
