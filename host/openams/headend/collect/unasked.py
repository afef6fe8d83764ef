"""What meters send unasked: opened with the reader's keys of whom they say they are, once each.

A message is ciphered (general-glo-ciphering, DLMS Green Book 9.2.7.2.4): DB | 08 | system title |
length | control | counter | body | tag. The title names the meter, and the tag proves it. One that
nobody here has keys of, or whose tag is wrong, is not believed, and a person is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from openams.client import data as axdr
from openams.errors import BenchError
from openams.han.cipher import Keys, opened
from openams.han.errors import HanError
from openams.headend.collect.clock import Clock
from openams.headend.store import GoneError, Store
from openams.keys.keystore import Keystore
from openams.keys.model import CLIENT_SAPS

_READER = CLIENT_SAPS["reader"]
_GENERAL, _NOTIFICATION = b"\xdb\x08", 0x0F
_WRAPPER = struct.Struct(">HHHH")
# Of a message, of meters at a time, and until one says something.
_MOST = 8192
_CONNECTIONS = 500
_PATIENCE_S = 60.0
_BLOCKED_S = 1.0
_LOOK_S = 10.0
# What is refused of one subject is told the store so often, however much it is.
_TELL_S = 10.0


class Push(NamedTuple):
    meter_id: str
    counter: int
    stamp: str  # when the meter says that it was
    values: Any


class Titles:
    """Whose system title is whose, by a keystore: of meters that have a reader's keys in it."""

    def __init__(self, keystore: Keystore) -> None:
        self._keystore = keystore
        self._of: dict[bytes, str] = {}
        self._looked_s = -_LOOK_S

    def meter(self, title: bytes) -> str | None:
        """None: nobody's. Meters that came since are looked for, now and then: strangers with new
        titles do not keep the keystore busy."""
        if title not in self._of and time.monotonic() - self._looked_s >= _LOOK_S:
            self._looked_s = time.monotonic()
            self._of = {
                bytes.fromhex(keys.system_title): meter_id
                for meter_id, keys in self._keystore.meters().items()
                if keys.system_title
            }
        return self._of.get(title)

    def opened(self, octets: bytes, said: str | None = None) -> Push:
        """BenchError for what is not to be believed. `said`: whose it is by him who brought it."""
        if octets[:2] != _GENERAL or len(octets) > _MOST:
            raise BenchError("a message that is not ciphered, or none of a meter's")
        title = octets[2:10]
        meter_id = self.meter(title)
        if meter_id is None:
            raise BenchError(f"a message with the title {title.hex()}, which no meter of ours has")
        if said not in (None, meter_id):
            raise BenchError(f"a message of meter {meter_id} that came as one of meter {said}")
        pair = self._keystore.get(meter_id).client(_READER).current
        keys = Keys(bytes.fromhex(pair.encryption), bytes.fromhex(pair.authentication))
        try:
            sealed = opened(octets, [keys])
            if sealed.control & 0x10 == 0:
                raise HanError("it is not authenticated")
            stamp, values = _notification(sealed.plain)
        except (HanError, BenchError, ValueError, LookupError, TypeError, ArithmeticError) as error:
            raise BenchError(f"a message with the title of meter {meter_id}: {error}") from None
        return Push(meter_id, sealed.counter, stamp, values)


def _notification(plain: bytes) -> tuple[str, Any]:
    """Data-notification (15): long invoke id, date-time or none, the body."""
    if len(plain) < 6 or plain[0] != _NOTIFICATION:
        raise BenchError("it holds no notification")
    size = plain[5]
    stamp = plain[6 : 6 + size]
    body = axdr.decode(plain[6 + size :])
    when = axdr.parse_date_time(stamp) if size == 12 else None
    return when.isoformat() if isinstance(when, datetime) else "", _shown(body)


def _shown(value: Any) -> Any:
    """As JSON has it: octets in hex."""
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return value


def take_pushes(store: Store, pushes: Iterable[Push], source: str, now_ms: int) -> int:
    """Amid or outside of a transaction: those that are new; how many. One whose counter is there
    with something else in it was sent by nobody who has the keys: it is a notice."""
    new = 0
    with store.transaction():
        for push in pushes:
            body = json.dumps({"stamp": push.stamp, "values": push.values})
            known = store.one(
                "SELECT body FROM alarm WHERE meter_id = ? AND source = ? AND number = ?",
                push.meter_id, source, push.counter,
            )  # fmt: skip
            if known is None:
                store.put_rows(
                    "alarm", ("meter_id", "at_ms", "source", "body", "number"),
                    [(push.meter_id, now_ms, source, body, push.counter)],
                )  # fmt: skip
                new += 1
            elif known[0] != body:
                text = f"two messages with the counter {push.counter}"
                store.notice("push", push.meter_id, text, now_ms)
    return new


class Ears:
    """A port on which meters are heard: the wrapper of IEC 62056-47, a message and no answer."""

    def __init__(
        self,
        store: Store,
        keystore: Keystore,
        clock: Clock,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store, self._clock, self._say = store, clock, say
        self._titles = Titles(keystore)
        self._open = 0
        self.counts = {"taken": 0, "again": 0, "refused": 0}
        # By subject: when the store was told last, how many it has not been told of, and the last.
        self._told: dict[str, tuple[float, int, str]] = {}
        self.port = 0
        self._ending = asyncio.Event()

    def stop(self) -> None:
        self._ending.set()

    async def run(self, host: str, port: int) -> None:
        """Until `stop`."""
        try:
            server = await asyncio.start_server(self._connected, host, port, limit=_MOST)
        except OSError as error:
            raise BenchError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        self.port = server.sockets[0].getsockname()[1]
        self._say(f"listening on {host}:{self.port}")
        async with server:
            await self._ending.wait()
        try:
            for subject, (_, count, text) in self._told.items():
                if count:
                    self._store.notice("push", subject, text, self._clock.now_ms(), count)
        except GoneError as error:
            self._say(str(error))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            while self._open <= _CONNECTIONS:
                async with asyncio.timeout(_PATIENCE_S):
                    version, _, _, size = _WRAPPER.unpack(await reader.readexactly(_WRAPPER.size))
                    if version != 1 or not 0 < size <= _MOST:
                        self._refused("", "octets that are no message")
                        return
                    octets = await reader.readexactly(size)
                await self._heard(octets)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        except BenchError as error:
            # What is refused is not worth waiting for a store that does not take it.
            self._say(str(error))
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _heard(self, octets: bytes) -> None:
        """A message is held until the store has it: the meter will not say it again."""
        while True:
            now = self._clock.now_ms()
            try:
                try:
                    push = self._titles.opened(octets)
                except BenchError as error:
                    self._refused(self._titles.meter(octets[2:10]) or "", str(error))
                    return
                new = take_pushes(self._store, [push], "push", now)
                self.counts["taken" if new else "again"] += 1
                return
            except GoneError as error:
                self._say(str(error))
                await asyncio.sleep(_BLOCKED_S)

    def _refused(self, subject: str, text: str) -> None:
        """Once while the notice is open, however many come: a stranger fills nothing, and a flood
        of them is a change of the store now and then."""
        self.counts["refused"] += 1
        subject = subject or "unknown"
        told_s, count, _ = self._told.get(subject, (-_TELL_S, 0, ""))
        now_s = time.monotonic()
        due = now_s - told_s >= _TELL_S
        # A store that does not take it is not asked again at once either.
        self._told[subject] = now_s if due else told_s, count + 1, text
        if due:
            self._store.notice("push", subject, text, self._clock.now_ms(), count + 1)
            self._told[subject] = now_s, 0, text


__all__ = ["Ears", "Push", "Titles", "take_pushes"]
