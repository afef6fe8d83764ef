"""Registers: integers, quadrants, carried remainder, demand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams.registers.energy import UWS_PER_MWH, EnergyRegisters

STEP = st.integers(-(10**12), 10**12)


@given(st.lists(st.tuples(STEP, STEP), max_size=50))
def test_nothing_is_lost_or_made(steps):
    energy = EnergyRegisters()
    for active, reactive in steps:
        energy.add(active, reactive)

    def counted(register):
        return energy.mwh[register] * UWS_PER_MWH + energy.remainder_uws[register]

    assert counted(0) == sum(a for a, _ in steps if a > 0)
    assert counted(1) == -sum(a for a, _ in steps if a < 0)
    assert counted(2) == sum(r for _, r in steps if r > 0)
    assert counted(3) == -sum(r for _, r in steps if r < 0)
    assert counted(4) + counted(5) == counted(2)
    assert counted(6) + counted(7) == counted(3)
    assert all(0 <= rest < UWS_PER_MWH for rest in energy.remainder_uws)


def test_quadrants():
    for active, reactive, register in ((1, 1, 4), (-1, 1, 5), (-1, -1, 6), (1, -1, 7)):
        energy = EnergyRegisters()
        energy.add(active * UWS_PER_MWH, reactive * UWS_PER_MWH)
        assert [energy.mwh[k] for k in range(4, 8)] == [int(k == register) for k in range(4, 8)]


def test_demand_is_of_whole_clock_hours():
    energy = EnergyRegisters()
    energy.begin(1_800_000)  # half past: the first hour is not whole
    energy.add(9000 * UWS_PER_MWH, 0)
    energy.close_hour(3_600_000)
    assert energy.max_demand_mw == [0, 0]
    energy.add(5000 * UWS_PER_MWH, 0)
    energy.close_hour(7_200_000)
    energy.add(4000 * UWS_PER_MWH, 0)
    energy.close_hour(10_800_000)
    assert energy.max_demand_mw == [5000, 0]
    assert energy.max_demand_utc_ms == [7_200_000, None]
    assert energy.a_plus_mwh == 18000
    assert energy.hour_mwh[0] == 18000
    assert energy.hour_utc_ms == 10_800_000


@pytest.mark.parametrize("hours", [3, 5, -2])
def test_an_hour_that_began_without_supply_or_was_stepped_over_has_its_registers(hours):
    """Hourly lists show the registers of the full hour, whoever starts some seconds later."""
    energy = EnergyRegisters()
    energy.add(5000 * UWS_PER_MWH, 0)
    energy.close_hour(7_200_000)
    energy.add(4000 * UWS_PER_MWH, 0)
    begins = 7_200_000 + hours * 3_600_000
    energy.begin(begins + 4000)
    energy.add(70 * UWS_PER_MWH, 0)
    assert (energy.hour_mwh[0], energy.hour_utc_ms) == (9000, begins)
    energy.begin(begins + 5000)  # in the same hour: it stays
    assert (energy.hour_mwh[0], energy.hour_utc_ms) == (9000, begins)
