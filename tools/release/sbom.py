"""The SBOM (CycloneDX 1.5) of requirements.lock and the firmware's pinned sources; no network."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from packages import ROOT, commit_time

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")


def locked(text: str) -> list[dict]:
    """Every package of the lock with its hashes; one of the same name and version once."""
    found: dict[tuple[str, str], dict] = {}
    component: dict | None = None
    for line in text.splitlines():
        if pin := _PIN.match(line):
            name, version = pin.groups()
            purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
            fresh = {"type": "library", "bom-ref": purl, "name": name, "version": version,
                     "purl": purl, "hashes": []}  # fmt: skip
            component = found.setdefault((name, version), fresh)
        elif component is not None and (sum_ := re.search(r"--hash=sha256:([0-9a-f]{64})", line)):
            entry = {"alg": "SHA-256", "content": sum_[1]}
            if entry not in component["hashes"]:
                component["hashes"].append(entry)
    return [found[key] for key in sorted(found)]


def firmware(pins: dict) -> list[dict]:
    """What the images are built of: Debian's source and library packages."""
    out = []
    for name, pin in sorted({**pins["sources"], **pins["packages"]}.items()):
        purl = f"pkg:deb/debian/{name}@{pin['version']}?distro={pins['suite']}"
        out.append(
            {"type": "firmware" if name == "micropython" else "library", "bom-ref": purl,
             "name": name, "version": pin["version"], "purl": purl,
             "hashes": [{"alg": "SHA-256", "content": pin["sha256"]}]}
        )  # fmt: skip
    return out


def sbom(root: Path = ROOT) -> str:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    components = locked((root / "requirements.lock").read_text())
    components += firmware(json.loads((root / "tools" / "firmware" / "pins.json").read_text()))
    when = datetime.fromtimestamp(commit_time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": when,
                "component": {
                    "type": "application",
                    "bom-ref": f"pkg:pypi/{project['name']}@{project['version']}",
                    "name": project["name"],
                    "version": project["version"],
                    "licenses": [{"license": {"id": project["license"]}}],
                },
            },
            "components": components,
        },
        indent=1,
    ) + "\n"  # fmt: skip
