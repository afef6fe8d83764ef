"""What takes long says how far it is: one line that changes on a terminal, plain lines elsewhere.

Nothing but the standard library: the tools that set all else up use it too.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

# A terminal is told so often; elsewhere a step that goes on says so after so many seconds.
_SHOW_S = 0.1
_STILL_S = 15.0


class Steps:
    """`title: step (k of n, seconds)`, on the standard error unless `out` says another stream."""

    def __init__(self, title: str, out: TextIO | None = None) -> None:
        self._title = title
        # Behind the guard of openams.terminal, which shows what a terminal obeys as text.
        self._out: TextIO = getattr(out or sys.stderr, "stream", out or sys.stderr)
        self._live = self._out.isatty()
        self._began = time.monotonic()
        self._said_at = 0.0
        self._step = ""
        self._text = ""
        self._open = False  # a line that changes stands there

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def show(self, step: str, done: int | None = None, total: int | None = None) -> None:
        """What is done now, and how much of it; call it as often as you like."""
        now = time.monotonic()
        count = "" if done is None else f" {done} of {total}" if total else f" {done} %"
        text = "".join(c for c in f"{self._title}: {step}{count}" if c.isprintable())
        if self._live:
            if step != self._step or now - self._said_at >= _SHOW_S:
                self._write_over(f"{text} ({now - self._began:.0f} s)", now)
        elif step != self._step or (text != self._text and now - self._said_at >= _STILL_S):
            self._said_at, self._text = now, text
            print(text, file=self._out, flush=True)
        self._step = step

    def _write_over(self, text: str, now: float) -> None:
        self._said_at = now
        self._open = True
        # No longer than a usual terminal: a line that wraps cannot be written over.
        self._out.write(f"\r\x1b[K{text[:78]}")
        self._out.flush()

    def note(self, text: str) -> None:
        """A line that stays."""
        self.close()
        print(text, file=self._out, flush=True)

    def close(self) -> None:
        """Leaves nothing on a terminal."""
        if self._open:
            self._open = False
            self._out.write("\r\x1b[K")
            self._out.flush()
