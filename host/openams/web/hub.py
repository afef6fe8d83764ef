"""What the page is told: server-sent events to every page that looks, and the past to a new one.

Everything here is done by the server's loop; `publish` may be called from any thread. A page that
does not read is let go when too much waits for it: it comes back by itself and begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

# Of what a new page is shown.
_FRAMES, _EVENTS, _POINTS = 40, 200, 900
# Pages that look at once, and messages that wait for one.
PAGES_MOST = 24
_WAITING_MOST = 256
_ALIVE_S = 15.0


class Hub:
    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[asyncio.Queue[str | None]] = set()
        self._hello: dict[str, Any] = {}
        self._view: dict[str, Any] | None = None
        self._profile: dict[str, Any] | None = None
        self._frames: deque[dict[str, Any]] = deque(maxlen=_FRAMES)
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS)
        self._trace: deque[list[Any]] = deque(maxlen=_POINTS)
        self.ended = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def publish(self, kind: str, value: Any) -> None:
        """`kind`: hello, view, frame, events, profile or end."""
        if self._loop is None:
            self._spread(kind, value)  # nobody looks yet
        else:
            # A loop that has ended has no page any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._spread, kind, value)

    def _spread(self, kind: str, value: Any) -> None:
        if kind == "hello":
            self._hello = value
        elif kind == "view":
            self._view = value
            self._trace.append(value["point"])
        elif kind == "frame":
            self._frames.append(value)
        elif kind == "events":
            self._events.extend(value)
        elif kind == "profile":
            self._profile = value
        elif kind == "end":
            self.ended = True
        text = _message(kind, value)
        for page in list(self._pages):
            if page.qsize() >= _WAITING_MOST:
                self._pages.discard(page)
                page.put_nowait(None)
            else:
                page.put_nowait(text)

    def full(self) -> bool:
        return len(self._pages) >= PAGES_MOST

    async def stream(self) -> AsyncIterator[str]:
        """Messages for one page, until the run ends."""
        page: asyncio.Queue[str | None] = asyncio.Queue()
        self._pages.add(page)
        try:
            # Who has lost the connection comes back soon.
            yield "retry: 1000\n\n" + self._past()
            while not self.ended or not page.empty():
                try:
                    text = await asyncio.wait_for(page.get(), _ALIVE_S)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            self._pages.discard(page)

    def _past(self) -> str:
        past = {
            "trace": list(self._trace),
            "frames": list(self._frames),
            "events": list(self._events),
            "profile": self._profile,
            "view": self._view,
        }
        return _message("hello", self._hello) + _message("past", past)


def _message(kind: str, value: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"
