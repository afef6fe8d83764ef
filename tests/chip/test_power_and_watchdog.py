"""The power goes in the middle of a flash operation; a task hangs: the meter comes back."""

from __future__ import annotations

import pytest
from chipbench import ChipBench, steady

from ams.events.events import LOG_STANDARD
from openams.runtimes.rp2040.machine import Machine
from openams.runtimes.rp2040.meter import inspect
from openams.runtimes.rp2040.wiring import SUPPLY

LOAD = steady("1P2W", 230.0, 50.0, 0.0)


@pytest.fixture
def bench(image, tmp_path):
    bench = ChipBench(image, tmp_path, LOAD)
    yield bench
    bench.meter.kill()


def test_cuts_in_the_middle_of_flash_operations(bench):
    """Torn at the first head of all, then at the record that a falling supply writes."""
    meter = bench.meter
    # A new meter dies with the first that it programs; what is new is not erased.
    bench.provision()
    first = Machine(meter.image, bench.state)
    first.cut_in_operation(1, share=0.5)
    first.run(5000)
    assert first.off and first.torn is not None and first.torn.kind == "program"

    # It starts all the same, and counts.
    bench.boot()
    bench.run(1.2)
    counted = meter.view()["registers"]["a_plus_mwh"]
    assert counted > 0

    # The supply falls: the registers are written; the power goes in the middle of that.
    machine = meter.machine
    machine.cut_in_operation(machine.chip.nor.operations + 1, share=0.4)
    meter.wiring.set_input(SUPPLY, True)
    machine.run(200)
    assert machine.off and machine.torn is not None and machine.torn.kind == "program"

    meter.power_up(off_ms=60_000)
    bench.run(0.4)
    result = meter.stop()
    names = [event[2] for event in result["events"]]
    # What was counted since the last whole record is missing, and said to be; nothing is invented.
    assert "state-restored" in names and "energy-missing" in names
    assert 0 <= result["registers"]["a_plus_mwh"] < counted + 5000
    assert result["storage"]["kept"] and not result["storage"]["failed"]
    logged = [row[4] for row in inspect(bench.state, "events") if row[2] == LOG_STANDARD]
    assert logged.count("power-up") >= 2 and logged[-1] == "power-down"


def test_a_hung_task_is_ended_by_the_watchdog(bench):
    meter = bench.meter
    bench.boot()
    bench.run(1.0)
    counted = meter.view()["registers"]["a_plus_mwh"]
    meter.hang()
    hung_ms = meter.machine.now_ms
    while not meter.machine.resets and meter.machine.now_ms < hung_ms + 6000:
        bench.run(0.1)
    assert meter.machine.resets == 1
    # Its timeout is four seconds from the last sign of life.
    assert 3900 < meter.machine.reset_at_ms - hung_ms < 4200
    meter.await_boot()
    bench.run(0.5)
    result = meter.stop()
    names = [event[2] for event in result["events"]]
    assert "watchdog-error" in names and "energy-missing" in names
    # The registers of the last record: a minute old at the most.
    assert result["registers"]["a_plus_mwh"] <= counted + 3000
    assert result["registers"]["a_plus_mwh"] > 0
