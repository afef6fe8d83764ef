"""`--meter serial:` with a rig file: a meter behind pseudo-terminals stands for the board."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openams.errors import BenchError
from openams.hil.plugin import make_meter
from openams.hil.standin import StandIn
from openams.keys.keystore import Keystore
from tests.conftest import ROOT

PASSPHRASE = "a passphrase of the test"


def run_hil(*arguments: str, cwd: Path) -> tuple[int, str]:
    argv = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "hil"), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*argv, f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=400,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def stand_in(tmp_path):
    keystore = tmp_path / "keys"
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE)
    secret.chmod(0o600)
    with StandIn(tmp_path, Keystore(keystore, PASSPHRASE.encode(), 1 << 10)) as board:
        (tmp_path / "rig.yaml").write_text(
            f"meter: {{keystore: {keystore}, passphrase_file: {secret}}}\n"
            f"han: {{port: {board.han}, baud: 2400, parity: E}}\n"
            f"load_bank: {{port: {board.load_bank}}}\n"
        )
        yield board


def test_the_suite_on_a_serial_port(stand_in, tmp_path):
    """The same tests that the emulated meters pass; what the rig lacks is skipped and said."""
    code, out = run_hil(
        f"--meter=serial:{stand_in.service}",
        f"--rig={tmp_path / 'rig.yaml'}",
        f"--junitxml={tmp_path / 'junit.xml'}",
        "-k",
        "speaks or load-2300 or load[2300] or counts_the_load or comes_back",
        cwd=tmp_path,
    )
    assert code == 0, out
    assert "3 passed, 1 skipped" in out
    assert "lacks power" in out
    assert 'tests="4"' in (tmp_path / "junit.xml").read_text()


@pytest.mark.campaign
def test_the_whole_suite_with_a_supply_that_is_cut(stand_in, tmp_path):
    rig = tmp_path / "rig.yaml"
    rig.write_text(rig.read_text() + f"relay_box: {{port: {stand_in.relay_box}}}\n")
    code, out = run_hil(f"--meter=serial:{stand_in.service}", f"--rig={rig}", cwd=tmp_path)
    assert code == 0, out
    assert "7 passed" in out


def test_no_meter_is_one_line_and_no_traceback(tmp_path):
    code, out = run_hil("--meter=serial:/dev/nothing-there", cwd=tmp_path)
    assert code == 4
    lines = [line for line in out.splitlines() if "hil: " in line]
    assert len(lines) == 1 and "no /dev/nothing-there" in lines[0], out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("meter", "rig", "text"),
    [
        ("toaster", None, "--meter 'toaster' is unknown"),
        ("serial:/dev/null", "missing.yaml", "missing.yaml: No such file"),
        ("serial:/dev/null", "load_bank: {prot: /dev/null}", "load_bank.prot is unknown"),
        ("serial:/dev/null", "load_bank: {baud: 9600}", "load_bank.port is missing"),
        ("serial:/dev/null", "lamp: {port: /dev/null}", "no section 'lamp'"),
        ("serial:/dev/null", "han: {port: 7}", "han.port must be text"),
        ("serial:/dev/null", "han: [", "is no YAML"),
        ("serial:/dev/null", "just words", "write sections"),
        ("serial:/dev/null", "han: {port: /dev/null, parity: X}", "parity must be N, E or O"),
        ("serial:/dev/null", "han: {port: /dev/nothing-there}", "HAN adapter /dev/nothing-there"),
        ("serial:/dev/null", "relay_box: {port: SILENT}", "does not answer"),
        ("emulator", "han: {port: /dev/null}", "--rig goes with --meter serial"),
    ],
)
def test_a_bad_rig_is_one_line(meter, rig, text, tmp_path):
    master, slave = os.openpty()
    try:
        if rig and not rig.endswith(".yaml"):
            (tmp_path / "rig.yaml").write_text(rig.replace("SILENT", os.ttyname(slave)))
            rig = str(tmp_path / "rig.yaml")
        with pytest.raises(BenchError) as caught:
            make_meter(meter, rig, tmp_path)
    finally:
        os.close(master)
        os.close(slave)
    assert text in str(caught.value) and "\n" not in str(caught.value)
