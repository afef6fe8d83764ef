"""Plays a scenario into a meter: samples or quantities, at the pace asked for."""

from __future__ import annotations

import functools
import math
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openams.bench.options import CHIP, Options
from openams.bench.profiles import events_before
from openams.client.names import READOUT_LEVELS
from openams.errors import BenchError
from openams.grid.frontend import FrontEndModel, make_front_end
from openams.grid.scenario import Scenario
from openams.han.formats import FORMATS
from openams.keys.hankeys import system_title, take_keys
from openams.keys.provision import more_numbers
from openams.lines.displayline import DISPLAY_BUS, DisplayLine
from openams.lines.gateway import Gateway, MeterLine
from openams.lines.hanline import HanLine
from openams.lines.linkports import LinkPorts
from openams.lines.mbusline import MBUS_CHANNEL, MBusLine
from openams.lines.modbusline import ModbusLine, is_modbus
from openams.meter_time import to_utc_ms
from openams.runtimes.launch import HEAP_KIB, LINK_HEAP_KIB
from openams.runtimes.process import MeterProcess
from openams.runtimes.state import FLASH_SIZE, StateImage
from openams.runtimes.wire import Frame

if TYPE_CHECKING:
    from openams.keys.keystore import Keystore
    from openams.runtimes.rp2040.converter import Ads131Board
    from openams.runtimes.rp2040.meter import ChipMeter
    from openams.runtimes.rp2040.session import IcFrontEnd

# Sample sets per message: one cycle at 4 kS/s.
BLOCK = 80
# Sample sets made at a time: half a second.
RENDER = 25 * BLOCK
# Rows are cut in pieces no longer than this, in wall time, when paced.
_PIECE_MS = 50
# At full speed they are cut too: what is sent holds no more than some days.
_LONGEST_ROW_MS = 86_400_000
# So many events the meter has at hand, see ams.events.events; its flash has all.
_EVENTS_IN_RAM = 64


@dataclass
class Progress:
    """Where a run stands."""

    utc_ms: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0
    frames: int = 0
    line: dict[str, Any] = field(default_factory=dict)


class Session:
    """One run of one meter. `on_progress` is called a few times a second."""

    def __init__(
        self,
        scenario: Scenario,
        options: Options,
        han_line: HanLine | None = None,
        on_frame: Callable[[Frame], None] | None = None,
        on_log: Callable[[str], None] | None = None,
        ports: LinkPorts | None = None,
    ) -> None:
        self.scenario = scenario
        self.options = options
        self.progress = Progress()
        self._han_line = han_line
        self._on_frame = on_frame
        self._front_end = _front_end(options, scenario)
        self.duration_s = _shorter(options.duration_s, scenario.duration_s)
        self.sampled = (
            not scenario.gives_quantities or options.speed == 1.0 or options.runtime == CHIP
        )
        usual = None if options.state else scenario.usual_start
        start = options.start or scenario.start or usual or datetime.now(UTC)
        scenario.begin(start)
        self.start_ms = to_utc_ms(start)
        self._orders = sorted(options.at, key=lambda order: order.after_s)
        # Without --state the flash is one that is thrown away.
        self._folder = None if options.state else tempfile.TemporaryDirectory(prefix="openams-")
        self._state = (
            StateImage(options.state)
            if options.state
            else StateImage(Path(self._folder.name if self._folder else ""), durable=False)
        )
        self._ports = ports
        self._gateway: Gateway | None = None
        self._take_link: Callable[[int, int, bytes], None] | None = None
        self._mbus = MBusLine(options.mbus) if options.mbus else None
        shown = options.display if options.display and options.display[0] != "page" else None
        self.display = DisplayLine(*shown) if shown else None
        self._modbus = ModbusLine(options.modbus) if options.modbus else None
        self.process = self._make_meter(on_log)
        self._stopping = False
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._ended = False
        try:
            built = self.process.configure(self._config())
            self.implementation = built["implementation"]
            if options.capture_period_min:
                self.process.operate(
                    self.start_ms, capture_period_s=60 * options.capture_period_min
                )
            self._events_before = built.get("events")
            # Those of this run begin behind what was there before it; a chip does not say.
            if "entries" not in built:
                built = self.process.view()["profile"]
            self._first_entry = built["entries"]
            if self._mbus:
                self._mbus.attach(self.process.link)
            opens = options.han_open or options.readout or options.modbus or options.mqtt
            if opens and options.keystore:
                self._open_ports(options.keystore)
            if ports:
                self._take_link = self._gateway.from_meter if self._gateway else ports.from_meter
                self.process.answer_soon()
                ports.attach(self._gateway.from_client if self._gateway else self.process.link)
            if self._modbus and isinstance(self.process, MeterProcess):
                self.process.answer_soon()
                self._modbus.attach(self.process.link)
        except BaseException:
            self.close()
            raise

    def _make_meter(self, on_log: Callable[[str], None] | None) -> MeterProcess | ChipMeter:
        options = self.options
        if options.runtime == CHIP:
            from openams.runtimes.rp2040.meter import ChipMeter

            # It has a service port and no network.
            chip = ChipMeter(
                self.scenario,
                self._front_end,
                self._frame,
                self._line,
                on_log,
                self._from_link,
                display=self.display,
            )
            if self._ports:
                line = MeterLine(chip.link, chip.seconds)
                self._gateway = Gateway(chip.link, self._ports.from_meter, line)
            return chip
        return MeterProcess(
            options.runtime,
            self._frame,
            self._line,
            on_log,
            LINK_HEAP_KIB if options.security else HEAP_KIB,
            self._from_link,
            self._restarted,
            more_numbers=self._more_numbers() if options.keystore else None,
        )

    def _restarted(self) -> None:
        for line in (self._ports, self._modbus):
            if line:
                line.restarted()

    @property
    def modbus_urls(self) -> list[str]:
        """Where Modbus masters find the meter."""
        return self._modbus.urls if self._modbus else []

    def _more_numbers(self) -> Callable[[int], tuple[int, int]]:
        assert self.options.keystore
        return functools.partial(more_numbers, self.options.keystore, self.options.meter_id)

    def _from_link(self, channel: int, kind: int, data: bytes) -> None:
        if channel == MBUS_CHANNEL:
            if self._mbus:
                self._mbus.from_meter(data)
        elif channel == DISPLAY_BUS:
            if self.display:
                self.display.from_meter(data)
        elif is_modbus(channel):
            if self._modbus:
                self._modbus.from_meter(channel, kind, data)
        elif self._take_link:
            self._take_link(channel, kind, data)

    def _open_ports(self, store: Keystore) -> None:
        """As `ams han-port open` and `ams readout` do, before anybody else has the service port."""
        from openams.bench.operator_line import open_ports, service_line

        line = service_line(self.process)
        self._take_link = line.take
        try:
            options = self.options
            open_ports(
                line,
                store,
                options.meter_id,
                options.han_open,
                options.readout,
                bool(options.modbus),
                options.mqtt is not None,
            )
        finally:
            self._take_link = None

    def _config(self) -> dict[str, Any]:
        options = self.options
        system = self.scenario.system
        driver = getattr(self._front_end, "driver", None)
        return {
            "system": system,
            "calibration": self._calibration(),
            "transformers": options.transformers,
            "identity": {
                "meter_id": options.meter_id,
                "meter_type": FORMATS[options.han_format].types[system],
            },
            "han": self._han(),
            "readout": {"list": options.readout_list, "level": self._readout_at_the_works()},
            "mbus": options.mbus is not None,
            "display": {"kind": options.display[0]} if options.display else None,
            "modbus": self._modbus_settings(),
            "modbus_open": options.modbus and options.keystore is None,
            "home": options.mqtt,
            "home_open": options.mqtt is not None and options.keystore is None,
            "han_open": options.han_open and options.keystore is None,
            "utc_ms": self.start_ms,
            "flash": str(self._state.path),
            "format": options.format,
            "breaker": options.breaker,
            "flash_size": FLASH_SIZE,
            "slots": str(self._state.slots),
            "slots_size": self._state.slots_size,
            **({"security": options.security} if options.security else {}),
            **({"front_end": driver} if driver else {}),
        }

    def _modbus_settings(self) -> dict[str, Any] | None:
        line = self._modbus
        if line is None:
            return None
        return {
            "units": self.options.modbus_units,
            # The bench has the socket: the meter's own number counts for nothing.
            "tcp": 0 if line.tcp else None,
            "rtu": line.rtu,
        }

    def _readout_at_the_works(self) -> int:
        options = self.options
        if options.readout is None or options.keystore:
            return 0
        return READOUT_LEVELS.index(options.readout)

    def _calibration(self) -> dict[str, Any]:
        """Behind transformers the nominal voltage is that of their secondary side."""
        record = self._front_end.calibration(self.scenario.system)
        ratios = getattr(self.scenario, "ratios", None)
        if ratios is not None and ratios.vt != (1, 1):
            phase = 1 if self.scenario.system == "3P3W" else math.sqrt(3)
            record["nominal_voltage_mv"] = round(1000 * ratios.vt[1] / phase)
        return record

    def _han(self) -> dict[str, Any]:
        options = self.options
        han: dict[str, Any] = {
            "format": options.han_format,
            "variant": options.han_variant,
            "options": options.han_options,
            "quirk": options.quirk,
            "seed": options.seed,
            "summer_time": options.han_summer_time,
        }
        if options.han_keys:
            han.update(take_keys(options.han_keys))
            han["system_title"] = system_title(options.meter_id)
        return han

    def _frame(self, frame: Frame) -> None:
        self.progress.frames += 1
        if self._han_line:
            self._han_line.send(frame.data)
        if self._on_frame:
            self._on_frame(frame)

    def _line(self, line: dict[str, Any]) -> None:
        self.progress.line = line
        if self._han_line:
            self._han_line.set_line(line)

    # --- playing ---------------------------------------------------------------

    def play(self, on_progress: Callable[[], None], every_s: float = 0.25) -> None:
        """Runs to the end of the scenario or duration, or until `cancel`."""
        self._began = time.monotonic()
        self._due = self._began + every_s
        self._every_s = every_s
        self._on_progress = on_progress
        if not isinstance(self.process, MeterProcess):
            self._play_chip(self.process)
        elif self.sampled:
            self._play_samples(self.process)
        else:
            self._play_rows(self.process)

    def cancel(self) -> None:
        self._stopping = True

    def ask(self, job: Callable[[], Any], timeout_s: float) -> Any:
        """Has `job` done by the thread that plays, which alone speaks to the meter; its result.

        For any other thread. Raises BenchError when the run has ended or does not come to it.
        """
        future: Future[Any] = Future()
        self._asked.put((future, job))
        if self._ended:
            self._refuse()
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise BenchError("the run has ended") from None
        except TimeoutError:
            future.cancel()
            raise BenchError("the meter is busy: try again") from None

    def _do_asked(self) -> None:
        while not self._asked.empty():
            future, job = self._asked.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except Exception as error:
                    # For whoever asked; the run goes on, and ends by itself if the meter is gone.
                    future.set_exception(error)

    def _refuse(self) -> None:
        while not self._asked.empty():
            self._asked.get()[0].cancel()

    def misbehave(self, quirk: str | None) -> None:
        """Another quirk of the HAN port from now on."""
        self.options.quirk = quirk
        if isinstance(self.process, MeterProcess):
            self.process.quirk(quirk)
        self.process.operate(self.progress.utc_ms, quirk=quirk)

    def _step(self, elapsed_s: float) -> bool:
        """Waits for the wall clock, reports progress; False when it is time to stop."""
        speed = self.options.speed
        if speed is not None:
            delay = self._began + elapsed_s / speed - time.monotonic()
            if delay > 0:
                time.sleep(delay)
        now = time.monotonic()
        self.progress.simulated_s = elapsed_s
        self.progress.wall_s = now - self._began
        self.progress.utc_ms = self.start_ms + round(elapsed_s * 1000)
        self._do_asked()
        if now >= self._due:
            self._due = now + self._every_s
            self._on_progress()
        return not self._stopping

    def _play_chip(self, chip: ChipMeter) -> None:
        """The chip samples by itself: it is only told how long to run."""
        at_ms = 0
        end_ms = math.inf if self.duration_s is None else round(self.duration_s * 1000)
        while at_ms < end_ms:
            at_ms = min(at_ms + _PIECE_MS, int(min(end_ms, 1e15)))
            self._give_orders(at_ms / 1000)
            if not self._step(at_ms / 1000):
                return
            chip.advance(self.start_ms + at_ms)

    def _play_samples(self, meter: MeterProcess) -> None:
        front_end = self._front_end
        assert isinstance(front_end, FrontEndModel)
        rate = front_end.sample_rate_hz
        end = None if self.duration_s is None else math.floor(self.duration_s * rate + 1e-6)
        for index, codes in coded_blocks(self.scenario, front_end, end):
            after = index + len(codes)
            self._give_orders(after / rate)
            if not self._step(after / rate):
                break
            meter.samples(self.start_ms + after * 1000 // rate, index, codes)

    def _play_rows(self, meter: MeterProcess) -> None:
        speed = self.options.speed
        piece_ms = None if speed is None else max(1, round(_PIECE_MS * speed))
        end_ms = None if self.duration_s is None else round(self.duration_s * 1000)
        for row in self.scenario.rows():
            left = row.duration_ms
            at = row.start_ms
            if end_ms is not None:
                left = min(left, end_ms - at)
            if left <= 0:
                return
            while left > 0:
                part = min(left, _LONGEST_ROW_MS if piece_ms is None else piece_ms)
                part = min(part, self._until_order(at))
                if not self._step(at / 1000):
                    return
                meter.hold(self.start_ms + at, part, row, more=speed is None)
                at += part
                left -= part
            self.progress.simulated_s = at / 1000

    def _until_order(self, at_ms: int) -> int:
        """Gives the orders that are due; ms until the next, at least one."""
        self._give_orders(at_ms / 1000)
        if not self._orders:
            return 1 << 40
        return max(1, round(1000 * self._orders[0].after_s) - at_ms)

    def _give_orders(self, elapsed_s: float) -> None:
        while self._orders and self._orders[0].after_s <= elapsed_s:
            order = dict(self._orders.pop(0).order)
            raw_ms = self.start_ms + round(1000 * elapsed_s)
            self.process.operate(raw_ms, **order)

    # --- ending ------------------------------------------------------------------

    def finish(self, entries: bool = False) -> dict[str, Any]:
        """A normal stop of the meter: its last figures; with the intervals of this run."""
        self._ended = True
        self._refuse()
        if self._ports:
            self._ports.close()
        rows = self.process.rows("load", after=self._first_entry) if entries else []
        result = {**self.process.stop(), "entries": rows}
        if entries and self._events_before and len(result["events"]) >= _EVENTS_IN_RAM:
            older = events_before(self._state.path, result["events"], self._events_before)
            result["events"] = older + result["events"]
        self.progress.wall_s = time.monotonic() - self._began
        if self._han_line:
            # Let a listener get what was sent, the last frame whole.
            self._han_line.drain(5.0 if self.options.speed is not None else 3600.0)
            # Lists that a reader was there for and that did not go.
            result["han"]["missed"] += self._han_line.left_out
        return result

    def close(self) -> None:
        for line in (self._mbus, self._modbus, self.display):
            if line:
                line.close()
        self.process.kill()
        self._state.close()
        if self._folder:
            self._folder.cleanup()


def _front_end(options: Options, scenario: Scenario) -> FrontEndModel | Ads131Board | IcFrontEnd:
    if options.runtime == CHIP:
        from openams.runtimes.rp2040.session import make_chip_front_end

        return make_chip_front_end(scenario, options.front_end, options.seed)
    return make_front_end(options.front_end, scenario.system, options.seed)


def coded_blocks(
    scenario: Scenario, front_end: FrontEndModel, end: int | None
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """(number of the first set, codes) in blocks of BLOCK, up to `end` sample sets."""
    index = 0
    for volts_and_amperes in scenario.samples(front_end.sample_rate_hz, RENDER):
        if end is not None:
            volts_and_amperes = volts_and_amperes[: end - index]
        if not len(volts_and_amperes):
            return
        codes = front_end.quantise(volts_and_amperes)
        for at in range(0, len(codes), BLOCK):
            yield index + at, codes[at : at + BLOCK]
        index += len(codes)


def _shorter(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return a if b is None else b
    return min(a, b)
