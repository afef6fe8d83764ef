"""Keys for encrypted lists: a file that only its owner reads, made when asked for.

    {"keys": [{"encryption": hex, "authentication": hex}, ...], "next_counter": n}

The counter is raised in the file before a run begins, and no run goes beyond that: no counter
is ever used twice with a key, however the run ends.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from openams import private
from openams.errors import BenchError

# A frame a second for a year.
_RESERVE = 40_000_000
_LARGEST = 0xFFFFFFFF
_HINT = "name another file with --han-keys"


def take_keys(path: Path) -> dict[str, Any]:
    """{"keys", "counter"} for the meter's configuration; makes the file if there is none."""
    if not path.exists():
        pairs = [
            {"encryption": secrets.token_hex(16), "authentication": secrets.token_hex(16)}
            for _ in range(2)
        ]
        try:
            _write(path, {"keys": pairs, "next_counter": 1}, new=True)
        except FileExistsError:
            raise BenchError(f"{path} is there already: somebody has just made it") from None
    from openams.han.reader import load_keys

    load_keys(path)  # refuses a file that is none
    # Whoever could write it could have a counter used twice.
    record = json.loads(private.read_private(path, hint=_HINT))
    counter = record.get("next_counter")
    if not isinstance(counter, int) or counter < 1:
        raise BenchError(f"{path} has no next_counter: it is no key file of a meter")
    if counter + _RESERVE > _LARGEST:
        raise BenchError(f"{path}: its counter is nearly used up, make new keys")
    record["next_counter"] = counter + _RESERVE
    _write(path, record, new=False)
    return {"keys": record["keys"], "counter": counter, "counters": _RESERVE}


def _write(path: Path, record: dict[str, Any], new: bool) -> None:
    private.write_private(path, json.dumps(record).encode() + b"\n", new, hint=_HINT)


def system_title(meter_id: str) -> str:
    """Eight octets in hex: the maker's letters and the end of the meter's number."""
    return (b"OAM" + int(meter_id[-12:]).to_bytes(5, "big")).hex()
