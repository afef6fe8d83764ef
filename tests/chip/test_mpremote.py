"""The USB console of the emulated `pico`: mpremote connects to it, and so does `ams flash`."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openams.runtimes.rp2040.firmware_image import image

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def port():
    emulator = subprocess.Popen(
        [BIN / "rp2040py", "micropython", "--image", image("pico"), "--pty"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        for line in emulator.stdout:
            found = re.search(r"listening on (/dev/\S+)", line)
            if found:
                break
        # The board boots; its prompt answers from then on.
        time.sleep(2)
        yield found[1]
    finally:
        emulator.kill()
        emulator.wait()


def mpremote(port, *arguments):
    done = subprocess.run(
        [BIN / "mpremote", "connect", port, "resume", *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ams(*arguments):
    return subprocess.run(
        [BIN / "ams", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


def test_run_and_mount(port, tmp_path):
    script = tmp_path / "hello.py"
    script.write_text("import sys\nprint('ran on', sys.platform)\n")
    assert "ran on rp2" in mpremote(port, "run", script)
    (tmp_path / "thing.py").write_text("X = 41\n")
    assert "42" in mpremote(port, "mount", tmp_path, "exec", "import thing; print(thing.X + 1)")


def test_code_of_an_image_is_not_flashed_as_files(port):
    done = ams("flash", "--port", port)
    assert done.returncode != 0
    assert "runs an OpenAMS image" in done.stderr and len(done.stderr.splitlines()) == 1


def test_board_becomes_a_meter_and_stays_it(port):
    identify = ("flash", "--port", port, "--no-code", "--no-keys", "--no-reset", "--meter-id")
    done = ams(*identify, "7359992889800001")
    assert done.returncode == 0, done.stderr
    assert "this is meter 7359992889800001 now" in done.stdout
    stored = mpremote(
        port, "exec",
        "from flash import StateFlash;from ams.storage.snapshot import Snapshot;"
        "print(Snapshot(StateFlash()).load()['identity'])",
    )  # fmt: skip
    assert "7359992889800001" in stored
    done = ams(*identify, "7359992889800002")
    assert done.returncode != 0
    assert "is meter 7359992889800001: --replace makes another one of it" in done.stderr
