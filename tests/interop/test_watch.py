"""`ams han watch` over the coming and going of a meter, `decode` of a stream, and Ctrl-C early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import AMS, DATA, ams

FRAMES = DATA / "han" / "frames.jsonl"


def start(*words, **options):
    return subprocess.Popen(
        [str(AMS), *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def stop(process, number=signal.SIGINT):
    process.send_signal(number)
    return process.communicate(timeout=60)


@pytest.fixture
def link(tmp_path):
    return tmp_path / "han"


def meter(link, *more):
    """A meter that sends a list every two seconds and a half of its time, ten times as fast."""
    return start("run", "--runtime", "cpython", "--han", link, "--han-open", "--speed", "10", *more)


def lines_of(process, count):
    return [process.stdout.readline() for _ in range(count)]


def test_a_meter_that_goes_away_ends_the_watch_in_one_line(link):
    run = meter(link)
    while not link.is_symlink():
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.05)
    watch = start("han", "watch", link, "--json")
    assert json.loads(watch.stdout.readline())["format"] == "kaifa"
    stop(run)
    _, said = watch.communicate(timeout=30)
    assert watch.returncode == 1 and said.count("\n") == 1
    assert "has gone, after" in said and "the meter has stopped" in said


def test_a_watch_waits_for_the_port_and_goes_on_when_it_comes_back(link):
    watch = start("han", "watch", link, "--wait", "--timeout", "120")
    assert f"waiting for {link}" in watch.stderr.readline()
    for _ in range(2):
        run = meter(link)
        assert all("kaifa list" in line for line in lines_of(watch, 2))
        stop(run, signal.SIGKILL if not _ else signal.SIGINT)
        assert "has gone" in watch.stderr.readline()
        assert "waiting for" in watch.stderr.readline()
    out, said = stop(watch)
    assert watch.returncode == 0 and "Traceback" not in said


def test_what_is_no_port_is_not_waited_for():
    done = ams("han", "watch", "/dev/null", "--wait", ok=False)
    assert done.returncode == 1 and "cannot read /dev/null" in done.stderr
    done = ams("han", "watch", "/dev/openams-none", "--wait", "--timeout", "0.5", ok=False)
    assert done.returncode == 1 and "no list for 0.5 s" in done.stderr


def decoded(data):
    done = subprocess.run(
        [str(AMS), "han", "decode", "-", "--json"], input=data, capture_output=True
    )
    return done.returncode, done.stdout, done.stderr.decode()


def test_a_stream_is_decoded_as_a_file_is():
    code, out, _ = decoded(FRAMES.read_bytes())
    of_file = json.loads(ams("han", "decode", FRAMES, "--json", ok=False).stdout)
    of_stream = json.loads(out)
    for reading in (*of_file["readings"], *of_stream["readings"]):
        reading["place"] = reading["place"].rpartition(":")[2]
    assert of_stream == of_file and len(of_file["readings"]) > 3
    frame = json.loads(FRAMES.read_text().splitlines()[0])["frame"]
    for data in (frame.encode(), bytes.fromhex(frame)):
        code, out, said = decoded(data)
        assert code == 0 and len(json.loads(out)["readings"]) == 1, said
    code, _, said = decoded(b"")
    assert code == 1 and said == "ams: - is empty\n"


# A command each: what loads for long, what has a meter, what waits, what asks.
EARLY = (
    ("run", "--runtime", "cpython"),
    ("run", "--dlms-port", "0"),
    ("han", "watch", "/dev/openams-none", "--wait"),
    ("fleet", "3", "--port", "17100"),
    ("measure", DATA / "grid-cases" / "cases.json", "--runtime", "cpython"),
    ("keys", "new", "7359990000000048"),
    ("fuzz", "--count", "300", "--runtime", "cpython"),
)


# An empty line from where `ams` itself begins to load: what is before is Python's own.
SAYS = """
class Says:
    def find_spec(name, path=None, target=None):
        if name == "openams.cli.main":
            sys.stdout.write("\\n")
            sys.stdout.flush()
sys.meta_path.insert(0, Says)
"""


@pytest.mark.parametrize("words", EARLY, ids=lambda words: " ".join(map(str, words[:2]))[:30])
def test_ctrl_c_at_any_moment_ends_in_a_line_at_the_most(words, tmp_path):
    # The temporary files of these runs, to see that none is left.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    code = f"import sys; from openams.entry import main\n{SAYS}\nmain()"
    for wait_s in (0.05, 0.15, 0.4, 1.0, 2.0):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        process.stdout.readline()
        time.sleep(wait_s)
        _, said = stop(process)
        assert process.returncode in (0, 1, 130, -signal.SIGINT), said
        assert "Traceback" not in said and said.count("\n") <= 2, (wait_s, said)
        left = [
            path for path in tmp_path.glob("openams-*") if path.name != f"openams-{os.getuid()}"
        ]
        assert left == [], wait_s


def test_ctrl_c_amid_a_finalizer_is_not_lost():
    code = """
import os, signal, sys, time
from openams.entry import main
class Ends:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
class Begins:
    def find_spec(name, path=None, target=None):
        if name == "openams.cli.main":
            sys.meta_path.remove(Begins)
            Ends()
sys.meta_path.insert(0, Begins)
sys.argv = ["ams", "han", "watch", "/dev/openams-none", "--wait"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "ams: stopped")
    assert "Traceback" not in done.stderr
