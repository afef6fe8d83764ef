"""A real meter with its page, and a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from browser import Browser  # noqa: E402

AMS = Path(sys.executable).with_name("ams")


class Running:
    """`ams run --web 0` with some options."""

    def __init__(self, *options, folder):
        environment = dict(os.environ, XDG_DATA_HOME=str(folder))
        self.process = subprocess.Popen(
            [str(AMS), "run", "--web", "0", "--runtime", "cpython", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("web page: "):
                self.address = line.removeprefix("web page: ").strip()
                break
        else:
            raise AssertionError(self.process.stderr.read())
        self.url, _, self.key = self.address.partition("#")

    def token(self):
        """Of the page itself, as a browser finds it."""
        with urllib.request.urlopen(self.url) as answer:
            return re.search(r'openams-token" content="([^"]*)"', answer.read().decode())[1]

    def request(self, path, body=None, method=None, **headers):
        """(status, text)"""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self):
        if self.process.stdout.closed:
            return "", ""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)


@pytest.fixture(scope="session")
def browser():
    if shutil.which("chromium") is None:
        subprocess.run(["sh", str(ROOT / "tools" / "chromium.sh")], check=False)
    if shutil.which("chromium") is None:
        pytest.skip("no chromium: sudo apt-get install chromium")
    found = Browser()
    yield found
    found.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Starts meters, and stops them."""
    started = []

    def start(*options):
        started.append(Running(*options, folder=tmp_path_factory.mktemp("data")))
        return started[-1]

    yield start
    for meter in started:
        meter.stop()
