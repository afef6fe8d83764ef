"""What makes a board a certain meter: its settings, in the two slots of its flash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from openams.errors import BenchError
from openams.flashing.link import BoardLink
from openams.flashing.targets import ROOT, TARGETS, metering_ics, samplers
from openams.places import SHIMS

# A slot is a sector, less its header.
_SETTINGS_MAX = 4080
_TIMEOUT_S = 60.0

_OPEN = """
import sys,json,gc
for _p in {paths!r}:
 if _p not in sys.path:sys.path.insert(0,_p)
from flash import StateFlash
from ams.storage.snapshot import Snapshot
_s=Snapshot(StateFlash())
_o=_s.load()
"""


def code_paths(link: BoardLink) -> tuple[str, ...]:
    """Where a board's code is: frozen, or in the folder that its slot names."""
    link.run("try:\n with open('/slot') as _f:_p=('/'+_f.read().strip(),)\nexcept OSError:_p=()\n")
    return tuple(link.value("_p"))


def read_settings(link: BoardLink, paths: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """The board's settings, or None on a new board. `paths`: where its code is."""
    link.run(_OPEN.format(paths=paths), _TIMEOUT_S)
    text = link.run("print(json.dumps(_o))").strip()
    settings = json.loads(text)
    return settings if isinstance(settings, dict) else None


def write_settings(
    link: BoardLink, settings: dict[str, Any], paths: tuple[str, ...] = (), replace: bool = False
) -> None:
    """Stores settings and reads them back. Another meter's are only overwritten with `replace`."""
    old = read_settings(link, paths)
    if old is not None and old.get("meter_id") != settings.get("meter_id") and not replace:
        raise BenchError(
            f"{link.port} is meter {old.get('meter_id')}: --replace makes another one of it"
        )
    text = json.dumps(settings, separators=(",", ":"))
    if len(text) > _SETTINGS_MAX:
        raise BenchError(f"the settings are too large: {len(text)} of {_SETTINGS_MAX} octets")
    link.run("_t=''")
    for at in range(0, len(text), 256):
        link.run(f"_t+={text[at : at + 256]!r}")
    link.run("_s.save(json.loads(_t));_t=None;gc.collect()", _TIMEOUT_S)
    if read_settings(link, paths) != settings:
        raise BenchError(f"{link.port}: the settings read back wrong: flash again")


def nominal_calibration(
    board: str, front_end: str, system: str, neutral: bool = False
) -> dict[str, Any]:
    """What the parts of a front end say; `ams calibrate` finds what they are. `neutral`: it
    samples the neutral's current too."""
    if neutral and (front_end not in samplers(board) or system != "3P4W"):
        raise BenchError("--neutral is of --front-end ads131m08 and --system 3P4W alone")
    from openams.runtimes.rp2040.analog import OnChipAdc

    known = TARGETS.get(board)
    if known and known.platform == "rp2" and (front_end, system) == ("adc", "1P2W"):
        return OnChipAdc(False, 1).calibration(system)
    ics = (*metering_ics(board), *samplers(board))
    if front_end in ics:
        record = _of_driver(front_end, system, ", neutral=True" if neutral else "")
        if record is not None:
            return record
    raise BenchError(
        f"no nominal calibration of {front_end} on {board} for {system} (it may have "
        f"{', '.join(('adc', *ics))}): give one in the file of --settings"
    )


def _of_driver(name: str, system: str, more: str = "") -> dict[str, Any] | None:
    """`default_calibration` of a driver; None when it does not measure `system`."""
    code = (
        f"import json\nfrom drivers import {name} as ic\n"
        f"print(json.dumps({system!r} in ic.SYSTEMS and ic.default_calibration({system!r}{more})))"
    )
    paths = (ROOT / "firmware", ROOT / "boards", SHIMS)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BenchError(f"drivers/{name}.py: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout) or None


def identity(
    meter_id: str,
    system: str,
    front_end: str,
    calibration: dict[str, Any],
    security: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Settings of a new meter. `security` is what openams.keys.provision gives."""
    settings: dict[str, Any] = {
        "meter_id": meter_id,
        "system": system,
        "front_end": front_end,
        "calibration": calibration,
        "identity": {"meter_id": meter_id},
        "han": {},
        "utc_ms": 0,
    }
    if security is not None:
        settings["security"] = security
    return settings
