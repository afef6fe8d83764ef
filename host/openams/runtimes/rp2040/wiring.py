"""What is wired to the pins of the emulated board, as boards/pico/board.py says.

The chips are the models of openams.emulator.models: here they meet the buses
of the emulated RP2040, at the pace of these.
"""

from __future__ import annotations

from typing import Any

from rp2040py.gpio_pin import GPIOPinState
from rp2040py.peripherals.i2c import I2CMode
from rp2040py.rp2040 import RP2040

from openams.emulator.models.ds3231 import Ds3231
from openams.emulator.models.relay import Relay

COIL_OPEN, COIL_CLOSE, CONTACT = 6, 7, 8
TERMINAL_COVER, METER_COVER, MAGNETIC_FIELD, BUTTON, SUPPLY = 9, 10, 11, 12, 13
TEST_LED = 14
SPI_CS = 17
CLOCK_I2C, DISPLAY_I2C = 1, 0
# What each input reads when nothing is the matter.
_QUIET = {TERMINAL_COVER: False, METER_COVER: False, MAGNETIC_FIELD: True, BUTTON: True,
          SUPPLY: True}  # fmt: skip
# Of the case's events by their codes (ams.events.events): the pin, and whether it is active.
CONTACTS = {
    40: (TERMINAL_COVER, True), 41: (TERMINAL_COVER, False),
    42: (MAGNETIC_FIELD, True), 43: (MAGNETIC_FIELD, False),
    44: (METER_COVER, True), 45: (METER_COVER, False),
}  # fmt: skip


class Pulses:
    """Counts the flashes of an LED; `times_ns` of their begin, `ends_ns` of their end."""

    def __init__(self, chip: RP2040, pin: int) -> None:
        self.times_ns: list[float] = []
        self.ends_ns: list[float] = []
        self._clock = chip.clock
        chip.gpio[pin].add_listener(self._changed)

    def _changed(self, level: GPIOPinState, before: GPIOPinState) -> None:
        if level == GPIOPinState.HIGH:
            self.times_ns.append(self._clock.nanos)
        elif self.times_ns:
            self.ends_ns.append(self._clock.nanos)


class WiredRelay:
    """The relay at its pins. A coil moves it when it has had current for long enough."""

    def __init__(self, chip: RP2040) -> None:
        self.model = Relay()
        self._clock = chip.clock
        self._contact = chip.gpio[CONTACT]
        self._at_ns = 0.0
        self._alarm = chip.clock.create_alarm(self._pass)
        self._levels: dict[str, bool] = {}
        for pin, which in ((COIL_OPEN, "open"), (COIL_CLOSE, "close")):
            chip.gpio[pin].add_listener(
                lambda level, before, which=which: self._coil(which, level)  # type: ignore[misc]
            )
        self._show()

    def _show(self) -> None:
        self._contact.set_input_value(bool(self.model.contact))

    def _coil(self, which: str, level: GPIOPinState) -> None:
        self._advance()
        self._levels[which] = level == GPIOPinState.HIGH
        self.model.coil(which, self._levels[which])
        # Look again while a coil may have current.
        self._alarm.schedule(1e6)

    def _advance(self) -> None:
        now = self._clock.nanos
        self.model.advance(round((now - self._at_ns) / 1000))
        self._at_ns = now
        self._show()

    def _pass(self) -> None:
        self._advance()
        if any(self._levels.values()):
            self._alarm.schedule(1e6)


class I2cBus:
    """One transaction each of the devices' `write` and `read`."""

    def __init__(self, chip: RP2040, number: int, devices: list[Any]) -> None:
        self._bus = chip.i2c[number]
        self._devices = {device.address: device for device in devices}
        self._device: Any = None
        self._written = bytearray()
        self._bus.on_connect = self._connect
        self._bus.on_write_byte = self._write
        self._bus.on_read_byte = self._read
        self._bus.on_stop = self._stop

    def _connect(self, address: int, mode: I2CMode) -> None:
        self._flush()
        self._device = self._devices.get(address)
        present = self._device is not None and getattr(self._device, "present", True)
        self._bus.complete_connect(present)

    def _flush(self) -> None:
        if self._written and self._device is not None:
            self._device.write(bytes(self._written))
        self._written.clear()

    def _write(self, octet: int) -> None:
        self._written.append(octet)
        self._bus.complete_write(True)

    def _read(self, acknowledged: bool) -> None:
        self._flush()
        self._bus.complete_read(self._device.read(1)[0])

    def _stop(self) -> None:
        self._flush()
        self._bus.complete_stop()


class SpiDevice:
    """A chip on SPI0 with its select pin, at the clock that the firmware sets.

    `stuck`: what the line from it says whatever the chip does: an octet, or "repeated", what it
    said last, over and over.
    """

    stuck: int | str | None = None

    def __init__(self, chip: RP2040, model: Any, select_pin: int = SPI_CS) -> None:
        self.model = model
        self._spi = chip.spi[0]
        self._selected = False
        self._answer = 0xFF
        self._alarm = chip.clock.create_alarm(self._done)
        self._spi.on_transmit = self._octet
        chip.gpio[select_pin].add_listener(self._select)

    def _select(self, level: GPIOPinState, before: GPIOPinState) -> None:
        selected = level == GPIOPinState.LOW
        if selected != self._selected:
            self._selected = selected
            self.model.select(selected)

    def _octet(self, value: int) -> None:
        answer = self.model.transfer(value & 0xFF) if self._selected else 0xFF
        if self.stuck is None:
            self._answer = answer
        elif isinstance(self.stuck, int):
            self._answer = self.stuck
        rate = self._spi.clock_frequency or 1e6
        self._alarm.schedule(8e9 / rate)

    def _done(self) -> None:
        self._spi.complete_transmit(self._answer)


class Wiring:
    """Everything of the board that is not the chip; `clock_chip` shows UTC at power-up."""

    def __init__(self, chip: RP2040, clock_chip: Ds3231) -> None:
        self._chip = chip
        self.relay = WiredRelay(chip)
        self.pulses = Pulses(chip, TEST_LED)
        self.clock_chip = clock_chip
        self._i2c = I2cBus(chip, CLOCK_I2C, [clock_chip])
        self._second = chip.clock.create_alarm(self._tick)
        self._second.schedule(1e9)
        for pin, level in _QUIET.items():
            chip.gpio[pin].set_input_value(level)

    def _tick(self) -> None:
        self.clock_chip.advance(1_000_000)
        self._second.schedule(1e9)

    def at_the_case(self, order: dict[str, Any]) -> dict[str, Any]:
        """Does what of the bench's order is done by hand, at the pins; gives what is left of it."""
        left = dict(order)
        if "button" in left:
            self.set_input(BUTTON, left.pop("button"))
        if "relay" in left:
            fault = left.pop("relay")
            self.relay.model.stuck = fault == "stuck"
            self.relay.model.welded = fault == "welded"
        if left.get("event") in CONTACTS:
            self.set_input(*CONTACTS[left.pop("event")])
        return left

    def set_input(self, pin: int, active: bool) -> None:
        """A cover comes off, a button is pressed, the supply falls; or the contrary."""
        self._chip.gpio[pin].set_input_value(_QUIET[pin] != active)
