"""MicroPython's `time` for a board of the bench. CPython never sees this file."""

from boardtime import sleep_ms, sleep_us, ticks_add, ticks_diff, ticks_ms, ticks_us

__all__ = ("sleep_ms", "sleep_us", "ticks_add", "ticks_diff", "ticks_ms", "ticks_us")
