"""A meter in a process of its own: the firmware on CPython or MicroPython.

The bench and the process speak the wire of boards/unix/link.py over stdin
and stdout. Messages to the meter are written by the caller's thread; what
the meter says is read by a thread of its own, so that neither side can block
the other. Killing the process is a power cut.

A meter that restarts itself (a firmware update) ends its process and is started
again here, on the same state: whoever plays it notices nothing but the gap. New
firmware that hangs is reset by the watchdog here, as by the one of a board.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from openams.errors import BenchError
from openams.grid.scenario import Row
from openams.runtimes import wire
from openams.runtimes.launch import HEAP_KIB, command

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REPLY_TIMEOUT_S = 600.0
_SHORT_PIPE = 8192
# Exit codes of a meter that is to be started anew, see boards/unix: as it wished, or it has failed.
_RESTART, _FAILED = 3, 4
# A meter that was started so often without an answer will never give one.
_STARTS_MOST = 12
# A process that runs firmware from a slot answers sooner than this, in wall time.
WATCHDOG_S = 20.0
_STARTING = 3  # times that, until it has started


class _Ended(Exception):
    """The process is gone."""


class MeterProcess:
    """A running meter. Use as a context manager; `stop` is a normal stop.

    `on_restart` is called when the meter has gone and is about to be started again.
    `more_numbers(least)` gives (first, count) of invocation counters that nobody has, see
    openams.keys.provision; what it raises is for the log.
    """

    def __init__(
        self,
        runtime: str,
        on_frame: Callable[[wire.Frame], None] | None = None,
        on_line: Callable[[dict[str, Any]], None] | None = None,
        on_log: Callable[[str], None] | None = None,
        heap_kib: int = HEAP_KIB,
        on_link: Callable[[int, int, bytes], None] | None = None,
        on_restart: Callable[[], None] | None = None,
        watchdog_s: float = WATCHDOG_S,
        more_numbers: Callable[[int], tuple[int, int]] | None = None,
    ) -> None:
        self._argv, self._environment = command(runtime, heap_kib)
        self.runtime = runtime
        self._on_frame = on_frame
        self._on_line = on_line
        self._on_log = on_log
        self._on_link = on_link
        self._on_restart = on_restart
        self._more_numbers = more_numbers
        self._watchdog_s = watchdog_s
        self._sending = threading.Lock()
        self._reviving = threading.Lock()
        self._rows = bytearray()  # that were not sent yet
        self._config: dict[str, Any] | None = None
        self._now_ms = 0  # the meter's time, as it was told last
        self._short_pipe = False
        self._stopping = False
        self.restarts = 0
        self._spawn()

    def _spawn(self) -> None:
        self._replies: queue.Queue[tuple[int, bytes] | None] = queue.Queue()
        self._error: str | None = None
        self._stderr: list[str] = []
        self._bitten = False  # by the watchdog
        self.slot = 0  # that the firmware runs from
        self._sent = self._handled = 0  # messages
        self._due = 0.0  # when the watchdog bites
        process = self._process = subprocess.Popen(
            self._argv,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C at the terminal is for the bench, which then stops the meter.
            start_new_session=True,
        )
        assert process.stdin and process.stdout and process.stderr
        self._stdin: IO[bytes] = process.stdin
        self._threads = [
            threading.Thread(target=self._read, args=(process.stdout, self._replies), daemon=True),
            threading.Thread(target=self._drain, args=(process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        if self._short_pipe:
            self.answer_soon()

    def __enter__(self) -> MeterProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    # --- what the meter says -------------------------------------------------

    def _read(self, stream: IO[bytes], replies: queue.Queue[tuple[int, bytes] | None]) -> None:
        while message := wire.read(stream):
            self._dispatch(*message)
        replies.put(None)

    def _dispatch(self, kind: str, payload: bytes) -> None:
        if kind == "H":
            if self._on_frame:
                self._on_frame(wire.frame(payload))
        elif kind == "U":
            if self._on_line:
                self._on_line(json.loads(payload))
        elif kind == "L":
            if self._on_log:
                self._on_log(payload.decode(errors="replace"))
        elif kind == "d":
            if self._on_link:
                self._on_link(payload[0], payload[1], payload[2:])
        elif kind == "G":
            # The keystore takes its time: whoever reads what the meter says does not wait for it.
            (least,) = wire.NUMBER.unpack(payload)
            threading.Thread(target=self._give_numbers, args=(least,), daemon=True).start()
        elif kind == "E":
            self._error = payload.decode(errors="replace")
        elif kind == "c":
            if self._config is not None:
                self._config["relay_closed"] = payload[0] == 1
        elif kind == "B":
            self._guard(json.loads(payload))
        elif kind == "W":
            self._handled += 1
            self._due = time.monotonic() + self._watchdog_s
        else:
            self._replies.put((ord(kind), payload))

    def _give_numbers(self, least: int) -> None:
        if self._more_numbers is None:
            return
        try:
            self._write("G", wire.RANGE.pack(*self._more_numbers(least)))
        except BenchError as error:
            if self._on_log:
                self._on_log(f"numbers: {error}")
        except _Ended:
            pass  # whoever starts the meter again gives it numbers

    def _drain(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._stderr = [*self._stderr[-40:], line.decode(errors="replace")]

    def _reply(self, *kinds: str) -> tuple[str, bytes]:
        """Raises _Ended when the process is gone."""
        try:
            reply = self._replies.get(timeout=_REPLY_TIMEOUT_S)
        except queue.Empty:
            raise BenchError("the meter does not answer") from None
        if reply is None:
            # For whoever else waits.
            self._replies.put(None)
            raise _Ended
        kind = chr(reply[0])
        if kind not in kinds:
            raise BenchError(f"the meter answered {kind!r} where {kinds} was due")
        return kind, reply[1]

    def _read_out(self, timeout_s: float) -> None:
        """Of a process that has ended: until those who read what it said have read all of it."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)

    def _failure(self) -> BenchError:
        self._process.wait(timeout=10)
        self._read_out(2)
        if self._error:
            # The firmware's own words; its exception class says little to a user.
            name, _, text = self._error.partition(": ")
            known = name in ("SnapshotError", "ValueError")
            return BenchError(text if known else f"the meter failed: {self._error}")
        tail = "".join(self._stderr).strip().splitlines()
        why = tail[-1] if tail else f"exit code {self._process.returncode}"
        return BenchError(f"the meter's process ended: {why}")

    # --- what the bench says -------------------------------------------------

    def _write(self, kind: str, *parts: bytes | memoryview) -> None:
        """Raises _Ended when the process is gone."""
        try:
            with self._sending:
                if self._sent == self._handled:
                    self._due = time.monotonic() + self._watchdog_s
                self._sent += 1 + bool(self._rows)
                if self._rows:
                    rows, self._rows = self._rows, bytearray()
                    self._stdin.write(wire.HEADER.pack(ord("Q"), len(rows)))
                    self._stdin.write(rows)
                self._stdin.write(wire.HEADER.pack(ord(kind), sum(len(part) for part in parts)))
                for part in parts:
                    self._stdin.write(part)
                self._stdin.flush()
        except (BrokenPipeError, ValueError):
            raise _Ended from None

    def _send(self, kind: str, *parts: bytes | memoryview) -> None:
        """What a meter that is just starting misses, as a real one does."""
        ended = self._process
        try:
            self._write(kind, *parts)
        except _Ended:
            self._revive(ended)

    def _ask(self, kind: str, payload: bytes, *replies: str) -> tuple[str, bytes]:
        """Asks again when the meter restarts over it."""
        while True:
            ended = self._process
            try:
                self._write(kind, payload)
                return self._reply(*replies)
            except _Ended:
                self._revive(ended)

    # --- a meter that restarts ------------------------------------------------------

    def _revive(self, ended: subprocess.Popen[bytes]) -> None:
        """Starts the meter again if that is what it ended for. Raises BenchError if not."""
        with self._reviving:
            if self._process is not ended:
                return  # somebody else has
            for _ in range(_STARTS_MOST):
                self._bury()
                try:
                    self._spawn()
                    self.restarts += 1
                    self._configure()
                    return
                except _Ended:
                    continue
            raise BenchError("the meter restarts again and again")

    def _bury(self) -> None:
        code = self._process.wait()
        wanted = self._bitten or code in (_RESTART, _FAILED)
        if self._config is None or self._stopping or not wanted:
            raise self._failure()
        self._config["failed"] = code != _RESTART
        for thread in self._threads:
            thread.join(timeout=10)
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        if self._on_restart:
            self._on_restart()

    def _configure(self) -> dict[str, Any]:
        """Raises _Ended."""
        assert self._config is not None
        config = {**self._config, "utc_ms": self._now_ms}
        if self.restarts:
            # Only a first start may erase what is there.
            config["format"] = False
        self._write("C", json.dumps(config).encode())
        return dict(json.loads(self._reply("K")[1]))

    def _guard(self, start: dict[str, Any]) -> None:
        """Firmware from a slot is about to be loaded."""
        self.slot = start["slot"]
        # All of it is compiled first.
        self._due = time.monotonic() + _STARTING * self._watchdog_s
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if self._sent > self._handled and time.monotonic() > self._due:
                self._bitten = True
                process.kill()
                return
            time.sleep(min(0.2, self._watchdog_s / 10))

    def link(self, channel: int, kind: int, data: bytes) -> None:
        """What an outside client does on a channel; see openams.lines.linkports."""
        self._send("D", bytes((channel, kind)), data)

    def answer_soon(self) -> None:
        """Keeps little in the pipe: what comes from a client is not far behind the samples."""
        self._short_pipe = True
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _SHORT_PIPE)

    def configure(self, config: dict[str, Any]) -> dict[str, Any]:
        """Builds the meter; the answer names the implementation."""
        self._config = dict(config)
        self._now_ms = config.get("utc_ms", 0)
        ended = self._process
        try:
            return self._configure()
        except _Ended:
            self._revive(ended)
            return {"implementation": self.runtime}

    def samples(self, utc_ms: int, index: int, block: NDArray[np.int32]) -> None:
        """Sample sets (n, channels); `utc_ms` is the time just after the last."""
        self._now_ms = utc_ms
        self._send("S", *wire.packed_samples(utc_ms, index, block))

    def hold(self, utc_ms: int, duration_ms: int, row: Row, more: bool = False) -> None:
        """Quantities that hold from `utc_ms` on; with `more` they wait for some others."""
        self._now_ms = utc_ms
        packed = wire.packed_row(utc_ms, duration_ms, row)
        if more and len(self._rows) < (wire.ROWS_MOST - 1) * wire.ROW.size:
            with self._sending:
                self._rows += packed
            return
        with self._sending:
            rows, self._rows = self._rows, bytearray()
        self._send("Q", bytes(rows + packed))

    def tick(self, utc_ms: int) -> None:
        self._now_ms = utc_ms
        self._send("T", wire.TIME.pack(utc_ms))

    def han(self, is_open: bool) -> None:
        if self._config is not None:
            self._config["han_open"] = is_open
        self._send("O" if is_open else "o")

    def quirk(self, name: str | None) -> None:
        """What the HAN port of a meter that starts again will have."""
        if self._config is not None:
            self._config["han"] = {**self._config["han"], "quirk": name}

    def operate(self, raw_ms: int, **order: Any) -> None:
        """An order of the operator, or something at the case; see boards/unix/main.py."""
        self._send("A", json.dumps({"raw_ms": raw_ms, **order}).encode())

    def rows(self, name: str, **limits: Any) -> list[list[Any]]:
        """Entries of the profile or log `name`; `from_ms`, `to_ms` and `after` choose."""
        while True:
            ended = self._process
            out: list[list[Any]] = []
            try:
                self._write("R", json.dumps({"name": name, **limits}).encode())
                while True:
                    kind, payload = self._reply("n", "x")
                    if kind == "x":
                        return out
                    out.append(json.loads(payload))
            except _Ended:
                self._revive(ended)

    def view(self) -> dict[str, Any]:
        """The meter's quantities, registers and counters now."""
        return dict(json.loads(self._ask("V", b"", "V")[1]))

    def push(self, request: dict[str, Any]) -> bytes:
        """One list of a meter with the request's objects, as its port sends it."""
        kind, payload = self._ask("P", json.dumps(request).encode(), "P", "p")
        if kind == "p":
            raise ValueError(payload.decode())
        return payload

    def _result(self, order: str) -> dict[str, Any]:
        """The answer to a stop or flush; the events come before it, one by one."""
        while True:
            ended = self._process
            events: list[Any] = []
            try:
                self._write(order)
                while True:
                    kind, payload = self._reply("N", "X")
                    if kind == "X":
                        return {**json.loads(payload), "events": events}
                    events.append(json.loads(payload))
            except _Ended:
                self._revive(ended)

    def finish(self) -> dict[str, Any]:
        """Counts what the open window holds; last figures, the process goes on."""
        return self._result("F")

    def stop(self) -> dict[str, Any]:
        """A normal stop: the state is kept, the last figures come back."""
        result = self._result("X")
        self._stopping = True
        self._process.wait(timeout=30)
        for thread in self._threads:
            thread.join(timeout=5)
        return result

    def kill(self) -> None:
        """A power cut."""
        self._stopping = True
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        # Who reads finds its end at once; one that is closed amid a read is an error of his.
        self._read_out(1)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
