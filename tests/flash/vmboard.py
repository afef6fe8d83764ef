"""A board for tests of flashing: the real MicroPython VM, its REPL on a pseudo-terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

from openams.flashing.targets import Target

VM = Path(sys.executable).with_name("micropython")
# What flashing believes this board to be.
TARGET = Target("unix", "linux", "", "x64", "launcher", "")


class VmBoard:
    """`port` is what a serial port would be. `cut_after`: octets to the board until the cable goes.

    The board's files are `folder`: killing the VM is the power, cutting the cable is not.
    """

    def __init__(self, folder, cut_after=None):
        self._board, board_end = pty.openpty()
        self._cable, cable_end = pty.openpty()
        for end in (board_end, cable_end):
            tty.setraw(end)
        self.port = os.ttyname(cable_end)
        self._cable_end = cable_end
        self._left = cut_after
        self.sent = 0
        self.process = subprocess.Popen(
            [VM, "-X", "heapsize=2m"], stdin=board_end, stdout=board_end, stderr=board_end,
            cwd=folder, start_new_session=True,
        )  # fmt: skip
        os.close(board_end)
        self._read_until(b">>> ")
        self._running = True
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _read_until(self, sign):
        got = b""
        end = time.monotonic() + 20
        while sign not in got:
            assert time.monotonic() < end, got
            if select.select([self._board], [], [], 0.1)[0]:
                got += os.read(self._board, 4096)

    def _carry(self):
        while self._running:
            ready, _, _ = select.select([self._board, self._cable], [], [], 0.05)
            for end in ready:
                try:
                    data = os.read(end, 4096)
                except OSError:
                    return
                if end == self._board:
                    self._send(self._cable, data)
                elif not self._to_board(data):
                    self._pull()
                    return

    def _to_board(self, data):
        if self._left is not None:
            data = data[: self._left - self.sent]
        self._send(self._board, data)
        self.sent += len(data)
        return self._left is None or self.sent < self._left

    @staticmethod
    def _send(end, data):
        try:
            while data:
                data = data[os.write(end, data) :]
        except OSError:
            pass

    def _pull(self):
        """The far end of the port is gone."""
        os.close(self._cable_end)
        os.close(self._cable)
        self._cable = self._cable_end = None

    def close(self):
        self._running = False
        self._thread.join()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for end in (self._board, self._cable, self._cable_end):
            if end is not None:
                os.close(end)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def boot(folder):
    """What the board says when it is switched on: its main.py, if it has one."""
    main = Path(folder) / "main.py"
    if not main.exists():
        return ""
    done = subprocess.run([VM, str(main)], cwd=folder, capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr
