"""What a concentrator knows of each of its meters, and its settings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any

from openams.errors import BenchError
from openams.meter_time import NORWAY, from_utc_ms, local_text, to_utc_ms

OK, WAITING, LATE, LOST, NEW, KEYLESS = "ok", "waiting", "late", "lost", "new", "no-keys"
_MS = timedelta(milliseconds=1)
STATES = (OK, WAITING, LATE, LOST, NEW, KEYLESS)


@dataclass(frozen=True)
class Settings:
    """Times of the day are Norwegian; what is a number of days or attempts has an end there."""

    window_begin: time = time(0, 5)
    window_end: time = time(7, 0)
    back_days: int = 7  # gaps of so many days are filled
    attempts: int = 8  # sessions a window that may fail
    reads: int = 3  # and sessions that did not bring yesterday whole
    retry_s: int = 300  # after the first; twice as long after each, up to
    retry_most_s: int = 3600
    lost_after_s: int = 86_400
    timeout_s: float = 10.0
    asked_most: int = 1000
    # Days before and after which there is nothing to collect: of meters that are put up and down.
    first: date | None = None
    last: date | None = None
    # Clocks: so far off they are spoken of.
    clock_off_s: float = 60.0

    def wants(self, day: date) -> bool:
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def window(self, day: date) -> tuple[int, int]:
        """Begin and end of the window that begins on a local day; it may end on the next."""
        begin = datetime.combine(day, self.window_begin, NORWAY)
        over = self.window_end <= self.window_begin
        end = datetime.combine(day + timedelta(over), self.window_end, NORWAY)
        begin_ms, end_ms = to_utc_ms(begin), to_utc_ms(end)
        if end_ms <= begin_ms:
            # It begins in the hour that is left out in spring.
            end_ms = begin_ms + (end.replace(tzinfo=None) - begin.replace(tzinfo=None)) // _MS
        return begin_ms, end_ms

    def window_now(self, utc_ms: int) -> tuple[int, int]:
        """The window that is open, or the next one."""
        today = from_utc_ms(utc_ms).astimezone(NORWAY).date()
        for day in (today - timedelta(1), today):
            begin_ms, end_ms = self.window(day)
            if utc_ms < end_ms:
                return begin_ms, end_ms
        return self.window(today + timedelta(1))


def parse_window(text: str) -> tuple[time, time]:
    """`00:05-07:00`."""
    try:
        first, last = (time.fromisoformat(part) for part in text.split("-"))
        if first.tzinfo or last.tzinfo or first == last:
            raise ValueError
    except ValueError:
        raise BenchError(f"--window {text!r}: write it like 00:05-07:00") from None
    return first, last


def local_date(utc_ms: int) -> date:
    return from_utc_ms(utc_ms).astimezone(NORWAY).date()


@dataclass
class MeterState:
    """Kept in the store, so that a restart neither asks everybody again nor forgets who is lost."""

    meter_id: str
    state: str = NEW
    signal_dbm: int | None = None
    last_contact_ms: int | None = None
    last_day: str = ""  # the newest day that is complete
    failures: int = 0  # sessions in a row
    reason: str = ""  # why the last one failed
    clock_offset_s: float | None = None
    since_ms: int = 0  # when it came to be known
    window: str = ""  # that the following are of
    attempts: int = 0  # sessions that failed
    reads: int = 0  # and those that did not
    done: bool = False
    next_ms: int = 0  # not to be tried before
    clock_off: bool = False  # has been spoken of

    @classmethod
    def load(cls, record: dict[str, Any]) -> MeterState:
        return cls(**{key.name: record[key.name] for key in fields(cls) if key.name in record})

    def dump(self) -> dict[str, Any]:
        return dict(vars(self))

    def to_json(self) -> dict[str, Any]:
        """For head-ends: what they need, times in ISO."""
        return {
            "meter_id": self.meter_id,
            "state": self.state,
            "signal_dbm": self.signal_dbm,
            "last_contact": local_text(self.last_contact_ms) if self.last_contact_ms else None,
            "last_day": self.last_day or None,
            "failures": self.failures,
            "reason": self.reason,
            "clock_offset_s": self.clock_offset_s,
        }

    def begin_window(self, window: str) -> None:
        if self.window != window:
            self.window, self.attempts, self.reads, self.done = window, 0, 0, False
            self.next_ms = 0

    def succeeded(self, utc_ms: int) -> None:
        self.last_contact_ms = utc_ms
        self.failures = 0
        self.reason = ""

    def read(self, utc_ms: int, whole: bool, settings: Settings) -> None:
        """A session of the window: is it the last one?"""
        self.reads += 1
        self.done = whole or self.reads >= settings.reads
        self._wait(utc_ms, self.reads, settings)

    def failed(self, utc_ms: int, reason: str, settings: Settings, counts: bool = True) -> None:
        self.failures += 1
        self.reason = reason[:200]
        if counts:
            self.attempts += 1
            self._wait(utc_ms, self.attempts, settings)

    def _wait(self, utc_ms: int, times: int, settings: Settings) -> None:
        wait_s = min(settings.retry_s << min(times - 1, 16), settings.retry_most_s)
        # Spread by the number, so that those who fell together do not come together.
        spread = int(self.meter_id[-6:]) * 7919 % 128
        self.next_ms = utc_ms + wait_s * 1000 * (256 + spread) // 256

    def is_lost(self, utc_ms: int, settings: Settings) -> bool:
        last_ms = self.last_contact_ms or self.since_ms
        return utc_ms - last_ms >= settings.lost_after_s * 1000
