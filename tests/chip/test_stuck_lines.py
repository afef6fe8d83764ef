"""Lines that are stuck: the SPI of the metering IC, and a service port whose line is held low.

Told once, the rest goes on, and no energy is invented.
"""

from __future__ import annotations

import random

import pytest
from chipbench import ChipBench, steady

from openams.bench.options import DEFAULT_METER_ID
from openams.client.client import session
from openams.client.links import Url
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.runtimes.rp2040.meter import inspect

# The collector may take a stale word of the stack for a pointer: some blocks, not more.
NOISE = 1024
UWS_PER_MWH = 3_600_000


def bench_with_keys(image, folder, system):
    bench = ChipBench(image, folder, steady(system, 230.0, 10.0, 0.0))
    store = Keystore(folder / "keystore", b"bench", SCRYPT_N_RANDOM)
    bench.config["security"] = provisioned(store, DEFAULT_METER_ID)
    return bench, store


def counted(view):
    """A+ in Ws."""
    uws = view["registers"]["a_plus_mwh"] * UWS_PER_MWH + view["remainder_uws"][0]
    return uws / 1e6


def names(bench):
    return [row[4] for row in inspect(bench.state, "events")]


def reads(bench, store):
    """What a client with keys gets over the service port."""
    with session(Url("chip", "serial", line=bench.line), "reader", store, DEFAULT_METER_ID) as one:
        return one.get(3, "1.0.1.8.0.255", 2)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "level", ["repeated", pytest.param(0x00, id="zeros"), pytest.param(0xFF, id="ones")]
)
def test_an_spi_line_that_is_stuck(image, tmp_path, level):
    """Told once, and no reset. The IC goes on counting: nothing is lost, nothing invented."""
    bench, store = bench_with_keys(image, tmp_path, "3P4W")
    meter = bench.meter
    try:
        bench.boot()
        bench.run(2.0)
        before = meter.view()
        meter._ic.stuck = level
        bench.run(11.5)
        heap = meter.view()["heap_used"]
        sent = sum(meter.view()["han"]["sent"])
        bench.run(4.0)
        while_stuck = meter.view()
        assert meter.machine.resets == 0
        assert while_stuck["heap_used"] - heap <= NOISE
        assert sum(while_stuck["han"]["sent"]) > sent
        assert while_stuck["quantities"]["active_power_mw"] == [0, 0, 0]
        assert reads(bench, store) == while_stuck["registers"]["a_plus_mwh"]
        meter._ic.stuck = None
        bench.run(2.0)
        after = meter.view()
        meter.stop()
    finally:
        meter.kill()
    assert meter.machine.resets == 0
    assert after["faults"] == 0 and after["heap_used"] < 128 * 1024
    told = names(bench)
    assert told.count("samples-missing") == told.count("measurement-error") == 1, told
    assert not {
        "watchdog-error",
        "software-fault",
        "phase-lost",
        "voltage-lost",
        "missing-voltage-l1",
        "missing-neutral",
    } & set(told)
    seconds = (after["utc_ms"] - before["utc_ms"]) / 1000
    # The IC is read five times a second.
    assert counted(after) - counted(before) == pytest.approx(6900 * seconds, abs=6900 * 0.5)


@pytest.mark.parametrize(
    "moment", ["within a frame", pytest.param("at rest", marks=pytest.mark.campaign)]
)
def test_a_line_of_the_service_port_that_is_held_low(image, tmp_path, moment):
    """A break, then noise without stop bits: no sample is lost, no list late, no memory taken."""
    bench, store = bench_with_keys(image, tmp_path, "1P2W")
    meter = bench.meter
    try:
        bench.boot()
        bench.run(0.5)
        reads(bench, store)
        uart = meter.machine.chip.uarts[1]
        before = meter.view()
        if moment == "within a frame":
            uart.send_to_chip(bytes.fromhex("7ea0210321931f"))
            bench.run(0.004)
        uart.hold(True)
        bench.run(2.0)
        uart.hold(False)
        noise = random.Random(5)
        for _ in range(20):
            uart.send_to_chip(noise.randbytes(40), framed=False)
            bench.run(0.05)
        bench.run(0.7)
        after = meter.view()
        # Who comes now is served.
        assert reads(bench, store) >= 0
        meter.stop()
    finally:
        meter.kill()
    assert meter.machine.resets == 0 and uart.lost == 0
    assert after["samples_missing"] == after["samples_late"] == after["faults"] == 0
    assert after["han"]["missed"] == 0 and after["han"]["late_max_ms"] < 100
    assert sum(after["han"]["sent"]) > sum(before["han"]["sent"])
    assert after["heap_used"] - before["heap_used"] <= NOISE
    told = names(bench)
    assert told.count("service-line-held") == told.count("service-line-back") == 1, told
    others = {"storage-formatted", "power-up", "power-down", "han-opened"}
    assert set(told) <= others | {"service-line-held", "service-line-back"}
