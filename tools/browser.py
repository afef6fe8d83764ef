"""A real Chromium without a window, spoken to over two pipes (the DevTools protocol)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time


class Browser:
    """One browser with one page. What the page's console says as an error is kept in `errors`."""

    def __init__(self, width=1280, height=900):
        self._profile = tempfile.mkdtemp(prefix="openams-chromium-")
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # It reads descriptor 3 and writes descriptor 4; where the pipes are now may be those two.
        command = [
            shutil.which("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
            "--force-device-scale-factor=1", f"--user-data-dir={self._profile}", "about:blank",
        ]  # fmt: skip
        shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._answers = {}
        self._came = threading.Condition()
        self._number = 0
        self.errors = []
        self.requests = []
        threading.Thread(target=self._listen, daemon=True).start()
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    # --- the protocol ------------------------------------------------------------------

    def _listen(self):
        waiting = b""
        while piece := os.read(self._in, 65536):
            *whole, waiting = (waiting + piece).split(b"\0")
            for text in whole:
                self._take(json.loads(text))

    def _take(self, message):
        method, said = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(said["exceptionDetails"].get("exception", said).get("description"))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(said["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        with self._came:
            if "id" in message:
                self._answers[message["id"]] = message
            self._came.notify_all()

    def _send(self, method, said=None, **more):
        with self._came:
            self._number += 1
            number = self._number
        text = json.dumps({"id": number, "method": method, "params": said or {}, **more})
        os.write(self._out, text.encode() + b"\0")
        with self._came:
            assert self._came.wait_for(lambda: number in self._answers, 30), method
            answer = self._answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    def call(self, method, **said):
        return self._send(method, said, sessionId=self._session)

    # --- what a person does --------------------------------------------------------------

    def open(self, url):
        self.call("Page.navigate", url=url)

    def size(self, width, height, mobile=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=mobile,
        )  # fmt: skip

    def scheme(self, name):
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def run(self, script):
        """The value of an expression in the page."""
        said = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in said, (script, said["exceptionDetails"])
        return said["result"].get("value")

    def wait(self, script, timeout_s=20):
        """Until an expression is true; its value."""
        end = time.monotonic() + timeout_s
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}; {self.errors}"
            time.sleep(0.05)
        return value

    def text(self, css):
        return self.run(f"document.querySelector({json.dumps(css)})?.textContent")

    def key(self, name, code=None, text=None, down=True, up=True):
        said = {"key": name, "code": code or name}
        if text:
            said["text"] = text
        if down:
            self.call("Input.dispatchKeyEvent", type="keyDown", **said)
        if up:
            self.call("Input.dispatchKeyEvent", type="keyUp", **said)

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)
