"""A board's REPL over its serial port: what goes wrong is one line.

mpremote's transport does the talking. The board's own program is stopped with
Ctrl-C; nothing is reset until the caller says so.
"""

from __future__ import annotations

import ast
import contextlib
import io
import struct
import termios
from collections.abc import Iterator
from typing import Any

import serial.tools.list_ports
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from openams.errors import BenchError
from openams.serialport import open_serial

# USB vendors of boards: Raspberry Pi, Espressif, and the serial chips on ESP32 boards.
_VENDORS = (0x2E8A, 0x303A, 0x10C4, 0x1A86)
_READ_TIMEOUT_S = 10.0

# Defined once on the board. A watchdog that the meter has started would bite while files
# are written: on RP2040 and RP2350 its enable bit is cleared, elsewhere it is fed by each call.
# The ADC of a meter that was stopped goes on filling a ring by DMA, in RAM that the
# interpreter takes for free when it starts anew: both are stopped.
_HELPERS = """
import os,sys
try:
 import machine
 if sys.platform=='rp2':
  _m=machine.mem32
  _x=4*('RP2350' in sys.implementation._machine)
  _m[0x4005b000+_x*0x20000]=1<<30
  _m[0x4004c000+_x*0x15000]=0
  for _c in range(12+_x):_m[0x50000010+64*_c]=0
  _m[0x50000444+8*_x]=(4096<<_x)-1
except ImportError:pass
"""


def find_port() -> str:
    """The only board that is plugged in."""
    ports: list[str] = [p.device for p in serial.tools.list_ports.comports() if p.vid in _VENDORS]
    if not ports:
        raise BenchError("no board found: plug one in, or name its port with --port")
    if len(ports) > 1:
        raise BenchError(f"several boards: choose one with --port ({', '.join(sorted(ports))})")
    return ports[0]


class BoardLink:
    """The raw REPL of one board. Use as a context manager."""

    def __init__(self, port: str, timeout_s: float = _READ_TIMEOUT_S) -> None:
        self.port = port
        self._timeout_s = timeout_s
        try:
            # wait=0: the transport retries for ever only when it is told to.
            self._probe(port)
            self._transport = SerialTransport(port, baudrate=115200, timeout=timeout_s)
        except (OSError, TransportError) as error:
            raise BenchError(why_not_open(port, error)) from None

    @staticmethod
    def _probe(port: str) -> None:
        """SerialTransport says only "failed to access": this says why."""
        open_serial(port, 115200, exclusive=True).close()

    def __enter__(self) -> BoardLink:
        with self._said(f"{self.port}: no MicroPython answers: is it a board with MicroPython?"):
            self._transport.enter_raw_repl(soft_reset=False, timeout_overall=self._timeout_s)
        self.run(_HELPERS)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, TransportError, termios.error):
            if self._transport.in_raw_repl:
                self._transport.exit_raw_repl()
        with contextlib.suppress(OSError, termios.error):
            self._transport.close()

    def start_clean(self) -> None:
        """Ends the meter that was stopped: its RAM, its DMA and its pins are free.

        Of a chip the interpreter starts anew, without the board's program; a VM on a PC,
        which would be gone, goes on.
        """
        if self.value("sys.platform") not in ("rp2", "esp32"):
            return
        with self._said(f"{self.port}: the board no longer answers"):
            self._transport.enter_raw_repl(soft_reset=True, timeout_overall=self._timeout_s)
        self.run(_HELPERS)

    def run(self, code: str, timeout_s: float | None = None) -> str:
        """What `code` prints on the board."""
        with self._said(f"{self.port}: the board no longer answers"):
            out, error = self._transport.exec_raw(code, timeout=timeout_s or self._timeout_s)
        if error:
            line = error.decode(errors="replace").strip().splitlines()[-1]
            raise BoardError(f"{self.port}: the board says {line}")
        return bytes(out).decode(errors="replace")

    def value(self, expression: str, timeout_s: float | None = None) -> Any:
        """A Python value from the board."""
        text = self.run(f"print(repr({expression}))", timeout_s)
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            raise BoardError(f"{self.port}: the board answers {text.strip()!r}") from None

    def start(self, code: str) -> None:
        """Starts `code` and does not wait: a reset, say."""
        with self._said(f"{self.port}: the board no longer answers"):
            self._transport.exec_raw_no_follow(code)
        self._transport.in_raw_repl = False

    @contextlib.contextmanager
    def _said(self, silent: str) -> Iterator[None]:
        """Errors of the transport as one line; what it prints itself is left out."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except TransportExecError as error:
            raise BoardError(
                f"{self.port}: {error.error_output.strip().splitlines()[-1]}"
            ) from None
        except TransportError:
            raise BenchError(silent) from None
        except (OSError, struct.error, TypeError, termios.error) as error:
            # struct.error and TypeError: half an answer.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BenchError(
                f"{self.port}: the cable was pulled or the board is gone ({reason})"
            ) from None


class BoardError(BenchError):
    """The board answered, with an exception of its own."""


def why_not_open(port: str, error: Exception) -> str:
    text = str(error)
    if "lock" in text or "busy" in text.lower():
        return f"{port} is in use by another program: close it and try again"
    if "No such file" in text or "FileNotFound" in text:
        return f"no port {port}: is the board plugged in?"
    if "Permission" in text:
        return f"no permission for {port}: add yourself to the group dialout"
    return f"cannot open {port}: {text.splitlines()[0] if text else type(error).__name__}"
