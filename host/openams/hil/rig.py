"""The rig file: what is connected to the board under test, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from openams.errors import BenchError

_METER = {"meter_id": str, "baud": int, "keystore": str, "passphrase_file": str}
_HAN = {"port": str, "baud": int, "parity": str}
_BOX = {"port": str, "baud": int}
_PARTS = {"meter": _METER, "han": _HAN, "load_bank": _BOX, "relay_box": _BOX}
_PARITIES = ("N", "E", "O")


@dataclass(frozen=True)
class Rig:
    """Each part as the file has it; a part that the rig lacks is an empty dict."""

    meter: dict[str, Any] = field(default_factory=dict)
    han: dict[str, Any] = field(default_factory=dict)
    load_bank: dict[str, Any] = field(default_factory=dict)
    relay_box: dict[str, Any] = field(default_factory=dict)


def load_rig(path: Path) -> Rig:
    """Raises BenchError, one line that names the file and the place."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BenchError(f"rig file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = str(error).replace("\n", " ")
        raise BenchError(f"rig file {path} is no YAML: {why}") from None
    if not isinstance(content, dict):
        raise BenchError(f"rig file {path}: write sections {', '.join(_PARTS)}")
    for name, section in content.items():
        if name not in _PARTS:
            raise BenchError(f"rig file {path}: no section {name!r}: write {', '.join(_PARTS)}")
        _check(path, name, section)
    return Rig(**content)


def _check(path: Path, name: str, section: Any) -> None:
    known = _PARTS[name]
    if not isinstance(section, dict):
        raise BenchError(f"rig file {path}: {name} must be a section of {', '.join(known)}")
    for key, value in section.items():
        if key not in known:
            raise BenchError(f"rig file {path}: {name}.{key} is unknown: {', '.join(known)}")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            kind = "a number" if known[key] is int else "text in quotes"
            raise BenchError(f"rig file {path}: {name}.{key} must be {kind}")
    if name != "meter" and "port" not in section:
        raise BenchError(f"rig file {path}: {name}.port is missing")
    if section.get("parity", "E") not in _PARITIES:
        raise BenchError(f"rig file {path}: {name}.parity must be N, E or O")
