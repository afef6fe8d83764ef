"""`make release` without the images: the same octets twice, an SBOM of all that is pinned."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib import metadata

import pytest

from openams.flashing.targets import TARGETS
from tests.conftest import ROOT


def build(out, *options):
    tool = ROOT / "tools" / "release" / "build.py"
    done = subprocess.run(
        [sys.executable, tool, "--out", out, "--dirty", *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return build(tmp_path_factory.mktemp("first") / "dist", "--no-images")


def test_two_builds_are_the_same(first, tmp_path):
    second = build(tmp_path / "elsewhere" / "dist", "--no-images")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    packages = {f"openams-mip-{t.name}.tar" for t in TARGETS.values() if t.files}
    assert packages <= first.keys() and len(first) == 4 + len(packages)


def test_the_sums_are_of_every_file(first):
    listed = dict(reversed(line.split("  ")) for line in first["SHA256SUMS"].decode().splitlines())
    assert listed == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in first.items()
        if name != "SHA256SUMS"
    }


def test_the_sbom_names_what_is_pinned(first):
    bom = json.loads(first["sbom.cdx.json"])
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5")
    components = {component["name"]: component for component in bom["components"]}
    lock = (ROOT / "requirements.lock").read_text()
    names = {line.split("==")[0] for line in lock.splitlines() if "==" in line and line[0] != " "}
    assert names <= set(components)
    pins = json.loads((ROOT / "tools" / "firmware" / "pins.json").read_text())
    assert components["micropython"]["version"] == pins["sources"]["micropython"]["version"]
    assert all(component["hashes"] for component in components.values())


def test_the_sbom_tells_what_runs_from_what_only_tests(first):
    components = json.loads(first["sbom.cdx.json"])["components"]
    scopes = {component["name"]: component["scope"] for component in components}
    for name in ("numpy", "cryptography", "cffi", "pyserial", "micropython", "mbedtls"):
        assert scopes[name] == "required", name
    tests = ("gurux-dlms", "dlms-cosem", "structlog", "attrs", "pytest", "mypy", "ruff", "amshan",
             "hypothesis", "dsmr-parser", "smllib", "pysml",
             "smartmeter-datacollector")  # fmt: skip
    for name in tests:
        assert scopes[name] == "excluded", name
    licences = {component["name"]: component["licenses"][0] for component in components}
    # Nothing that runs is under a licence that asks for more than to be named.
    runs = {name for name, scope in scopes.items() if scope == "required"}
    copyleft = {name for name in runs if "GPL" in json.dumps(licences[name])}
    assert copyleft == {"mbedtls"}  # or Apache-2.0
    assert not [name for name in runs if "BUSL" in json.dumps(licences[name])]


def test_the_sbom_has_the_licences_that_packages_say_they_have():
    licences = json.loads((ROOT / "tools" / "release" / "licences.json").read_text())
    lock = (ROOT / "requirements.lock").read_text()
    names = {line.split("==")[0] for line in lock.splitlines() if "==" in line and line[0] != " "}
    assert names <= set(licences)
    said = 0
    for name in names:
        try:
            expression = metadata.metadata(name)["License-Expression"]
        except metadata.PackageNotFoundError:
            continue
        if expression:
            assert licences[name] == expression, name
            said += 1
    assert said > 20
    assert metadata.distribution("dlms-cosem").read_text("LICENSE").startswith("Business Source")


def test_the_dependencies_of_the_sbom_are_among_its_components(first):
    bom = json.loads(first["sbom.cdx.json"])
    known = {component["bom-ref"] for component in bom["components"]}
    root, *others = bom["dependencies"]
    assert root["ref"] == bom["metadata"]["component"]["bom-ref"] and len(root["dependsOn"]) > 10
    for row in bom["dependencies"]:
        assert set(row["dependsOn"]) <= known
    assert {row["ref"] for row in others} <= known


@pytest.mark.campaign
def test_all_of_it_twice_with_the_images_built_anew(tmp_path):
    import shutil

    pins = json.loads((ROOT / "tools" / "firmware" / "pins.json").read_text())
    made = []
    for name in ("first", "second"):
        for board in ("pico", "pico-bench"):
            shutil.rmtree(ROOT / "build" / "release" / board, ignore_errors=True)
        made.append(build(tmp_path / name))
    assert made[0] == made[1]
    assert "openams-pico.uf2" in made[0]
    tools = json.loads(made[0]["sbom.cdx.json"])["metadata"]["tools"]["components"]
    assert {tool["name"] for tool in tools} == set(pins["toolchain"])
    assert all(tool["version"] != "unknown" for tool in tools)
