"""The clock of the emulated board: time passes when it sleeps, and when the bench says so.

On MicroPython `time` of this folder takes the place of the built-in one. On
CPython nothing can: `install` puts the functions there.
"""

from wiring import board

_TURN = 1 << 30


def ticks_ms():
    return board.now_us // 1000 % _TURN


def ticks_us():
    return board.now_us % _TURN


def ticks_diff(a, b):
    return (a - b + _TURN // 2) % _TURN - _TURN // 2


def ticks_add(a, b):
    return (a + b) % _TURN


def sleep_ms(ms):
    board.advance(ms * 1000)


def sleep_us(us):
    board.advance(us)


def install():
    """Makes `time` the board's, on either Python."""
    import time

    if hasattr(time, "ticks_ms"):
        return
    for function in (ticks_ms, ticks_us, ticks_diff, ticks_add, sleep_ms, sleep_us):
        setattr(time, function.__name__, function)
