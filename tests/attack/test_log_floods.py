"""Nobody washes a log out: the table of docs/security.md, on the real rings, on both VMs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
LAB = TESTS.parent / "host" / "openams" / "faultlab"
sys.path.insert(0, str(TESTS / "attack"))

import log_floods  # noqa: E402

from ams.events import events, groups  # noqa: E402
from ams.events.events import LOG_NAMES, RECORD_SIZE  # noqa: E402
from ams.storage import layout  # noqa: E402

ROW = re.compile(r"^\| (\w+) \| ([^|]+) \|" + r" (\d+)(?: h)? \|" * 6 + "$", re.M)
DAYS = 24
ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import log_floods
log_floods.whole_meter(2, 100)
print(*log_floods.run(1, 8))
"""


@pytest.fixture(scope="module")
def table():
    """(log, what): kept, at once, an hour, later a day, hours alone, hours in everything."""
    text = (TESTS.parent / "docs" / "security.md").read_text()
    return {(row[0], row[1]): [int(figure) for figure in row[2:]] for row in ROW.findall(text)}


def test_the_table_has_every_group(table):
    assert list(table) == [(LOG_NAMES[log], name) for log, _, name in log_floods.GROUPS]
    for group, (log, code, name) in enumerate(log_floods.GROUPS):
        assert groups.of(code, log_floods.MOVED) == group
        kept, burst, hour, day = table[LOG_NAMES[log], name][:4]
        _, at_once, fast, _, slow = groups._TABLE[5 * group : 5 * group + 5]
        assert kept == groups.kept(group)
        if code in log_floods.MOVEMENTS:
            # The guard lets through no more than the log takes, at once and for ever.
            assert (burst, hour, day) == (12, 12, 288)
            assert at_once >= 24 and 3600 // (15 * fast) >= 12
            continue
        assert (burst, hour, day) == (at_once, 3600 // (15 * fast), 1440 // (10 * slow))


def test_what_is_kept_has_room(table):
    for log, _, cells in layout.KEPT:
        kept = sum(figures[0] for (name, _), figures in table.items() if name == LOG_NAMES[log])
        assert 0 < kept <= len(cells) * (880 // RECORD_SIZE)


def test_how_long_an_entry_stands(table):
    everything = log_floods.everything(300)
    for (log, _, name), hours in zip(log_floods.GROUPS, everything, strict=True):
        assert hours == table[LOG_NAMES[log], name][5], name


@pytest.mark.campaign
def test_how_long_an_entry_stands_against_its_own_kind(table):
    alone = log_floods.everything(24 * 400, True)
    for (log, _, name), hours in zip(log_floods.GROUPS, alone, strict=True):
        assert hours == table[LOG_NAMES[log], name][4], name


def test_nobody_pushes_out_what_another_kind_has():
    assert log_floods.others(3) == 105
    assert log_floods.others(1, True) == 96


def test_power_cuts_give_nothing_back():
    log_floods.resets_give_nothing_back()


def test_a_cut_while_a_log_goes_round_loses_nothing():
    assert log_floods.cuts_at_the_turn() > 10


def test_a_log_of_an_older_version_is_read():
    log_floods.an_image_from_before()


@pytest.mark.parametrize(
    ("flood", "much"),
    [(log_floods.strangers, 3), (log_floods.refusals, 400), (log_floods.clock_sets, 400)],
)
def test_a_whole_meter(flood, much):
    flood(much)


def test_on_the_vm(micropython, table):
    out = micropython(ON_VM, str(LAB), str(TESTS / "attack"), heap_kib=8192)
    tried, *hours = [int(figure) for figure in out.split()]
    assert tried == log_floods.others(0, every=8) > 8
    for figures, at_least in zip(list(table.values())[::5], hours, strict=True):
        assert at_least == min(figures[5], 8)


@pytest.mark.campaign
def test_sixty_days_of_everything_else():
    assert log_floods.others(60) == 105
    assert log_floods.others(20, True) == 96


def test_every_code_is_in_a_group_of_its_log():
    first = list(groups._FIRST)
    for start, count, log in events._CODES:
        for code in range(start, start + count):
            for detail in (0, log_floods.MOVED):
                assert first[log] <= groups.of(code, detail) < first[log + 1], code
