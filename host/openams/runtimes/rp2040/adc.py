"""The RP2040's ADC, fed at the instant of each conversion.

One alarm a conversion. rp2040py's own loses the low bits of the channel when
it goes round robin, and goes on asking for DMA when that was switched off; see docs/chip.md.
"""

from __future__ import annotations

from collections.abc import Callable

from rp2040py.peripherals.adc import (
    CS_AINSEL_MASK,
    CS_AINSEL_SHIFT,
    CS_ERR,
    CS_RROBIN_MASK,
    CS_RROBIN_SHIFT,
    CS_START_MANY,
    FCS_DREQ_EN,
    FCS_EN,
    FCS_OVER,
    FCS_SHIFT,
    FCS_THRES_MASK,
    FCS_THRESH_SHIFT,
    RPADC,
)
from rp2040py.rp2040 import RP2040

# 96 cycles of 48 MHz.
_CONVERSION_NS = 2000.0
_CYCLE_NS = 1e3 / 48


class SampledAdc(RPADC):
    """`source(channel, nanos)` gives the code that a conversion begun at `nanos` reads."""

    def __init__(self, rp2040: RP2040, name: str) -> None:
        super().__init__(rp2040, name)
        self.source: Callable[[int, float], int] = lambda channel, nanos: 0
        self._clock = rp2040.clock
        self._alarm = self._clock.create_alarm(self._converted)
        self._begun_ns = 0.0

    def reset(self) -> None:
        super().reset()
        self._alarm.cancel()

    def write_uint32(self, offset: int, value: int) -> None:
        super().write_uint32(offset, value)
        self._update_dma()

    def _update_dma(self) -> None:
        """DREQ by the datasheet, 4.9.2.5: only while it is enabled."""
        fcs = self.fcs
        least = fcs >> FCS_THRESH_SHIFT & FCS_THRES_MASK
        if fcs & FCS_DREQ_EN and self.fifo.item_count >= least:
            self.rp2040.dma.set_dreq(self.dreq)
        else:
            self.rp2040.dma.clear_dreq(self.dreq)

    def start_adc_read(self) -> None:
        self.busy = True
        self._begun_ns = self._clock.nanos
        self._alarm.schedule(_CONVERSION_NS)

    def _converted(self) -> None:
        channel = self.cs >> CS_AINSEL_SHIFT & CS_AINSEL_MASK
        value = self.source(channel, self._begun_ns)
        self.busy = False
        self.result = value
        self.cs &= ~CS_ERR
        if self.fcs & FCS_EN:
            if self.fifo.full:
                self.fcs |= FCS_OVER
            else:
                self.fifo.push(value >> 4 if self.fcs & FCS_SHIFT else value)
                self._update_dma()
                if self.int_enable:
                    self.check_interrupts()
        robin = self.cs >> CS_RROBIN_SHIFT & CS_RROBIN_MASK
        if robin:
            channel += 1
            while not robin >> channel & 1:
                channel = channel + 1 if channel < self.num_channels else 0
            self.cs &= ~(CS_AINSEL_MASK << CS_AINSEL_SHIFT)
            self.cs |= channel << CS_AINSEL_SHIFT
        if self.cs & CS_START_MANY:
            self.busy = True
            period = max(self.divider * _CYCLE_NS, _CONVERSION_NS)
            self._begun_ns += period
            self._alarm.schedule(period)
