"""`ams flash` and `ams console` as a person types them: one line, and not zero."""

import os
import pty
import subprocess
import sys
import threading
import tty
from pathlib import Path

import pytest
import warm
from vmboard import VmBoard

AMS = Path(sys.executable).with_name("ams")


def ams(*arguments):
    return warm.run([*map(str, arguments)], 60)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("flash", "--port", "/dev/ttyNONE"), "no port /dev/ttyNONE"),
        (("flash", "--board", "foo", "--port", "/dev/ttyNONE"), "no board foo: there are pico"),
        (("flash", "--meter-id", "12", "--port", "/dev/ttyNONE"), "a GS1 number has 16 digits"),
        (
            ("flash", "--board", "esp32", "--no-keys", "--meter-id", "7359992889800001"),
            "an ESP32 has who it is in meter.json",
        ),
        (("flash", "--port", "/dev/null"), "cannot open /dev/null"),
        (("console", "--port", "/dev/ttyNONE"), "no port /dev/ttyNONE"),
    ],
)
def test_one_line_and_not_zero(arguments, says):
    done = ams(*arguments)
    assert done.returncode != 0
    assert says in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_flash_refuses_what_is_no_pico(tmp_path):
    with VmBoard(tmp_path) as board:
        done = ams("flash", "--board", "pico", "--port", board.port)
    assert done.returncode != 0
    assert "not a pico: nothing was written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_console_shows_the_boards_lines_and_says_when_it_is_gone():
    near, far = pty.openpty()
    tty.setraw(far)
    command = [AMS, "console", "--port", os.ttyname(far), "--json"]
    console = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    heard = threading.Event()

    def board():
        # What is sent before the port is open is nobody's: again until it was heard.
        while not heard.wait(0.1):
            os.write(near, b"meter: started\r\n")
        os.close(far)
        os.close(near)

    thread = threading.Thread(target=board)
    thread.start()
    line = console.stdout.readline()
    heard.set()
    thread.join()
    _, error = console.communicate(timeout=60)
    assert '"line": "meter: started"' in line
    assert console.returncode != 0 and "the board is gone" in error
