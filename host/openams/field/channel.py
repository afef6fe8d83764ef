"""A connection to a meter of the field, in virtual time: octets go in, what it answers comes out.

Nobody waits: `utc_ms` is the time at the caller when the answer is there.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from openams.client.errors import LateError, LinkError

if TYPE_CHECKING:
    from openams.field.field import Field

_WRAPPER = struct.Struct(">HHHH")
TIMEOUT_MS = 30_000
# What is lost is sent again: TCP waits a second, then twice as long; so often.
_AGAIN_MS = 1000
_TRIES = 5
# Octets from which an answer does not fit one block of the module.
_LONG = 150


class Unreachable(LinkError):
    """What a client sees: no answer, refused, or closed. Why is the ledger's."""


class NoAnswer(Unreachable, LateError):
    """It waited, and nothing came."""


class Channel:
    """Made by `Field.call`. Close it: a meter has four."""

    def __init__(self, field: Field, meter_id: str, number: int, utc_ms: int) -> None:
        self._field = field
        self.meter_id = meter_id
        self.number = number
        self.utc_ms = utc_ms
        self._exchanges = 0
        self.is_open = True

    def exchange(self, octets: bytes) -> bytes:
        """What the meter answers; b"": nothing yet. Raises Unreachable."""
        self._demand_open()
        field = self._field
        self._exchanges += 1
        if field.has(self.meter_id, "meter-reset", self.utc_ms) and self._exchanges > 2:
            field.played(self.meter_id, self.utc_ms).reset()
            raise self._fallen()
        self._travel(len(octets))
        device = field.played(self.meter_id, self.utc_ms)
        if device.dark:
            raise self._silent()
        answer = device.feed(self.number, octets)
        self.utc_ms = max(self.utc_ms, device.at_ms)
        torn = len(answer) > _LONG and field.has(self.meter_id, "torn-block", self.utc_ms)
        if torn:
            answer = answer[: len(answer) * 2 // 3]
        self._travel(len(answer))
        if torn or not device.is_open(self.number):
            self.close()
        return answer

    def _travel(self, octets: int) -> None:
        """The way there or back: latency, the line's rate, and what is lost on it."""
        link = self._field.contact(self.meter_id, self.utc_ms)
        if link is None:
            raise self._silent()
        self.utc_ms += link.latency_ms + 8000 * octets // max(1, link.rate_bps)
        if not link.loss_ppm:
            return
        rng = random.Random(f"{self.meter_id} {self.utc_ms} {self._exchanges}")
        wait = _AGAIN_MS
        for _ in range(_TRIES):
            if rng.random() * 1_000_000 >= link.loss_ppm:
                return
            self.utc_ms += wait
            wait *= 2
        raise self._silent()

    def _silent(self) -> Unreachable:
        self.utc_ms += TIMEOUT_MS
        self.close()
        return NoAnswer(f"no answer from meter {self.meter_id}")

    def _fallen(self) -> Unreachable:
        self.close()
        return Unreachable(f"meter {self.meter_id} has closed the connection")

    def _demand_open(self) -> None:
        if not self.is_open:
            raise Unreachable(f"the connection to meter {self.meter_id} is closed")

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._field.hang_up(self.meter_id, self.number)


class ChannelLink:
    """A Transport of openams.client over a channel: whole APDUs in the wrapper."""

    def __init__(self, channel: Channel, client_sap: int, server: int = 1) -> None:
        self.channel = channel
        self._client = client_sap
        self._server = server
        self._came = b""

    def connect(self) -> None:
        """There already."""

    def disconnect(self) -> None:
        self.channel.close()

    def send_request(self, apdu: bytes) -> bytes:
        head = _WRAPPER.pack(1, self._client, self._server, len(apdu))
        self._came += self.channel.exchange(head + apdu)
        return self.receive()

    def receive(self) -> bytes:
        came = self._came
        if not came:
            raise NoAnswer(f"no answer from meter {self.channel.meter_id}")
        if len(came) < _WRAPPER.size or len(came) < _WRAPPER.size + _WRAPPER.unpack(came[:8])[3]:
            raise Unreachable(f"meter {self.channel.meter_id} has closed the connection")
        size = _WRAPPER.size + _WRAPPER.unpack(came[:8])[3]
        self._came = came[size:]
        return came[_WRAPPER.size : size]
