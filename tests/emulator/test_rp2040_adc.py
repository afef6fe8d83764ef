"""The emulated ADC asks for DMA as the datasheet has it (RP2040, 4.9.2.5)."""

from __future__ import annotations

from rp2040py.peripherals.adc import CS, CS_EN, CS_START_ONE, FCS, FCS_DREQ_EN, FCS_EN, FIFO_REG
from rp2040py.peripherals.dma import DREQChannel

from openams.runtimes.rp2040.machine import Chip

ONE = 1 << 24  # the threshold


def asks(adc) -> bool:
    return adc.rp2040.dma.dreq.get(DREQChannel.DREQ_ADC, False)


def test_dma_is_asked_for_while_it_is_enabled_and_something_waits() -> None:
    chip = Chip()
    adc = chip.sampled_adc
    adc.write_uint32(FCS, FCS_EN | FCS_DREQ_EN | ONE)
    assert not asks(adc)
    adc.write_uint32(CS, CS_EN | CS_START_ONE)
    adc._converted()
    assert asks(adc)
    # Nobody is asked any more, and what waits is taken by hand.
    adc.write_uint32(FCS, 0)
    assert not asks(adc)
    adc.read_uint32(FIFO_REG)
    adc.write_uint32(FCS, FCS_EN | FCS_DREQ_EN | ONE)
    assert not asks(adc)
