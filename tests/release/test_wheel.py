"""The wheel in a fresh environment: `ams`, and the example project's tests with its fixtures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "tools" / "release"))

import packages
import sbom

EXAMPLE = ROOT / "examples" / "han-reader"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return packages.wheel(tmp_path_factory.mktemp("wheel"))


def requirements(wheel):
    """What the wheel asks for without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    asked = [line.split(": ", 1)[1] for line in lines if line.startswith("Requires-Dist:")]
    return [line for line in asked if "extra ==" not in line]


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """A new environment with openams from the wheel and, of the packages of the tests, those
    that the wheel asks for and pytest: what it forgets to ask for is not there."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    here = Path(sysconfig.get_path("purelib"))
    for name in sbom.needed([*requirements(wheel), "pytest"]):
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            continue  # of another system
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(here / top)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", "-q",
         "--no-index", "--no-deps", "--force-reinstall", "--disable-pip-version-check",
         "--target", site, wheel],
        check=True,
    )  # fmt: skip
    for program in ("ams", "openams"):
        # pip --target puts programs beside the packages.
        (site / "bin" / program).rename(venv / "bin" / program)
    (venv / "bin" / "micropython").symlink_to(Path(sys.executable).with_name("micropython"))
    return venv / "bin"


def run(*argv: object, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_firmware_and_boards_as_they_are(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for folder in ("firmware", "boards"):
            for path in (ROOT / folder).rglob("*.py"):
                inside = f"openams/_firmware/{path.relative_to(ROOT).as_posix()}"
                assert inside in names
                assert archive.read(inside) == path.read_bytes()
        assert not [name for name in names if name.endswith((".pyc", ".mpy")) or "/tests/" in name]
    needed = requirements(wheel)
    assert needed
    # GPL, the Business Source License, or only for our own tests.
    tests = ("gurux", "dlms-cosem", "structlog", "attrs", "amshan", "dsmr", "hypothesis", "pytest",
             "mypy", "mkdocs", "smllib", "sml", "smartmeter", "pycryptodome",
             "iec62056")  # fmt: skip
    for name in tests:
        assert not [line for line in needed if name in line]


def test_openams_comes_from_the_wheel(fresh, tmp_path):
    script = (
        "import openams, openams.places as p, importlib.metadata as m;"
        "print(openams.__file__, p.repository_root());"
        "print(m.distribution('openams-meter').locate_file(''))"
    )
    for place in run(fresh / "python", "-c", script, cwd=tmp_path).split():
        assert place.startswith(str(fresh.parent / "lib")), place


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_ams_runs_an_hour_of_a_house(fresh, tmp_path, runtime):
    out = run(
        fresh / "ams", "run", "--runtime", runtime, "--scenario", "house", "--speed", "max",
        "--duration", "3600", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert json.loads(out)["registers"]["a_plus_mwh"] > 0


def test_the_package_for_a_board_is_built_from_the_wheel(fresh, tmp_path):
    """What `ams flash` puts on a board."""
    script = (
        "from openams.flashing import package, targets;"
        "print(len(package.build(targets.target('pico'))))"
    )
    assert int(run(fresh / "python", "-c", script, cwd=tmp_path)) > 50


def test_the_example_project(fresh, tmp_path):
    project = tmp_path / "han-reader"
    subprocess.run(["cp", "-r", EXAMPLE, project], check=True)
    out = run(fresh / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert "6 passed" in out
    assert "skipped" not in out


def test_the_example_project_says_so_when_it_gets_another_package(tmp_path):
    """On the public index `openams` is somebody else's."""
    project = tmp_path / "han-reader"
    subprocess.run(["cp", "-r", EXAMPLE, project], check=True)
    other = tmp_path / "site" / "openams-0.1.24.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: openams\nVersion: 0.1.24\n")
    # Of this environment only pytest, as if openams-meter were not there.
    script = (
        "import importlib.metadata as m, sys, pytest\n"
        "real = m.distribution\n"
        "def without(name):\n"
        "    if name == 'openams-meter': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.distribution = without\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:openams-hil', '-p', 'no:cacheprovider']))\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(tmp_path / "site"))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, env=environment, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in said
    assert "need the package openams-meter" in said and "openams 0.1.24 is installed" in said


def test_it_is_installed_from_a_git_address(tmp_path):
    """What is committed; what it needs is here already."""
    address = f"git+file://{ROOT}"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--disable-pip-version-check", "--target", tmp_path / "site", address],
        check=True,
    )  # fmt: skip
    inside = tmp_path / "site" / "openams"
    assert (inside / "_firmware" / "firmware" / "ams" / "meter.py").is_file()
    assert (inside / "web" / "page" / "index.html").is_file()
    assert list((tmp_path / "site").glob("openams_meter-*.dist-info"))


def test_the_page_of_a_meter_is_in_it(wheel, fresh, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        for path in (ROOT / "host" / "openams" / "web" / "page").iterdir():
            assert archive.read(f"openams/web/page/{path.name}") == path.read_bytes()
    script = (
        "import urllib.request as u\n"
        "from openams.web.server import WebServer\n"
        "server = WebServer('127.0.0.1', 0)\n"
        "server.start(lambda order: None)\n"
        "print(u.urlopen(server.url + 'main.js').status)\n"
        "server.close()\n"
    )
    assert run(fresh / "python", "-c", script, cwd=tmp_path).strip() == "200"


def test_what_only_our_tests_use_is_not_there(fresh, tmp_path):
    script = "import importlib.util as u; print(u.find_spec('hypothesis'), u.find_spec('mypy'))"
    assert run(fresh / "python", "-c", script, cwd=tmp_path).split() == ["None", "None"]


@pytest.mark.campaign
def test_pip_installs_it_with_all_it_needs(wheel, tmp_path):
    """From the package index, into an empty environment; then the example project's tests."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", wheel, "pytest"], check=True)
    assert "No broken" in run(python, "-m", "pip", "check", cwd=tmp_path)
    project = tmp_path / "han-reader"
    subprocess.run(["cp", "-r", EXAMPLE, project], check=True)
    assert "6 passed" in run(python, "-m", "pytest", "-q", cwd=project)
    for command in ("image", "keys", "breaker", "run", "flash"):
        run(python.with_name("ams"), command, "--help", cwd=tmp_path)


def test_the_plugin_costs_a_project_nothing_that_it_does_not_use(fresh, tmp_path):
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_nothing_is_loaded():\n"
        "    loaded = {name for name in sys.modules if name.startswith('openams')}\n"
        "    assert loaded == {'openams', 'openams.hil', 'openams.hil.plugin'}\n"
        "    assert 'numpy' not in sys.modules\n"
    )
    out = run(fresh / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed" in out


def test_a_wrong_option_is_one_line(fresh, tmp_path):
    (tmp_path / "test_wrong.py").write_text(
        "import pytest\n@pytest.mark.meter(colour='red')\ndef test_it(meter): pass\n"
    )
    with pytest.raises(AssertionError, match="no meter option 'colour': there are system"):
        run(fresh / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
