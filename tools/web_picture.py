"""Makes docs/web.png: the page of a meter that has a day behind it, in a real Chromium."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from browser import Browser

ROOT = Path(__file__).resolve().parents[1]
AMS = Path(sys.executable).with_name("ams")
HOUSE = ["run", "--scenario", "house", "--system", "3P4W", "--han-open", "--runtime", "cpython"]


def main(seconds: float = 45.0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = ["--state", folder]
        past = [*HOUSE, *state, "--start", "2026-05-20T22:30:00Z", "--speed", "max"]
        past += ["--capture-period", "15", "--duration", str(20 * 3600)]
        subprocess.run([AMS, *past], check=True, stdout=subprocess.DEVNULL)
        now = [*HOUSE, *state, "--start", "2026-05-21T18:30:05Z", "--web", "0"]
        meter = subprocess.Popen([AMS, *now], stdout=subprocess.PIPE, text=True)
        assert meter.stdout
        url = next(line.split(": ", 1)[1].strip() for line in meter.stdout if "web page" in line)
        browser = Browser(1180, 1200)
        try:
            browser.scheme("light")
            browser.open(url)
            time.sleep(seconds)
            target = ROOT / "docs" / "web.png"
            browser.picture(target)
            assert browser.errors == [], browser.errors
            print(target)
        finally:
            browser.close()
            meter.terminate()
            meter.wait()


if __name__ == "__main__":
    main()
