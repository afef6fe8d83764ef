"""What detail and extra of an event mean, in names (firmware: `events.events`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openams.client import update_reasons as image_reasons
from openams.client.firmware_names import (
    EVENTS,
    LOGS,
    OWN_PARTS,
    PARAMETERS,
    PARTS,
    REFUSALS,
    REGIONS,
)

# Who moves the breaker or tries to: the clients by their SAP, and the meter's own parts.
_WHO = {
    1: "operator", 2: "reader", 5: "breaker", 6: "update", 16: "public",
    **OWN_PARTS,
}  # fmt: skip
STATES = ("disconnected", "connected", "ready-for-reconnection")
_NOT_ALLOWED = REFUSALS.index("not-allowed")
_REGIONS = REGIONS | {255: "whole-image"}
# What is monitored, by the limiter's number for it.
MONITORED = ("average-import", "current-l1", "current-l2", "current-l3", "current-max")
_LIMITER = {
    0: "quota", 2: "monitored-value", 4: "threshold-normal", 5: "threshold-emergency",
    6: "min-over-threshold-duration", 7: "min-under-threshold-duration", 8: "emergency-profile",
    9: "emergency-groups", 11: "actions",
}  # fmt: skip
# Beside the clients', whose pairs are named by them.
_KEYS = {0x80: "han-keys", 0x81: "breaker-key", 0x82: "breaker-second-key", 0x83: "update-key"}
_PHASES = {0x0100: "l1", 0x0200: "l2", 0x0400: "l3", 0x1000: "l1", 0x2000: "l2", 0x4000: "l3"}

# What may be wrong with a clock chip (firmware: hal).
_CHIP = ("", "silent", "no-time", "stands", "jumped")
# And with a front end: its samples, which do not come or make no sense, or what it says itself.
_FRONT = ("samples", "no-answer", "silent", "spoilt", "reset", "settings", "rate")

Meaning = dict[str, Any]


def _name(names: dict[int, str] | tuple[str, ...], number: int) -> str:
    """The name, or the number of something newer than this table."""
    found = names.get(number) if isinstance(names, dict) else None
    if isinstance(names, tuple) and 0 <= number < len(names):
        found = names[number]
    return found or str(number)


def _movement(detail: int, extra: int) -> Meaning:
    return {
        "who": _name(_WHO, detail >> 16),
        "before": _name(STATES, detail >> 8 & 0xFF),
        "after": _name(STATES, detail & 0xFF),
        "order": extra or None,
    }


def _refused(detail: int, extra: int) -> Meaning:
    reason, number = extra & 0xFF, extra >> 8
    return {
        "who": _name(_WHO, detail >> 16),
        "reason": _name(REFUSALS, reason),
        "state": _name(STATES, detail & 0xFF),
        # Of who may not, how often it tried before this was entered.
        "not_entered" if reason == _NOT_ALLOWED else "order": number or None,
    }


def _contact(detail: int, extra: int) -> Meaning:
    return {
        "who": _name(_WHO, detail >> 16) if detail >> 16 else None,
        "state": _name(STATES, detail >> 8 & 0xFF),
        "contact": "closed" if detail & 1 else "open",
        "mode": extra,
    }


def _limited(detail: int, extra: int) -> Meaning:
    unit = "value_mw" if detail == 0 else "value_ma"
    return {"monitored": _name(MONITORED, detail), unit: extra}


def _limiter_changed(detail: int, extra: int) -> Meaning:
    return {
        "who": _name(_WHO, detail >> 16),
        "what": _name(_LIMITER, detail & 0xFFFF),
        "order": extra or None,
    }


def _parameter(detail: int, extra: int) -> Meaning:
    if detail in PARAMETERS:
        return {"what": PARAMETERS[detail], "value": extra}
    c, d, e = detail >> 16 & 0xFF, detail >> 8 & 0xFF, detail & 0xFF
    return {"what": f"0-0:{c}.{d}.{e}", "attribute": extra}


def _stranger(detail: int, extra: int) -> Meaning:
    return {
        "client": _name(_WHO, detail & 0xFF),
        "channel": detail >> 8,
        "not_entered": extra or None,
    }


def _keys(detail: int, extra: int) -> Meaning:
    return {"keys": _KEYS.get(detail) or f"{_name(_WHO, detail)}-client"}


def _one(
    key: str, names: dict[int, str] | tuple[str, ...] | None = None, more: str | None = None
) -> Callable[[int, int], Meaning]:
    """Of detail alone, or with an extra of that name."""

    def meaning(detail: int, extra: int) -> Meaning:
        value = detail if names is None else _name(names, detail)
        return {key: value} | ({more: extra} if more else {})

    return meaning


def _extra(key: str) -> Callable[[int, int], Meaning]:
    return lambda detail, extra: {key: extra}


_MEANINGS: dict[str, Callable[[int, int], Meaning]] = {
    "dst-changed": lambda detail, extra: {"summer_time": bool(detail)},
    **dict.fromkeys(("clock-adjusted-old", "clock-adjusted-new"), _one("step_s")),
    **dict.fromkeys(("nv-memory-error", "storage-unknown"), _one("region", _REGIONS)),
    **dict.fromkeys(("clock-chip-error", "clock-chip-back"), _one("what", _CHIP)),
    **dict.fromkeys(("measurement-error", "measurement-back"), _one("what", _FRONT)),
    "service-line-back": _one("held_s"),
    "firmware-ready": _one("security_version"),
    **dict.fromkeys(
        ("firmware-activated", "firmware-rolled-back", "firmware-damaged"),
        _one("runs", ("base", "slot-1", "slot-2")),
    ),
    "firmware-refused": lambda detail, extra: {"reason": image_reasons.name(detail)},
    "parameter-changed": _parameter,
    **dict.fromkeys(("authentication-failed", "decryption-failed", "replay-attack"), _stranger),
    "keys-changed": _keys,
    **dict.fromkeys(
        ("ready-for-reconnection", "manual-disconnection", "manual-connection",
         "remote-disconnection", "remote-connection", "local-disconnection",
         "local-reconnection"),
        _movement,
    ),
    **dict.fromkeys(("limiter-exceeded", "limiter-ok"), _limited),
    "limiter-changed": _limiter_changed,
    **dict.fromkeys(
        ("disconnect-failure", "breaker-welded", "breaker-no-voltage", "breaker-mismatch"),
        _contact,
    ),
    "control-refused": _refused,
    **dict.fromkeys(
        ("order-armed", "orders-anew"),
        lambda detail, extra: {"who": _name(_WHO, detail >> 16), "order": extra},
    ),
    **dict.fromkeys(("emergency-begin", "emergency-end"), _one("profile")),
    **dict.fromkeys(("quota-warning", "quota-exceeded"), _extra("used_wh")),
    "events-suppressed": _one("log", LOGS, "count"),
    "software-fault": _one("part", PARTS, "count"),
    **dict.fromkeys(("samples-missing", "samples-late"), _one("sets")),
    **dict.fromkeys(("phase-lost", "phase-back", "current-reversed"), _one("phase", _PHASES)),
    **{
        f"{kind}-l{k}": _one("voltage_mv")
        for kind in ("undervoltage", "overvoltage", "missing-voltage")
        for k in (1, 2, 3)
    },
    **{f"normal-voltage-l{k}": _one("extreme_mv", more="duration_ms") for k in (1, 2, 3)},
}  # fmt: skip


def means(code: Any, detail: Any, extra: Any) -> Meaning:
    """Names of what an event's detail and extra say; nothing of an event that has none."""
    name = EVENTS.get(code, "") if isinstance(code, int) else ""
    meaning = _MEANINGS.get(name)
    if meaning is None or not isinstance(detail, int) or not isinstance(extra, int):
        return {}
    return {key: value for key, value in meaning(detail, extra).items() if value is not None}


def event_text(event: Meaning) -> str:
    """Name of an event and what it says: in names, or in the numbers of what has none."""
    numbers = {key: event[key] for key in ("detail", "extra") if event.get(key)}
    said = event.get("means") or numbers
    return " ".join([str(event["name"]), *(f"{key}={value}" for key, value in said.items())])
