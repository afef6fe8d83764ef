"""What a bench sees of a meter and does to it while it runs, on both VMs."""

from __future__ import annotations

import ast
from pathlib import Path

import bench_view
import pytest

from openams.bench.quirks import quirks_of

PATHS = [str(Path(__file__).parent)]


def on_the_vm(micropython, name):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport bench_view as vm\nprint(vm.{name}())"
    return ast.literal_eval(micropython(script, heap_kib=1024))


def check_angles(found):
    assert found[0] == pytest.approx([0, 24000, 12000], abs=2)
    assert found[1:] == [[0, 18000], [0], None]


def test_angles_of_voltages_are_against_the_first_and_turn_with_time(micropython):
    check_angles(bench_view.angles())
    check_angles(on_the_vm(micropython, "angles"))


def check_counts(found):
    plain, cut, parity, silent, again, hybrid, p1, switched = found
    sent = plain[0]
    assert plain == (sent, sent, None) or plain[0] == plain[1]
    assert cut[0] == sent and cut[1] < sent
    # The line changes with the quirk, and back.
    assert parity[2] != plain[2] == again[2]
    # The first three minutes of ten are silent; they began six minutes into the ten.
    assert silent[0] <= sent and again[:2] == (sent, sent)
    assert switched == (b"/", b"\x7e")
    assert hybrid == (b"\x7e", 2400) and p1 == (b"/", 115200)


def test_quirks_come_and_go_while_the_port_is_open(micropython):
    check_counts(bench_view.counts())
    assert on_the_vm(micropython, "counts") == bench_view.counts()


@pytest.mark.parametrize("name", ["kaifa", "aidon", "kamstrup", "p1"])
def test_every_quirk_that_is_offered_can_be_had_by_the_port(name):
    for quirk in quirks_of(name, encrypted=False):
        bench_view.frames(name, (quirk, None), minutes=1)
