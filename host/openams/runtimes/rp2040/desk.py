"""An emulated board on a desk: its USB console is a pseudo-terminal, as a serial port is to a host.

The chip runs in a thread of its own, no faster than real time. What is wired to it is
the machine's business; see wiring.py.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import tty
from collections.abc import Callable
from typing import Any

from rp2040py.usb.cdc import USBCDC

from openams.errors import BenchError
from openams.runtimes.rp2040.machine import Machine

_SLICE_MS = 1.0
_STOP_S = 30.0
_PATIENCE_S = 600.0


class DeskBoard:
    """`port` is what a program opens. `cut_after`: octets to the board until the cable is pulled.

    Pulling it takes no power from the board: only the end of the `with` does.
    """

    def __init__(self, machine: Machine, cut_after: int | None = None) -> None:
        self.machine = machine
        self.console = bytearray()  # all that the board said
        self.sent = 0  # octets to the board
        self._left = cut_after
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._plugged = True
        self._to_board = bytearray()
        self._to_host = bytearray()
        self._cdc = USBCDC(machine.chip.usb_ctrl)
        self._cdc.on_serial_data = self._said
        self._running = True
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _said(self, data: bytes | bytearray) -> None:
        self.console += data
        self._to_host += data

    def _run(self) -> None:
        machine = self.machine
        try:
            while self._running and not machine.off:
                begun = time.monotonic()
                machine.run(_SLICE_MS)
                self._carry()
                # A chip that sleeps takes no time here: the host is to see some pass.
                ahead_s = _SLICE_MS / 1000 - (time.monotonic() - begun)
                if ahead_s > 0 and not self._to_board and self._plugged:
                    select.select([self._master], [], [], ahead_s)
        except Exception as error:
            self._failed = error

    def _carry(self) -> None:
        if not self._plugged:
            return
        with contextlib.suppress(OSError):
            self._take(os.read(self._master, 4096))
        fifo = self._cdc.tx_fifo
        # Before the board has its USB up there is no port that takes anything.
        while self._cdc.control_line_state and self._to_board and not fifo.full:
            fifo.push(self._to_board.pop(0))
            self.sent += 1
        if self._to_host:
            with contextlib.suppress(OSError):
                del self._to_host[: os.write(self._master, self._to_host)]
        if self._left == 0 and not self._to_board:
            self.pull()

    def _take(self, data: bytes) -> None:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        self._to_board += data

    def pull(self) -> None:
        """The cable is pulled: whoever has the port open is told so by the system."""
        if self._plugged:
            self._plugged = False
            os.close(self._slave)
            os.close(self._master)

    def await_that(self, there: Callable[[], Any], timeout_s: float = _PATIENCE_S) -> Any:
        """Waits until `there()` gives something, which it gives."""
        end = time.monotonic() + timeout_s
        while not (found := there()):
            if self._failed is not None or time.monotonic() > end:
                said = bytes(self.console[-400:])
                raise BenchError(f"the board has come to {said!r}") from self._failed
            time.sleep(0.05)
        return found

    def await_console(self, sign: bytes) -> bytes:
        """Waits until the board has said `sign`; gives all that it has said."""
        self.await_that(lambda: sign in self.console)
        return bytes(self.console)

    def __enter__(self) -> DeskBoard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join(_STOP_S)
        self.pull()
