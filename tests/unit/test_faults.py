"""What fails in one part of a meter stops no other, and is told: on both VMs."""

from __future__ import annotations

from pathlib import Path

import fault_vm
import pytest
from gurux_dlms.objects import GXDLMSRegister
from meterbench import MeterBench

from ams import faults
from ams.events import events

ROOT = Path(__file__).resolve().parents[2]
PATHS = (str(ROOT / "tests/unit"), str(ROOT / "host/openams/faultlab"))
CHECKS = [name for name in vars(fault_vm) if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_fault(name):
    getattr(fault_vm, name)()


def test_faults_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {list(PATHS)!r}\nimport fault_vm\nfault_vm.main()"
    assert micropython(script, heap_kib=2048).strip() == str(len(CHECKS))


def test_an_error_behind_a_line_ends_that_line_alone():
    """On the service port, on a TCP connection, in what is done beside them."""
    bench = MeterBench()
    meter = bench.meter
    link = meter.link
    closed = []
    bench.board.link_close = closed.append
    link.opened(1)
    link.opened(2)
    link.hdlc.feed = link.tcp[0].feed = link.tcp[1].tick = link.work = fault_vm.broken
    link.service.feed = fault_vm.broken
    assert link.feed(0, memoryview(bytearray(b"\x7e\xa0")), 1000) == 2
    assert link.feed(1, memoryview(bytearray(b"\x00\x01")), 1001) == 2
    assert closed == [1] and link.tcp[0].free
    link.poll(1002)
    assert closed == [1, 2] and link.server.faults == meter.faults.count == 4
    parts = [event[2] for event in meter.events.entries() if event[1] == events.SOFTWARE_FAULT]
    assert parts == [faults.LINK]
    # The others are served.
    link.opened(3)
    assert bench.gurux("reader").read(GXDLMSRegister("1.0.1.8.0.255"), 2) == 0
