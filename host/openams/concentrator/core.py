"""The concentrator itself: which meter is read when, what is kept, what it says of itself.

Touches no socket and no clock of its own: it is given a way to the meters and a clock, so that a
night passes in seconds in a field of virtual time, and as a night on a real one. It reads: it has
readers' keys, and refuses to begin with any other.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from openams.client.client import session
from openams.client.errors import ClientError, LinkError
from openams.client.links import Url
from openams.client.meterday import Layouts, day_bounds, read_day
from openams.concentrator import state as states
from openams.concentrator.clock import Clock
from openams.concentrator.folder import READER_SAP, claim, readers_only
from openams.concentrator.roster import METERS_MOST, Listed, check
from openams.concentrator.state import MeterState, Settings, local_date
from openams.concentrator.store import Limits, Store, Stored, StoreFullError
from openams.concentrator.ways import Way
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms, local_text, to_utc_ms

# Attempts at a day that a head-end has asked for, and minutes between them.
_ASKED_ATTEMPTS = 3
_ASKED_RETRY_MS = 60_000
# A head-end asks at each visit for what it has not. What was read, or tried in vain, is asked of
# the meter again so long after, then twice as long, up to: or of three meters that nobody reaches
# each night makes the busiest of the net.
_AGAIN_MS = 20 * 60_000
_AGAIN_MOST_MS = 4 * 3_600_000
_WAITS_MOST = 4096
# Clocks of so many meters say what time it is.
_CLOCKS_LEAST = 3
_IDLE_MS = 60_000
_LEASE_MOST = 4096
# General ciphering with a system title of eight octets.
_GENERAL = b"\xdb\x08"

T = TypeVar("T")


class Window(NamedTuple):
    """The night's that is open, or the next one, as it is seen from `since_ms` to `until_ms`:
    `days` that are over and wanted, the newest first, and their texts; of them `newest`, if it is
    yesterday."""

    name: str
    begin_ms: int
    end_ms: int
    since_ms: int
    until_ms: int
    days: list[tuple[date, str]]
    newest: list[tuple[date, str]]


class Concentrator:
    """`name`: its own, as the head-end knows it. `folder`: its store, of one process at a time."""

    def __init__(
        self,
        name: str,
        folder: Path,
        meters: Iterable[Listed],
        keystore: Keystore,
        way: Way,
        clock: Clock,
        settings: Settings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.settings = settings or Settings()
        self.clock = clock
        self._way = way
        self._keystore = keystore
        self._lock = threading.RLock()
        self._collecting = threading.Lock()
        listed = check(list(meters))
        self._keyed = readers_only(keystore)
        lock, known = claim(folder, name)
        try:
            self.store = Store(folder / "store", limits)
        except BaseException:
            os.close(lock)
            raise
        self._claim: int | None = lock
        self._meters: dict[str, MeterState] = {}
        self._layouts: dict[str, Layouts] = {}
        self._asked: dict[tuple[str, str], tuple[int, int]] = {}  # attempts, not before
        # Of what was asked for before: how often, and not again before.
        self._waits: dict[tuple[str, str], tuple[int, int]] = {}
        self._disk_full = False
        self._clock_doubted = False
        self._last_window: Window | None = None
        self._take_in(listed)
        self._say_how_it_begins(known)

    # --- beginning and ending ------------------------------------------------------------

    def _take_in(self, listed: list[Listed]) -> None:
        now = self.clock.utc_ms()
        kept = self.store.states()
        found = [Listed(*row) for row in self.store.found().items()]
        for one in found:
            if one.meter_id not in {other.meter_id for other in listed}:
                self._way.add(one)
                listed.append(one)
        for one in listed[:METERS_MOST]:
            record = kept.get(one.meter_id)
            state = MeterState.load(record) if record else MeterState(one.meter_id, since_ms=now)
            if one.meter_id not in self._keyed:
                state.state = states.KEYLESS
            elif state.state == states.KEYLESS:
                state.state = states.NEW
            self._meters[one.meter_id] = state

    def _say_how_it_begins(self, known: bool) -> None:
        if not known:
            self._alarm("store-made", text=self.store.store_id)
        elif self.store.lost or not self.store.last_seq and not self.store.alarms(limit=1):
            lost = self.store.lost or "the store is gone; it begins anew"
            self._alarm("store-lost", text=f"{lost}, as {self.store.store_id}")
        elif self.store.meta("stopped") != 1:
            self._alarm("restarted", text="it had not been stopped")
        else:
            self._alarm("restarted")
        self._keep(self.store.put_meta, "stopped", 0)

    def close(self, stopped: bool = True) -> None:
        """`stopped` False: its power goes, nothing is put in order before."""
        if self._claim is None:
            return
        if stopped:
            with contextlib.suppress(BenchError):
                self.store.put_meta("stopped", 1)
        self.store.close()
        os.close(self._claim)
        self._claim = None

    # --- what is due -----------------------------------------------------------------------

    def work(self, until_ms: int | None = None) -> int:
        """Does what is due, a meter after the other; the time at which it wants to be called
        again. `until_ms`: nothing is begun from then on."""
        with self._collecting:
            while until_ms is None or self.clock.utc_ms() < until_ms:
                if not self._one_step():
                    break
            return self._next_ms()

    def step(self) -> bool:
        """Reads one meter that is due; False when none is."""
        with self._collecting:
            return self._one_step()

    def next_ms(self) -> int:
        """When there will be something to do, if nobody asks for anything before."""
        return self._next_ms()

    def _one_step(self) -> bool:
        if self._disk_full and not self._room_again():
            return False
        now = self.clock.utc_ms()
        self._look_for_lost(now)
        meter_id, days, asked = self._due(now)
        if not meter_id:
            return False
        self._collect(meter_id, days, asked)
        return True

    def _due(self, now: int) -> tuple[str, list[date], bool]:
        """The meter to be read next, the days of it that are wanted, whether they were asked for.

        What was asked for goes first; then yesterday, of whoever has waited longest.
        """
        with self._lock:
            for (meter_id, day), (_, not_before) in self._asked.items():
                if now >= not_before:
                    return meter_id, [date.fromisoformat(day)], True
            window = self._window(now)
            if not window.begin_ms <= now < window.end_ms or not window.days:
                return "", [], False
            best: tuple[tuple[int, int], str, list[date]] | None = None
            for state in self._meters.values():
                days = self._wanted(state, window) if now >= state.next_ms else []
                if days:
                    rank = (state.attempts, state.last_contact_ms or 0)
                    if best is None or rank < best[0]:
                        best = rank, state.meter_id, days
            return (best[1], best[2], False) if best else ("", [], False)

    def _window(self, now: int) -> Window:
        """Asked at each step: it is the same until midnight, or its end."""
        last = self._last_window
        if last is not None and last.since_ms <= now < last.until_ms:
            return last
        begin_ms, end_ms = self.settings.window_now(now)
        today = local_date(now)
        back = (today - timedelta(1 + k) for k in range(self.settings.back_days))
        days = [(day, day.isoformat()) for day in back if self.settings.wants(day)]
        newest = [one for one in days[:1] if one[0] == today - timedelta(1)]
        until_ms = min(end_ms, _midnight_after(now))
        name = f"{begin_ms} {today}"
        self._last_window = Window(name, begin_ms, end_ms, now, until_ms, days, newest)
        return self._last_window

    def _wanted(self, state: MeterState, window: Window) -> list[date]:
        """Days that are over and not here whole, the newest first."""
        state.begin_window(window.name)
        if state.done or state.state == states.KEYLESS or state.attempts >= self.settings.attempts:
            return []
        has = self.store.has_days(state.meter_id)
        # What the meter has not whole either is asked for once a window, no more.
        days = window.newest if state.reads else window.days
        return [day for day, text in days if not has.get(text)]

    def _next_ms(self) -> int:
        now = self.clock.utc_ms()
        with self._lock:
            window = self._window(now)
            if now < window.begin_ms:
                times = [window.begin_ms]
            else:
                # A new day amid this window; or the next one.
                amid = window.until_ms < window.end_ms
                times = [window.until_ms if amid else self.settings.window_now(window.end_ms)[0]]
                for state in self._meters.values() if window.days else ():
                    if self._wanted(state, window):
                        times.append(max(now, state.next_ms))
            times += [not_before for _, not_before in self._asked.values()]
            if self._disk_full:
                times.append(now + _IDLE_MS)
            return max(now, min(times))

    # --- a session ---------------------------------------------------------------------------

    def _collect(self, meter_id: str, days: list[date], asked: bool) -> None:
        state = self._meters[meter_id]
        link = Url(f"meter {meter_id}", "way", opener=self._opener(meter_id))
        layouts = self._layouts.setdefault(meter_id, Layouts())
        trouble = ""
        done: list[str] = []
        try:
            with session(
                link, "reader", self._keystore, meter_id, self.settings.timeout_s
            ) as client:
                for day in days:
                    read = read_day(client, day, self._now(), layouts, passing=self._now)
                    stored = self._keep(self.store.put_day, read, self.clock.utc_ms())
                    if stored is None:
                        return
                    if stored[1]:
                        self._alarm("store-full", text=f"{stored[1]} days that nobody had are gone")
                    done.append(day.isoformat())
                    state.clock_offset_s = read.clock_offset_s
                    if read.complete:
                        state.last_day = max(state.last_day, read.day)
        except LinkError as error:
            trouble = str(error)
        except ClientError as error:
            trouble = str(error)
        except BenchError as error:
            # Not the meter's: our own keys.
            trouble = str(error)
            if not state.reason:
                self._alarm("keys", meter_id, trouble)
        now = self.clock.utc_ms()
        with self._lock:
            self._settled(state, now, trouble, asked)
            self._answered(meter_id, days, done if asked else [], asked, now)
        self._compare_clocks()
        self._keep(self.store.put_state, meter_id, state.dump())

    def _now(self) -> datetime:
        return from_utc_ms(self.clock.utc_ms())

    def _opener(self, meter_id: str) -> Callable[[int, float], Any]:
        return lambda sap, timeout_s: self._way.open(meter_id, sap, timeout_s)

    def _settled(self, state: MeterState, now: int, trouble: str, asked: bool) -> None:
        state.signal_dbm = self._way.signal_dbm(state.meter_id)
        if trouble:
            state.failed(now, trouble, self.settings, counts=not asked)
            if state.state not in (states.LOST, states.NEW):
                state.state = states.LATE
            return
        was = state.state
        if state.failures:
            self._is_back(state.meter_id, now)
        state.succeeded(now)
        if not asked:
            yesterday = (local_date(now) - timedelta(1)).isoformat()
            state.read(now, bool(self.store.has_days(state.meter_id).get(yesterday)), self.settings)
        state.state = states.OK
        if was == states.LOST:
            self._alarm("meter-back", state.meter_id)
        elif was == states.NEW:
            self._alarm("meter-new", state.meter_id)

    def _answered(
        self, meter_id: str, days: list[date], done: list[str], asked: bool, now: int
    ) -> None:
        if not asked:
            return
        for day in (day.isoformat() for day in days):
            attempts, _ = self._asked.pop((meter_id, day), (0, 0))
            if day not in done:
                if attempts + 1 < _ASKED_ATTEMPTS:
                    self._asked[meter_id, day] = (attempts + 1, now + _ASKED_RETRY_MS)
                    continue
                reason = self._meters[meter_id].reason
                self._alarm("asked-in-vain", meter_id, f"{day}: {reason}")
            times, _ = self._waits.pop((meter_id, day), (0, 0))
            wait_ms = min(_AGAIN_MS << min(times, 8), _AGAIN_MOST_MS)
            self._waits[meter_id, day] = times + 1, now + wait_ms
            if len(self._waits) > _WAITS_MOST:
                del self._waits[next(iter(self._waits))]

    def _is_back(self, meter_id: str, now: int) -> None:
        """Whom it did not reach it reaches: what is asked of it need not wait any more."""
        for key in [key for key in self._waits if key[0] == meter_id]:
            del self._waits[key]
        for key, (attempts, not_before) in self._asked.items():
            if key[0] == meter_id and not_before > now:
                self._asked[key] = attempts, now

    def noticed(self, kind: str, meter_id: str, utc_ms: int) -> None:
        """What the net tells of a meter by itself, as `power-lost`."""
        self._keep(self.store.alarm, utc_ms, kind, meter_id, "")

    # --- what it notices ---------------------------------------------------------------------

    def _alarm(self, kind: str, meter_id: str = "", text: str = "") -> None:
        self._keep(self.store.alarm, self.clock.utc_ms(), kind, meter_id, text)

    def _keep(self, change: Callable[..., T], *values: Any) -> T | None:
        """What the change gives; None where there was no room for it: it is as if not begun."""
        try:
            return change(*values)
        except StoreFullError:
            self._disk_full = True
            return None

    def _room_again(self) -> bool:
        """Whether the disk has room; then that it had none is told."""
        now = self.clock.utc_ms()
        try:
            self.store.alarm(now, "disk-full", text="nothing was stored meanwhile; it goes on")
        except StoreFullError:
            return False
        self._disk_full = False
        return True

    def _look_for_lost(self, now: int) -> None:
        with self._lock:
            for state in self._meters.values():
                quiet = state.state in (states.OK, states.LATE, states.WAITING, states.NEW)
                # Only who was asked and did not answer is lost.
                if quiet and state.failures and state.is_lost(now, self.settings):
                    state.state = states.LOST
                    self._alarm("meter-lost", state.meter_id, state.reason)
                    self._keep(self.store.put_state, state.meter_id, state.dump())

    def _compare_clocks(self) -> None:
        """Whose clock is wrong: one meter's, or all of them: then it is our own."""
        told = {
            state.meter_id: state.clock_offset_s
            for state in self._meters.values()
            if state.clock_offset_s is not None and not state.failures
        }
        if len(told) < min(_CLOCKS_LEAST, len(self._meters)):
            return
        middle = statistics.median(told.values()) if len(told) >= _CLOCKS_LEAST else 0.0
        doubted = abs(middle) > self.settings.clock_off_s
        if doubted != self._clock_doubted:
            self._clock_doubted = doubted
            kind = "clock-doubtful" if doubted else "clock-good"
            self._alarm(kind, text=f"its meters' clocks are {middle:+.1f} s from its own")
        for meter_id, offset_s in told.items():
            off = abs(offset_s - middle) > self.settings.clock_off_s
            if off and not self._meters[meter_id].clock_off:
                self._alarm("meter-clock", meter_id, f"{offset_s:+.1f} s")
            self._meters[meter_id].clock_off = off

    # --- what it is asked for ------------------------------------------------------------------

    def meters(self) -> list[MeterState]:
        """In the order of the list; `waiting`: due in this window and not yet read."""
        with self._lock:
            return [replace(one, state=shown) for one, shown in self._shown()]

    def _shown(self) -> Iterator[tuple[MeterState, str]]:
        now = self.clock.utc_ms()
        window = self._window(now)
        open_ = window.begin_ms <= now < window.end_ms
        yesterday = (local_date(now) - timedelta(1)).isoformat()
        for state in self._meters.values():
            waits = open_ and state.state == states.OK and state.last_day < yesterday
            yield state, states.WAITING if waits else state.state

    def known(self, meter_id: str) -> bool:
        return meter_id in self._meters

    @property
    def store_id(self) -> str:
        return self.store.store_id

    def days(self, after: int = 0, limit: int = 100) -> list[Stored]:
        return self.store.days(after, limit)

    def taken(self, seq: int) -> None:
        self.store.taken(seq)

    def alarms(self, after: int = 0) -> list[dict[str, Any]]:
        return self.store.alarms(after)

    def pushes(self, after: int = 0) -> list[dict[str, Any]]:
        return self.store.pushes(after)

    def pushed(self, meter_id: str, octets: bytes) -> None:
        """What a meter has sent unasked, as it came: the head-end opens it."""
        self._keep(self.store.push, self.clock.utc_ms(), meter_id, octets)

    def heard(self, octets: bytes) -> bool:
        """The same from the line, where it says itself whose it is: ciphered, by its system title
        (DB | 08 | title | ...). False for what no meter of here has sent."""
        if octets[:2] != _GENERAL:
            return False
        title = octets[2:10].hex()
        for meter_id in self._meters:
            if self._keyed.get(meter_id, "").lower() == title:
                self.pushed(meter_id, octets)
                return True
        return False

    def ask(self, meter_id: str, day: date) -> None:
        """Reads a day of a meter soon, whatever the window; what was asked for just before, later
        and later. BenchError where that cannot be."""
        state = self._meters.get(meter_id)
        if state is None or state.state == states.KEYLESS:
            raise BenchError(f"meter {meter_id} is not read by this concentrator")
        now = self.clock.utc_ms()
        if day >= local_date(now):
            raise BenchError(f"{day} is not over yet")
        with self._lock:
            if len(self._asked) >= self.settings.asked_most:
                raise BenchError("too many days are asked for already: ask again later")
            key = meter_id, day.isoformat()
            _, not_before = self._waits.get(key, (0, 0))
            self._asked.setdefault(key, (0, max(now, not_before)))

    def lease(self, meter_id: str, count: int) -> tuple[int, int]:
        """Counters of the reader's keys for a session of the head-end's own: (first, end)."""
        if meter_id not in self._keyed:
            raise BenchError(f"meter {meter_id} has no keys here")
        if not 1 <= count <= _LEASE_MOST:
            raise BenchError(f"1 to {_LEASE_MOST} counters are given at a time")
        first = self._keystore.reserve(meter_id, READER_SAP, count)
        return first, first + count

    def discover(self) -> list[str]:
        """Takes in the meters that answer and are not in the list; the numbers of those."""
        out = []
        self._keyed = readers_only(self._keystore)
        for name, url in self._way.visible():
            digits = "".join(character for character in name if character.isdigit())
            fitting = [m for m in self._keyed if len(digits) == 13 and m.endswith(digits)]
            if len(fitting) != 1 or fitting[0] in self._meters:
                self._seen_stranger(name, url)
                continue
            found = Listed(fitting[0], url)
            if len(self._meters) >= METERS_MOST:
                break
            with self._lock:
                self._way.add(found)
                self._keep(self.store.put_found, found.meter_id, found.url)
                self._meters[found.meter_id] = MeterState(
                    found.meter_id, since_ms=self.clock.utc_ms()
                )
            self._alarm("meter-found", found.meter_id, url)
            out.append(found.meter_id)
        return out

    def _seen_stranger(self, name: str, url: str) -> None:
        text = f"{name} at {url}: no keys of it here"
        if not any(alarm["text"] == text for alarm in self.store.alarms(limit=10_000)):
            self._alarm("meter-unknown", text=text)

    def figures(self) -> dict[str, Any]:
        """Its own state, as head-ends ask for it."""
        now = self.clock.utc_ms()
        with self._lock:
            window = self._window(now)
            counts = Counter(shown for _, shown in self._shown())
        return {
            "concentrator": self.name,
            "store_id": self.store_id,
            "time": local_text(now),
            "clock_doubtful": self._clock_doubted,
            "meters": {**dict.fromkeys(states.STATES, 0), **counts},
            "stored": self.store.figures(),
            "window": {
                "open": window.begin_ms <= now < window.end_ms,
                "begin": local_text(window.begin_ms),
                "end": local_text(window.end_ms),
            },
            "asked": len(self._asked),
            "disk_full": self._disk_full,
        }


def _midnight_after(utc_ms: int) -> int:
    return to_utc_ms(day_bounds(local_date(utc_ms))[1])
