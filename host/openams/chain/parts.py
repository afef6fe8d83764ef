"""The shares of a field as the head-end's side has them: here, or in processes beside it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

from openams.chain.part import FieldPart, Setup
from openams.errors import BenchError

_ENDED = "a process of the field has ended: begin the run again"


class Part(Protocol):
    """`ask` calls a method of a FieldPart; `ask_now` waits for it."""

    async def ask(self, name: str, *values: Any) -> Any: ...
    def ask_now(self, name: str, *values: Any) -> Any: ...
    def begin(self, name: str, *values: Any) -> Callable[[], Any]:
        """Asks, and gives what waits for the answer: several shares are asked at once."""

    def close(self) -> None: ...


class Here:
    """A share in this process."""

    def __init__(self, setup: Setup, number: int) -> None:
        self._part = FieldPart(setup, number)

    async def ask(self, name: str, *values: Any) -> Any:
        # Others may begin too before it is done: sessions are beside one another.
        await asyncio.sleep(0)
        return self.ask_now(name, *values)

    def ask_now(self, name: str, *values: Any) -> Any:
        return getattr(self._part, name)(*values)

    def begin(self, name: str, *values: Any) -> Callable[[], Any]:
        return lambda: self.ask_now(name, *values)

    def close(self) -> None:
        self._part.close()


class Beside:
    """A share in a process of its own. Answers come in the order of the questions."""

    def __init__(self, setup: Setup, number: int, others: Sequence[Beside] = ()) -> None:
        self._here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        # A fork has all ends: with those of others it would keep their processes.
        ours = [self._here, *(part._here for part in others)]
        self._process = context.Process(
            target=_serve, args=(setup, number, there, ours), daemon=True
        )
        self._process.start()
        there.close()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ready(self) -> None:
        """Waits until it is made; BenchError where it cannot be."""
        self._take()

    def _take(self) -> Any:
        try:
            well, value = self._here.recv()
        except (EOFError, OSError):
            raise BenchError(_ENDED) from None
        if not well:
            raise value
        return value

    def _come(self) -> None:
        """One answer is there; or its process has ended, and nobody has asked."""
        if not self._waiting:
            assert self._loop is not None
            self._loop.remove_reader(self._here.fileno())
            self._loop = None
            return
        future = self._waiting.popleft()
        try:
            value = self._take()
        except Exception as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(value)

    async def ask(self, name: str, *values: Any) -> Any:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.add_reader(self._here.fileno(), self._come)
        future = loop.create_future()
        self._send(name, values)
        self._waiting.append(future)
        return await future

    def ask_now(self, name: str, *values: Any) -> Any:
        return self.begin(name, *values)()

    def begin(self, name: str, *values: Any) -> Callable[[], Any]:
        # What was asked for by one who is gone.
        while self._waiting:
            self._come()
        self._send(name, values)
        return self._take

    def _send(self, name: str, values: tuple[Any, ...]) -> None:
        try:
            self._here.send((name, values))
        except OSError:
            raise BenchError(_ENDED) from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._here.close()
        self._process.join()


def _serve(setup: Setup, number: int, pipe: Connection, ours: Sequence[Connection]) -> None:
    """The process of a share, until nobody asks any more."""
    for end in ours:
        end.close()
    # Ctrl-C is for who asks; he hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 1
    try:
        part = None
        try:
            part = FieldPart(setup, number)
            pipe.send((True, None))
            while True:
                name, values = pipe.recv()
                try:
                    answer = True, getattr(part, name)(*values)
                except BenchError as error:
                    answer = False, error
                except Exception as error:
                    # A defect: where it is, is said here; who asked is told that there is one.
                    traceback.print_exc()
                    words = f"a process of the field failed at {name}: {error!r}"
                    answer = False, BenchError(words)
                pipe.send(answer)
        except BenchError as error:
            pipe.send((False, error))
        except (EOFError, OSError):
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            if part is not None:
                part.close()
    finally:
        # A fork: what the parent would do at its end is the parent's.
        os._exit(code)


def ask_all(parts: Sequence[Part], name: str, *values: Any) -> list[Any]:
    """The answers of all shares, which are at work beside one another."""
    begun = [part.begin(name, *values) for part in parts]
    return [answer() for answer in begun]


def make_parts(setup: Setup) -> list[Part]:
    """The first makes the ledger; then the others beside one another."""
    if setup.parts == 1:
        return [Here(setup, 0)]
    out: list[Beside] = []
    try:
        for number in range(setup.parts):
            out.append(Beside(setup, number, out))
            if number == 0:
                out[0].ready()
        for part in out[1:]:
            part.ready()
    except BaseException:
        for part in out:
            part.close()
        raise
    return [*out]
