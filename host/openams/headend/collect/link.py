"""A meter as reader over a link that is waited for: the client's steps, and asyncio around them.

One process holds hundreds of slow links: nobody waits for another's answer. The keys are those of
a collector's keystore, which moves and changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from openams.client import apdu, prefix
from openams.client import data as axdr
from openams.client.association import Association, Steps
from openams.client.ciphering import Cipher
from openams.client.errors import ClientError, LateError, LinkError, RefusedError, ServiceError
from openams.client.links import Transport, Url
from openams.errors import BenchError
from openams.han.cipher import Keys
from openams.keys.keystore import Keystore
from openams.keys.model import CLIENT_SAPS, COUNTER_MAX, PUBLIC_SAP

READER_SAP = CLIENT_SAPS["reader"]
_WRAPPER = struct.Struct(">HHHH")
# Numbers taken at a time: a day of a meter needs about ten.
NUMBERS = 64
# So far ahead a meter's word is taken, which it says in clear.
_JUMP = 1 << 24
# Of a session that nobody else's may meet: a test, a keystore that is one process's alone.
ALL = range(0, COUNTER_MAX)

T = TypeVar("T")


class CountersError(ClientError):
    """The counters that a session may use are behind those that were used: `needed` is the first
    that may be next. Whoever gives out turns knows of it then, and nobody else takes the same."""

    def __init__(self, meter_id: str, needed: int) -> None:
        super().__init__(f"the reader's counters of meter {meter_id} go on from {needed}")
        self.needed = needed


class Link(Protocol):
    """Moves whole APDUs; `octets` counts both ways, `spent_ms` is how long it has been open."""

    octets: int

    @property
    def spent_ms(self) -> int: ...

    async def exchange(self, message: bytes) -> bytes:
        """The answer; b"": one more message, nothing is sent."""

    async def close(self) -> None: ...


Opener = Callable[[int], Awaitable[Link]]


class TcpLink:
    """The wrapper of IEC 62056-47, through a gateway where the URL names a meter behind one."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        url: Url,
        sap: int,
        timeout_s: float,
    ) -> None:
        self._reader, self._writer, self._url = reader, writer, url
        self._sap, self._timeout_s = sap, timeout_s
        self.octets = 0
        self._began = time.monotonic()

    @property
    def spent_ms(self) -> int:
        return round(1000 * (time.monotonic() - self._began))

    @classmethod
    async def open(cls, url: Url, timeout_s: float, sap: int) -> TcpLink:
        try:
            opening = asyncio.open_connection(url.host, url.port)
            reader, writer = await asyncio.wait_for(opening, timeout_s)
        except TimeoutError:
            raise LateError(f"no answer from {url.text}") from None
        except OSError as error:
            reason = error.strerror or error
            raise LinkError(f"no meter at {url.host}:{url.port}: {reason}") from None
        return cls(reader, writer, url, sap, timeout_s)

    async def exchange(self, message: bytes) -> bytes:
        try:
            return await asyncio.wait_for(self._exchange(message), self._timeout_s)
        except TimeoutError:
            raise LateError(f"no answer from {self._url.text}") from None
        except asyncio.IncompleteReadError:
            raise LinkError(f"{self._url.text} has closed the connection") from None
        except prefix.PrefixError as error:
            raise LinkError(f"{self._url.text}: {error}") from None
        except OSError as error:
            raise LinkError(f"{self._url.text}: {error.strerror or error}") from None

    async def _exchange(self, message: bytes) -> bytes:
        gateway = self._url.gateway
        if message:
            body = prefix.to_meter(gateway, message) if gateway else message
            self._writer.write(_WRAPPER.pack(1, self._sap, self._url.server, len(body)) + body)
            self.octets += _WRAPPER.size + len(body)
            await self._writer.drain()
        head = await self._reader.readexactly(_WRAPPER.size)
        version, source, to, size = _WRAPPER.unpack(head)
        if (version, source, to) != (1, self._url.server, self._sap):
            raise LinkError(f"{self._url.text} does not speak the wrapper of a meter")
        body = await self._reader.readexactly(size)
        self.octets += _WRAPPER.size + size
        return prefix.from_meter(gateway, body) if gateway else body

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), self._timeout_s)


class BlockingLink:
    """A transport of the client's that does not make one wait: that of a field in virtual time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.octets = 0
        self._began = time.monotonic()

    @property
    def spent_ms(self) -> int:
        return round(1000 * (time.monotonic() - self._began))

    async def exchange(self, message: bytes) -> bytes:
        transport = self._transport
        answer = transport.send_request(message) if message else transport.receive()
        self.octets += len(message) + len(answer)
        await asyncio.sleep(0)
        return answer

    async def close(self) -> None:
        self._transport.disconnect()


def opener_of(url: Url, timeout_s: float) -> Opener:
    """Opens links to what a URL names."""
    opener = url.opener
    if opener is not None:

        async def opened(sap: int) -> Link:
            return BlockingLink(opener(sap, timeout_s))

        return opened
    if url.scheme != "tcp":
        raise BenchError(f"a collector calls meters over TCP, not at {url.text}")
    return functools.partial(TcpLink.open, url, timeout_s)


class Reader:
    """One association. Close it."""

    def __init__(self, link: Link, association: Association) -> None:
        self.link = link
        self._association = association

    async def go(self, steps: Steps[T]) -> T:
        try:
            message = next(steps)
            while True:
                message = steps.send(await self.link.exchange(message))
        except StopIteration as done:
            value: T = done.value
            return value

    async def get(self, class_id: int, obis: str, number: int, selection: bytes = b"") -> Any:
        what = apdu.descriptor(class_id, obis, number)
        name = f"{obis} attribute {number}"
        return axdr.decode(await self.go(self._association.get(what, selection, name)))

    async def get_all(self, attributes: Sequence[tuple[int, str, int]]) -> list[Any]:
        """Of several attributes (class, logical name, number), at once where the meter can."""
        return await self.go(self._association.get_all(attributes))

    async def close(self) -> None:
        try:
            await self.go(self._association.release())
        except BenchError:
            pass
        finally:
            await self.link.close()


async def connect(
    opener: Opener, store: Keystore, meter_id: str, share: range = ALL, first: int = 0
) -> Reader:
    """An association as reader, its counters out of `share` alone, the first ones from `first`,
    which were taken for it; ClientError if it is not to be had, or with another meter."""
    try:
        return await _associate(opener, store, meter_id, share, first)
    except (RefusedError, ServiceError) as error:
        if not await _caught_up(opener, store, meter_id, error):
            raise
    return await _associate(opener, store, meter_id, share)


async def _associate(
    opener: Opener, store: Keystore, meter_id: str, share: range, first: int = 0
) -> Reader:
    keys = store.get(meter_id)
    entry = keys.client(READER_SAP)
    pair = Keys(
        bytes.fromhex(entry.current.encryption), bytes.fromhex(entry.current.authentication)
    )
    numbers = Numbers(store, meter_id, share, first)
    cipher = Cipher(
        bytes.fromhex(entry.title), pair, bytes.fromhex(keys.system_title), numbers.take
    )
    return await _opened(opener, READER_SAP, Association(cipher))


async def _opened(opener: Opener, sap: int, association: Association) -> Reader:
    reader = Reader(await opener(sap), association)
    try:
        await reader.go(association.open())
    except BaseException:
        await reader.close()
        raise
    return reader


class Numbers:
    """Invocation counters, taken from the keystore before they are used; none is out of `share`,
    though the keystore were ahead of it: one with the same keys may use those that it would give.
    `first`: NUMBERS from here on are taken already."""

    def __init__(self, store: Keystore, meter_id: str, share: range, first: int) -> None:
        self._meter_id, self._share = meter_id, share
        self._reserve = functools.partial(
            store.reserve, meter_id, READER_SAP, NUMBERS, least=share.start
        )
        self._next, self._end = first, first + NUMBERS if first else 0

    def take(self) -> int:
        if self._next == self._end:
            self._next = self._reserve()
            self._end = self._next + NUMBERS
        if self._next >= self._share.stop:
            raise CountersError(self._meter_id, self._next)
        self._next += 1
        return self._next - 1


async def _caught_up(opener: Opener, store: Keystore, meter_id: str, error: ClientError) -> bool:
    """Whether the meter expects a higher number than ours; the keystore then has it."""
    expected = error.counter if isinstance(error, ServiceError) else None
    if expected is None:
        try:
            public = await _opened(opener, PUBLIC_SAP, Association())
            try:
                value = await public.get(1, f"0.0.43.1.{READER_SAP}.255", 2)
            finally:
                await public.close()
        except ClientError:
            return False
        expected = value if isinstance(value, int) else None
    ours = store.get(meter_id).client(READER_SAP).current.next_counter
    if expected is None or expected <= ours - NUMBERS:
        return False
    if expected > ours + _JUMP:
        raise ClientError(
            f"the meter asks for counter {expected} where the next is {ours}: "
            "it says so in clear, and is not believed"
        )
    store.raise_counter(meter_id, READER_SAP, expected)
    return True
