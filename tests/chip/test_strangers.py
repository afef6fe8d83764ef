"""Strangers at the links of the emulated RP2040: nothing that they do costs a sample or a list."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from chipbench import START_MS, ChipBench, steady
from dlms import Raw

from openams.flashing.link import BoardLink
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.lines.channels import DATA
from openams.lines.linkports import SERVICE_CHANNEL
from openams.runtimes.rp2040.analog import OnChipAdc, WaveSource
from openams.runtimes.rp2040.desk import DeskBoard
from openams.runtimes.rp2040.firmware_image import image as firmware_image
from openams.runtimes.rp2040.machine import Machine
from openams.runtimes.rp2040.meter import clock_chip, provision
from openams.runtimes.rp2040.wiring import Wiring
from openams.runtimes.state import FLASH_SIZE

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))

import floods
import link_floods

METER = "7359990000000017"
# The collector may take a stale word of the stack for a pointer: some blocks, not more.
NOISE = 1024


# --- the service port ------------------------------------------------------------------------


class Chip:
    """What `link_floods` asks of a board."""

    def __init__(self, bench):
        self._bench = bench

    def once(self, data):
        at = len(self._bench.service)
        self._bench.meter.link(SERVICE_CHANNEL, DATA, data)
        self._bench.run(0.6)
        return bytes(self._bench.service[at:])


def flood(bench, kind, ms):
    """The stranger speaks all the time: as much as the line carries."""
    octets = kind(Chip(bench))
    machine = bench.meter.machine
    uart = machine.chip.uarts[1]
    end = machine.now_ms + ms
    while machine.now_ms < end:
        if uart.incoming < 128:
            bench.meter.link(SERVICE_CHANNEL, DATA, octets)
        bench.run(0.02)
    while uart.incoming:
        bench.run(0.02)
    bench.run(0.7)  # what began is no beginning any more


def attacked(image, folder, kinds, ms):
    bench = ChipBench(image, folder, steady("1P2W", 230.0, 10.0, 0.0))
    keystore = Keystore(folder / "keystore", b"bench", SCRYPT_N_RANDOM)
    bench.config["security"] = provisioned(keystore, bench.config["identity"]["meter_id"])
    meter = bench.meter
    try:
        bench.boot()
        bench.run(0.3)
        # Every buffer is made the first time.
        for kind in kinds:
            flood(bench, kind, 100)
        before = meter.view()
        for kind in kinds:
            flood(bench, kind, ms)
        after = meter.view()
        assert link_floods.polls(Chip(bench)) and bench.service
        return before, after
    finally:
        meter.kill()


def unharmed(before, after):
    assert after["samples_missing"] == after["samples_late"] == after["faults"] == 0
    assert after["han"]["missed"] == 0 and after["han"]["late_max_ms"] < 100
    assert sum(after["han"]["sent"]) > sum(before["han"]["sent"])
    assert after["heap_used"] - before["heap_used"] <= NOISE
    assert after["heap_used"] < 128 * 1024


def test_who_polls_and_never_reads_costs_no_sample(image, tmp_path):
    kinds = (link_floods.polls_of_a_long_answer, link_floods.openings)
    unharmed(*attacked(image, tmp_path, kinds, 500))


@pytest.mark.campaign
def test_nor_does_any_other_flood(image, tmp_path):
    kinds = [kind for kind in link_floods.FLOODS if kind is not link_floods.sign_ons]
    unharmed(*attacked(image, tmp_path, kinds, 5000))


# --- TCP: the board's code on the chip, and a network in its memory ------------------------------


def tcp_flood(folder, every_ms, victims, latency_ms=100):
    state = folder / "flash.bin"
    state.write_bytes(b"\xff" * FLASH_SIZE)
    load = steady("1P2W", 230.0, 10.0, 0.0).scenario()
    front_end = OnChipAdc(True, 1)
    keystore = Keystore(folder / "keystore", b"bench", SCRYPT_N_RANDOM)
    config = {
        "system": "1P2W",
        "calibration": front_end.calibration("1P2W"),
        "identity": {"meter_id": METER, "meter_type": "MA304H3E"},
        "han": {"format": "kaifa"},
        "han_open": True,
        "security": provisioned(keystore, METER),
    }
    provision(state, config)
    shown = next(c for c in keystore.hand_out(METER).shown()["clients"] if c["name"] == "reader")
    keys = tuple(bytes.fromhex(shown[f"{name}_key"]) for name in ("encryption", "authentication"))
    title = bytes.fromhex(shown["system_title"])
    aarqs = [Raw(None, 2, keys, 16 * k + 1, title=title).aarq() for k in range(victims)]
    hostile = tuple(word() for word in floods.MIX)
    script = f"GIVEN = {(hostile, every_ms, latency_ms, aarqs, keys, title)!r}\n"
    script += Path(__file__).with_name("tcp_flood.py").read_text()
    machine = Machine(firmware_image("pico"))
    Wiring(machine.chip, clock_chip(START_MS))
    machine.chip.sampled_adc.source = WaveSource(load, front_end).code
    with DeskBoard(machine) as board, BoardLink(board.port, timeout_s=600) as link:
        link.start_clean()
        machine.chip.nor.share(state)
        return json.loads(link.run(script, 3000).splitlines()[-1])


@pytest.mark.campaign
def test_strangers_over_tcp_keep_no_keys_out_and_cost_no_sample(tmp_path):
    seen = tcp_flood(tmp_path, 20, 4)
    assert seen["got_in"] == 4 and seen["strangers"] > 50, seen
    assert seen["samples_missing"] == seen["samples_late"] == seen["faults"] == 0, seen
    assert seen["han_missed"] == 0 and seen["han_late_max_ms"] < 100, seen
    assert seen["heap"][1] - seen["heap"][0] <= NOISE, seen


@pytest.mark.campaign
def test_forty_times_of_forty(tmp_path):
    seen = tcp_flood(tmp_path, 20, 40)
    assert seen["got_in"] == 40, seen
    assert seen["samples_missing"] == seen["samples_late"] == seen["faults"] == 0, seen
    assert seen["han_missed"] == 0 and seen["han_late_max_ms"] < 100, seen
