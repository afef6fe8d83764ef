"""`make release` without the images: the same octets twice, an SBOM of all that is pinned."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

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
    assert len(first) == 6


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


@pytest.mark.campaign
def test_all_of_it_twice_with_the_images_built_anew(tmp_path):
    import shutil

    made = []
    for name in ("first", "second"):
        for board in ("pico", "pico-bench"):
            shutil.rmtree(ROOT / "build" / board, ignore_errors=True)
        made.append(build(tmp_path / name))
    assert made[0] == made[1]
    assert "openams-pico.uf2" in made[0]
