"""Writes host/openams/client/firmware_names.py by the firmware; --check only compares.

The host reads meters without loading firmware: what the firmware gives names to, the host names by
this module, so that nothing is named twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / part) for part in ("firmware", "host/openams/emulator/shims", "boards/unix")
]

from ams import faults  # noqa: E402
from ams.control import breaker, command  # noqa: E402
from ams.events import events  # noqa: E402
from ams.events.names import name_of  # noqa: E402
from ams.han import quirks  # noqa: E402
from ams.registers import profile  # noqa: E402
from ams.storage import layout  # noqa: E402

TARGET = ROOT / "host" / "openams" / "client" / "firmware_names.py"
HEAD = '''"""What the firmware names. Made by tools/names.py: change the firmware, run it."""

from __future__ import annotations

'''


def spelled(constant: str) -> str:
    return constant.lower().replace("_", "-")


def constants(module: ModuleType, prefix: str = "", names: str = "") -> dict[int, str]:
    """Constants of a module by their number: those of a prefix, or those that are named."""
    chosen = names.split() or [name for name in vars(module) if name.startswith(prefix)]
    return {getattr(module, name): spelled(name[len(prefix) :]) for name in chosen}


def tables() -> list[tuple[str, str, Any]]:
    """(name, what it is, table) of each."""
    codes = {code: name_of(code) for code in range(256)}
    regions = constants(
        layout,
        names="SETTINGS REGISTERS LOAD_PROFILE DAILY MONTHLY VOLTAGE SECURITY CONTROL PARAMETERS "
        "UPDATE",
    )
    logs = {layout.EVENTS + log: f"events-{name}" for log, name in enumerate(events.LOG_NAMES)}
    return [
        ("LOGS", "Logs of events, by their number.", events.LOG_NAMES),
        ("EVENTS", "Events, by their code.", {n: s for n, s in codes.items() if s != "?"}),
        ("PARAMETERS", "What of its own a changed parameter is.", constants(events, "PARAMETER_")),
        ("STATUS", "Marks of an interval: bit and name.", profile.STATUS_NAMES),
        ("REGIONS", "Regions of the flash.", regions | logs),
        ("PARTS", "Parts of the firmware.", faults._NAMES),
        ("REFUSALS", "Why an order or a movement is refused.", command.REASONS),
        ("OWN_PARTS", "Who moves the breaker beside clients.", constants(breaker, "WHO_")),
        ("QUIRKS", "Ways in which the HAN port may misbehave.", quirks.QUIRKS),
    ]


def text(value: Any) -> str:
    """As ruff would have it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(text, value))})"
    return json.dumps(value) if isinstance(value, str) else f"{value!r}"


def page() -> str:
    parts = []
    for name, what, table in tables():
        if isinstance(table, dict):
            kind = "dict[str, str]" if name == "QUIRKS" else "dict[int, str]"
            rows = [f"    {text(key)}: {text(value)},\n" for key, value in table.items()]
            brackets = "{}"
        else:
            kind = "tuple[tuple[int, str], ...]" if name == "STATUS" else "tuple[str, ...]"
            rows = [f"    {text(value)},\n" for value in table]
            brackets = "()"
        body = "".join(rows)
        parts.append(f"# {what}\n{name}: {kind} = {brackets[0]}\n{body}{brackets[1]}\n")
    return HEAD + "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        TARGET.write_text(page())
    elif TARGET.read_text() != page():
        sys.exit(f"{TARGET.relative_to(ROOT)} is not as tools/names.py writes it: run it")


if __name__ == "__main__":
    main()
