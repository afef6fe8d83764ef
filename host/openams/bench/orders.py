"""What `ams run` is told to do to its meter at a time, and what its breaker may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from openams.errors import BenchError

LONGEST_S = 100 * 365.25 * 86400


@dataclass
class Order:
    """Something that is done to the meter `after_s` seconds into the run."""

    after_s: float
    order: dict[str, Any]


INPUTS = {
    "terminal-cover-removed": 40,
    "terminal-cover-closed": 41,
    "magnetic-field": 42,
    "magnetic-field-gone": 43,
    "meter-cover-removed": 44,
    "meter-cover-closed": 45,
}
_AT_HELP = (
    "write it like 3600=capture-period:15, 60=clock:-90 (a step in s), 60=sync:0.4 (the true "
    "time minus the meter's, in s), 5=relay:welded (stuck, good), 5=button:press (release), "
    "2=mbus-install:1 (channel and address), 5=power-fail, 6=power-back or 5=" + ", 5=".join(INPUTS)
)
# Faults of the relay.
RELAY_FAULTS = {"stuck": "stuck", "welded": "welded", "good": None}
POLICIES = ("inhibit", "critical", "two-person", "sealed-only")


def parse_policy(text: str | None) -> dict[str, Any] | None:
    """`--breaker-policy`: what docs/breaker.md says is set at provisioning."""
    if text is None:
        return None
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in POLICIES]
    if unknown:
        raise BenchError(f"--breaker-policy {unknown[0]!r} is unknown: {', '.join(POLICIES)}")
    return {
        "inhibit": "inhibit" in names,
        "critical": "critical" in names,
        "two_person": "two-person" in names,
        "interactive": "sealed-only" not in names,
    }


def parse_order(text: str) -> Order:
    """`SECONDS=ACTION[:VALUE]` of `--at`."""
    try:
        when, action = text.split("=", 1)
        after_s = float(when)
        name, _, value = action.partition(":")
        if not 0 <= after_s <= LONGEST_S:
            raise ValueError
        if name in INPUTS and not value:
            return Order(after_s, {"event": INPUTS[name]})
        if name == "power-fail" and not value:
            return Order(after_s, {"power_fail": True})
        if name == "power-back" and not value:
            return Order(after_s, {"power_back": True})
        if name == "relay" and value in RELAY_FAULTS:
            return Order(after_s, {"relay": RELAY_FAULTS[value]})
        if name == "button" and value in ("press", "release"):
            return Order(after_s, {"button": value == "press"})
        if name == "mbus-install" and 1 <= int(value) <= 4:
            return Order(after_s, {"mbus_install": int(value)})
        if name == "capture-period" and int(value) in (15, 60):
            return Order(after_s, {"capture_period_s": 60 * int(value)})
        if name in ("clock", "sync") and abs(float(value)) < LONGEST_S:
            key = "clock_step_ms" if name == "clock" else "clock_sync_error_ms"
            return Order(after_s, {key: round(1000 * float(value))})
    except ValueError:
        pass
    raise BenchError(f"--at {text!r} is no order: {_AT_HELP}")
