"""NATS JetStream: streams of work and of results, each message one receiver's, kept on disk until
it is acknowledged; what nobody acknowledges in its time comes to another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openams.errors import BenchError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

WORK, RESULTS = "OPENAMS_WORK", "OPENAMS_RESULTS"
TURNS, DAYS = "openams.work.turn", "openams.work.evaluate"
CAME = "openams.result.turn"
TIME = "openams.time"
# A receiver that says nothing for so long has died.
ACK_WAIT_S = 30.0
# So often a message comes; then its turn's lease ends, and it is given out anew.
DELIVERIES = 4
# A message with the number of one that was given in this time is that one.
_ONCE_S = 120.0
# Work that nobody takes goes with its leases.
_WORK_AGE_S = 3600.0
# Results wait for a store that has gone; when it is full, collectors wait.
_RESULTS_OCTETS = 4 << 30
_RESULTS_AGE_S = 14 * 86_400.0


class BusError(BenchError):
    """The bus does not answer, or takes no more: what was asked may be asked again."""


class TooLongError(BusError):
    """The bus takes no message of this length, however often it is given."""


class Bus:
    """One connection, which is made anew by itself when it has gone."""

    def __init__(self, url: str, name: str, ack_wait_s: float = ACK_WAIT_S) -> None:
        self.ack_wait_s = ack_wait_s
        parts = urlsplit(url)
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise BenchError(f"{url!r} is no URL of a bus: write it like nats://host:4222")
        try:
            import nats
        except ImportError:
            raise BenchError(
                "a bus needs nats-py: install it with pip install 'openams-meter[bus]'"
            ) from None
        self._nats: Any = nats
        self._url, self._client_name = url, name
        # Without a password, for what is printed.
        self.name = f"{parts.scheme}://{parts.hostname}:{parts.port or 4222}"
        self._pulls: dict[str, Any] = {}

    async def open(self, wait_s: float = 4.0) -> None:
        """BusError where nobody answers in time."""
        try:
            self._connection = await asyncio.wait_for(
                self._nats.connect(
                    self._url, name=self._client_name, max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25, connect_timeout=2, error_cb=_quiet,
                    drain_timeout=2,
                ),
                wait_s,
            )  # fmt: skip
        except (TimeoutError, OSError, self._nats.errors.Error) as error:
            raise BusError(f"no bus at {self.name}: {_words(error)}") from None
        self._stream = self._connection.jetstream(timeout=5)
        await self._ensure()

    async def _ensure(self) -> None:
        """Streams and their receivers, as this version has them; what is there stays."""
        from nats.js import api

        streams = (
            api.StreamConfig(WORK, subjects=["openams.work.>"], max_age=_WORK_AGE_S),
            api.StreamConfig(
                RESULTS, subjects=["openams.result.>"], max_bytes=_RESULTS_OCTETS,
                discard=api.DiscardPolicy.NEW, max_age=_RESULTS_AGE_S,
            ),
        )  # fmt: skip
        for stream in streams:
            stream.retention = api.RetentionPolicy.WORK_QUEUE
            stream.storage, stream.duplicate_window = api.StorageType.FILE, _ONCE_S
            await self._asking(self._stream.add_stream(stream))
        for place, name, subject, deliveries in (
            (WORK, "collectors", TURNS, DELIVERIES),
            (WORK, "engines", DAYS, -1),
            (RESULTS, "writers", CAME, -1),
        ):
            config = api.ConsumerConfig(
                durable_name=name, filter_subject=subject, ack_wait=self.ack_wait_s,
                max_deliver=deliveries, max_ack_pending=20_000,
            )  # fmt: skip
            await self._asking(self._stream.add_consumer(place, config))
            self._pulls[subject] = await self._asking(self._stream.pull_subscribe_bind(name, place))

    async def _asking(self, asked: Awaitable[Any]) -> Any:
        """BusError for whatever goes wrong with the bus itself."""
        try:
            return await asked
        except (self._nats.errors.Error, TimeoutError, OSError) as error:
            raise BusError(f"the bus {self.name} does not answer: {_words(error)}") from None

    async def close(self) -> None:
        with contextlib.suppress(self._nats.errors.Error, TimeoutError, OSError):
            await asyncio.wait_for(self._connection.close(), 3)

    # --- messages --------------------------------------------------------------------------

    async def give(self, subject: str, data: bytes, number: str) -> None:
        """Returns when it is on the bus's disk; one with the same `number` was there before."""
        headers = {"Nats-Msg-Id": number}
        try:
            await self._stream.publish(subject, data, timeout=5, headers=headers)
        except self._nats.errors.MaxPayloadError:
            text = f"{len(data)} octets are more than the bus {self.name} takes at once"
            raise TooLongError(text) from None
        except (self._nats.errors.Error, TimeoutError, OSError) as error:
            if isinstance(error, self._nats.js.errors.NoStreamResponseError):
                # Its disk is new.
                await self._ensure()
            raise BusError(f"the bus {self.name} does not answer: {_words(error)}") from None

    async def pull(self, subject: str, most: int, wait_s: float) -> list[Msg]:
        """Messages, at most so many; none after `wait_s`."""
        try:
            found: list[Msg] = await self._pulls[subject].fetch(most, timeout=wait_s)
        except (self._nats.errors.TimeoutError, TimeoutError):
            return []
        except (self._nats.errors.Error, OSError) as error:
            with contextlib.suppress(BusError):
                await self._ensure()
            raise BusError(f"the bus {self.name} does not answer: {_words(error)}") from None
        return found

    async def waiting(self, stream: str) -> int:
        """How many messages a stream has that nobody has done with."""
        info = await self._asking(self._stream.stream_info(stream))
        return int(info.state.messages)

    async def answered(self, *messages: Msg) -> None:
        """They are done with. Where the bus does not hear it they come again."""
        for message in messages:
            with contextlib.suppress(self._nats.errors.Error, OSError):
                await message.ack()

    async def working(self, message: Msg) -> None:
        """Not dead: it takes longer."""
        with contextlib.suppress(self._nats.errors.Error, OSError):
            await message.in_progress()

    async def later(self, *messages: Msg, delay_s: float = 2.0) -> None:
        for message in messages:
            with contextlib.suppress(self._nats.errors.Error, OSError):
                await message.nak(delay=delay_s)

    async def refused(self, message: Msg) -> None:
        """It never comes again."""
        with contextlib.suppress(self._nats.errors.Error, OSError):
            await message.term()

    # --- questions, which nobody keeps ------------------------------------------------------

    async def ask(self, subject: str, wait_s: float) -> bytes | None:
        try:
            answer = await self._connection.request(subject, b"", timeout=wait_s)
        except (self._nats.errors.Error, TimeoutError, OSError):
            return None
        data: bytes = answer.data
        return data

    async def hear(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> None:
        await self._asking(self._connection.subscribe(subject, cb=heard))

    async def say(self, subject: str, data: bytes) -> None:
        with contextlib.suppress(self._nats.errors.Error, OSError):
            await self._connection.publish(subject, data)

    def inbox(self) -> str:
        return str(self._connection.new_inbox())


async def _quiet(error: Exception) -> None:
    """The connection is made anew by itself, and who asks hears of it."""


def _words(error: BaseException) -> str:
    return str(error).strip().removeprefix("nats: ") or type(error).__name__
