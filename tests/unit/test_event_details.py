"""What the host makes of an event's detail and extra, held against the firmware that logs it."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from ams import faults, hal
from ams.control import breaker, command, supply
from ams.events import events as ev
from ams.storage import layout
from ams.update import reasons
from openams.client import event_details as details
from openams.client.event_details import event_text, means
from openams.client.firmware_names import EVENTS
from openams.client.update_reasons import REASONS
from tests.conftest import ROOT


def test_names_are_as_the_firmware_has_them():
    """All that is made from it; the rest by the module that says it."""
    command = [sys.executable, str(ROOT / "tools" / "names.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert details._WHO[breaker.WHO_LIMITER] == "limiter"
    assert details._REGIONS[layout.EVENTS + 3] == "events-security"
    assert details.MONITORED[supply.AVERAGE_IMPORT] == "average-import"
    assert details.MONITORED[supply.CURRENT_MAX] == "current-max"
    assert {number: name for number, name in enumerate(reasons.NAMES) if number} == {
        number: short for number, (short, _) in REASONS.items()
    }


def logged():
    """(code's name, number of values behind it) of each event that the firmware enters."""
    for folder in ("firmware", "boards"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                name = getattr(getattr(node, "func", None), "attr", "")
                if isinstance(node, ast.Call) and name in ("log", "_log", "_alarm"):
                    for place, argument in enumerate(node.args):
                        code = getattr(argument, "attr", getattr(argument, "id", ""))
                        # The first of them is the event, what follows its values.
                        if code.isupper() and isinstance(getattr(ev, code, None), int):
                            yield code, len(node.args) - place - 1
                            break


def test_each_event_that_says_more_than_its_name_says_it_in_names():
    entered = list(logged())
    assert len(entered) > 25
    for code, more in entered:
        number = getattr(ev, code)
        if more:
            assert means(number, 0, 0), f"{code} has values and no names for them"


def test_those_that_come_with_names_are_known():
    known = set(EVENTS.values())
    assert set(details._MEANINGS) <= known


@pytest.mark.parametrize(
    "code, detail, extra, said",
    [
        (ev.CONTROL_REFUSED, 5 << 16 | 1 << 8 | 1, 4 << 8 | command.TOO_EARLY,
         "control-refused who=breaker reason=too-early state=connected order=4"),
        (ev.CONTROL_REFUSED, 327937, 4,
         "control-refused who=breaker reason=too-early state=connected"),
        (ev.CONTROL_REFUSED, 2 << 16 | 257, 9 << 8 | command.NOT_ALLOWED,
         "control-refused who=reader reason=not-allowed state=connected not_entered=9"),
        (ev.REMOTE_DISCONNECTION, 5 << 16 | 1 << 8, 7,
         "remote-disconnection who=breaker before=connected after=disconnected order=7"),
        (ev.LOCAL_DISCONNECTION, 0xF0 << 16 | 1 << 8 | 2, 0,
         "local-disconnection who=limiter before=connected after=ready-for-reconnection"),
        (ev.BREAKER_WELDED, 1, 4, "breaker-welded state=disconnected contact=closed mode=4"),
        (ev.LIMITER_EXCEEDED, 0, 4200000,
         "limiter-exceeded monitored=average-import value_mw=4200000"),
        (ev.LIMITER_EXCEEDED, 4, 63000, "limiter-exceeded monitored=current-max value_ma=63000"),
        (ev.LIMITER_CHANGED, 5 << 16 | 4, 3,
         "limiter-changed who=breaker what=threshold-normal order=3"),
        (ev.FIRMWARE_REFUSED, reasons.EXPIRED, 0, "firmware-refused reason=expired"),
        (ev.AUTHENTICATION_FAILED, 2 << 8 | 1, 12,
         "authentication-failed client=operator channel=2 not_entered=12"),
        (ev.KEYS_CHANGED, 0x82, 0, "keys-changed keys=breaker-second-key"),
        (ev.KEYS_CHANGED, 2, 0, "keys-changed keys=reader-client"),
        (ev.NV_MEMORY_ERROR, 255, 0, "nv-memory-error region=whole-image"),
        (ev.EVENTS_SUPPRESSED, 3, 17, "events-suppressed log=security count=17"),
        (ev.SOFTWARE_FAULT, faults.LINK, 2, "software-fault part=link count=2"),
        (ev.NORMAL_VOLTAGE + 1, 0, 61000, "normal-voltage-l2 extreme_mv=0 duration_ms=61000"),
        (ev.PHASE_LOST, 0x200, 0, "phase-lost phase=l2"),
        (ev.PARAMETER_CHANGED, 20, 4, "parameter-changed what=control-mode value=4"),
        (ev.PARAMETER_CHANGED, 15 << 16 | 1, 4, "parameter-changed what=0-0:15.0.1 attribute=4"),
        (ev.CLOCK_ADJUSTED_NEW, -86400, 0, "clock-adjusted-new step_s=-86400"),
        (ev.FIRMWARE_ROLLED_BACK, 1, 0, "firmware-rolled-back runs=slot-1"),
        (ev.CLOCK_CHIP_ERROR, hal.CHIP_STANDS, 0, "clock-chip-error what=stands"),
        (ev.CLOCK_CHIP_BACK, hal.CHIP_JUMPED, 0, "clock-chip-back what=jumped"),
        (ev.MEASUREMENT_ERROR, hal.FRONT_SPOILT, 0, "measurement-error what=spoilt"),
        (ev.MEASUREMENT_ERROR, 0, 0, "measurement-error what=samples"),
        (ev.MEASUREMENT_BACK, hal.FRONT_RATE, 0, "measurement-back what=rate"),
        (ev.SERVICE_LINE_BACK, 7, 0, "service-line-back held_s=7"),
        (ev.POWER_UP, 0, 0, "power-up"),
        # What is newer than this host.
        (ev.CONTROL_REFUSED, 99 << 16, 200, "control-refused who=99 reason=200 state=disconnected"),
        (254, 3, 4, "? detail=3 extra=4"),
    ],
)  # fmt: skip
def test_what_an_event_says(code, detail, extra, said):
    event = {"name": EVENTS.get(code, "?"), "detail": detail, "extra": extra}
    event["means"] = means(code, detail, extra)
    assert event_text(event) == said
