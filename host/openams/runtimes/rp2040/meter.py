"""A meter on the emulated RP2040, with the interface of a `MeterProcess`.

The chip runs only while it is told to: `advance` takes it to a time, and
what waits for an answer runs it until the answer is there. The meter's own
time is `utc_ms` of its configuration plus the chip's.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openams.emulator.models.atm90e32 import Atm90e32
from openams.emulator.models.ds3231 import Ds3231
from openams.errors import BenchError
from openams.grid.scenario import Scenario
from openams.lines.displayline import DisplayLine
from openams.meter_time import from_utc_ms
from openams.runtimes.process import MeterProcess
from openams.runtimes.rp2040.analog import OnChipAdc, WaveSource
from openams.runtimes.rp2040.converter import Ads131Board, Converter
from openams.runtimes.rp2040.firmware_image import image as firmware_image
from openams.runtimes.rp2040.flash import ONE, Parts
from openams.runtimes.rp2040.hanframes import FrameTap
from openams.runtimes.rp2040.machine import Machine
from openams.runtimes.rp2040.mailbox import MailboxEnd
from openams.runtimes.rp2040.terminals import GridTerminals
from openams.runtimes.rp2040.uart import Line
from openams.runtimes.rp2040.wiring import DISPLAY_I2C, I2cBus, SpiDevice, Wiring
from openams.runtimes.state import FLASH_SIZE
from openams.runtimes.wire import Frame

_SLICE_MS = 10.0
_ANSWER_MS = 1.0
# Octets that a client of the service port may be ahead of the line: two windows of seven frames.
_AHEAD_MAX = 8192
# Chip time within which a running meter answers, and one that boots is there.
_PATIENCE_MS = 10_000.0
_BOOT_MS = 5_000.0
_SERVICE_CHANNEL = 0
_DATA = 0


class ChipMeter:
    """`front_end`: an `OnChipAdc` or an `Ads131Board`; else a metering IC measures."""

    def __init__(
        self,
        scenario: Scenario,
        front_end: object,
        on_frame: Callable[[Frame], None] | None = None,
        on_line: Callable[[dict[str, Any]], None] | None = None,
        on_log: Callable[[str], None] | None = None,
        on_link: Callable[[int, int, bytes], None] | None = None,
        image: Path | None = None,
        parts: Parts = ONE,
        display: DisplayLine | None = None,
    ) -> None:
        self.image = image or firmware_image("pico-bench")
        self._parts = parts
        self._display = display
        self._scenario = scenario
        self._front_end = front_end
        self._on_frame = on_frame
        self._on_line = on_line
        self._on_log = on_log
        self._on_link = on_link
        self._replies: deque[tuple[str, bytes]] = deque()
        self._from_client: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._log = ""
        self._start_ms = 0
        self._state: Path | None = None
        self._slots: Path | None = None
        self._booting = False
        self.machine: Machine | None = None
        self._box: MailboxEnd | None = None
        self.booted_ms = 0.0  # chip time at which the meter began to measure

    # --- power -------------------------------------------------------------------

    def configure(self, config: dict[str, Any]) -> dict[str, Any]:
        """Provisions the state image with what makes this meter, and powers the chip up."""
        self._start_ms = config["utc_ms"]
        self._state = Path(config["flash"])
        self._slots = Path(config["slots"]) if config.get("slots") else None
        if config.get("format"):
            self._state.write_bytes(b"\xff" * self._parts.state_size)
        provision(self._state, config, self._parts.state_size)
        return self.power_up()

    def power_up(self, off_ms: int = 0) -> dict[str, Any]:
        """Boots the chip on the state, `off_ms` after it lost power; waits until it measures."""
        if self.machine is not None:
            self._start_ms += round(self.machine.now_ms) + off_ms
        self._replies.clear()
        machine = self.machine = Machine(self.image, self._state, self._slots, self._parts)
        self._box = MailboxEnd(machine.chip)
        self.wiring = Wiring(machine.chip, clock_chip(self._start_ms))
        if self._display:
            self._display.power_up()
            I2cBus(machine.chip, DISPLAY_I2C, [self._display])
        front_end = self._front_end
        if isinstance(front_end, OnChipAdc):
            machine.chip.sampled_adc.source = WaveSource(self._scenario, front_end).code
        elif isinstance(front_end, Ads131Board):
            self.converter = Converter(machine.chip, front_end, self._scenario)
        else:
            self._ic = SpiDevice(machine.chip, Atm90e32())
            GridTerminals(machine.chip, self._ic.model, self._scenario)
        machine.on_reset = self._forget
        self.han_tap = FrameTap(machine.chip.uarts[0], self._frame, self._line)
        machine.chip.uarts[1].on_octet = self._service_octet
        return self.await_boot()

    def await_boot(self) -> dict[str, Any]:
        """Runs the chip until it measures, after power-up or a reset."""
        self._booting = True
        try:
            payload = self._await(_BOOT_MS, "K")[1]
        finally:
            self._booting = False
        return dict(json.loads(payload))

    def _forget(self) -> None:
        assert self._box is not None
        self._box.forget()
        self._replies.clear()

    def power_cut(self) -> None:
        """The power goes at this cycle; a flash operation on its way is torn."""
        self._running().power_cut()

    @property
    def off(self) -> bool:
        return self.machine is None or self.machine.off

    def kill(self) -> None:
        if self.machine is not None:
            self.machine.close()

    # --- time ----------------------------------------------------------------------

    def advance(self, utc_ms: int) -> None:
        """Runs the chip to `utc_ms`, if it is not there yet."""
        machine = self._running()
        end_ns = (utc_ms - self._start_ms) * 1e6
        while machine.now_ns < end_ns and not machine.off:
            self._step(min(end_ns, machine.now_ns + _SLICE_MS * 1e6))

    def utc_ms(self) -> int:
        """True time, which the meter's own clock follows."""
        return self._utc_ms(self._running().now_ns)

    def seconds(self) -> float:
        """The chip's time for whoever waits for it."""
        return self.utc_ms() / 1000

    def _running(self) -> Machine:
        assert self.machine is not None
        return self.machine

    def _step(self, until_ns: float) -> None:
        machine = self._running()
        assert self._box is not None
        with self._lock:
            waiting = b"".join(self._from_client)
            self._from_client.clear()
        if waiting:
            machine.chip.uarts[1].send_to_chip(waiting)
        machine.run_until(until_ns)
        for kind, payload in self._box.messages():
            if kind == "L":
                self._print(payload.decode(errors="replace"))
            elif kind == "K":
                self.booted_ms = machine.now_ms
                # One that restarts by itself is not waited for.
                if self._booting:
                    self._replies.append((kind, payload))
            else:
                self._replies.append((kind, payload))

    def _print(self, text: str) -> None:
        *lines, self._log = (self._log + text).split("\n")
        for line in lines:
            if self._on_log and line.strip():
                self._on_log(line.rstrip("\r"))

    # --- what the meter says ---------------------------------------------------------

    def _utc_ms(self, nanos: float) -> int:
        return self._start_ms + round(nanos / 1e6)

    def _frame(self, began_ns: float, octets: bytes) -> None:
        if self._on_frame:
            self._on_frame(Frame(self._utc_ms(began_ns), octets))

    def _line(self, line: Line) -> None:
        if self._on_line:
            self._on_line(
                {
                    "baudrate": line.baudrate,
                    "bits": line.bits,
                    "parity": line.parity,
                    "stop": line.stop,
                }
            )

    def _service_octet(self, octet: int, nanos: float) -> None:
        if self._on_link:
            self._on_link(_SERVICE_CHANNEL, _DATA, bytes((octet,)))

    def _await(self, patience_ms: float, *kinds: str) -> tuple[str, bytes]:
        """Runs the chip until it has answered."""
        machine = self._running()
        end_ns = machine.now_ns + patience_ms * 1e6
        while not self._replies:
            if machine.off:
                raise BenchError("the meter has no power")
            if machine.now_ns > end_ns:
                raise BenchError("the meter does not answer" + self._last_words())
            self._step(machine.now_ns + _ANSWER_MS * 1e6)
        kind, payload = self._replies.popleft()
        if kind not in kinds:
            raise BenchError(f"the meter answered {kind!r} where {kinds} was due")
        return kind, payload

    def _last_words(self) -> str:
        return f": {self._log.strip()}" if self._log.strip() else ""

    # --- what the bench says -----------------------------------------------------------

    def _send(self, kind: str, payload: bytes = b"") -> None:
        machine = self._running()
        assert self._box is not None
        end_ns = machine.now_ns + _PATIENCE_MS * 1e6
        while not self._box.send(kind, payload):
            if machine.off or machine.now_ns > end_ns:
                raise BenchError("the meter takes no orders" + self._last_words())
            self._step(machine.now_ns + _ANSWER_MS * 1e6)

    def operate(self, raw_ms: int, **order: Any) -> None:
        left = self.wiring.at_the_case(order)
        if left:
            self._send("A", json.dumps(left).encode())

    def han(self, is_open: bool) -> None:
        self._send("O" if is_open else "o")

    def hang(self) -> None:
        """Makes the meter's task hang, for the watchdog to find."""
        self._send("H")

    def link(self, channel: int, kind: int, data: bytes) -> None:
        """Octets of a client of the service port; may come from another thread.

        A line has a rate: what somebody sends far ahead of it is lost.
        """
        if channel == _SERVICE_CHANNEL and kind == _DATA:
            machine = self.machine
            with self._lock:
                waiting = sum(map(len, self._from_client))
                if machine is not None:
                    waiting += machine.chip.uarts[1].incoming
                if waiting + len(data) <= _AHEAD_MAX:
                    self._from_client.append(data)

    def answer_soon(self) -> None:
        """The chip takes what a client sends with its next step."""

    def view(self) -> dict[str, Any]:
        """What the meter says of itself, and `flashes` of its test LED since power-up."""
        self._send("V")
        figures = dict(json.loads(self._await(_PATIENCE_MS, "V")[1]))
        return {**figures, "flashes": len(self.wiring.pulses.times_ns)}

    def rows(self, name: str, **limits: Any) -> list[list[Any]]:
        """Read out of the flash as `ams profile` does, while the chip stands still."""
        assert self._state is not None
        return inspect(self._state, name, self._parts.state_size, **limits)

    def _result(self) -> dict[str, Any]:
        events: list[Any] = []
        while True:
            kind, payload = self._await(_PATIENCE_MS, "N", "X")
            if kind == "X":
                return {**json.loads(payload), "events": events}
            events.append(json.loads(payload))

    def finish(self) -> dict[str, Any]:
        self._send("F")
        return self._result()

    def stop(self) -> dict[str, Any]:
        """A normal stop: the supply falls, the state is kept, the last figures come back."""
        self._send("X")
        result = self._result()
        self.kill()
        return result


def clock_chip(utc_ms: int) -> Ds3231:
    """A clock chip that runs and shows `utc_ms`, to the second."""
    clock = Ds3231()
    when = from_utc_ms(utc_ms)
    weekday = (when.weekday() + 1) % 7 + 1
    fields = (
        when.second, when.minute, when.hour, weekday, when.day, when.month, when.year - 2000
    )  # fmt: skip
    clock.write(bytes((0, *(value // 10 << 4 | value % 10 for value in fields))))
    clock.write(bytes((0x0E, 0x04, 0x00)))
    clock.advance(utc_ms % 1000 * 1000)
    return clock


def provision(state: Path, config: dict[str, Any], size: int = FLASH_SIZE) -> None:
    """Writes identity, calibration, HAN format and keys into the meter's settings."""
    with MeterProcess("cpython") as process:
        process.configure(
            {
                "system": "provision",
                "flash": str(state),
                "flash_size": size,
                "settings": {
                    "meter_id": config["identity"]["meter_id"],
                    **{
                        name: config[name]
                        for name in (
                            "system", "calibration", "identity", "han", "han_open", "security",
                            "readout", "breaker", "transformers", "display",
                            "front_end",
                        )
                        if name in config
                    },
                },
            }
        )  # fmt: skip
        process.stop()


def inspect(state: Path, name: str, size: int = FLASH_SIZE, **limits: Any) -> list[list[Any]]:
    """Entries of a profile or log in a state image."""
    with MeterProcess("cpython") as process:
        process.configure({"system": "inspect", "flash": str(state), "flash_size": size})
        rows = process.rows(name, **limits)
        process.stop()
    return rows
