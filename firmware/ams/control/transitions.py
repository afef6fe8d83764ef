"""Disconnect control, class 70: which event leads where (IEC 62056-6-2, 4.5.8).

Transitions by their letters: a remote reconnect 0 to 1, b remote disconnect
1 to 0, c the same from 2, d remote reconnect 0 to 2, e manual reconnect 2 to
1, f manual disconnect 1 to 2, g local disconnect 1 to 2, h local reconnect
2 to 1. docs/breaker.md has the table that a test compares with this one.
"""

from micropython import const

from ams.control.supply import CONTROL_MODES, LOCAL_DISCONNECT, LOCAL_RECONNECT

DISCONNECTED = const(0)
CONNECTED = const(1)
READY = const(2)  # ready for reconnection by hand

REMOTE_DISCONNECT = const(0)
MANUAL_DISCONNECT = const(1)
# Local disconnection is 2.
REMOTE_RECONNECT = const(3)
MANUAL_RECONNECT = const(4)
# Local reconnection is 5.
EVENT_COUNT = const(6)

_LETTERS = {
    "a": (REMOTE_RECONNECT, DISCONNECTED, CONNECTED),
    "b": (REMOTE_DISCONNECT, CONNECTED, DISCONNECTED),
    "c": (REMOTE_DISCONNECT, READY, DISCONNECTED),
    "d": (REMOTE_RECONNECT, DISCONNECTED, READY),
    "e": (MANUAL_RECONNECT, READY, CONNECTED),
    "f": (MANUAL_DISCONNECT, CONNECTED, READY),
    "g": (LOCAL_DISCONNECT, CONNECTED, READY),
    "h": (LOCAL_RECONNECT, READY, CONNECTED),
}
_MODES = ("", "bcdefg", "abcefg", "bcdeg", "abceg", "bcdefgh", "bcdegh")
MODE_COUNT = CONTROL_MODES


def next_state(mode, state, event):
    """Where `event` leads from `state` in a control mode, or None: it is not allowed."""
    for letter in _MODES[mode]:
        of, before, after = _LETTERS[letter]
        if of == event and before == state:
            return after
    return None
