"""The field: all meters of a plan at one virtual time, their faults, and the ledger.

A meter that nobody calls costs nothing but room: it lies asleep (field.sleep) and is played on to
now when somebody calls, when its month ends, or when what it says unasked is listened to.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from openams.client.links import Transport
from openams.errors import BenchError
from openams.field.channel import Channel, ChannelLink, NoAnswer, Unreachable
from openams.field.device import CHANNELS, Device
from openams.field.faults import (
    DARK,
    DAY_MS,
    SILENT,
    Fault,
    Rates,
    ordered,
    plan_faults,
    replacement,
)
from openams.field.ledger import Ledger, TrueDay, local_day
from openams.field.link import noise
from openams.field.loads import QUARTER_MS
from openams.field.meters import FieldPlan, MeterSpec
from openams.field.plain import Nets, PlainNets, State
from openams.field.sleep import Sleepers, freeze, thaw
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned_all
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms

# Meters that are awake at a time: more would only take room.
_AWAKE = 256
# Meters that are given their keys at a time.
_BATCH = 256
_DAYS_AT_ONCE = 1000
_READER = 2
# Those who say something unasked are played on so often: a quarter late is early for a net.
_LISTEN_MS = 900_000
# By how many numbers a stranger's counters are ahead: less than what a client believes.
_AHEAD = 1 << 20

Said = Callable[[str, int, bytes], None]
Dark = Callable[[str, int], None]


class Field:
    """Use as a context manager. `days`: for so long faults are planned from the begin on.

    `ledger` None: none is kept. `rates` None: nothing goes wrong but by hand. `nets` None: links
    that are always up. `part` (number, of how many): of a field that several processes share, which
    have one ledger; the faults are those of the whole field.
    """

    def __init__(
        self,
        plan: FieldPlan,
        keystore: Keystore,
        ledger: Path | None = None,
        rates: Rates | None = None,
        *,
        days: int = 31,
        nets: Nets | None = None,
        awake: int = _AWAKE,
        part: tuple[int, int] = (0, 1),
        on_push: Said | None = None,
        on_dark: Dark | None = None,
    ) -> None:
        self.plan = plan
        self.utc_ms = plan.begin_ms
        self.on_push = on_push
        self.on_dark = on_dark
        self._keystore = keystore
        self._specs = {meter.meter_id: meter for meter in plan.part(*part).meters}
        self._nets = nets or PlainNets(plan)
        self._devices: OrderedDict[str, Device] = OrderedDict()
        self._channels: dict[str, set[int]] = {}
        self._most_awake = max(1, awake)
        self._security: dict[str, dict[str, Any]] = {}
        self._pending: dict[str, list[tuple[int, int, bool, Fault]]] = {}
        self._serial = itertools.count()
        self._of: dict[str, list[Fault]] = {}
        self._named: dict[str, list[Fault]] = {}  # by their `detail`
        self._dark: dict[str, tuple[int, int, str]] = {}  # how often, since when, by what
        self._ends: dict[str, int] = {}  # of meters that are taken down
        self._over = False
        self._pushers: dict[str, None] = {}  # who says something unasked
        self._sites: dict[str, str] = {}  # new meter -> the one that the plan has there
        self._cuts: list[tuple[int, str]] = []
        # What waits for the ledger.
        self._days: list[TrueDay] = []
        self._registers: list[tuple[str, int, int, int, int, int]] = []
        self._were_dark: list[tuple[str, int, int, str]] = []
        self.faults: list[Fault] = []
        end_ms = plan.begin_ms + days * DAY_MS
        planned = plan_faults(plan, rates, plan.begin_ms, end_ms, self._nets) if rates else []
        self._ledger = None
        if ledger is not None:
            self._ledger = Ledger.create(ledger, plan, {"days": days, "rates": repr(rates)})
        self._sleepers = Sleepers()
        self._add(planned)
        # Whoever calls them needs keys before they are first called.
        keystore.ensure(list(self._specs))
        # Who has no numbers of its own yet, in the order of the plan.
        self._unborn = dict.fromkeys(self._specs)

    def __enter__(self) -> Field:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._sleepers.close)
            if self._ledger is not None:
                stack.callback(self._ledger.close)
                self._flush()

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            raise BenchError("this field keeps no ledger: make it with one")
        return self._ledger

    # --- faults ----------------------------------------------------------------------

    def order(
        self, kind: str, begin_ms: int, end_ms: int, meters: Iterable[str] = (), detail: str = ""
    ) -> Fault:
        """A fault by hand, from now on at the earliest. Raises BenchError."""
        fault = ordered(self.plan, kind, max(begin_ms, self.utc_ms), end_ms, [*meters], detail)
        self._add([fault], by_hand=True)
        if fault.cause == "signal":
            self._nets.order(fault)
        return fault

    def take_orders(self) -> None:
        """What was ordered of this field by another process, as the ledger has it."""
        known = set(self.faults)
        self._add([fault for fault in self.ledger.faults() if fault not in known])

    def _add(self, faults: list[Fault], by_hand: bool = False) -> None:
        self.faults += faults
        if self._ledger is not None and (by_hand or not self._ledger.faults()):
            self._ledger.add_faults(faults, by_hand)
        for fault in faults:
            self._named.setdefault(fault.detail, []).append(fault)
            if fault.kind == "meter-changed":
                self._change(fault)
            for meter_id in fault.meters:
                if meter_id not in self._specs:
                    continue
                self._of.setdefault(meter_id, []).append(fault)
                pending = self._pending.setdefault(meter_id, [])
                for at_ms, begins in ((fault.begin_ms, True), (fault.end_ms, False)):
                    heapq.heappush(pending, (at_ms, next(self._serial), begins, fault))
                if fault.kind in DARK:
                    heapq.heappush(self._cuts, (fault.begin_ms, meter_id))
                    heapq.heappush(self._cuts, (fault.end_ms, meter_id))

    def _change(self, fault: Fault) -> None:
        old = self._specs.get(fault.meters[0])
        if old is None:
            return
        new = replacement(old, fault)
        self._specs[new.meter_id] = new
        self._ends[old.meter_id] = fault.begin_ms
        self._sites[new.meter_id] = self._sites.get(old.meter_id, old.meter_id)
        self._keystore.ensure([new.meter_id])
        if self._ledger is not None:
            self._ledger.add_meter(new, fault.begin_ms, old.meter_id)

    def faults_of(self, name: str, utc_ms: int | None = None) -> list[Fault]:
        """What holds now of a meter, or of a concentrator by its name."""
        at = self.utc_ms if utc_ms is None else utc_ms
        faults = self._of.get(name)
        if faults is None:
            faults = self.faults_named(name)
        return [fault for fault in faults if fault.holds(at)]

    def faults_named(self, name: str) -> list[Fault]:
        """All whose `detail` it is: those of a concentrator."""
        return self._named.get(name, [])

    def has(self, meter_id: str, kind: str, utc_ms: int) -> bool:
        return any(fault.kind == kind for fault in self._holding(meter_id, utc_ms))

    def _holding(self, meter_id: str, utc_ms: int) -> list[Fault]:
        return [fault for fault in self._of.get(meter_id, ()) if fault.holds(utc_ms)]

    # --- who there is ----------------------------------------------------------------

    def spec(self, meter_id: str) -> MeterSpec:
        spec = self._specs.get(meter_id)
        if spec is None:
            raise BenchError(f"the field has no meter {meter_id}")
        return spec

    def specs(self) -> list[MeterSpec]:
        """All that there ever are: of the plan, and those put up in place of others."""
        return list(self._specs.values())

    def standing(self, utc_ms: int | None = None) -> list[MeterSpec]:
        """The meters that are up at a time: those that were changed are gone, new ones there."""
        at = self.utc_ms if utc_ms is None else utc_ms
        return [spec for spec in self._specs.values() if self._stands(spec, at)]

    def _stands(self, spec: MeterSpec, at: int) -> bool:
        ends = self._ends.get(spec.meter_id)
        return (spec.begin_ms is None or spec.begin_ms <= at) and (ends is None or at < ends)

    # --- calls -----------------------------------------------------------------------

    def contact(self, meter_id: str, utc_ms: int) -> State | None:
        """The meter's link at a time; None while nobody gets an answer by it."""
        kinds = {fault.kind for fault in self._holding(meter_id, utc_ms)}
        if kinds.intersection(SILENT) or kinds.intersection(DARK):
            return None
        link = self._link(meter_id, utc_ms)
        return link if link.up else None

    def heard(self, meter_id: str, utc_ms: int) -> State | None:
        """The meter's link as the net sees it: the radio of a module that hangs is heard still."""
        kinds = {fault.kind for fault in self._holding(meter_id, utc_ms)}
        if kinds.intersection({*SILENT, *DARK} - {"module-hang"}):
            return None
        link = self._link(meter_id, utc_ms)
        return link if link.up else None

    def _link(self, meter_id: str, utc_ms: int) -> State:
        """Of a meter that was put up in place of another: that of the site."""
        return self._nets.state(self._sites.get(meter_id, meter_id), utc_ms)

    def call(self, meter_id: str, utc_ms: int | None = None) -> Channel:
        """A connection to a meter, from the near end of its link. Raises Unreachable."""
        spec = self.spec(meter_id)
        at = self.utc_ms if utc_ms is None else utc_ms
        if self._over:
            raise BenchError("the field has ended: its meters are gone")
        if not self._stands(spec, at):
            raise Unreachable(f"no meter {meter_id}: refused")
        link = self.contact(meter_id, at)
        if link is None:
            raise NoAnswer(f"no answer from meter {meter_id}")
        device = self.played(meter_id, at + link.latency_ms)
        if device.dark:
            raise NoAnswer(f"no answer from meter {meter_id}")
        taken = self._channels.setdefault(meter_id, set())
        free = [number for number in range(1, CHANNELS + 1) if number not in taken]
        if not free:
            raise Unreachable(f"meter {meter_id} has no connection left: refused")
        taken.add(free[0])
        device.open(free[0])
        return Channel(self, meter_id, free[0], at + 2 * link.latency_ms)

    def opener(
        self, meter_id: str, at: Callable[[], int] | None = None
    ) -> Callable[[int, float], Transport]:
        """For openams.client: gives a link to the meter at the field's time, or that of `at`."""
        return lambda sap, timeout_s: ChannelLink(self.call(meter_id, at() if at else None), sap)

    def hang_up(self, meter_id: str, number: int) -> None:
        taken = self._channels.get(meter_id, set())
        taken.discard(number)
        if not taken:
            self._channels.pop(meter_id, None)
        device = self._wake(meter_id)
        device.close(number)
        if self.on_push is not None and device.pushes:
            # From now on it is played as time passes, so that what it says comes in time.
            self._pushers[meter_id] = None

    # --- time ------------------------------------------------------------------------

    def advance_to(self, utc_ms: int, told: Callable[[int, int], None] | None = None) -> None:
        """Time passes. Meters are played where a month ends, and where what they say is heard.

        `told(done, of)`: how many meters of a month's end are done.
        """
        while self.utc_ms < utc_ms:
            month_ms = _month_after(self.utc_ms)
            stop = min(utc_ms, month_ms)
            if self._pushers:
                stop = min(stop, self.utc_ms + _LISTEN_MS)
            self._hear(stop)
            self.utc_ms = stop
            if stop == month_ms:
                self.settle(told)

    def _hear(self, until_ms: int) -> None:
        """Who loses its supply says so, if anybody listens."""
        while self._cuts and self._cuts[0][0] <= until_ms:
            at, meter_id = heapq.heappop(self._cuts)
            if self.on_push is not None:
                self.played(meter_id, at)
            if self.on_dark is not None:
                self._gasp(meter_id, at)
        for meter_id in self._pushers:
            self.played(meter_id, until_ms)

    def _gasp(self, meter_id: str, at: int) -> None:
        """The module's last word, with what its capacitor has left: once, and it may be lost."""
        holding = {fault.kind for fault in self._holding(meter_id, at)}
        before = {fault.kind for fault in self._holding(meter_id, at - 1)}
        link = self._link(meter_id, at)
        lost = noise(meter_id, at) * 1_000_000 < link.loss_ppm
        was_there = not before.intersection({*SILENT, *DARK})
        if holding.intersection(DARK) and was_there and link.up and not lost and self.on_dark:
            self.on_dark(meter_id, at)

    def settle(
        self,
        told: Callable[[int, int], None] | None = None,
        last: bool = False,
        until_ms: int | None = None,
    ) -> None:
        """Plays all meters to now, or only to `until_ms`, and enters their registers in the ledger.
        `last`: nobody calls them after it, and none is put to sleep for it."""
        to_ms = self.utc_ms if until_ms is None else until_ms
        for done, meter_id in enumerate(list(self._specs)):
            spec = self._specs[meter_id]
            if spec.begin_ms is None or spec.begin_ms <= to_ms:
                device = self.played(meter_id, to_ms)
                self._take_days(device, open_too=True)
                shown = device.register_mwh()
                if shown is not None:
                    self._registers.append((meter_id, device.at_ms, *shown, *device.true_mwh()))
                if last and meter_id not in self._channels:
                    # Nobody wakes it any more.
                    del self._devices[meter_id]
            if told is not None:
                told(done + 1, len(self._specs))
        self._over = last
        self._flush()

    def played(self, meter_id: str, utc_ms: int) -> Device:
        """The meter as it is at a time, or later if it was played on already."""
        device = self._wake(meter_id)
        ends = self._ends.get(meter_id)
        if ends is not None:
            utc_ms = min(utc_ms, ends)
        for fault in self._holding(meter_id, utc_ms):
            if fault.kind == "hour-repeated":
                # It stands still: what it says is what it said then.
                utc_ms = min(utc_ms, max(fault.begin_ms, device.at_ms))
        pending = self._pending.get(meter_id, [])
        while pending and pending[0][0] <= utc_ms:
            at, _, begins, fault = heapq.heappop(pending)
            self._play(device, at)
            self._act(device, fault, begins)
        self._play(device, utc_ms)
        if device.at_ms - device.truth_ms > DAY_MS:
            self._take_days(device)
        return device

    def _play(self, device: Device, to_ms: int) -> None:
        device.board.dials = self.on_push is not None
        device.play(to_ms)
        if device.board.dialled:
            self._push(device, device.said())

    def _push(self, device: Device, octets: bytes) -> None:
        meter_id = device.spec.meter_id
        # The last word is said while it is dark already.
        link = self._link(meter_id, device.at_ms)
        silent = {fault.kind for fault in self._holding(meter_id, device.at_ms)} & {*SILENT}
        if self.on_push is not None and octets and link.up and not silent:
            self.on_push(meter_id, device.at_ms, octets)

    def _act(self, device: Device, fault: Fault, begins: bool) -> None:
        """What a fault does to the meter itself, when it begins or ends."""
        kind = fault.kind
        if kind in DARK:
            self._darken(device, fault, begins)
        elif kind == "firmware-fault":
            device.break_flash(begins)
        elif device.dark:
            return
        elif kind == "clock-wrong":
            device.set_clock(int(fault.detail) if begins else 0)
        elif kind == "meter-reset" and begins:
            device.reset()
        elif kind == "counter-refused" and begins:
            device.use_counters(_READER, _AHEAD)

    def _darken(self, device: Device, fault: Fault, begins: bool) -> None:
        meter_id = device.spec.meter_id
        count, since, kind = self._dark.get(meter_id, (0, device.at_ms, fault.kind))
        if begins:
            self._dark[meter_id] = count + 1, since, kind
            if not device.dark:
                said = device.power_cut()
                self._channels.pop(meter_id, None)
                self._push(device, said)
            return
        if count > 1:
            self._dark[meter_id] = count - 1, since, kind
            return
        self._dark.pop(meter_id, None)
        if device.dark:
            device.power_up()
            self._were_dark.append((meter_id, since, device.at_ms, kind))

    # --- the truth -------------------------------------------------------------------

    def _take_days(self, device: Device, open_too: bool = False) -> None:
        """Local days that have ended go to the ledger; `open_too`: what there is of today."""
        while True:
            day, _, end_ms = local_day(device.truth_ms)
            whole = end_ms <= device.at_ms
            if not whole and not (open_too and device.at_ms > device.truth_ms):
                return
            first = device.truth_ms // QUARTER_MS
            last = (end_ms if whole else device.at_ms + QUARTER_MS - 1) // QUARTER_MS
            quarters = tuple(device.truth.get(number, 0) for number in range(first, last))
            drawn = device.taken_uws
            begin_ms = first * QUARTER_MS
            before = drawn[0], drawn[1]
            self._days.append(TrueDay(device.spec.meter_id, day, begin_ms, *before, quarters))
            if not whole:
                return
            if len(self._days) >= _DAYS_AT_ONCE:
                self._flush()
            for number in range(first, last):
                value = device.truth.pop(number, 0)
                drawn[value < 0] += abs(value)
            device.truth_ms = end_ms

    def _flush(self) -> None:
        """All that waits goes to the ledger in one change: a disk takes few of them a second."""
        if self._ledger is not None and (self._days or self._registers or self._were_dark):
            with self._ledger.changing():
                self._ledger.add_days(self._days)
                self._ledger.add_registers(self._registers)
                self._ledger.add_power_cuts(self._were_dark)
        self._days, self._registers, self._were_dark = [], [], []

    # --- awake and asleep --------------------------------------------------------------

    def _wake(self, meter_id: str) -> Device:
        device = self._devices.get(meter_id)
        if device is not None:
            self._devices.move_to_end(meter_id)
            return device
        state = self._sleepers.get(meter_id)
        device = thaw(state) if state is not None else self._born(meter_id)
        self._devices[meter_id] = device
        self._rest()
        return device

    def _rest(self) -> None:
        """Those who were not called for the longest time go to sleep."""
        for meter_id in list(self._devices)[: max(0, len(self._devices) - self._most_awake)]:
            if meter_id in self._channels:
                continue
            try:
                state = freeze(self._devices[meter_id])
            except (pickle.PicklingError, TypeError):
                # In the midst of something: later.
                self._devices.move_to_end(meter_id)
                continue
            self._sleepers.put(meter_id, state)
            del self._devices[meter_id]

    def _born(self, meter_id: str) -> Device:
        spec = self.spec(meter_id)
        if meter_id not in self._security:
            # Those beside it in the plan are asked for next.
            self._unborn.pop(meter_id, None)
            batch = [meter_id, *itertools.islice(self._unborn, _BATCH - 1)]
            for number in batch[1:]:
                del self._unborn[number]
            self._security.update(provisioned_all(self._keystore, batch))
        begin_ms = self.plan.begin_ms if spec.begin_ms is None else spec.begin_ms
        return Device(spec, begin_ms, self._security.pop(meter_id))


def _month_after(utc_ms: int) -> int:
    """The next local midnight that begins a month."""
    local = from_utc_ms(utc_ms).astimezone(NORWAY)
    year, month = divmod(local.year * 12 + local.month, 12)
    first = local.replace(
        year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return to_utc_ms(first)
