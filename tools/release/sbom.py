"""The SBOM (CycloneDX 1.5) of requirements.lock and the firmware's pinned sources; no network.

Scope: `required` is what a wheel or an image needs to run, `excluded` what only builds or
tests them. Licences are those of licences.json, which a test holds against what is installed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from packages import ROOT, commit_time
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from openams.errors import BenchError

LICENCES = Path(__file__).with_name("licences.json")
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


def needed(requirements: Iterable[str]) -> dict[str, list[str]]:
    """Every package that these lead to, on any system, and what each of them asks for."""
    found: dict[str, list[str]] = {}
    left = _names(requirements)
    while left:
        name = left.pop()
        if name in found:
            continue
        try:
            found[name] = _names(metadata.requires(name) or [])
        except metadata.PackageNotFoundError:
            found[name] = []  # of another system
        left += found[name]
    return found


def _names(requirements: Iterable[str]) -> list[str]:
    parsed = [Requirement(text) for text in requirements]
    wanted = {
        canonicalize_name(one.name) for one in parsed if "extra ==" not in str(one.marker or "")
    }
    return sorted(wanted)


def _described(components: list[dict], required: set[str]) -> list[dict]:
    """The components with their scope and licence."""
    licences = json.loads(LICENCES.read_text())
    for component in components:
        component["scope"] = "required" if component["name"] in required else "excluded"
        name = licences.get(component["name"])
        if name is None:
            raise BenchError(f"{LICENCES.name} has no licence of {component['name']}: add it")
        is_expression = " " in name
        component["licenses"] = [
            {"expression": name} if is_expression else {"license": {"id": name}}
        ]
    return components


def _graph(
    project_ref: str, components: list[dict], packages: dict[str, list[str]], direct: list[str]
) -> list[dict]:
    refs: dict[str, list[str]] = {}
    for component in components:
        refs.setdefault(component["name"], []).append(component["bom-ref"])

    def row(ref: str, names: list[str]) -> dict:
        return {"ref": ref, "dependsOn": sorted(r for name in names for r in refs.get(name, []))}

    rows = [row(project_ref, direct)]
    rows += [row(ref, packages[name]) for name in sorted(packages) for ref in refs.get(name, [])]
    return rows


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


def _tools(compiler: Mapping[str, str]) -> list[dict]:
    return [
        {"type": "application", "name": name, "version": version}
        for name, version in sorted(compiler.items())
    ]


def sbom(compiler: Mapping[str, str] | None = None, root: Path = ROOT) -> str:
    """`compiler`: packages that the images were built with, and their versions."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    ref = f"pkg:pypi/{project['name']}@{project['version']}"
    packages = needed(project["dependencies"])
    images = firmware(json.loads((root / "tools" / "firmware" / "pins.json").read_text()))
    components = locked((root / "requirements.lock").read_text()) + images
    _described(components, {*packages, *(component["name"] for component in images)})
    when = datetime.fromtimestamp(commit_time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": when,
                "tools": {"components": _tools(compiler or {})},
                "component": {
                    "type": "application",
                    "bom-ref": ref,
                    "name": project["name"],
                    "version": project["version"],
                    "licenses": [{"license": {"id": project["license"]}}],
                },
            },
            "components": components,
            "dependencies": _graph(ref, components, packages, _names(project["dependencies"])),
        },
        indent=1,
    ) + "\n"  # fmt: skip
