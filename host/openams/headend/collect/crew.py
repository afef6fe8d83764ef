"""Several who do orders beside one another: a slow meter keeps nobody but its own waiting.

A plan of rationing is some thousand orders of some seconds each, most of which is waiting for
answers. Each of the crew has its own connection to the store, which gives every order to one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from openams.headend.collect.orders import Doer
from openams.headend.store import GoneError, open_store
from openams.keys.keystore import Keystore

# Orders that one takes at a time: none waits behind a slow one that another could do.
_MOST = 1
_IDLE_S = 5.0
# After a Ctrl-C: what is under way may end. What has not is looked up by who takes it up next.
_ENDING_S = 5.0


class Crew:
    """`count`: how many. `now_ms`: the time; `say`: told what goes wrong with the store."""

    def __init__(
        self,
        url: str,
        keystore: Keystore,
        count: int,
        now_ms: Callable[[], int],
        say: Callable[[str], None],
        timeout_s: float = 30.0,
        make: Callable[..., Doer] = Doer,
    ) -> None:
        self._url, self._keystore, self._count = url, keystore, count
        self._now_ms, self._say, self._timeout_s, self._make = now_ms, say, timeout_s, make
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failed: BaseException | None = None
        self.counts: Counter[str] = Counter()

    def run(self, once: bool) -> Counter[str]:
        """What came of the orders. `once`: only of those that are due now; else until `stop`."""
        # What is wrong with the store is told once, and it is made by one alone.
        with open_store(self._url):
            pass
        crew = [
            threading.Thread(target=self._one, args=(once,), daemon=True)
            for _ in range(self._count)
        ]
        for one in crew:
            one.start()
        try:
            for one in crew:
                while one.is_alive():
                    one.join(0.5)
        except BaseException:
            self.stop()
            for one in crew:
                one.join(_ENDING_S)
            raise
        if self._failed is not None:
            raise self._failed
        return self.counts

    def stop(self) -> None:
        self._stop.set()

    def _one(self, once: bool) -> None:
        try:
            with open_store(self._url) as store:
                doer = self._make(store, self._keystore, self._timeout_s)
                while not self._stop.is_set():
                    counts = self._work(doer, once)
                    with self._lock:
                        self.counts.update(counts)
                    if not counts and once:
                        break
                    if not counts:
                        self._stop.wait(_IDLE_S)
        except BaseException as error:
            with self._lock:
                self._failed = self._failed or error
            self.stop()

    def _work(self, doer: Doer, once: bool) -> dict[str, int]:
        try:
            return doer.work(self._now_ms(), _MOST)
        except GoneError as error:
            # A database that went away comes back; what was under way is looked up first.
            if once:
                raise
            self._say(str(error))
            return {}
