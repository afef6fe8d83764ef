"""The concentrators of a field, in its virtual time, with the faults that they have.

Each is a real one (openams.concentrator) on its own clock; what takes time on the air moves that
clock. While it is down nothing is read behind it, and nobody comes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from openams.client.errors import LateError
from openams.client.links import Transport
from openams.concentrator.clock import VirtualClock
from openams.concentrator.core import Concentrator
from openams.concentrator.roster import Listed
from openams.concentrator.state import Settings
from openams.concentrator.store import Limits
from openams.errors import BenchError
from openams.field.channel import Channel, ChannelLink
from openams.field.faults import DAY_MS, Fault
from openams.field.field import Field
from openams.field.link import noise
from openams.keys.keystore import Keystore

_DOWN, _LOST = "concentrator-down", "store-lost"
# Of its clock's crystal, either way; somebody sets it once a day.
_PPM = 40


class FieldWay:
    """From a concentrator, or a head-end, to meters of a field: each message takes its time of
    `clock`."""

    def __init__(self, field: Field, clock: VirtualClock, master_id: str = "") -> None:
        self._field = field
        self._clock = clock
        self._master_id = master_id
        self._known: set[str] = set()

    def add(self, listed: Listed) -> None:
        self._known.add(listed.meter_id)

    def open(self, meter_id: str, client_sap: int, timeout_s: float) -> Transport:
        channel = self._field.call(meter_id, self._clock.true_ms)
        self._clock.advance_to(channel.utc_ms)
        return _TimedLink(channel, client_sap, self._clock)

    def signal_dbm(self, meter_id: str) -> int | None:
        link = self._field.heard(meter_id, self._clock.true_ms)
        return getattr(link, "signal_dbm", None)

    def visible(self) -> Iterator[tuple[str, str]]:
        """Meters of its own that stand and that it does not know: one was put up for another."""
        for spec in self._field.standing(self._clock.true_ms):
            mine = spec.master and spec.master == self._master_id
            if mine and spec.meter_id not in self._known:
                yield f"OAM{spec.meter_id[-13:]}", ""


class _TimedLink(ChannelLink):
    def __init__(self, channel: Channel, client_sap: int, clock: VirtualClock) -> None:
        super().__init__(channel, client_sap)
        self._clock = clock

    def send_request(self, apdu: bytes) -> bytes:
        try:
            return super().send_request(apdu)
        finally:
            self._clock.advance_to(self.channel.utc_ms)


class FieldMaster:
    """`readers` has the readers' keys of its meters, `folder` is its own."""

    def __init__(
        self,
        field: Field,
        master_id: str,
        readers: Keystore,
        folder: Path,
        settings: Settings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.master_id = master_id
        self._field = field
        self._readers = readers
        self._folder = folder
        self._settings = settings
        self._limits = limits
        ppm = round(_PPM * (2 * noise(field.plan.seed, "master", master_id) - 1))
        self.clock = VirtualClock(field.utc_ms, ppm=ppm)
        meters = [spec for spec in field.plan.meters if spec.master == master_id]
        if not meters:
            raise BenchError(f"the field has no concentrator {master_id}")
        self._listed = [Listed(spec.meter_id) for spec in meters]
        self._done: set[Fault] = set()  # stores that are lost already
        self._day_ms = field.utc_ms
        self.concentrator: Concentrator | None = None  # None: it is down
        self._start()

    def _start(self) -> None:
        way = FieldWay(self._field, self.clock, self.master_id)
        for listed in self._listed:
            way.add(listed)
        self.concentrator = Concentrator(
            self.master_id,
            self._folder,
            self._listed,
            self._readers,
            way,
            self.clock,
            self._settings,
            self._limits,
        )

    def close(self, stopped: bool = True) -> None:
        if self.concentrator is not None:
            self.concentrator.close(stopped)
            self.concentrator = None

    def _faults(self, kind: str) -> list[Fault]:
        return [f for f in self._field.faults_named(self.master_id) if f.kind == kind]

    def is_down(self, utc_ms: int) -> bool:
        return any(fault.holds(utc_ms) for fault in self._faults(_DOWN))

    def work(self, until_ms: int) -> None:
        """Lives until then: does what is due, and has its faults."""
        while self.clock.true_ms < until_ms:
            now = self.clock.true_ms
            down = [fault.end_ms for fault in self._faults(_DOWN) if fault.holds(now)]
            if down:
                # The power goes: nothing is put in order before.
                self.close(stopped=False)
                self.clock.advance_to(min(max(down), until_ms))
                continue
            self._lose_store(now)
            if self.concentrator is None:
                self._start()
            assert self.concentrator
            if now >= self._day_ms:
                # Once a day it is set by the network, and looks for new meters.
                self._day_ms = now + DAY_MS
                self.clock.set(now)
                self.concentrator.discover()
            begins = [f.begin_ms for kind in (_DOWN, _LOST) for f in self._faults(kind)]
            stop = min([until_ms, self._day_ms, *(ms for ms in begins if ms > now)])
            ahead = self.clock.utc_ms() - now
            due = self.concentrator.work(stop + ahead) - ahead
            self.clock.advance_to(max(min(due, stop), now + 1))

    def _lose_store(self, now: int) -> None:
        for fault in self._faults(_LOST):
            if fault.begin_ms <= now and fault not in self._done:
                self._done.add(fault)
                self.close(stopped=False)
                for path in self._folder.glob("store*"):
                    path.unlink()

    def pushed(self, meter_id: str, utc_ms: int, octets: bytes) -> None:
        """A meter has sent something; a concentrator that is down hears nothing."""
        if self.concentrator is not None and not self.is_down(utc_ms):
            self.concentrator.pushed(meter_id, octets)

    def gasped(self, meter_id: str, utc_ms: int) -> None:
        """The last word of a module whose supply falls."""
        if self.concentrator is not None and not self.is_down(utc_ms):
            self.concentrator.noticed("power-lost", meter_id, utc_ms)

    def opener(self, meter_id: str, clock: VirtualClock) -> Callable[[int, float], Transport]:
        """The way through for a head-end, on its clock. LateError while it is down."""
        way = FieldWay(self._field, clock, self.master_id)

        def open_(sap: int, timeout_s: float) -> Transport:
            if self.is_down(clock.true_ms):
                clock.advance_to(clock.true_ms + round(timeout_s * 1000))
                raise LateError(f"no answer from concentrator {self.master_id}")
            return way.open(meter_id, sap, timeout_s)

        return open_


class FieldMasters:
    """All concentrators of a field, or those of which there are keys, each in a folder of its own
    below `folder`."""

    def __init__(
        self,
        field: Field,
        readers: dict[str, Keystore],
        folder: Path,
        settings: Settings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.masters = {
            master.master_id: FieldMaster(
                field,
                master.master_id,
                readers[master.master_id],
                folder / master.master_id,
                settings,
                limits,
            )
            for master in field.plan.masters
            if master.master_id in readers
        }
        self._field = field

    def work(self, until_ms: int) -> None:
        for master in self.masters.values():
            master.work(until_ms)

    def on_push(self, meter_id: str, utc_ms: int, octets: bytes) -> None:
        """For `Field(on_push=...)`."""
        master = self.masters.get(self._field.spec(meter_id).master)
        if master is not None:
            master.pushed(meter_id, utc_ms, octets)

    def close(self) -> None:
        for master in self.masters.values():
            master.close()
