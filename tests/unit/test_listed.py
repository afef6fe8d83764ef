"""What works alone works as first, middle and last of a list: on CPython and the MicroPython VM."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
LAB = TESTS.parent / "host" / "openams" / "faultlab"
sys.path.insert(0, str(TESTS / "unit"))

import listed  # noqa: E402

from openams.faultlab.roles_lab import RolesLab  # noqa: E402

ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import listed
print(*listed.run())
"""


def check(count, good, same, profiles):
    changes = count - 3 * profiles
    # Four roles: what is refused alone (an image that is not there) is refused in a list.
    assert changes > 110 and good > 95 and same == changes and profiles == 10


def test_everything_by_itself_and_in_a_list():
    check(*listed.run())


def test_on_the_vm(micropython):
    out = micropython(ON_VM, str(LAB), str(TESTS / "unit"), heap_kib=4096)
    check(*[int(figure) for figure in out.split()])


def test_two_quarters_and_two_steps_as_others_send_them():
    lab = RolesLab(os.urandom)
    client = lab.opened("operator")
    period = "0007 0100630100FF 04"
    asked = f"C104C102 {period}00 {period}00 02 0600000E10 0600000E10"
    assert lab.ask(client, bytes.fromhex(asked)).hex() == "c505c1020000"
    asked = "C303C102 0008 0000010000FF 06 0008 0000010000FF 06 02 100000 100000"
    assert lab.ask(client, bytes.fromhex(asked)).hex() == "c703c10200000000"


def test_a_list_that_lies_changes_nothing():
    """More values than names, fewer, or octets left over."""
    lab = RolesLab(os.urandom)
    client = lab.opened("operator")
    alarm_filter = bytes.fromhex("00010000 61620AFF 02 00".replace(" ", ""))
    value = b"\x06\x00\x00\x00\x01"
    for names, values in (
        (b"\x02" + alarm_filter * 2, b"\x01" + value),
        (b"\x01" + alarm_filter, b"\x02" + value * 2),
        (b"\x02" + alarm_filter * 2, b"\x02" + value * 2 + b"\x00"),
        (b"\x02" + alarm_filter * 2, b"\x02" + value * 2 + value),
        (b"\x02" + alarm_filter * 2, b"\x02" + value + value[:-1]),
        (b"\x82\xff\xff" + alarm_filter, b"\x82\xff\xff" + value),
    ):
        assert lab.ask(client, b"\xc1\x04\xc1" + names + values) == b"\xd8\x01\x03"
        assert lab.model.alarms.filter == 0xFFFFFFFF
    assert not lab.complaints
