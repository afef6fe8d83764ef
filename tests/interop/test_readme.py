"""The README's commands do what the README says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import AMS, amshan_frames
from typer.testing import CliRunner

from openams.cli import main as cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def commands():
    block = re.search(r"<!-- tested:.*?-->\s*```sh\n(.*?)```", README, re.DOTALL)
    return block[1].strip().splitlines()


@pytest.mark.parametrize("command", commands())
def test_command(command):
    words = shlex.split(command)
    assert words[0] == ".venv/bin/ams"
    done = subprocess.run(
        [str(AMS), *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    if "--json" in words:
        json.loads(done.stdout)
    else:
        assert "A+" in done.stdout


def shown_only():
    blocks = re.findall(r"<!-- options:.*?-->\s*```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.strip().splitlines()]


@pytest.mark.parametrize("command", shown_only())
def test_command_that_needs_a_meter_has_its_options(command):
    words = shlex.split(command)
    assert words[0] == ".venv/bin/ams"
    name = words[1:3] if words[1] in ("han", "image", "keys", "order") else words[1:2]
    done = CliRunner().invoke(cli.app, [*name, "--help"])
    assert done.exit_code == 0, done.output
    for option in [word for word in words if word.startswith("--")]:
        assert re.search(rf"{option}\b", done.stdout), option


def test_every_command_is_run_or_its_options_are_looked_up():
    """Of each block for a shell; those of make have tests of their own."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.strip().splitlines()]
    known = {*commands(), *shown_only()}
    others = [line for line in lines if line not in known and not line.startswith("make ")]
    # How it is installed: tests/release/test_wheel.py does it.
    assert others == re.findall(r"^pip install .*", README, re.MULTILINE) and len(others) == 2
    assert len(known) > 15


def test_the_rig_takes_the_options_that_are_named():
    """Its whole run is tests/interop/test_hil_rig.py."""
    (command,) = re.findall(r"`\.venv/bin/python -m (pytest [^`]*)`", README)
    words = shlex.split(command)
    assert (ROOT / words[1]).is_dir()
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    for option in [word for word in words if word.startswith("--")]:
        assert re.search(rf"{option}\b", shown), option


def test_the_fixtures_do_what_the_readme_shows(tmp_path):
    """With the reader of the example project."""
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "test_it.py").write_text(
        "import serial\nfrom han_reader import Reader\n\n\n"
        "def my_reader(octets):\n    return list(Reader().feed(octets))[-1]\n\n\n" + snippet
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "examples" / "han-reader"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout


def test_make_run_shows_a_house_and_its_han_port_is_read_by_amshan():
    """`make run` within a minute; the port is read as a newcomer's program would."""
    environment = dict(os.environ, PYTHON=sys.executable)
    environment.pop("MAKEFLAGS", None)
    process = subprocess.Popen(
        ["make", "run"], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        lines = []
        deadline = time.monotonic() + 300
        link = None
        while time.monotonic() < deadline:
            line = process.stdout.readline()
            assert line, "".join(lines)
            lines.append(line)
            if line.startswith("HAN port: "):
                link = line.split(": ")[1].strip()
            if link and "HAN kaifa list 2" in line:
                break
        import serial

        octets = b""
        with serial.Serial(link, 2400, timeout=1) as port:
            while not amshan_frames(octets):
                assert time.monotonic() < deadline
                octets += port.read(40)
        assert amshan_frames(octets)[0]["active_power_import"] > 400
        assert any(" P 625.0 W" in line for line in lines)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)


def test_every_link_of_the_docs_is_there():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_of_the_docs_is_there():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        assert set(re.findall(r"`make ([a-z]+)`", page.read_text())) <= targets
