"""One meter of the field: the firmware on a flash and a clock of its own, behind a load.

Nothing here runs by itself. `play` takes the meter on to a time: the load is integrated exactly
(mW times ms), the firmware is given the energy as a metering IC gives it, at each moment at which
something of it ends. Beside it the house counts what it drew, by the true quarter of an hour:
the truth, of which the firmware knows nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from openams.field.loads import DAY_MS, QUARTER_MS, QUARTERS, Load
from openams.field.meters import MeterSpec
from openams.grid.frontend import make_front_end
from openams.han.formats import FORMATS
from openams.runtimes.fleet import Relay, Silent, load_firmware
from openams.runtimes.state import FLASH_SIZE

SECTOR = 4096
CHANNELS = 4
# What ends in the meter: quarters of an hour, and the ten minutes of the voltage profile.
_TEN_MS = 600_000
_NOMINAL_MV = 230_000
_SAG_MV_PER_A = 120
_TICKS = 0x3FFFFFFF
_ONES = b"\xff" * SECTOR
_LOOKS = 3


class Flash:
    """NOR flash of which only the sectors that were written take room."""

    sector_size = SECTOR
    page_size = 256

    def __init__(self, size: int = FLASH_SIZE) -> None:
        self.size = size
        self.sectors: dict[int, bytearray] = {}
        # A part that gives errors: what is read in these sectors fails.
        self.broken: range | None = None

    def read(self, address: int, buffer: Any) -> None:
        number, at = divmod(address, SECTOR)
        if self.broken and number in self.broken:
            raise OSError(5, "flash")
        count = len(buffer)
        if at + count <= SECTOR:
            data = self.sectors.get(number)
            buffer[:] = data[at : at + count] if data is not None else _ONES[:count]
            return
        first = SECTOR - at
        buffer[:first] = (self.sectors.get(number) or _ONES)[at:]
        self.read(address + first, memoryview(buffer)[first:])

    def program(self, address: int, data: Any) -> None:
        number, at = divmod(address, SECTOR)
        if self.broken and number in self.broken:
            raise OSError(5, "flash")
        sector = self.sectors.get(number)
        if sector is None:
            sector = self.sectors[number] = bytearray(_ONES)
        count = len(data)
        end = at + count
        if sector[at:end] == _ONES[:count]:
            sector[at:end] = data
            return
        before = int.from_bytes(sector[at:end], "little")
        after = before & int.from_bytes(data, "little")
        sector[at:end] = after.to_bytes(count, "little")

    def erase(self, address: int) -> None:
        self.sectors.pop(address // SECTOR, None)

    def blank(self, address: int, size: int) -> bool:
        number, at = divmod(address, SECTOR)
        while size > 0:
            if self.broken and number in self.broken:
                raise OSError(5, "flash")
            data = self.sectors.get(number)
            count = min(SECTOR - at, size)
            if data is not None and data[at : at + count] != _ONES[:count]:
                return False
            size -= count
            number += 1
            at = 0
        return True


class Clock:
    """What the board counts: true time, wrong by what its crystal is and its clock chip was set to.

    The chip goes on without supply. It is set with the meter's clock, and the board counts on from
    it when it starts.
    """

    backup_s = None

    def __init__(self, ppm: int, begin_ms: int) -> None:
        self.ppm = ppm
        self.begin_ms = begin_ms
        self.true_ms = begin_ms
        self._off_ms = 0
        self._kept_ms = 0  # of the chip, more than the board counts

    def raw_ms(self, true_ms: int) -> int:
        return true_ms + (true_ms - self.begin_ms) * self.ppm // 1_000_000 + self._off_ms

    def keep(self, offset_ms: int) -> None:
        self._kept_ms = offset_ms

    def restart(self) -> None:
        """The board starts, and takes the time from the chip."""
        self._off_ms += self._kept_ms
        self._kept_ms = 0

    def now_ms(self) -> int:
        return self.true_ms

    def utc_ms(self) -> int:
        return self.raw_ms(self.true_ms)


class Board:
    """What the firmware sees of the world."""

    inputs = None

    def __init__(self, flash: Flash, clock: Clock) -> None:
        self.flash = flash
        self.clock = clock
        self.relay = Relay(clock.now_ms)
        self.han_uart = Silent()
        self.sent: dict[int, bytearray] = {}
        self.closed: set[int] = set()
        self.dials = False  # what it says unasked finds its way
        self.dialled: list[int] = []

    def link_write(self, channel: int, data: Any) -> None:
        self.sent.setdefault(channel, bytearray()).extend(data)

    def link_close(self, channel: int) -> None:
        self.closed.add(channel)

    def link_connect(self, channel: int, destination: Any) -> bool:
        if self.dials:
            self.dialled.append(channel)
        return self.dials

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def log(self, text: str) -> None:
        pass


class Device:
    """A meter, its board and its house. All of it can be put to sleep (field.sleep).

    `at_ms`: true time up to which it was played. `truth`: what the house drew of each quarter (its
    number since 2000), import less export in uWs (mW times ms) of the primary side, from `truth_ms`
    on; what was before that is taken, `taken_uws` in all (import, export).
    """

    def __init__(self, spec: MeterSpec, begin_ms: int, security: dict[str, Any]) -> None:
        self.spec = spec
        self.at_ms = begin_ms
        self.begin_ms = begin_ms
        self.board = Board(Flash(), Clock(spec.clock_ppm, begin_ms))
        self._security = security
        self.load = Load(spec.profile, spec.seed)
        ct = self.load.ct
        self.ratio = ct[0] // ct[1] if ct else 1
        self.truth: dict[int, int] = {}
        self.truth_ms = begin_ms - begin_ms % QUARTER_MS
        self.taken_uws = [0, 0]
        # Since the begin, uWs of the primary side: import, export.
        self.drawn_uws = [0, 0]
        self.meter: Any = None
        self._day = -1
        self._active: list[int] = []
        self._reactive: list[int] = []
        self._other: tuple[int, list[int], list[int]] = (-1, [], [])
        self._shown: tuple[int, bool] | None = None
        self.restarts = 0
        self.power_up()

    # --- supply --------------------------------------------------------------------

    @property
    def dark(self) -> bool:
        return self.meter is None

    def _config(self) -> dict[str, Any]:
        spec = self.spec
        ct = self.load.ct
        config = {
            "system": spec.system,
            "calibration": calibration(spec.system),
            "identity": {
                "meter_id": spec.meter_id,
                "meter_type": FORMATS[spec.make].types[spec.system],
            },
            "han": {"format": spec.make},
            "security": self._security,
        }
        if ct:
            config["transformers"] = {"ct": list(ct), "vt": [1, 1]}
        return config

    def power_up(self) -> None:
        """The supply is there, or back: the firmware starts on the flash as it was left."""
        clock = self.board.clock
        clock.true_ms = self.at_ms
        clock.restart()
        raw_ms = clock.utc_ms()
        self.meter = load_firmware().Meter(self.board, self._config())
        self.meter.start(raw_ms)
        if self.meter.recorder.load_profile.period_s != self.spec.period_s and not self.restarts:
            # At the works, before anything is counted: no interval of the site tells of it.
            self.meter.set_capture_period(self.spec.period_s)
            self.meter.recorder.load_profile.status = 0
        self.restarts += 1
        self._shown = None

    def power_cut(self) -> bytes:
        """The supply falls: the firmware has the milliseconds that its capacitor gives it. What it
        says in them, if anybody listens."""
        board = self.board
        board.sent.clear()
        self.meter.power_fail()
        said = b"".join(bytes(octets) for octets in board.sent.values())
        board.sent.clear()
        board.dialled.clear()
        self.meter = None
        return said

    def reset(self) -> None:
        """The watchdog bites just after the registers were stored."""
        self.meter.recorder.store()
        self.meter = None
        self.power_up()

    # --- what goes wrong in it --------------------------------------------------------

    def break_flash(self, broken: bool) -> None:
        """The part that holds the load profile gives errors, or works again: then a meter that
        began without it is started once more, as a fitter would."""
        layout = importlib.import_module("ams.storage.layout")
        flash = self.board.flash
        flash.broken = None
        if broken:
            for region, first, count in layout.layout(flash.size // SECTOR):
                if region == layout.LOAD_PROFILE:
                    flash.broken = range(first, first + count)
        elif self.meter is not None and self.meter.nv_memory.shut:
            self.reset()

    def set_clock(self, off_ms: int) -> None:
        """Somebody sets the clock, who is wrong by `off_ms`; 0: who is right."""
        if self.meter is not None:
            self.meter.set_clock(self.board.clock.raw_ms(self.at_ms), self.at_ms + off_ms)

    def use_counters(self, sap: int, count: int) -> None:
        """Somebody else with the same keys was here, whose counters are so far ahead."""
        if self.meter is None:
            return
        keyring = self.meter.link.keyring
        client = keyring.client(sap)
        if client is not None and client.keys is not None:
            keyring.accept(client, client.keys, client.keys.next_in + count, True)

    # --- time ----------------------------------------------------------------------

    def play(self, to_ms: int) -> None:
        """Takes the meter on to `to_ms` of true time, with its supply as it is."""
        if self.meter is None:
            # The house stands still without its supply.
            self.at_ms = max(self.at_ms, to_ms)
            return
        clock = self.board.clock
        meter = self.meter
        relay = self.board.relay
        at = self.at_ms
        while at < to_ms:
            end = self._one_way(at, self._next(meter, clock, at, to_ms))
            active, reactive = self._drawn(at, end, relay.contact)
            clock.true_ms = end
            raw = clock.raw_ms(end)
            # The copy of each minute is what a cut falls back on, and no cut comes in here: the
            # registers are stored with each interval, and before whatever ends this.
            meter.recorder._store_due = raw + DAY_MS
            meter.measured(raw, raw - clock.raw_ms(at), active, reactive, 0, active < 0)
            at = end
        self.at_ms = at

    def _next(self, meter: Any, clock: Clock, at: int, to_ms: int) -> int:
        """True time of the next moment at which something of the meter ends, `to_ms` at most."""
        shown = meter.clock.utc_ms(clock.raw_ms(at))
        due = min(shown - shown % _TEN_MS + _TEN_MS, shown - shown % QUARTER_MS + QUARTER_MS)
        end: int = at + due - shown
        if end >= to_ms + 1000:
            return to_ms
        # Its clock is a little off: to the millisecond at which it shows the moment.
        for _ in range(3):
            off = due - meter.clock.utc_ms(clock.raw_ms(end))
            if not off:
                break
            end += off
        return min(max(end, at + 1), to_ms)

    def _one_way(self, at: int, end: int) -> int:
        """Up to where power flows one way: a step that nets import and export would lose both."""
        boundary = at - at % QUARTER_MS + QUARTER_MS
        if end <= boundary:
            return end
        return end if self._exports(at) == self._exports(boundary) else boundary

    def _exports(self, at: int) -> bool:
        self._turn_to(at // DAY_MS)
        return self._active[at // QUARTER_MS % QUARTERS] < 0

    def _turn_to(self, day: int) -> None:
        if day == self._day:
            return
        # A step over midnight asks for both days, in turn.
        before = self._day, self._active, self._reactive
        if day == self._other[0]:
            self._day, self._active, self._reactive = self._other
        else:
            self._day = day
            self._active, self._reactive = self.load.day(day)
        self._other = before

    def _drawn(self, at: int, end: int, flows: bool) -> tuple[int, int]:
        """What the house draws from `at` to `end`: uWs and uvars of the meter's terminals."""
        total = total_reactive = 0
        truth = self.truth
        while at < end:
            number = at // QUARTER_MS
            day, quarter = divmod(number, QUARTERS)
            self._turn_to(day)
            until = min(end, (number + 1) * QUARTER_MS)
            if flows:
                power = self._active[quarter]
                energy = power * (until - at)
                total += energy
                total_reactive += self._reactive[quarter] * (until - at)
                primary = energy * self.ratio
                truth[number] = truth.get(number, 0) + primary
                self.drawn_uws[energy < 0] += abs(primary)
            else:
                truth.setdefault(number, 0)
            self._show(number, quarter, flows)
            at = until
        return total, total_reactive

    def _show(self, number: int, quarter: int, flows: bool) -> None:
        """The quantities that the meter shows while this quarter's power flows."""
        if self._shown == (number, flows):
            return
        self._shown = (number, flows)
        q = self.meter.quantities
        power = self._active[quarter] if flows else 0
        reactive = self._reactive[quarter] if flows else 0
        system = self.spec.system
        places = (0,) if system == "1P2W" else (0, 1, 2)
        elements = (0, 2) if system == "3P3W" else places
        current_ua = abs(power) * 1000 // 230 // len(places)
        voltage = _NOMINAL_MV - _SAG_MV_PER_A * power // _NOMINAL_MV // len(places)
        for place in places:
            q.voltage_mv[place] = voltage
            q.current_ua[place] = current_ua
        left, left_reactive = power, reactive
        for k, place in enumerate(elements):
            part = left // (len(elements) - k)
            q.active_power_mw[place] = part
            left -= part
            part = left_reactive // (len(elements) - k)
            q.reactive_power_mvar[place] = part
            left_reactive -= part
        q.total_active_power_mw = power
        q.total_reactive_power_mvar = reactive
        q.frequency_mhz = 50_000

    # --- what is taken of it ---------------------------------------------------------

    def true_mwh(self) -> tuple[int, int]:
        """Import and export since the begin, mWh, as registers show them."""
        return self.drawn_uws[0] // 3_600_000, self.drawn_uws[1] // 3_600_000

    def register_mwh(self) -> tuple[int, int] | None:
        """What the firmware's registers show; None while it is dark."""
        if self.meter is None:
            return None
        energy = self.meter.energy
        unit = energy.transformers.unit
        return energy.mwh[0] * unit, energy.mwh[1] * unit

    # --- the link ------------------------------------------------------------------

    def open(self, channel: int) -> None:
        self.board.closed.discard(channel)
        self.board.sent.pop(channel, None)
        self.meter.link.poll(self.at_ms & _TICKS)
        self.meter.link.opened(channel)

    def feed(self, channel: int, octets: bytes) -> bytes:
        """Octets of a client at `at_ms`; gives what the meter answers, at once."""
        link = self.meter.link
        board = self.board
        ticks = self.at_ms & _TICKS
        at = 0
        out = bytearray()
        while at < len(octets) and channel not in board.closed:
            taken = link.feed(channel, bytearray(octets[at : at + 512]), ticks)
            at += taken
            link.poll(ticks)
            more = board.sent.pop(channel, b"")
            out += more
            if not taken and not more:
                break
        self.move()
        link.poll(ticks)
        out += board.sent.pop(channel, b"")
        return bytes(out)

    def move(self) -> None:
        """A relay that was told to move takes its tenths of a second."""
        meter = self.meter
        for _ in range(100):
            if not meter.control.breaker.moving:
                return
            self.play(self.at_ms + 20)

    def is_open(self, channel: int) -> bool:
        return channel not in self.board.closed

    def close(self, channel: int) -> None:
        if self.meter is not None and channel not in self.board.closed:
            self.meter.link.closed(channel)
        self.board.closed.discard(channel)
        self.board.sent.pop(channel, None)

    @property
    def pushes(self) -> bool:
        """Whether the operator has set it up to say something unasked over TCP."""
        if self.meter is None:
            return False
        push = importlib.import_module("ams.objects.push")
        setups = (self.meter.model.find(40, name)[0] for name in push._SETUPS)
        return any(
            transport != push.TRANSPORT_HDLC and destination
            for transport, destination in (setup.destination() for setup in setups)
        )

    def said(self) -> bytes:
        """What the meter says unasked: its connections are made, and their octets taken."""
        board = self.board
        out = bytearray()
        while board.dialled and self.meter is not None:
            channel = board.dialled.pop(0)
            # The link was told of no time while nobody was there.
            self.meter.link.poll(self.at_ms & _TICKS)
            self.meter.link.connected(channel)
            # It looks once a second whether somebody has taken the connection.
            for _ in range(_LOOKS):
                self.play(self.at_ms + 1000)
                self.meter.link.poll(self.at_ms & _TICKS)
                if channel in board.sent:
                    break
            out += board.sent.pop(channel, b"")
            self.meter.link.closed(channel)
        return bytes(out)


_CALIBRATIONS: dict[str, dict[str, Any]] = {}


def calibration(system: str) -> dict[str, Any]:
    """Of the ideal front end; the same for all meters of a system."""
    if system not in _CALIBRATIONS:
        _CALIBRATIONS[system] = make_front_end("ideal", system, 1).calibration(system)
    return _CALIBRATIONS[system]
